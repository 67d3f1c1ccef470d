// SPDX-License-Identifier: GPL-3.0-or-later
// Files of PyTorch's own formats beside the simulation.
#include "exporters/child_files.h"
#include "exporters/child_process.h"
#include "exporters/fake_quant_graph.h"
#include "exporters/runtimes.h"
#include "frontends/frontend.h"
#include "graph/executor.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace bitwright {

namespace {

constexpr std::chrono::seconds kStartPatience{180}, kRunPatience{300};

// Reads one JSON object a line, runs the file, writes raw arrays. Needs torch alone.
constexpr const char *kRunner = R"python(
import json, sys, warnings
warnings.simplefilter("ignore")
out = sys.stdout
sys.stdout = sys.stderr
def say(**answer):
    print(json.dumps(answer), file=out, flush=True)
try:
    import torch
    from torch.utils._pytree import tree_leaves
except Exception as problem:
    say(missing=str(problem))
    sys.exit(0)
try:
    torch.set_num_threads(int(sys.argv[2]))
    network = torch.export.load(sys.argv[1]).module()
except Exception as problem:
    say(refused=str(problem))
    sys.exit(0)
say(version=torch.__version__)
for line in sys.stdin:
    try:
        order = json.loads(line)
        with open(order["input"], "rb") as file:
            raw = bytearray(file.read())
        x = torch.frombuffer(raw, dtype=getattr(torch, order["dtype"])).reshape(order["shape"])
        with torch.no_grad():
            result = tree_leaves(network(x))[0].detach().to(torch.float32).contiguous()
        with open(order["output"], "wb") as file:
            file.write(bytes(result.untyped_storage())[:result.numel() * 4])
        say(shape=list(result.shape))
    except Exception as problem:
        say(failed=str(problem))
)python";

std::string text(const nlohmann::json &answer, const char *key)
{
    return answer.is_object() && answer.contains(key) && answer[key].is_string() ? answer[key].get<std::string>() : std::string();
}

class PyTorchRuntime final : public Runtime {
public:
    explicit PyTorchRuntime(std::string path) : m_path(std::move(path)) {}

    Status start(int threads, const JobContext &context)
    {
        if (!m_folder.valid())
            return fail(ErrorKind::Io, "temporary folder, it cannot be made; set TMPDIR to a folder that can be written");
        const std::string python = pythonProgram();
        if (auto started = m_child.start({python, "-c", kRunner, m_path, std::to_string(threads)}); !started)
            return fail(ErrorKind::Unsupported, started.error().message);
        auto line = m_child.receive(context.stop, kStartPatience);
        if (!line) {
            if (isCancelled(line.error()))
                return std::unexpected(line.error());
            return fail(ErrorKind::Unsupported, line.error().message, line.error().context);
        }
        const auto answer = nlohmann::json::parse(*line, nullptr, false);
        if (answer.contains("missing"))
            return fail(ErrorKind::Unsupported, "PyTorch is not installed for " + python + " (" + text(answer, "missing") + ")");
        if (answer.contains("refused"))
            return fail(ErrorKind::Invalid, m_path + ", PyTorch refuses it: " + firstLine(text(answer, "refused").c_str()) + "; export it again or report it");
        m_version = text(answer, "version");
        if (m_version.empty())
            return fail(ErrorKind::Unsupported, "the answer of " + python + " is not understood");
        return {};
    }

    std::string name() const override { return "PyTorch " + m_version; }

    Result<RuntimeOutput> run(const at::Tensor &input, const JobContext &context) override
    {
        const at::Tensor flat = input.contiguous();
        BW_CHECK(writeRaw(m_folder.file("input"), {static_cast<const char *>(flat.const_data_ptr()), flat.nbytes()}));
        const nlohmann::json order{{"input", m_folder.file("input")}, {"shape", flat.sizes().vec()}, {"dtype", numpyName(flat.scalar_type())},
                                   {"output", m_folder.file("output")}};
        BW_CHECK(m_child.send(order.dump()));
        BW_ASSIGN(const std::string line, m_child.receive(context.stop, kRunPatience));
        const auto answer = nlohmann::json::parse(line, nullptr, false);
        if (answer.contains("failed"))
            return fail(ErrorKind::Invalid, m_path + ", PyTorch cannot run it: " + firstLine(text(answer, "failed").c_str()) + "; export it again or report it");
        if (!answer.contains("shape"))
            return fail(ErrorKind::Io, "PyTorch, its answer is not understood; look at the log", line);
        RuntimeOutput made;
        BW_ASSIGN(made.output, readRaw(m_folder.file("output"), answer["shape"].get<std::vector<std::int64_t>>(), at::kFloat));
        return made;
    }

private:
    std::string m_path, m_version;
    TemporaryFolder m_folder;
    ChildProcess m_child;   // ends before its files go
};

/// The graph that our reader makes of the file, with what each layer reads among its outputs.
class TappedRuntime final : public Runtime {
public:
    TappedRuntime(Graph graph, std::vector<FakeQuantSite> sites, std::unique_ptr<Runtime> plain)
        : m_sites(std::move(sites)), m_plain(std::move(plain))
    {
        for (const FakeQuantSite &site : m_sites) {
            graph.outputs.push_back(Argument::of(site.value));
            graph.outputNames.push_back(site.site.values);
        }
        m_executor = std::make_unique<Executor>(std::make_shared<const Graph>(std::move(graph)));
        m_parameters = m_executor->bind();
    }

    std::string name() const override { return m_plain ? m_plain->name() : "Bitwright reader"; }

    Result<RuntimeOutput> run(const at::Tensor &input, const JobContext &context) override
    {
        RuntimeOutput made;
        if (m_plain) {
            BW_ASSIGN(made, m_plain->run(input, context));
            if (m_sites.empty())
                return made;
        }
        RunOptions options;
        options.stop = context.stop;
        const c10::IValue argument(input);
        BW_ASSIGN(const auto results, m_executor->run(std::span(&argument, 1), m_parameters, options));
        if (results.empty() || !results[0].isTensor())
            return fail(ErrorKind::Unsupported, "network, its first output is not a tensor");
        if (!m_plain)
            made.output = results[0].toTensor();
        const std::size_t first = results.size() - m_sites.size();
        for (std::size_t i = 0; i < m_sites.size(); ++i) {
            const at::Tensor values = results[first + i].toTensor().to(at::kFloat).contiguous();
            const float scale = m_sites[i].site.scale;
            made.steps.push_back(scale == 0 ? values.view(at::kInt) : (values / scale).round().to(at::kInt));
        }
        return made;
    }

private:
    std::vector<FakeQuantSite> m_sites;
    std::unique_ptr<Runtime> m_plain;
    std::unique_ptr<Executor> m_executor;
    std::vector<at::Tensor> m_parameters;
};

} // namespace

Result<std::unique_ptr<Runtime>> pytorchRuntime(const std::string &path, int threads, const JobContext &context)
{
    auto made = std::make_unique<PyTorchRuntime>(path);
    BW_CHECK(made->start(threads, context));
    return std::unique_ptr<Runtime>(std::move(made));
}

Result<std::unique_ptr<Runtime>> tappedRuntime(const std::string &path, std::unique_ptr<Runtime> plain, std::vector<QuantizedSite> &sites,
                                               const JobContext &context)
{
    auto graph = loadGraph(path, context);
    if (!graph && plain && graph.error().kind == ErrorKind::Unsupported)
        return plain;   // somebody else's file that only its own runtime knows
    if (!graph)
        return std::unexpected(graph.error());
    std::vector<FakeQuantSite> found = fakeQuantSites(*graph);
    sites.clear();
    for (const FakeQuantSite &each : found)
        sites.push_back(each.site);
    if (plain && found.empty())
        return plain;
    return guarded(path, ErrorKind::Internal, [&]() -> Result<std::unique_ptr<Runtime>> {
        return std::unique_ptr<Runtime>(std::make_unique<TappedRuntime>(std::move(*graph), std::move(found), std::move(plain)));
    });
}

} // namespace bitwright
