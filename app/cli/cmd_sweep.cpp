// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "base/json_util.h"
#include "cost/size_model.h"
#include "engine/trials.h"
#include "quant/quantizer.h"
#include "search/sweep.h"
#include "simulate/calibration.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, data, session, role = "both", measure = "metric", metric;
    std::vector<int> bits{8, 4, 2};
};

Result<Output> runSweep(const Options &options, Console &console)
{
    BW_ASSIGN(const auto session, openSession(options.session));
    BW_ASSIGN(const auto network, Network::open(options.model, console.job()));
    BW_ASSIGN(const auto data, openDataFor(*network, options.data, console));
    SweepOptions sweepOptions;
    sweepOptions.bits = options.bits;
    sweepOptions.weight = options.role != "activation";
    sweepOptions.activation = options.role != "weight";
    sweepOptions.sqnr = options.measure == "sqnr";
    sweepOptions.metric = defaultMetric(*data);
    if (!options.metric.empty()) {
        BW_ASSIGN(sweepOptions.metric, metricFromName(options.metric));
    }
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
    constexpr auto kRight = TextTable::Align::Right;
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
    return output;
}

} // namespace

Work declareSweep(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("MODEL", options->model, "Network file")->required();
    app.add_option("--data", options->data, "Data, KIND:PATH[,option=value…]")->required();
    app.add_option("--bits", options->bits, "Widths to try")->delimiter(',')->check(CLI::Range(1, 32))->capture_default_str();
    app.add_option("--role", options->role, "weight, activation or both")
        ->check(CLI::IsMember({"weight", "activation", "both"}))->capture_default_str();
    app.add_option("--measure", options->measure, "metric, or sqnr of the network's output")
        ->check(CLI::IsMember({"metric", "sqnr"}))->capture_default_str();
    app.add_option("--metric", options->metric, "The metric (default top1, without labels agreement)")
        ->check(CLI::IsMember({"top1", "top5", "agreement"}));
    app.add_option("--session", options->session, "Session file that each point is added to");
    return [options](Console &console) { return runSweep(*options, console); };
}

} // namespace bitwright::cli
