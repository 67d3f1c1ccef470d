// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/trials.h"

#include "simulate/sample_batches.h"

#include <nlohmann/json.hpp>
#include <torch/headeronly/version.h>

#include <chrono>
#include <cmath>
#include <ctime>

namespace bitwright {

std::string versionsText()
{
    return std::string("bitwright " BITWRIGHT_VERSION ", libtorch " TORCH_VERSION);
}

std::string timeText()
{
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm utc{};
    gmtime_r(&now, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

Result<Metric> defaultMetric(const Network &network, const Dataset &data, const JobContext &context)
{
    BW_ASSIGN(const bool scores, givesScores(network, data, context));
    return !scores ? Metric::Sqnr : data.labelled() ? Metric::Top1 : Metric::Agreement;
}

TrialRecord makeTrial(const ModelSummary &model, const ModelConfig &config, const ModelCost &cost, Metric metric,
                      const Estimate &estimate, const TrialContext &context)
{
    TrialRecord trial;
    trial.kind = context.kind;
    ModelConfig named = config;
    named.modelSha = model.sha256;
    named.modelLayers = model.quantizableLayers();
    trial.assignment = configToJson(named).dump();
    trial.modelPath = model.path;
    trial.modelSha = model.sha256;
    trial.data = context.data;
    trial.weights = context.weights;
    trial.metric = metricName(metric);
    trial.value = estimate.value;
    trial.low = estimate.low;
    trial.high = estimate.high;
    trial.loss = std::isfinite(estimate.loss) ? estimate.loss : 0;
    trial.samples = estimate.samples;
    trial.sizeBytes = cost.sizeBytes();
    trial.bops = cost.bops;
    trial.seed = context.seed;
    trial.epoch = context.epoch;
    trial.seconds = estimate.seconds;
    trial.versions = versionsText();
    trial.created = timeText();
    return trial;
}

namespace {

/// A point of either kind of sweep.
template <typename Point>
TrialRecord pointTrial(const ModelSummary &model, const Point &point, Metric metric, const std::string &data, std::uint64_t seed)
{
    ModelCost cost;
    cost.sizeBits = double(point.sizeBytes) * 8;
    cost.bops = point.bops;
    Estimate estimate;
    estimate.value = point.value;
    estimate.low = point.low;
    estimate.high = point.high;
    estimate.samples = point.samples;
    return makeTrial(model, point.config, cost, metric, estimate, {"sweep", data, {}, seed, -1});
}

} // namespace

TrialRecord sweepTrial(const ModelSummary &model, const SweepResult &point, Metric metric, const std::string &data,
                       std::uint64_t seed)
{
    return pointTrial(model, point, metric, data, seed);
}

TrialRecord sensitivityTrial(const ModelSummary &model, const SensitivityResult &point, Metric metric, const std::string &data,
                             std::uint64_t seed)
{
    return pointTrial(model, point, metric, data, seed);
}

} // namespace bitwright
