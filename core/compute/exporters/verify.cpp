// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/verify.h"

#include "exporters/comparison.h"
#include "exporters/runtimes.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bitwright {

namespace {

struct Opened {
    std::unique_ptr<Runtime> runtime;   ///< none: there is nothing to run
    std::string name;
    std::vector<QuantizedSite> sites;
    std::int64_t fixedBatch = 0;
    std::vector<std::string> notes;
    std::vector<LayerAgreement> weights;   ///< of a file of weights
};

Result<Opened> openOnnx(const VerifyInput &input, const JobContext &context)
{
    Opened made;
    BW_ASSIGN(const onnx::Model model, onnx::readModel(input.path));
    BW_ASSIGN(made.sites, quantizedSites(model));
    if (!model.graph.inputs.empty() && !model.graph.inputs[0].shape.empty() && model.graph.inputs[0].shape[0].name.empty())
        made.fixedBatch = std::max<std::int64_t>(0, model.graph.inputs[0].shape[0].value);
    if (!input.ownReaderOnly) {
        auto runtime = onnxRuntime(input.path, model, made.sites, input.threads, context);
        if (runtime) {
            made.runtime = std::move(*runtime);
            return made;
        }
        if (runtime.error().kind != ErrorKind::Unsupported)
            return std::unexpected(runtime.error());
        made.notes.push_back(runtime.error().message + "; checked with Bitwright's own reader instead");
    }
    // Our reader turns the table of a step function into an operator of its own: only what comes out of the network is compared.
    if (std::erase_if(made.sites, [](const QuantizedSite &site) { return site.scale == 0; }) > 0)
        made.notes.push_back("inputs on free levels are compared by the network's output alone");
    BW_ASSIGN(made.runtime, readerRuntime(input.path, made.sites, context));
    return made;
}

Result<Opened> openWeights(const VerifyInput &input, const JobContext &context)
{
    WeightsContents contents;
    if (input.format == "pack") {
        BW_ASSIGN(contents, packContents(input.path, input.network, input.weights));
    } else {
        BW_ASSIGN(contents, stateDictContents({input.path, input.network, input.foldBatchNorm, input.config, input.weights, input.ownReaderOnly}, context));
    }
    return Opened{std::move(contents.runtime), contents.reader, {}, 0, std::move(contents.notes), std::move(contents.weights)};
}

Result<Opened> openTorch(const VerifyInput &input, const JobContext &context)
{
    Opened made;
    std::unique_ptr<Runtime> own;
    if (input.format == "torchscript" && !input.ownReaderOnly) {
        std::vector<std::string> names;
        if (input.network)
            for (const TensorInfo &info : input.network->summary().inputs)
                names.push_back(info.name);
        BW_ASSIGN(own, torchscriptRuntime(input.path, std::move(names)));
    } else if (input.format == "pt2" && !input.ownReaderOnly) {
        auto runtime = pytorchRuntime(input.path, input.threads, context);
        if (runtime)
            own = std::move(*runtime);
        else if (runtime.error().kind != ErrorKind::Unsupported)
            return std::unexpected(runtime.error());
        else
            made.notes.push_back(runtime.error().message + "; checked with Bitwright's own reader instead");
    }
    const bool byReader = !own;
    BW_ASSIGN(made.runtime, tappedRuntime(input.path, std::move(own), made.sites, context));
    if (made.sites.empty())
        made.notes.push_back("the file says nowhere that it quantizes inputs: only its output is compared");
    else if (!byReader)
        made.notes.push_back("the output is " + made.runtime->name() + "'s; the levels of the inputs are those that Bitwright's reader finds in the same file");
    return made;
}

bool holdsWeights(const std::string &format)
{
    return format == "pack" || format == "state_dict" || format == "safetensors";
}

Result<Opened> openFile(const VerifyInput &input, const JobContext &context)
{
    if (input.format == "onnx")
        return openOnnx(input, context);
    auto made = holdsWeights(input.format) ? openWeights(input, context) : openTorch(input, context);
    if (made && input.network)
        made->fixedBatch = std::max<std::int64_t>(0, input.network->graph().fixedBatch);
    return made;
}

/// Fills a fixed batch up with the last sample.
void padTo(NetworkInputs &rows, std::int64_t count, std::int64_t batch)
{
    for (c10::IValue &value : rows) {
        if (batch <= count || !value.isTensor() || value.toTensor().dim() == 0 || value.toTensor().size(0) != count)
            continue;
        const at::Tensor tensor = value.toTensor();
        auto shape = tensor.sizes().vec();
        shape[0] = batch - count;
        value = at::cat({tensor, tensor.narrow(0, count - 1, 1).expand(shape)});
    }
}

/// Runs all samples through both.
Result<VerifyReport> compare(const VerifyInput &input, Opened &opened, std::int64_t total, const JobContext &context)
{
    Comparison comparison(opened.sites, input.format == "onnx" || !opened.sites.empty());
    const std::int64_t batch = opened.fixedBatch > 0 ? opened.fixedBatch : std::max<std::int64_t>(1, input.batch);
    for (std::int64_t first = 0; first < total; first += batch) {
        if (context.stopped())
            return cancelled();
        context.breathe();
        const std::int64_t count = std::min(batch, total - first);
        NetworkInputs rows;
        if (input.rows) {
            BW_ASSIGN(rows, input.rows(first, count));
        } else {
            rows = {input.inputs.narrow(0, first, count)};
        }
        padTo(rows, count, opened.fixedBatch);
        BW_ASSIGN(const RuntimeOutput ran, opened.runtime->run(rows, context));
        BW_ASSIGN(const SimulationTrace simulated, input.simulate(rows));
        BW_CHECK(comparison.add(rows, {count, std::max(count, opened.fixedBatch)}, simulated, ran));
        context.progress("checking", std::min(first + batch, total), total);
    }
    return comparison.finish(input.unquantized);
}

} // namespace

Result<VerifyReport> verifyFile(const VerifyInput &input, const JobContext &context)
{
    return guarded(input.path + " cannot be checked", ErrorKind::Internal, [&]() -> Result<VerifyReport> {
        c10::NoGradGuard noGrad;
        const bool rows = input.inputs.defined() && input.inputs.dim() > 0;
        const std::int64_t total = input.rows ? input.samples : rows ? input.inputs.size(0) : 0;
        if (total <= 0 && !holdsWeights(input.format))
            return fail(ErrorKind::Invalid, input.path + ", there are no samples to check it with; give data");
        BW_ASSIGN(Opened opened, openFile(input, context));
        VerifyReport report;
        const bool runs = opened.runtime && total > 0;
        if (runs) {
            BW_ASSIGN(report, compare(input, opened, total, context));
        }
        report.runtime = opened.name.empty() ? opened.runtime->name() : opened.name;
        for (const LayerAgreement &weight : opened.weights) {
            report.layers.push_back(weight);
            report.differingLevels += weight.differingLevels;
            if (weight.differingLevels > 0 && report.firstDifferingLayer.empty())
                report.firstDifferingLayer = weight.layer;
            if (!runs)
                report.maxAbsDifference = std::max(report.maxAbsDifference, weight.maxAbsDifference);
        }
        if (!opened.weights.empty() && !report.firstDifferingLayer.empty())
            report.reason = "other weights: " + report.firstDifferingLayer + " is the first tensor whose values are not the simulation's; check that file and assignment belong together";
        report.notes.insert(report.notes.begin(), opened.notes.begin(), opened.notes.end());
        return report;
    });
}

} // namespace bitwright
