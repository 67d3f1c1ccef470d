// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/verify.h"

#include "exporters/runtimes.h"
#include "frontends/frontend.h"
#include "frontends/torchscript_reference.h"
#include "graph/executor.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace bitwright {

namespace {

constexpr const char *kSiteSuffix = "/input/QuantizeLinear";
constexpr const char *kStepsSuffix = "/input/Levels";

/// Runs the graph that our reader makes of the file.
class ReaderRuntime final : public Runtime {
public:
    static Result<std::unique_ptr<Runtime>> make(const std::string &path, const std::vector<QuantizedSite> &sites, const JobContext &context)
    {
        BW_ASSIGN(Graph graph, loadGraph(path, context));
        for (const QuantizedSite &site : sites) {
            const auto node = std::ranges::find_if(graph.nodes, [&](const Node &candidate) {
                return candidate.op == "onnx::QuantizeLinear" && candidate.name == siteName(site);
            });
            if (node == graph.nodes.end())
                return fail(ErrorKind::Internal, "layer " + site.layer + ", our reader does not find its quantizer");
            graph.outputs.push_back(Argument::of(node->outputs[0]));
            graph.outputNames.push_back(site.codes);
        }
        std::unique_ptr<ReaderRuntime> made(new ReaderRuntime);
        made->m_sites = sites;
        made->m_executor = std::make_unique<Executor>(std::make_shared<const Graph>(std::move(graph)));
        made->m_parameters = made->m_executor->bind();
        return std::unique_ptr<Runtime>(std::move(made));
    }

    std::string name() const override { return "Bitwright reader"; }

    Result<RuntimeOutput> run(const at::Tensor &input, const JobContext &context) override
    {
        RunOptions options;
        options.stop = context.stop;
        const c10::IValue argument(input);
        BW_ASSIGN(const auto results, m_executor->run(std::span(&argument, 1), m_parameters, options));
        if (results.empty() || !results[0].isTensor())
            return fail(ErrorKind::Unsupported, "network, its first output is not a tensor");
        RuntimeOutput made;
        made.output = results[0].toTensor();
        const std::size_t first = results.size() - m_sites.size();
        for (std::size_t i = 0; i < m_sites.size(); ++i)
            made.steps.push_back(results[first + i].toTensor() - m_sites[i].zeroPoint);
        return made;
    }

    static std::string siteName(const QuantizedSite &site)
    {
        return site.layer + (site.call > 0 ? "@" + std::to_string(site.call) : "") + kSiteSuffix;
    }

private:
    ReaderRuntime() = default;
    std::vector<QuantizedSite> m_sites;
    std::unique_ptr<Executor> m_executor;
    std::vector<at::Tensor> m_parameters;
};

/// LibTorch's own interpreter of TorchScript files.
class TorchScriptRuntime final : public Runtime {
public:
    explicit TorchScriptRuntime(TorchScriptReference reference) : m_reference(std::move(reference)) {}
    std::string name() const override { return "LibTorch"; }
    Result<RuntimeOutput> run(const at::Tensor &input, const JobContext &) override
    {
        BW_ASSIGN(const auto outputs, m_reference.run({input}));
        if (outputs.empty())
            return fail(ErrorKind::Unsupported, "network, it gives no output");
        return RuntimeOutput{outputs[0], {}};
    }

private:
    TorchScriptReference m_reference;
};

/// Counts, over all batches, where file and simulation differ.
class Comparison {
public:
    Comparison(const std::vector<QuantizedSite> &sites, bool sitesKnown) : m_sites(sites), m_sitesKnown(sitesKnown), m_layers(sites.size())
    {
        for (std::size_t i = 0; i < sites.size(); ++i)
            m_layers[i].layer = sites[i].layer;
    }

    Status add(const SimulationTrace &simulated, const RuntimeOutput &ran, std::int64_t count)
    {
        const at::Tensor ours = simulated.output.narrow(0, 0, count).to(at::kFloat);
        const at::Tensor theirs = ran.output.narrow(0, 0, count).to(at::kFloat);
        if (ours.sizes() != theirs.sizes())
            return fail(ErrorKind::Invalid, "output, the file gives another shape than the simulation; export it again");
        if (m_report.samples == 0)
            noteMissing(simulated);
        const at::Tensor difference = (ours - theirs).abs();
        // Infinity against the same infinity is agreement.
        const at::Tensor real = at::where(ours == theirs, at::zeros({}), difference);
        const double largest = real.numel() > 0 ? real.max().item().toDouble() : 0;
        m_report.maxAbsDifference = std::isnan(largest) ? largest : std::max(m_report.maxAbsDifference, largest);
        const std::int64_t axis = ours.dim() > 1 ? 1 : 0;
        const at::Tensor agree = ours.dim() > 1 ? (ours.argmax(axis) == theirs.argmax(axis)).reshape({count, -1}).all(1)
                                                : (ours == theirs);
        m_agreeing += agree.sum().item().toLong();
        m_report.samples += count;
        for (std::size_t i = 0; i < m_sites.size() && i < ran.steps.size(); ++i)
            BW_CHECK(addSite(i, simulated, ran.steps[i], count));
        return {};
    }

    VerifyReport finish()
    {
        m_report.top1Agreement = m_report.samples > 0 ? double(m_agreeing) / double(m_report.samples) : 0;
        for (const LayerAgreement &site : m_layers) {
            m_report.differingLevels += site.differingLevels;
            if (site.differingLevels > 0 && m_report.firstDifferingLayer.empty())
                m_report.firstDifferingLayer = site.layer;
            // Calls of one layer are one entry.
            const auto known = std::ranges::find(m_report.layers, site.layer, &LayerAgreement::layer);
            if (known == m_report.layers.end()) {
                m_report.layers.push_back(site);
            } else {
                known->differingLevels += site.differingLevels;
                known->maxAbsDifference = std::max(known->maxAbsDifference, site.maxAbsDifference);
            }
        }
        return std::move(m_report);
    }

private:
    /// Layers whose input the assignment quantizes and a file with sites does not.
    void noteMissing(const SimulationTrace &simulated)
    {
        std::vector<std::string> missing;
        for (const auto &[layer, inputs] : simulated.quantizedInputs)
            if (std::ranges::find(m_sites, layer, &QuantizedSite::layer) == m_sites.end())
                missing.push_back(layer);
        if (!m_sitesKnown || missing.empty())
            return;
        m_report.firstDifferingLayer = missing.front();
        m_report.notes.push_back("the file does not quantize the inputs of " + std::to_string(missing.size()) +
                                 (missing.size() == 1 ? " layer" : " layers") + " that the assignment quantizes, " + missing.front() +
                                 " among them; export it with this assignment");
    }

    Status addSite(std::size_t index, const SimulationTrace &simulated, const at::Tensor &steps, std::int64_t count)
    {
        const QuantizedSite &site = m_sites[index];
        const auto found = simulated.quantizedInputs.find(site.layer);
        if (found == simulated.quantizedInputs.end() || std::size_t(site.call) >= found->second.size())
            return fail(ErrorKind::Invalid, "layer " + site.layer + ", the file quantizes its input but the assignment does not; "
                                                                    "give the assignment that it was exported with");
        at::Tensor values = found->second[std::size_t(site.call)];
        // A linear map over more than two dimensions is written as one over rows.
        if (values.numel() == steps.numel())
            values = values.reshape(steps.sizes());
        bool padded = values.dim() > 2 && values.dim() == steps.dim() && values.size(0) == steps.size(0) && values.size(1) == steps.size(1);
        for (std::int64_t axis = 2; axis < values.dim() && padded; ++axis)
            padded = values.size(axis) >= steps.size(axis);
        if (padded && values.sizes() != steps.sizes()) {
            const std::string note = "layer " + site.layer + " is padded before its input is quantized in the simulation, after it in the file: "
                                                             "zeros are zeros in both, its codes are not compared one by one";
            if (std::ranges::find(m_report.notes, note) == m_report.notes.end())
                m_report.notes.push_back(note);
            return {};
        }
        if (values.sizes() != steps.sizes())
            return fail(ErrorKind::Invalid, "layer " + site.layer + ", its input has another shape in the file");
        const bool free = site.scale == 0;
        const at::Tensor ours = free ? values.to(at::kFloat).contiguous().view(at::kInt) : (values.to(at::kFloat) / site.scale).round().to(at::kInt);
        // Rows that only fill a fixed batch up do not count.
        const std::int64_t samples = simulated.output.size(0), rows = ours.dim() > 0 ? ours.size(0) : 0;
        const std::int64_t kept = samples > 0 && rows % samples == 0 ? rows / samples * count : rows;
        const at::Tensor apart = ours.dim() > 0 ? (ours.narrow(0, 0, kept) - steps.narrow(0, 0, kept)).abs() : (ours - steps).abs();
        m_layers[index].differingLevels += apart.count_nonzero().item().toLong();
        if (apart.numel() > 0) {
            const double largest = free ? (values.to(at::kFloat) - steps.contiguous().view(at::kFloat)).abs().max().item().toDouble()
                                        : apart.max().item().toDouble() * double(site.scale);
            m_layers[index].maxAbsDifference = std::max(m_layers[index].maxAbsDifference, largest);
        }
        return {};
    }

    const std::vector<QuantizedSite> &m_sites;
    bool m_sitesKnown;                        ///< a format that says where it quantizes
    std::vector<LayerAgreement> m_layers;
    VerifyReport m_report;
    std::int64_t m_agreeing = 0;
};

struct Opened {
    std::unique_ptr<Runtime> runtime;
    std::vector<QuantizedSite> sites;
    std::int64_t fixedBatch = 0;
    std::vector<std::string> notes;
    std::vector<LayerAgreement> weights;   ///< of a pack
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

Result<Opened> openRuntime(const VerifyInput &input, const JobContext &context)
{
    if (input.format == "onnx")
        return openOnnx(input, context);
    Opened made;
    if (input.format == "pack") {
        BW_ASSIGN(PackContents contents, packRuntime(input.path, input.network, input.weights));
        made.runtime = std::move(contents.runtime);
        made.weights = std::move(contents.weights);
        made.fixedBatch = std::max<std::int64_t>(0, input.network->graph().fixedBatch);
        return made;
    }
    made.fixedBatch = input.network ? std::max<std::int64_t>(0, input.network->graph().fixedBatch) : 0;
    std::unique_ptr<Runtime> own;
    if (input.format == "torchscript" && !input.ownReaderOnly) {
        BW_ASSIGN(own, torchscriptRuntime(input.path));
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

at::Tensor paddedTo(const at::Tensor &rows, std::int64_t batch)
{
    if (batch <= 0 || rows.size(0) >= batch)
        return rows;
    auto shape = rows.sizes().vec();
    shape[0] = batch - rows.size(0);
    return at::cat({rows, rows.narrow(0, rows.size(0) - 1, 1).expand(shape)});
}

} // namespace

Result<std::unique_ptr<Runtime>> readerRuntime(const std::string &path, const std::vector<QuantizedSite> &sites, const JobContext &context)
{
    return ReaderRuntime::make(path, sites, context);
}

Result<std::unique_ptr<Runtime>> torchscriptRuntime(const std::string &path)
{
    BW_ASSIGN(auto reference, TorchScriptReference::load(path));
    return std::unique_ptr<Runtime>(std::make_unique<TorchScriptRuntime>(std::move(reference)));
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

Result<VerifyReport> verifyFile(const VerifyInput &input, const JobContext &context)
{
    return guarded(input.path + " cannot be checked", ErrorKind::Internal, [&]() -> Result<VerifyReport> {
        c10::NoGradGuard noGrad;
        if (!input.inputs.defined() || input.inputs.dim() == 0 || input.inputs.size(0) == 0)
            return fail(ErrorKind::Invalid, input.path + ", there are no samples to check it with; give data");
        BW_ASSIGN(Opened opened, openRuntime(input, context));
        Comparison comparison(opened.sites, input.format == "onnx" || !opened.sites.empty());
        const std::int64_t total = input.inputs.size(0);
        const std::int64_t batch = opened.fixedBatch > 0 ? opened.fixedBatch : std::max<std::int64_t>(1, input.batch);
        for (std::int64_t first = 0; first < total; first += batch) {
            if (context.stopped())
                return cancelled();
            context.breathe();
            const std::int64_t count = std::min(batch, total - first);
            const at::Tensor rows = paddedTo(input.inputs.narrow(0, first, count), opened.fixedBatch);
            BW_ASSIGN(const RuntimeOutput ran, opened.runtime->run(rows, context));
            BW_ASSIGN(const SimulationTrace simulated, input.simulate(rows));
            BW_CHECK(comparison.add(simulated, ran, count));
            context.progress("checking", std::min(first + batch, total), total);
        }
        VerifyReport report = comparison.finish();
        report.runtime = opened.runtime->name();
        for (const LayerAgreement &weight : opened.weights) {
            report.layers.push_back(weight);
            report.differingLevels += weight.differingLevels;
            if (weight.differingLevels > 0 && report.firstDifferingLayer.empty())
                report.firstDifferingLayer = weight.layer;
        }
        report.notes.insert(report.notes.begin(), opened.notes.begin(), opened.notes.end());
        return report;
    });
}

} // namespace bitwright
