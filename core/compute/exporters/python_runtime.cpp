// SPDX-License-Identifier: GPL-3.0-or-later
// Files run by their own runtime in a child Python.
#include "exporters/child_python.h"
#include "exporters/runtimes.h"
#include "graph/shape_probe.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

using nlohmann::json;

// Arguments: the file, the same file with what layers read among its outputs (or nothing), threads. Needs numpy and
// onnxruntime, nothing else.
constexpr PythonScript kOnnxRuntime{"ONNX Runtime", R"python(
def load(arguments):
    global np, ort, session, probe
    import numpy as np
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = int(arguments[2])
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session, probe = (ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]) if path else None for path in arguments[:2])
    except Exception as problem:
        refuse(problem)
    return ort.__version__
def answer(order):
    types = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16, "tensor(bool)": np.bool_,
             "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(int8)": np.int8, "tensor(uint8)": np.uint8}
    feeds = {}
    for info, given in zip(session.get_inputs(), order["inputs"]):
        array = np.fromfile(given["file"], dtype=given["dtype"]).reshape(given["shape"])
        feeds[info.name] = array.astype(types.get(info.type, array.dtype), copy=False)
    result = session.run([session.get_outputs()[0].name], feeds)[0]
    np.ascontiguousarray(result, dtype=np.float32).tofile(order["output"])
    shapes = []
    if probe is not None and order["probes"]:
        values = probe.run([entry["name"] for entry in order["probes"]], feeds)
        for entry, value in zip(order["probes"], values):
            scale = np.float32(entry["scale"])
            steps = np.rint(value / scale).astype(np.int32) if scale else np.ascontiguousarray(value, np.float32).view(np.int32)
            steps.tofile(entry["file"])
            shapes.append(list(value.shape))
    return {"shape": list(result.shape), "probes": shapes}
)python", "export with other bits or report it"};

// Arguments: the file, threads. Needs torch alone.
constexpr PythonScript kPyTorch{"PyTorch", R"python(
def load(arguments):
    global torch, tree_leaves, tree_unflatten, network, spec, fixed
    import torch
    from torch.export.graph_signature import ConstantArgument, InputKind
    from torch.utils._pytree import tree_leaves, tree_unflatten
    torch.set_num_threads(int(arguments[1]))
    try:
        program = torch.export.load(arguments[0])
        network, spec = program.module(), program.call_spec.in_spec
        # What the program was made for: numbers and words that are no inputs of ours.
        inputs = [each.arg for each in program.graph_signature.input_specs if each.kind == InputKind.USER_INPUT]
        fixed = {i: each.value for i, each in enumerate(inputs) if isinstance(each, ConstantArgument)}
    except Exception as problem:
        refuse(problem)
    return torch.__version__
def answer(order):
    leaves = []
    for given in order["inputs"]:
        with open(given["file"], "rb") as file:
            raw = bytearray(file.read())
        dtype = getattr(torch, given["dtype"])
        tensor = (torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)).reshape(given["shape"])
        leaves.append(tensor.item() if given["number"] else tensor)
    if spec and len(leaves) + len(fixed) == spec.num_leaves:
        for place, value in sorted(fixed.items()):
            leaves.insert(place, value)
    # Lists, tuples and dictionaries are put together as the program wants them.
    arguments, named = tree_unflatten(leaves, spec) if spec and spec.num_leaves == len(leaves) else (leaves, {})
    with torch.no_grad():
        first = tree_leaves(network(*arguments, **named))[0]
    result = torch.as_tensor(first).detach().to(torch.float32).contiguous()
    with open(order["output"], "wb") as file:
        file.write(ctypes.string_at(result.data_ptr(), result.numel() * 4) if result.numel() else b"")
    return {"shape": list(result.shape), "probes": []}
)python", "export it again or report it"};

class PythonRuntime final : public Runtime {
public:
    PythonRuntime(const PythonScript &script, const std::string &path, std::vector<QuantizedSite> sites)
        : m_sites(std::move(sites)), m_python(script, path)
    {
    }

    [[nodiscard]] ChildPython &python() { return m_python; }
    std::string name() const override { return m_python.name(); }

    Result<RuntimeOutput> run(const std::vector<c10::IValue> &inputs, const JobContext &context) override
    {
        json order{{"inputs", json::array()}, {"output", m_python.place("output")}, {"probes", json::array()}};
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const bool number = !inputs[i].isTensor();
            const at::Tensor flat = number ? at::scalar_tensor(inputs[i].toScalar(), inputs[i].toScalar().type()) : inputs[i].toTensor().contiguous();
            const std::string file = m_python.place("input" + std::to_string(i));
            BW_CHECK(writeRaw(file, {static_cast<const char *>(flat.const_data_ptr()), flat.nbytes()}));
            order["inputs"].push_back({{"file", file}, {"shape", flat.sizes().vec()}, {"dtype", dtypeName(flat.scalar_type())}, {"number", number}});
        }
        for (std::size_t i = 0; i < m_sites.size(); ++i)
            order["probes"].push_back({{"name", m_sites[i].values}, {"scale", m_sites[i].scale}, {"file", m_python.place(std::to_string(i))}});
        BW_ASSIGN(const json answer, m_python.ask(order, context));
        if (!answer.contains("shape") || !answer.contains("probes"))
            return fail(ErrorKind::Io, name() + ", its answer is not understood; look at the log", answer.dump());
        RuntimeOutput made;
        BW_ASSIGN(made.output, readRaw(m_python.place("output"), answer["shape"].get<std::vector<std::int64_t>>(), at::kFloat));
        for (std::size_t i = 0; i < m_sites.size() && i < answer["probes"].size(); ++i) {
            BW_ASSIGN(auto steps, readRaw(m_python.place(std::to_string(i)), answer["probes"][i].get<std::vector<std::int64_t>>(), at::kInt));
            made.steps.push_back(std::move(steps));
        }
        return made;
    }

private:
    std::vector<QuantizedSite> m_sites;
    ChildPython m_python;
};

} // namespace

Result<std::unique_ptr<Runtime>> onnxRuntime(const std::string &path, const onnx::Model &model,
                                             const std::vector<QuantizedSite> &sites, int threads, const JobContext &context)
{
    auto made = std::make_unique<PythonRuntime>(kOnnxRuntime, path, sites);
    std::string probed;
    if (!sites.empty()) {
        onnx::Model widened = model;
        for (const QuantizedSite &site : sites) {
            onnx::ValueInfo output;
            output.name = site.values;
            output.type = onnx::DataType::Float;
            widened.graph.outputs.push_back(std::move(output));
        }
        probed = made->python().place("probed.onnx");
        BW_CHECK(writeRaw(probed, onnx::serialize(widened)));
    }
    BW_CHECK(made->python().start({path, probed, std::to_string(threads)}, context));
    return std::unique_ptr<Runtime>(std::move(made));
}

Result<std::unique_ptr<Runtime>> pytorchRuntime(const std::string &path, int threads, const JobContext &context)
{
    auto made = std::make_unique<PythonRuntime>(kPyTorch, path, std::vector<QuantizedSite>{});
    BW_CHECK(made->python().start({path, std::to_string(threads)}, context));
    return std::unique_ptr<Runtime>(std::move(made));
}

} // namespace bitwright
