// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/child_files.h"
#include "exporters/child_process.h"
#include "exporters/runtimes.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#ifndef BITWRIGHT_VENV_PYTHON
#define BITWRIGHT_VENV_PYTHON ""
#endif

namespace bitwright {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kStartPatience{120}, kRunPatience{300};

// Reads one JSON object a line, runs the file, writes raw arrays. Needs numpy and onnxruntime, nothing else.
constexpr const char *kRunner = R"python(
import json, sys
def say(**answer):
    print(json.dumps(answer), flush=True)
try:
    import numpy as np
    import onnxruntime as ort
except Exception as problem:
    say(missing=str(problem))
    sys.exit(0)
plain, probed, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
try:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    def load(path):
        return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session = load(plain)
    probe = load(probed) if probed else None
except Exception as problem:
    say(refused=str(problem))
    sys.exit(0)
say(version=ort.__version__)
for line in sys.stdin:
    try:
        order = json.loads(line)
        x = np.fromfile(order["input"], dtype=order["dtype"]).reshape(order["shape"])
        feeds = {session.get_inputs()[0].name: x}
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
        say(shape=list(result.shape), probes=shapes)
    except Exception as problem:
        say(failed=str(problem))
)python";

class OnnxRuntime final : public Runtime {
public:
    OnnxRuntime(std::string path, std::vector<QuantizedSite> sites) : m_path(std::move(path)), m_sites(std::move(sites)) {}

    Status start(const onnx::Model &model, int threads, const JobContext &context)
    {
        if (!m_folder.valid())
            return fail(ErrorKind::Io, "temporary folder, it cannot be made; set TMPDIR to a folder that can be written");
        std::string probed;
        if (!m_sites.empty()) {
            onnx::Model widened = model;
            for (const QuantizedSite &site : m_sites) {
                onnx::ValueInfo output;
                output.name = site.values;
                output.type = onnx::DataType::Float;
                widened.graph.outputs.push_back(std::move(output));
            }
            probed = m_folder.file("probed.onnx");
            BW_CHECK(writeRaw(probed, onnx::serialize(widened)));
        }
        const std::string python = pythonProgram();
        auto started = m_child.start({python, "-c", kRunner, m_path, probed, std::to_string(threads)});
        if (!started)
            return fail(ErrorKind::Unsupported, started.error().message);
        auto line = m_child.receive(context.stop, kStartPatience);
        if (!line) {
            if (isCancelled(line.error()))
                return std::unexpected(line.error());
            return fail(ErrorKind::Unsupported, line.error().message, line.error().context);
        }
        const auto answer = nlohmann::json::parse(*line, nullptr, false);
        if (answer.contains("missing"))
            return fail(ErrorKind::Unsupported, "ONNX Runtime is not installed for " + python + " (" + text(answer, "missing") + ")");
        if (answer.contains("refused"))
            return fail(ErrorKind::Invalid, m_path + ", ONNX Runtime refuses it: " + firstLine(text(answer, "refused").c_str()) +
                                                "; export with other bits or report it");
        m_version = text(answer, "version");
        if (m_version.empty())
            return fail(ErrorKind::Unsupported, "the answer of " + python + " is not understood");
        return {};
    }

    std::string name() const override { return "ONNX Runtime " + m_version; }

    Result<RuntimeOutput> run(const at::Tensor &input, const JobContext &context) override
    {
        const at::Tensor flat = input.contiguous();
        BW_CHECK(writeRaw(m_folder.file("input"), {static_cast<const char *>(flat.const_data_ptr()), flat.nbytes()}));
        nlohmann::json order{{"input", m_folder.file("input")}, {"shape", flat.sizes().vec()}, {"dtype", numpyName(flat.scalar_type())},
                             {"output", m_folder.file("output")}, {"probes", nlohmann::json::array()}};
        for (std::size_t i = 0; i < m_sites.size(); ++i)
            order["probes"].push_back({{"name", m_sites[i].values}, {"scale", m_sites[i].scale}, {"file", m_folder.file(std::to_string(i))}});
        BW_CHECK(m_child.send(order.dump()));
        BW_ASSIGN(const std::string line, m_child.receive(context.stop, kRunPatience));
        const auto answer = nlohmann::json::parse(line, nullptr, false);
        if (answer.contains("failed"))
            return fail(ErrorKind::Invalid, m_path + ", ONNX Runtime cannot run it: " + firstLine(text(answer, "failed").c_str()) +
                                                "; export it again or report it");
        if (!answer.contains("shape") || !answer.contains("probes"))
            return fail(ErrorKind::Io, "ONNX Runtime, its answer is not understood; look at the log", line);
        RuntimeOutput made;
        BW_ASSIGN(made.output, readRaw(m_folder.file("output"), answer["shape"].get<std::vector<std::int64_t>>(), at::kFloat));
        for (std::size_t i = 0; i < m_sites.size() && i < answer["probes"].size(); ++i) {
            BW_ASSIGN(auto steps, readRaw(m_folder.file(std::to_string(i)), answer["probes"][i].get<std::vector<std::int64_t>>(), at::kInt));
            made.steps.push_back(std::move(steps));
        }
        return made;
    }

private:
    static std::string text(const nlohmann::json &answer, const char *key)
    {
        return answer.is_object() && answer.contains(key) && answer[key].is_string() ? answer[key].get<std::string>() : std::string();
    }

    std::string m_path, m_version;
    std::vector<QuantizedSite> m_sites;
    TemporaryFolder m_folder;
    ChildProcess m_child;   // ends before its files go
};

} // namespace

std::string pythonProgram()
{
    if (const char *wanted = std::getenv("BITWRIGHT_PYTHON"); wanted && *wanted)
        return wanted;
    std::error_code ignored;
    const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
    for (const fs::path &candidate : {self.parent_path().parent_path() / "venv/bin/python", fs::path(BITWRIGHT_VENV_PYTHON)}) {
        if (!candidate.empty() && fs::exists(candidate, ignored))
            return candidate.string();
    }
    return "python3";
}

Result<std::unique_ptr<Runtime>> onnxRuntime(const std::string &path, const onnx::Model &model,
                                             const std::vector<QuantizedSite> &sites, int threads, const JobContext &context)
{
    auto made = std::make_unique<OnnxRuntime>(path, sites);
    BW_CHECK(made->start(model, threads, context));
    return std::unique_ptr<Runtime>(std::move(made));
}

} // namespace bitwright
