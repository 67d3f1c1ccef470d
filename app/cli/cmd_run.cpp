// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "data/array_file.h"
#include "simulate/simulation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <map>

namespace bitwright::cli {

namespace {

struct Options { std::string model, input, output, config; };

std::optional<at::ScalarType> scalarType(const std::string &name)
{
    static const std::map<std::string, at::ScalarType> types{
        {"float32", at::kFloat}, {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16},
        {"int64", at::kLong}, {"int32", at::kInt}, {"int16", at::kShort}, {"int8", at::kChar}, {"uint8", at::kByte},
        {"bool", at::kBool}};
    const auto found = types.find(name);
    return found == types.end() ? std::nullopt : std::optional(found->second);
}

/// The array for one input: by its name, by in0, in1…, or the only one.
const at::Tensor *arrayFor(const std::vector<NamedTensor> &arrays, const std::string &name, std::size_t index, std::size_t inputs)
{
    for (const auto &wanted : {name, "in" + std::to_string(index)})
        for (const auto &[given, tensor] : arrays)
            if (given == wanted)
                return &tensor;
    return inputs == 1 && arrays.size() == 1 ? &arrays[0].second : nullptr;
}

Status checkShape(const TensorInfo &info, const at::Tensor &tensor, const std::string &path)
{
    const Shape shape = info.acceptedShape();
    bool fits = shape.empty() || std::size_t(tensor.dim()) == shape.size();
    for (std::size_t i = 1; fits && i < shape.size(); ++i)   // the batch may differ: it is sliced or padded
        fits = shape[i] < 0 || shape[i] == tensor.size(std::int64_t(i));
    if (!fits)
        return fail(ErrorKind::Invalid, path + ", its shape is " + shapeText(tensor.sizes().vec()) + ", input '" + info.name +
                                            "' reads " + shapeText(shape) + "; bring the array to that shape");
    return {};
}

Result<std::vector<c10::IValue>> readInputs(const ModelSummary &summary, const std::string &path)
{
    BW_ASSIGN(const auto arrays, readArrays(path));
    std::vector<c10::IValue> values;
    for (std::size_t i = 0; i < summary.inputs.size(); ++i) {
        const auto &info = summary.inputs[i];
        const auto *array = arrayFor(arrays, info.name, i, summary.inputs.size());
        if (array == nullptr)
            return fail(ErrorKind::Invalid, path + ", has no array for input '" + info.name + "'; name it '" + info.name +
                                                "' or 'in" + std::to_string(i) + "' in an .npz");
        BW_CHECK(checkShape(info, *array, path));
        const auto type = scalarType(info.dtype);
        values.emplace_back(type ? array->to(*type) : *array);
    }
    return values;
}

Result<std::vector<c10::IValue>> runNetwork(const std::shared_ptr<const Network> &network, const Options &options,
                                            const std::vector<c10::IValue> &inputs, Console &console)
{
    const at::NoGradGuard noGrad;
    const auto stop = console.job().stop;
    const bool padded = network->summary().fixedBatch > 0 && inputs.size() == 1;
    RunOptions run;
    run.stop = stop;
    if (options.config.empty()) {
        const auto &executor = network->executor();
        const auto parameters = executor.bind();
        if (!padded)
            return executor.run(inputs, parameters, run);
        BW_ASSIGN(auto scores, executor.runBatch(inputs[0].toTensor(), parameters, run));
        return std::vector<c10::IValue>{scores};
    }
    BW_ASSIGN(const auto assignment, readAssignment(*network, options.config, console));
    BW_ASSIGN(auto simulation, Simulation::make(network, assignment.resolved, assignment.config.foldBatchNorm));
    if (!padded)
        return simulation->runAll(inputs, stop);
    BW_ASSIGN(auto scores, simulation->run(inputs[0].toTensor(), stop));
    return std::vector<c10::IValue>{scores};
}

/// Names of the arrays of an .npz: the file's own where they are meant for people (ONNX), else out0, out1…
Result<std::vector<NamedTensor>> nameOutputs(const ModelSummary &summary, const std::vector<c10::IValue> &values)
{
    std::vector<NamedTensor> outputs;
    for (std::size_t i = 0; i < values.size(); ++i) {
        const bool named = summary.format == "onnx" && i < summary.outputs.size() && !summary.outputs[i].name.empty();
        const auto name = named ? summary.outputs[i].name : "out" + std::to_string(i);
        if (values[i].isTensor())
            outputs.emplace_back(name, values[i].toTensor());
        else if (values[i].isScalar())
            outputs.emplace_back(name, at::scalar_tensor(values[i].toScalar(), at::kDouble));
        else
            return fail(ErrorKind::Unsupported, summary.path + ", output " + std::to_string(i) + " is a " + values[i].tagKind() +
                                                    ", not a tensor; export the network with tensors as outputs");
    }
    if (outputs.empty())
        return fail(ErrorKind::Unsupported, summary.path + ", the network has no output; export it with one");
    return outputs;
}

Status writeOutputs(const std::string &path, const std::vector<NamedTensor> &outputs)
{
    if (path.ends_with(".npz"))
        return writeNpz(path, outputs);
    if (outputs.size() > 1)
        return fail(ErrorKind::Invalid, "--output " + path + ", the network has " + std::to_string(outputs.size()) +
                                            " outputs; give a name that ends in .npz");
    return writeNpy(path, outputs[0].second);
}

} // namespace

Work declareRun(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--input", options->input, "Array to run on, taken as it is (.npy; .npz for several inputs)")->required();
    app.add_option("--output", options->output, "Where the result goes (.npy; .npz for several outputs)")->required();
    app.add_option("--config", options->config, "Assignment to simulate; without it the network runs in float");
    return [options](Console &console) -> Result<Output> {
        BW_ASSIGN(auto network, Network::open(options->model, console.job()));
        BW_ASSIGN(const auto inputs, readInputs(network->summary(), options->input));
        BW_ASSIGN(const auto values, runNetwork(network, *options, inputs, console));
        BW_ASSIGN(const auto outputs, nameOutputs(network->summary(), values));
        BW_CHECK(writeOutputs(options->output, outputs));
        std::int64_t bad = 0;
        for (const auto &[name, tensor] : outputs)
            bad += tensor.numel() - tensor.isfinite().sum().item<std::int64_t>();
        if (bad > 0)
            console.warn("warning: " + grouped(bad) + " of the output values are NaN or infinite; look for such values in " + options->input);
        Output result;
        nlohmann::json shapes = nlohmann::json::array();
        for (const auto &[name, tensor] : outputs) {
            shapes.push_back({{"name", name}, {"shape", tensor.sizes().vec()}});
            result.text += options->output + ": " + name + " " + shapeText(tensor.sizes().vec()) + "\n";
        }
        result.json = {{"output", options->output}, {"output_shape", outputs[0].second.sizes().vec()}, {"outputs", shapes}};
        return result;
    };
}

} // namespace bitwright::cli
