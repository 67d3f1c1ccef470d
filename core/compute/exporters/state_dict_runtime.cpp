// SPDX-License-Identifier: GPL-3.0-or-later
// State dicts and safetensors, read by PyTorch and by our own reader, beside the simulation's weights.
#include "exporters/child_python.h"
#include "exporters/runtimes.h"
#include "frontends/frontend.h"
#include "frontends/weights_file.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bitwright {

namespace {

using nlohmann::json;

// Argument: the file. An order names a file for the raw numbers of all tensors, one after the other; the answer lists
// them. Needs torch alone.
constexpr PythonScript kTorchLoad{"PyTorch", R"python(
def load(arguments):
    global torch, state
    import torch
    try:
        state = torch.load(arguments[0], map_location="cpu", weights_only=True)
        for wrapper in ("state_dict", "model", "model_state_dict", "module"):
            if isinstance(state.get(wrapper), dict):
                state = state[wrapper]
    except Exception as problem:
        refuse(problem)
    return torch.__version__
def tensors(value, name):
    if isinstance(value, torch.Tensor):
        yield name, value.detach().contiguous()
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from tensors(inner, name + "." + str(key) if name else str(key))
def answer(order):
    listed = []
    with open(order["output"], "wb") as file:
        for name, tensor in tensors(state, ""):
            if tensor.numel():
                file.write(ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size()))
            listed.append([name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)])
    return {"tensors": listed}
)python", "export it again or report it"};

const std::map<std::string, at::ScalarType> &types()
{
    static const std::map<std::string, at::ScalarType> kTypes{
        {"float32", at::kFloat}, {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16}, {"int64", at::kLong},
        {"int32", at::kInt}, {"int16", at::kShort}, {"int8", at::kChar}, {"uint8", at::kByte}, {"bool", at::kBool}};
    return kTypes;
}

/// What PyTorch finds in the file, in its order; `reader` becomes its name.
Result<NamedTensors> readByPyTorch(const std::string &path, std::string &reader, const JobContext &context)
{
    ChildPython python(kTorchLoad, path);
    BW_CHECK(python.start({path}, context));
    const std::string raw = python.place("tensors");
    BW_ASSIGN(const json answer, python.ask({{"output", raw}}, context));
    NamedTensors made;
    std::int64_t at = 0;
    for (const json &entry : answer.value("tensors", json::array())) {
        const auto type = types().find(entry.at(1).get<std::string>());
        const std::string name = entry.at(0).get<std::string>();
        if (type == types().end())
            return fail(ErrorKind::Unsupported, path + ", tensor " + name + " is of type " + entry.at(1).get<std::string>() + ", which is not read here");
        BW_ASSIGN(at::Tensor tensor, readRaw(raw, entry.at(2).get<std::vector<std::int64_t>>(), type->second, at));
        at += std::int64_t(tensor.nbytes());
        made.emplace_back(name, std::move(tensor));
    }
    reader = python.name();
    return made;
}

std::string shapeOf(const at::Tensor &tensor)
{
    std::string text;
    for (const std::int64_t size : tensor.sizes())
        text += (text.empty() ? "" : "x") + std::to_string(size);
    return text.empty() ? "a single number" : text;
}

/// The first tensor that two readers of the same file do not read alike, with what is different.
std::string firstDisagreement(const NamedTensors &ours, const NamedTensors &theirs)
{
    std::map<std::string, at::Tensor> byName(theirs.begin(), theirs.end());
    for (const auto &[name, tensor] : ours) {
        const auto found = byName.find(name);
        if (found == byName.end())
            return name + ", which PyTorch does not find";
        if (found->second.scalar_type() != tensor.scalar_type() || found->second.sizes() != tensor.sizes())
            return name + ", its type or shape";
        if (compareWeights(name, tensor, found->second).differingLevels > 0)
            return name + ", its values";
        byName.erase(found);
    }
    return byName.empty() ? std::string() : byName.begin()->first + ", which Bitwright does not find";
}

} // namespace

Result<WeightsContents> stateDictContents(const StateDictInput &input, const JobContext &context)
{
    const std::string &path = input.path;
    if (!input.network)
        return fail(ErrorKind::Invalid, path + ", a state dict holds no operators; give the network that it was made from");
    WeightsContents contents;
    contents.reader = "Bitwright reader";
    BW_ASSIGN(const Graph read, loadGraph(path, context));
    NamedTensors tensors;
    for (const Parameter &parameter : read.parameters)
        tensors.emplace_back(parameter.name, parameter.tensor);
    if (read.format == "state_dict" && !input.ownReaderOnly) {
        const auto theirs = readByPyTorch(path, contents.reader, context);
        if (!theirs && theirs.error().kind != ErrorKind::Unsupported)
            return std::unexpected(theirs.error());
        if (!theirs)
            contents.notes.push_back(theirs.error().message + "; read by Bitwright's own reader alone");
        else if (const std::string odd = firstDisagreement(tensors, *theirs); !odd.empty())
            return fail(ErrorKind::Invalid, path + ", PyTorch and Bitwright disagree about tensor " + odd + "; export it again or report it");
    }
    ParameterMap parameters;
    for (const auto &[name, tensor] : tensors) {
        const auto simulated = input.simulated.find(name);
        if (simulated == input.simulated.end())
            return fail(ErrorKind::Invalid, path + ", tensor " + name + " is none of the network's; give the network that it was made from");
        if (simulated->second.sizes() != tensor.sizes())
            return fail(ErrorKind::Invalid, path + ", tensor " + name + " is " + shapeOf(tensor) + " in the file and " + shapeOf(simulated->second) +
                                                " in the network; give the network that it was made from");
        contents.weights.push_back(compareWeights(name, simulated->second.detach(), tensor));
        parameters[name] = tensor;
    }
    for (const auto &[name, tensor] : input.simulated)
        if (!parameters.contains(name))
            return fail(ErrorKind::Invalid, path + ", tensor " + name + " of the network is missing; give the network and the assignment that it was made from");
    contents.notes.push_back("all " + std::to_string(tensors.size()) + " tensors have the names and shapes of the simulation's"
                             + (contents.reader.starts_with("PyTorch") ? "; PyTorch and Bitwright read the same values" : ""));
    if (input.network->graph(input.foldBatchNorm).obstacles.empty()) {
        BW_ASSIGN(contents.runtime, weightsRuntime(path, input.network, input.foldBatchNorm, input.config, parameters));
    }
    return contents;
}

} // namespace bitwright
