// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/json_util.h"
#include "catalog/options_text.h"
#include "cost/size_model.h"
#include "engine/trials.h"
#include "quant/quantizer.h"
#include "search/sensitivity.h"
#include "search/sweep.h"
#include "simulate/calibration.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, data, session, role = "both", measure = "metric", metric, prune;
    std::vector<int> bits{8, 4, 2};
    std::vector<double> sparsities = SensitivityOptions{}.sparsities;
    std::vector<std::string> pairs;
    std::map<std::string, std::string> named;   ///< the pairs, split
};

constexpr auto kRight = TextTable::Align::Right;

/// What both kinds of sweep need.
struct Setting {
    std::unique_ptr<SessionStore> session;
    std::shared_ptr<const Network> network;
    std::shared_ptr<const Dataset> data;
    Metric metric = Metric::Top1;
};

Result<Setting> open(const Options &options, Console &console)
{
    Setting setting;
    BW_ASSIGN(setting.session, openSession(options.session));
    BW_ASSIGN(setting.network, Network::open(options.model, console.job()));
    BW_ASSIGN(setting.data, openDataFor(*setting.network, options.data, console));
    if (options.metric.empty()) {
        BW_ASSIGN(setting.metric, defaultMetric(*setting.network, *setting.data, console.job()));
    } else {
        BW_ASSIGN(setting.metric, metricFromName(options.metric));
    }
    return setting;
}

Result<Output> sweepSparsities(const Options &options, Console &console)
{
    BW_ASSIGN(const Setting setting, open(options, console));
    const PrunerRow *row = findPruner(options.prune);
    if (!row)
        return fail(ErrorKind::Invalid, "method " + options.prune + ", there is no such pruner; `methods` lists them");
    SensitivityOptions sensitivityOptions;
    sensitivityOptions.method = options.prune;
    BW_ASSIGN(sensitivityOptions.options, optionsFromText(row->traits, options.named));
    if (row->traits.option("seed"))
        sensitivityOptions.options.emplace("seed", std::int64_t(console.options().seed));
    sensitivityOptions.sparsities = options.sparsities;
    sensitivityOptions.sqnr = options.measure == "sqnr";
    sensitivityOptions.metric = setting.metric;
    Evidence evidence;
    if (row->traits.needsData) {
        BW_ASSIGN(evidence, collectEvidence(*setting.network, false, {}, *setting.data, kEvidenceSamples, console.job()));
    }
    const Metric measured = sensitivityOptions.sqnr ? Metric::Sqnr : setting.metric;
    Evaluator evaluator(setting.network, setting.data);
    Status stored;
    const auto onPoint = [&](const SensitivityResult &point) {
        if (!setting.session || !stored)
            return;
        const auto added = setting.session->addTrial(
            sensitivityTrial(setting.network->summary(), point, measured, options.data, console.options().seed));
        if (!added)
            stored = std::unexpected(added.error());
    };
    BW_ASSIGN(const auto points, sensitivity(evaluator, setting.network, sensitivityOptions, evidence, console.job(), onPoint));
    BW_CHECK(stored);
    TextTable table({{"layer"}, {"sparsity", kRight}, {"kept", kRight}, {metricName(measured), kRight}, {"change", kRight}, {"SQNR dB", kRight}, {"size", kRight}});
    Output output;
    output.firstKeys = {"metric", "method", "points", "layer", "sparsity", "value", "delta", "sqnr_db", "size_bytes"};
    output.json = {{"metric", metricName(measured)}, {"method", options.prune}, {"points", json::array()}};
    for (const auto &point : points) {
        output.json["points"].push_back({{"layer", point.layer}, {"sparsity", point.sparsity}, {"kept", point.keptShare}, {"value", point.value},
                                         {"delta", point.delta}, {"sqnr_db", point.sqnrDb}, {"size_bytes", point.sizeBytes}});
        table.add({point.layer, fixed(point.sparsity, 4), fixed(point.keptShare, 4), fixed(point.value, 4), fixed(point.delta, 4),
                   fixed(point.sqnrDb, 2), byteSize(double(point.sizeBytes))});
    }
    output.text = table.text();
    noteRandomData(output, *setting.data);
    return output;
}

Result<Output> sweepBits(const Options &options, Console &console)
{
    BW_ASSIGN(const Setting setting, open(options, console));
    const auto &[session, network, data, metric] = setting;
    SweepOptions sweepOptions;
    sweepOptions.bits = options.bits;
    sweepOptions.weight = options.role != "activation";
    sweepOptions.activation = options.role != "weight";
    sweepOptions.sqnr = options.measure == "sqnr";
    sweepOptions.metric = metric;
    ActivationStatistics statistics;
    if (sweepOptions.activation) {
        BW_ASSIGN(statistics, collectActivations(*network, false, {}, *data, kCalibrationSamples, console.job()));
    }
    const Metric measured = sweepOptions.sqnr ? Metric::Sqnr : sweepOptions.metric;
    Evaluator evaluator(network, data);
    Status stored;
    const auto onPoint = [&](const SweepResult &point) {
        if (!session || !stored)
            return;
        const auto added = session->addTrial(sweepTrial(network->summary(), point, measured, options.data, console.options().seed));
        if (!added)
            stored = std::unexpected(added.error());
    };
    BW_ASSIGN(const auto points, sweep(evaluator, network, sweepOptions, statistics, methodCatalog(), console.job(), onPoint));
    BW_CHECK(stored);
    TextTable table({{"layer"}, {"bits", kRight}, {metricName(measured), kRight}, {"change", kRight}, {"SQNR dB", kRight}, {"size", kRight}});
    Output output;
    output.firstKeys = {"metric", "points", "layer", "bits", "value", "delta", "sqnr_db", "size_bytes"};
    output.json = {{"metric", metricName(measured)}, {"role", options.role}, {"points", json::array()}};
    for (const auto &point : points) {
        output.json["points"].push_back({{"layer", point.layer}, {"bits", point.bits}, {"value", point.value}, {"delta", point.delta},
                                         {"sqnr_db", point.sqnrDb}, {"size_bytes", point.sizeBytes}});
        table.add({point.layer, std::to_string(point.bits), fixed(point.value, 4), fixed(point.delta, 4), fixed(point.sqnrDb, 2),
                   byteSize(double(point.sizeBytes))});
    }
    output.text = table.text();
    noteRandomData(output, *data);
    return output;
}

} // namespace

Work declareSweep(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    addDataOption(app, options->data)->required();
    app.add_option("--bits", options->bits, "Widths to try")->delimiter(',')->check(CLI::Range(1, 32))->capture_default_str();
    app.add_option("--prune", options->prune, "Prune the layers by this criterion instead of quantizing them (see methods)");
    app.add_option("--sparsities", options->sparsities, "Sparsities to try with --prune")
        ->delimiter(',')->check(CLI::Range(0.0, 0.999999))->capture_default_str();
    app.add_option("--option", options->pairs, "Options of the criterion, NAME=VALUE");
    app.add_option("--role", options->role, "weight, activation or both")
        ->check(CLI::IsMember({"weight", "activation", "both"}))->capture_default_str();
    app.add_option("--measure", options->measure, "metric, or sqnr of the network's output")
        ->check(CLI::IsMember({"metric", "sqnr"}))->capture_default_str();
    app.add_option("--metric", options->metric, "The metric (default top1, without labels agreement)")
        ->check(CLI::IsMember({"top1", "top5", "agreement"}));
    app.add_option("--session", options->session, "Session file that each point is added to");
    app.parse_complete_callback([options] {
        addOptionPairs(options->pairs, options->named);
        if (options->prune.empty() && !options->named.empty())
            throw CLI::ValidationError("--option, it belongs to a criterion; name one with --prune");
    });
    return [options](Console &console) { return options->prune.empty() ? sweepBits(*options, console) : sweepSparsities(*options, console); };
}

} // namespace bitwright::cli
