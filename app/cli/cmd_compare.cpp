// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "cost/size_model.h"
#include "engine/trials.h"
#include "quant/compare_site.h"
#include "session/candidates.h"
#include "simulate/calibration.h"
#include "simulate/masking.h"
#include "train/trainer.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, data, evaluation, config, session, layer, role = "weight", metric, firstLast = "same", shortcut = "same";
    std::vector<std::string> methods, presets;
    std::vector<int> bits{2, 4, 8};
    FineTuneOptions training = {.epochs = 0};
};

constexpr auto kRight = TextTable::Align::Right;

json numberOrNull(double value)
{
    return std::isfinite(value) ? json(value) : json(nullptr);
}

std::vector<Role> rolesOf(const std::string &role)
{
    if (role == "both")
        return {Role::Weight, Role::Activation};
    return {role == "weight" ? Role::Weight : Role::Activation};
}

Status checkMethods(const std::vector<std::string> &methods)
{
    for (const std::string &id : methods)
        if (!methodCatalog().quantizer(id))
            return fail(ErrorKind::Invalid, "--methods " + id + ", there is no such quantizer; `methods` lists them");
    return {};
}

/// One run of the command.
class Comparison {
public:
    Comparison(const Options &options, Console &console) : m_options(options), m_console(console) {}
    Result<Output> run();

private:
    Result<PreviewSource> source(Role role);
    Status compareLayer(Role role);
    Result<std::vector<CompareNetworksRequest::Candidate>> candidates() const;
    Result<const ActivationStatistics *> statistics();
    Result<json> evaluate(const ModelConfig &config, ResolvedConfig &resolved);
    Status train(const ModelConfig &config, const ResolvedConfig &resolved, json &row);
    Status compareNetworks();
    [[nodiscard]] std::string text() const;

    const Options &m_options;
    Console &m_console;
    std::shared_ptr<const Network> m_network;
    std::shared_ptr<const Dataset> m_data, m_evaluation;
    std::unique_ptr<SessionStore> m_session;
    std::unique_ptr<Evaluator> m_evaluator;
    Metric m_metric = Metric::Top1;
    Assignment m_base;
    std::optional<ActivationStatistics> m_statistics;   ///< of the base's masks, which all candidates share
    json m_rows = json::array();
};

Result<const ActivationStatistics *> Comparison::statistics()
{
    if (!m_statistics) {
        BW_ASSIGN(m_statistics, collectActivations(*m_network, m_base.config.foldBatchNorm, maskedState(*m_network, {}, m_base.resolved),
                                                   *m_data, kCalibrationSamples, m_console.job()));
    }
    return &*m_statistics;
}

Result<PreviewSource> Comparison::source(Role role)
{
    const bool folded = m_base.config.foldBatchNorm;
    const auto index = m_network->binding(m_options.layer, folded);
    const LayerInfo *layer = m_network->summary().layer(m_options.layer);
    if (!index || !layer || layer->status != LayerStatus::Quantizable)
        return fail(ErrorKind::Invalid, "--layer " + m_options.layer + ", " + m_options.model +
                                            " has no quantizable layer of that name; `inspect` lists them");
    const Executor &executor = m_network->executor(folded);
    const LayerBinding &binding = executor.bindings()[*index];
    if (role == Role::Activation && layer->weightOnly)
        return fail(ErrorKind::Invalid, "--layer " + m_options.layer + ", only its weight can be quantized: " + weightOnlyReason(*layer));
    if (role == Role::Activation) {
        BW_ASSIGN(const ActivationStatistics *seen, statistics());
        return previewSource(seen->at(layer->name), {layer->name, role, 0, binding.info.nonNegativeInput});
    }
    const auto bound = executor.bind(m_network->parameters(folded));
    const LayerMask pruned = layerMask(*m_network, folded, binding, m_base.resolved.at(layer->name).prune);
    const at::Tensor &weight = bound[std::size_t(executor.graph().parameterOf(binding.weight))];
    return previewSource(pruned.survivors(weight), {layer->name, role, binding.info.channelAxis, false});
}

Status Comparison::compareLayer(Role role)
{
    BW_ASSIGN(const PreviewSource source, this->source(role));
    const Mask &mask = m_base.resolved.at(m_options.layer).prune.mask;
    for (const QuantSpec &spec : candidateSpecs(methodCatalog(), role, m_options.bits, m_options.methods)) {
        if (m_console.job().stopped())
            return cancelled();
        json row{{"layer", m_options.layer}, {"role", roleName(role)}, {"method", spec.method}, {"bits", spec.bits}};
        if (const auto compared = compareSite(source, spec)) {
            row["mse"] = compared->mse;
            row["sqnr_db"] = numberOrNull(compared->sqnrDb);
            row["entropy_bits"] = compared->entropyBits;
            row["levels"] = compared->grid.levelCount();
            if (role == Role::Weight)
                row["size_bits"] = siteSizeBits(*m_network->summary().layer(m_options.layer), compared->spec, mask);
            if (!compared->warning.empty())
                row["warning"] = compared->warning;
        } else {
            row["error"] = compared.error().message;
        }
        m_rows.push_back(std::move(row));
    }
    return {};
}

Result<std::vector<CompareNetworksRequest::Candidate>> Comparison::candidates() const
{
    std::vector<CompareNetworksRequest::Candidate> list;
    for (const std::string &id : m_options.presets) {
        if (id == "all") {
            for (const Preset &preset : presets())
                list.push_back({preset.id, withPreset(m_base.config, preset)});
        } else {
            BW_ASSIGN(const Preset *preset, presetNamed(id));
            list.push_back({preset->id, withPreset(m_base.config, *preset)});
        }
    }
    if (!list.empty())
        return list;
    const LayerPolicy policy{*keepFromName(m_options.firstLast), *keepFromName(m_options.shortcut)};
    return networkCandidates(m_base.config, methodCatalog(), rolesOf(m_options.role), m_options.bits, policy, m_options.methods);
}

Result<json> Comparison::evaluate(const ModelConfig &config, ResolvedConfig &resolved)
{
    BW_ASSIGN(resolved, resolve(config, m_network->summary(), methodCatalog()));
    BW_CHECK(fillMasks(resolved, *m_network, config.foldBatchNorm, {}));
    BW_ASSIGN(const bool lacks, needsActivations(*m_network, resolved));
    if (lacks) {
        BW_ASSIGN(const ActivationStatistics *seen, statistics());
        BW_CHECK(fillActivations(resolved, *m_network, *seen));
    }
    BW_ASSIGN(const auto simulation, Simulation::make(m_network, resolved, config.foldBatchNorm));
    EvaluationOptions options;
    options.incremental = false;
    options.metric = m_metric;
    BW_ASSIGN(const Estimate estimate, m_evaluator->evaluate(*simulation, options, m_console.job()));
    const ModelSummary summary = m_network->summaryFor(m_evaluation->sampleShape());
    const ModelCost cost = modelCost(summary, resolved, config.foldBatchNorm);
    if (m_session)
        BW_CHECK(m_session->addTrial(makeTrial(summary, withValues(config, resolved, false), cost, m_metric, estimate,
                                               {"evaluation", m_evaluation->spec, {}, m_console.options().seed, -1})));
    return json{{"value", estimate.value}, {"low", estimate.low}, {"high", estimate.high}, {"samples", estimate.samples},
                {"size_bytes", cost.sizeBytes()}, {"bops", cost.bops}};
}

Status Comparison::train(const ModelConfig &config, const ResolvedConfig &resolved, json &row)
{
    FineTuneInput input;
    input.network = m_network;
    input.config = resolved;
    input.foldBatchNorm = config.foldBatchNorm;
    input.options = m_options.training;
    input.options.seed = m_console.options().seed;
    input.training = m_data;
    input.evaluation = m_evaluator.get();
    input.metric = m_metric;
    BW_ASSIGN(const FineTuneResult result, fineTune(input, m_console.job(), {}));
    const EpochReport &last = result.history.back();
    row["trained_value"] = last.estimate.value;
    row["trained_low"] = last.estimate.low;
    row["trained_high"] = last.estimate.high;
    row["trained_loss"] = last.loss;
    row["epochs"] = last.epoch;
    if (!m_session)
        return {};
    const ModelSummary summary = m_network->summaryFor(m_evaluation->sampleShape());
    BW_CHECK(m_session->addTrial(makeTrial(summary, withValues(config, result.config, true), modelCost(summary, result.config, config.foldBatchNorm),
                                           m_metric, last.estimate, {"epoch", m_evaluation->spec, {}, m_console.options().seed, last.epoch})));
    return {};
}

Status Comparison::compareNetworks()
{
    BW_ASSIGN(const auto list, candidates());
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto &[title, config] = list[i];
        json row{{"title", title}};
        if (m_options.presets.empty()) {
            const QuantPatch &patch = config.defaults.of(rolesOf(m_options.role).front());
            row.update({{"role", m_options.role}, {"method", *patch.method}, {"bits", *patch.bits}});
        } else {
            row["preset"] = title;
        }
        m_console.note(std::to_string(i + 1) + " of " + std::to_string(list.size()) + ": " + title);
        ResolvedConfig resolved;
        const auto measured = evaluate(config, resolved);
        if (measured)
            row.update(*measured);
        const Status trained = measured && m_options.training.epochs > 0 ? train(config, resolved, row) : Status{};
        for (const Error *error : {measured ? nullptr : &measured.error(), trained ? nullptr : &trained.error()}) {
            if (!error)
                continue;
            if (isCancelled(*error))
                return std::unexpected(*error);
            row["error"] = error->message;
        }
        m_rows.push_back(std::move(row));
    }
    return {};
}

std::string Comparison::text() const
{
    const bool layer = !m_options.layer.empty(), training = m_options.training.epochs > 0;
    std::vector<TextTable::Column> columns{{layer ? "method" : "assignment"}};
    for (const char *title : layer      ? std::vector{"bits", "mse", "SQNR dB", "entropy", "size", ""}
                             : training ? std::vector{metricName(m_metric), "size", "trained", ""}
                                        : std::vector{metricName(m_metric), "size", ""})
        columns.push_back({title, *title ? kRight : TextTable::Align::Left});
    TextTable table(columns);
    const auto number = [](const json &row, const char *key, int decimals) {
        const auto found = row.find(key);
        return found == row.end() || found->is_null() ? std::string("-") : fixed(found->get<double>(), decimals);
    };
    const auto size = [](const json &row, const char *key, double unit) {
        return row.contains(key) ? byteSize(row.at(key).get<double>() / unit) : std::string("-");
    };
    for (const json &row : m_rows) {
        const std::string note = row.value("error", row.value("warning", std::string()));
        std::vector<std::string> cells;
        if (layer)
            cells = {row.at("method").get<std::string>(), std::to_string(row.at("bits").get<int>()), number(row, "mse", 8),
                     number(row, "sqnr_db", 2), number(row, "entropy_bits", 3), size(row, "size_bits", 8)};
        else
            cells = {row.at("title").get<std::string>(), number(row, "value", 4), size(row, "size_bytes", 1)};
        if (training && !layer)
            cells.push_back(number(row, "trained_value", 4));
        cells.push_back(note);
        table.add(std::move(cells));
    }
    return table.text();
}

Result<Output> Comparison::run()
{
    BW_CHECK(checkMethods(m_options.methods));
    for (const std::string &id : m_options.presets)
        if (id != "all")
            BW_CHECK(presetNamed(id));
    BW_ASSIGN(m_session, openSession(m_options.session));
    BW_ASSIGN(m_network, Network::open(m_options.model, m_console.job()));
    BW_ASSIGN(m_base, readAssignment(*m_network, m_options.config, m_console));
    BW_ASSIGN(m_data, openDataFor(*m_network, m_options.data, m_console));
    Output output;
    if (!m_options.layer.empty()) {
        const LayerInfo *layer = m_network->summary().layer(m_options.layer);
        for (const Role role : rolesOf(m_options.role))
            if (role == Role::Weight || m_options.role != "both" || !layer || !layer->weightOnly)
                BW_CHECK(compareLayer(role));
    } else {
        m_evaluation = m_data;
        if (!m_options.evaluation.empty()) {
            BW_ASSIGN(m_evaluation, openDataFor(*m_network, m_options.evaluation, m_console));
        }
        if (m_options.metric.empty()) {
            BW_ASSIGN(m_metric, defaultMetric(*m_network, *m_evaluation, m_console.job()));
        } else {
            BW_ASSIGN(m_metric, metricFromName(m_options.metric));
        }
        m_evaluator = std::make_unique<Evaluator>(m_network, m_evaluation);
        BW_CHECK(compareNetworks());
        output.json["metric"] = metricName(m_metric);
    }
    output.firstKeys = {"metric", "rows", "layer", "preset", "title", "role", "method", "bits", "mse", "sqnr_db", "entropy_bits", "size_bits",
                        "value", "low", "high", "trained_value", "size_bytes"};
    output.json["rows"] = m_rows;
    output.text = text();
    noteRandomData(output, *m_data);
    return output;
}

} // namespace

Work declareCompare(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    auto &training = options->training;
    app.add_option("MODEL", options->model, "Network file")->required();
    addDataOption(app, options->data, "Data to calibrate on, and to train and measure on")->required();
    app.add_option("--eval-data", options->evaluation, "Data to measure on (default: the same)");
    app.add_option("--config", options->config, "Assignment that each method is put into; masks and the other role stay");
    auto *layer = app.add_option("--layer", options->layer, "Compare on this layer alone, by error, entropy and size");
    auto *role = app.add_option("--role", options->role, "weight, activation or both")
                     ->check(CLI::IsMember({"weight", "activation", "both"}))->capture_default_str();
    auto *methods = app.add_option("--methods", options->methods, "Quantizers (default: all that can do it)")->delimiter(',');
    auto *bits = app.add_option("--bits", options->bits, "Widths to try")->delimiter(',')->check(CLI::Range(1, 16))->capture_default_str();
    app.add_option("--presets", options->presets, "Compare the assignments of these papers instead (see methods), or all")
        ->delimiter(',')->excludes(layer)->excludes(role)->excludes(methods)->excludes(bits);
    for (const auto &[name, keep, what] : {std::tuple{"--first-last", &options->firstLast, "First and last layer"},
                                           std::tuple{"--shortcut", &options->shortcut, "1x1 convolutions of skip paths"}})
        app.add_option(name, *keep, std::string(what) + ": same as the rest, 8bit or float")
            ->check(CLI::IsMember({"same", "8bit", "float"}))->capture_default_str();
    app.add_option("--epochs", training.epochs, "Also train each for so many epochs")->check(CLI::Range(0, 100000))->capture_default_str();
    app.add_option("--lr", training.learningRate, "Learning rate")->check(CLI::NonNegativeNumber)->capture_default_str();
    app.add_option("--optimizer", training.optimizer, "sgd or adam")->check(CLI::IsMember({"sgd", "adam"}))->capture_default_str();
    app.add_option("--batch", training.batch, "Samples a step")->check(CLI::Range(1, 1 << 20))->capture_default_str();
    app.add_option("--metric", options->metric, "top1, top5, agreement or sqnr (default top1, without labels agreement)")
        ->check(CLI::IsMember({"top1", "top5", "agreement", "sqnr"}));
    app.add_option("--session", options->session, "Session file that each result is added to");
    return [options](Console &console) { return Comparison(*options, console).run(); };
}

} // namespace bitwright::cli
