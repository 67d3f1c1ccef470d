// SPDX-License-Identifier: GPL-3.0-or-later
// Files run by our own reader and executor, alone or beside their own runtime.
#include "exporters/fake_quant_graph.h"
#include "exporters/runtimes.h"
#include "frontends/frontend.h"
#include "graph/executor.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace bitwright {

namespace {

constexpr const char *kSiteSuffix = "/input/QuantizeLinear";
constexpr const char *kStepsSuffix = "/input/Levels";

/// A value of the graph that shows what a layer reads.
struct Tapped {
    QuantizedSite site;
    ValueId value = kNoValue;
    bool codes = false;   ///< integers as the file has them, not the values that they stand for
};

/// The graph that our reader makes of the file, with what each layer reads among its outputs.
class GraphRuntime final : public Runtime {
public:
    /// `plain` gives the output instead of the graph; it may be none.
    GraphRuntime(Graph graph, std::vector<Tapped> taps, std::unique_ptr<Runtime> plain) : m_taps(std::move(taps)), m_plain(std::move(plain))
    {
        for (const Tapped &tap : m_taps) {
            graph.outputs.push_back(Argument::of(tap.value));
            graph.outputNames.push_back(tap.codes ? tap.site.codes : tap.site.values);
        }
        m_executor = std::make_unique<Executor>(std::make_shared<const Graph>(std::move(graph)));
        m_parameters = m_executor->bind();
    }

    std::string name() const override { return m_plain ? m_plain->name() : "Bitwright reader"; }

    Result<RuntimeOutput> run(const std::vector<c10::IValue> &inputs, const JobContext &context) override
    {
        RuntimeOutput made;
        if (m_plain) {
            BW_ASSIGN(made, m_plain->run(inputs, context));
        }
        RunOptions options;
        options.stop = context.stop;
        BW_ASSIGN(const auto results, m_executor->run(inputs, m_parameters, options));
        if (!m_plain) {
            BW_ASSIGN(made.output, firstOutput(results));
        }
        const std::size_t first = results.size() - m_taps.size();
        for (std::size_t i = 0; i < m_taps.size(); ++i)
            made.steps.push_back(steps(m_taps[i], results[first + i].toTensor()));
        return made;
    }

private:
    static at::Tensor steps(const Tapped &tap, const at::Tensor &seen)
    {
        if (tap.codes)
            return seen.to(at::kInt) - tap.site.zeroPoint;
        const at::Tensor values = seen.to(at::kFloat).contiguous();
        return tap.site.scale == 0 ? values.view(at::kInt) : (values / tap.site.scale).round().to(at::kInt);
    }

    std::vector<Tapped> m_taps;
    std::unique_ptr<Runtime> m_plain;
    std::unique_ptr<Executor> m_executor;
    std::vector<at::Tensor> m_parameters;
};

Result<std::unique_ptr<Runtime>> graphRuntime(const std::string &path, Graph graph, std::vector<Tapped> taps, std::unique_ptr<Runtime> plain)
{
    return guarded(path, ErrorKind::Internal, [&]() -> Result<std::unique_ptr<Runtime>> {
        return std::unique_ptr<Runtime>(std::make_unique<GraphRuntime>(std::move(graph), std::move(taps), std::move(plain)));
    });
}

std::string siteName(const QuantizedSite &site)
{
    return site.layer + (site.call > 0 ? "@" + std::to_string(site.call) : "") + kSiteSuffix;
}

} // namespace

Result<std::unique_ptr<Runtime>> readerRuntime(const std::string &path, const std::vector<QuantizedSite> &sites, const JobContext &context)
{
    BW_ASSIGN(Graph graph, loadGraph(path, context));
    std::vector<Tapped> taps;
    for (const QuantizedSite &site : sites) {
        const auto node = std::ranges::find_if(graph.nodes, [&](const Node &candidate) {
            return candidate.op == "onnx::QuantizeLinear" && candidate.name == siteName(site);
        });
        if (node == graph.nodes.end())
            return fail(ErrorKind::Internal, "layer " + site.layer + ", our reader does not find its quantizer");
        taps.push_back({site, node->outputs[0], true});
    }
    return graphRuntime(path, std::move(graph), std::move(taps), nullptr);
}

Result<std::unique_ptr<Runtime>> tappedRuntime(const std::string &path, std::unique_ptr<Runtime> plain, std::vector<QuantizedSite> &sites,
                                               const JobContext &context)
{
    auto graph = loadGraph(path, context);
    if (!graph && plain && graph.error().kind == ErrorKind::Unsupported)
        return plain;   // somebody else's file that only its own runtime knows
    if (!graph)
        return std::unexpected(graph.error());
    std::vector<Tapped> taps;
    sites.clear();
    for (const FakeQuantSite &found : fakeQuantSites(*graph)) {
        taps.push_back({found.site, found.value, false});
        sites.push_back(found.site);
    }
    if (plain && taps.empty())
        return plain;
    return graphRuntime(path, std::move(*graph), std::move(taps), std::move(plain));
}

Result<std::vector<QuantizedSite>> quantizedSites(const onnx::Model &model)
{
    const auto initializer = [&](const std::string &name) -> const onnx::Tensor * {
        const auto found = std::ranges::find(model.graph.initializers, name, &onnx::Tensor::name);
        return found == model.graph.initializers.end() ? nullptr : &*found;
    };
    std::vector<QuantizedSite> sites;
    for (const onnx::Node &node : model.graph.nodes) {
        const bool steps = node.op == "Gather" && node.name.ends_with(kStepsSuffix) && node.inputs.size() == 2 && !node.outputs.empty();
        const bool integers = node.op == "QuantizeLinear" && node.name.ends_with(kSiteSuffix) && node.inputs.size() >= 3 && !node.outputs.empty();
        if (!steps && !integers)
            continue;
        QuantizedSite site;
        site.layer = node.name.substr(0, node.name.size() - std::string_view(steps ? kStepsSuffix : kSiteSuffix).size());
        if (const std::size_t at = site.layer.rfind('@'); at != std::string::npos) {
            site.call = std::atoi(site.layer.c_str() + at + 1);
            site.layer.resize(at);
        }
        if (steps) {
            site.scale = 0;
            site.codes = node.inputs[1];
            site.values = node.outputs[0];
            sites.push_back(std::move(site));
            continue;
        }
        site.codes = node.outputs[0];
        const onnx::Tensor *scale = initializer(node.inputs[1]), *zero = initializer(node.inputs[2]);
        const auto reader = std::ranges::find_if(model.graph.nodes, [&](const onnx::Node &candidate) {
            return candidate.op == "DequantizeLinear" && !candidate.inputs.empty() && candidate.inputs[0] == site.codes;
        });
        if (!scale || !zero || scale->bytes().size() != sizeof(float) || reader == model.graph.nodes.end() || reader->outputs.empty())
            continue;
        std::memcpy(&site.scale, scale->bytes().data(), sizeof(float));
        BW_ASSIGN(const auto zeros, onnx::unpackIntegers(*zero));
        site.zeroPoint = zeros.empty() ? 0 : zeros[0];
        site.values = reader->outputs[0];
        sites.push_back(std::move(site));
    }
    return sites;
}

} // namespace bitwright
