// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/report.h"

#include "base/text_file.h"
#include "cost/size_model.h"
#include "exporters/output_file.h"
#include "quant/preview.h"
#include "report/report_html.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <nlohmann/json.hpp>

#include <limits>

namespace bitwright {

namespace {

constexpr int kBins = 96;

std::string shapeOf(const Shape &shape)
{
    std::string text;
    for (const auto size : shape)
        text += (text.empty() ? "" : "×") + (size < 0 ? std::string("?") : std::to_string(size));
    return text;
}

std::string granularityOf(const QuantSpec &spec)
{
    const auto found = spec.options.find("granularity");
    const auto *text = found == spec.options.end() ? nullptr : std::get_if<std::string>(&found->second);
    return text ? "per " + *text : "per tensor";
}

std::string specText(const QuantSpec &spec)
{
    return spec.isFloat() ? "float" : spec.method + ", " + std::to_string(spec.bits) + " bits";
}

ReportPlot plotOf(const PreviewReady &preview, std::string caption)
{
    return {preview.original, preview.grid.empty() ? std::vector<double>{} : preview.grid.levels(0), std::move(caption)};
}

/// The weight's error, and its plot: of one channel where each channel has levels of its own.
Status addWeight(ReportLayer &row, const ExportInput &input, const LayerBinding &binding, const LayerConfig &layer)
{
    const int index = input.graph->parameterOf(binding.weight);
    if (index < 0)
        return {};
    const Parameter &parameter = input.graph->parameters[std::size_t(index)];
    const auto given = input.parameters.find(parameter.name);
    const at::Tensor weight = given == input.parameters.end() ? parameter.tensor : given->second;
    BW_ASSIGN(const PreviewSource source, previewSource(weight.detach().contiguous(), {row.name, Role::Weight, binding.info.channelAxis, false}));
    PreviewRequest request;
    request.layer = row.name;
    request.spec = layer.weight;
    request.mask = layer.prune.mask;
    request.errorAgainstBits = false;
    request.bins = kBins;
    BW_ASSIGN(PreviewReady preview, previewSite(source, request));
    row.sqnrDb = preview.sqnrDb;
    std::string caption = "weight, " + specText(layer.weight);
    if (preview.grid.perChannel && preview.grid.groups.size() > 1) {
        caption += ", channel 0 of " + std::to_string(preview.grid.groups.size());
        request.channel = 0;
        BW_ASSIGN(preview, previewSite(source, request));
    }
    row.plots.push_back(plotOf(preview, std::move(caption)));
    return {};
}

Status addActivation(ReportLayer &row, const LayerBinding &binding, const LayerConfig &layer, const SiteStatistics &statistics)
{
    PreviewRequest request;
    request.layer = row.name;
    request.role = Role::Activation;
    request.spec = layer.activation;
    request.errorAgainstBits = false;
    request.bins = kBins;
    BW_ASSIGN(const PreviewReady preview,
              previewSite(previewSource(statistics, {row.name, Role::Activation, 0, binding.info.nonNegativeInput}), request));
    row.plots.push_back(plotOf(preview, "input, " + specText(layer.activation)));
    return {};
}

/// All that is taken over as it is.
ReportContent given(const ExportEvidence &evidence)
{
    ReportContent content;
    content.weights = evidence.weights;
    content.calibrated = evidence.calibrated;
    content.calibrationData = evidence.calibrationData;
    content.calibrationSamples = evidence.calibrationSamples;
    content.measured = evidence.measured.has_value();
    content.accuracy = evidence.measured.value_or(TrialRecord{});
    content.trials = evidence.trials;
    content.commands = evidence.commands;
    content.seed = evidence.seed;
    content.created = evidence.created;
    return content;
}

Result<ExportReport> write(const ExportInput &input, const std::string &path, const JobContext &context)
{
    if (!input.evidence)
        return fail(ErrorKind::Internal, path + ", a report needs to know what was measured");
    BW_ASSIGN(ReportContent content, reportContent(input, *input.evidence, context));
    const std::string html = reportHtml(content);
    if (context.stopped())
        return cancelled();
    BW_CHECK(writeChecked(path, html, [&](const std::string &temporary) -> Status {
        BW_ASSIGN(const std::string back, readTextFile(temporary, html.size()));
        return back == html ? Status{} : fail(ErrorKind::Io, path + ", what was written reads back differently; check the disk");
    }));
    ExportReport report;
    report.bytes = std::int64_t(html.size());
    for (const ReportLayer &layer : content.layers)
        report.layers.push_back({layer.name, layer.bits, layer.method + ", input " + layer.activation});
    report.document = std::make_shared<const ReportContent>(std::move(content));
    return report;
}

} // namespace

Exporter reportExporter()
{
    return {{"report", "Report", ".html", {true, true, true, true, 1, 32, false, {}, true, false},
             "One page to read and pass on: the layers, their histograms with the levels, the trade-off, and how to repeat it.", true}, write};
}

Result<ReportContent> reportContent(const ExportInput &input, const ExportEvidence &evidence, const JobContext &context)
{
    return guarded("the report cannot be made", ErrorKind::Internal, [&]() -> Result<ReportContent> {
        c10::NoGradGuard noGrad;
        if (!input.graph)
            return fail(ErrorKind::Internal, "nothing to report on");
        const ModelSummary &summary = evidence.summary;
        const ModelCost cost = modelCost(summary, input.config, evidence.config.foldBatchNorm);
        ReportContent content = given(evidence);
        content.file = summary.path;
        content.sha256 = summary.sha256;
        content.versions = input.producerVersion;
        content.floatBytes = floatSizeBytes(summary);
        content.bytes = cost.sizeBytes();
        content.otherBytes = cost.otherBits / 8;
        content.assignment = configToJson(evidence.config).dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
        for (const LayerInfo &info : summary.layers) {
            if (context.stopped())
                return cancelled();
            context.progress("report", std::int64_t(content.layers.size()), std::int64_t(summary.layers.size()));
            ReportLayer row{info.name, info.op, shapeOf(info.weightShape), "float", "", "float", 0, 32, 0, 0, 0,
                            std::numeric_limits<double>::quiet_NaN(), {}};
            row.parameters = info.parameters();
            if (const auto found = cost.layers.find(info.name); found != cost.layers.end()) {
                row.bytes = found->second.totalBits() / 8;
                row.share = cost.sizeBits > 0 ? found->second.totalBits() / cost.sizeBits : 0;
                row.sparsity = 1 - found->second.keptShare;
            }
            const auto layer = input.config.find(info.name);
            if (layer != input.config.end()) {
                row.activation = specText(layer->second.activation);
                for (const LayerBinding &binding : input.bindings) {
                    if (binding.info.name != info.name)
                        continue;
                    if (!layer->second.weight.isFloat()) {
                        row.method = layer->second.weight.method;
                        row.bits = layer->second.weight.bits;
                        row.granularity = granularityOf(layer->second.weight);
                        BW_CHECK(addWeight(row, input, binding, layer->second));
                    }
                    const auto seen = evidence.statistics.find(info.name);
                    if (seen != evidence.statistics.end() && !layer->second.activation.isFloat())
                        BW_CHECK(addActivation(row, binding, layer->second, seen->second));
                    break;
                }
            }
            content.layers.push_back(std::move(row));
        }
        return content;
    });
}

} // namespace bitwright
