// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "engine/engine.h"
#include "quant/preview.h"
#include "search/sweep.h"
#include "session/weights_name.h"
#include "simulate/calibration.h"
#include "simulate/evaluator.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace bitwright {

/// What the engine owns of one opened network: data, statistics, weights states and the caches over them. The network,
/// the data sets and the states are immutable and shared; the maps are guarded, so that the light lane may read while
/// the heavy lane adds.
class ModelSession {
public:
    /// `name` and `original` are of a network that surgery made: what its states are called, and what it is compared with.
    ModelSession(std::shared_ptr<const Network> opened, std::int64_t cacheBytes, std::string name = {}, std::shared_ptr<const Network> original = {})
        : network(std::move(opened)), networkName(std::move(name)), m_original(std::move(original)), m_cacheBytes(cacheBytes)
    {
        if (!networkName.empty())
            addState(std::make_shared<const WeightsState>(WeightsState{networkName, {}}));
    }

    const std::shared_ptr<const Network> network;
    const std::string networkName;      ///< "" for the one that was opened
    [[nodiscard]] const std::shared_ptr<const Network> &original() const { return m_original ? m_original : network; }
    /// A name for a state of this network.
    [[nodiscard]] std::string stateName(const std::string &what) const { return stateOfNetwork(what, networkName); }
    WeightCache weightCache;

    /// Takes over new data; statistics, references and live sets of the old go.
    void setData(std::shared_ptr<const Dataset> evaluation, std::shared_ptr<const Dataset> calibration,
                 std::shared_ptr<const Dataset> training);
    /// The data that another session of the same original works with.
    void takeDataOf(const ModelSession &other);
    /// Heavy lane only. Error where there is no evaluation data.
    Result<Evaluator *> evaluator();
    Result<std::shared_ptr<const Dataset>> calibrationData() const;
    Result<std::shared_ptr<const Dataset>> trainingData() const;

    /// The statistics of every layer's input under these weights, collected when first asked for (heavy lane). Those of
    /// the float weights and of the trained ones that were asked for last are kept.
    Result<std::shared_ptr<const ActivationStatistics>> statistics(const WeightsState &state, bool folded, std::int64_t samples,
                                                                   const JobContext &context);
    /// What is there already, or null. Folding moves scales into the weights; the inputs of the layers stay what they
    /// were, so either graph's will do. Any thread.
    [[nodiscard]] std::shared_ptr<const ActivationStatistics> knownStatistics(const std::string &state, bool folded) const;

    /// What the previews of a site are drawn from, kept until other weights are shown (light lane). Activations need
    /// statistics first; until those of these weights are there, any others stand in.
    /// `mask` leaves pruned weights out.
    Result<std::shared_ptr<const PreviewSource>> previewSource(const std::string &layer, Role role, bool folded,
                                                               const WeightsState &state, const Mask &mask);

    /// "" is the float weights. Unknown names are an error.
    Result<std::shared_ptr<const WeightsState>> state(const std::string &name) const;
    void addState(std::shared_ptr<const WeightsState> state);
    [[nodiscard]] bool hasState(const std::string &name) const;

    /// Resolves an assignment and fills in the activations that lack values, from inputs under these weights.
    Result<ResolvedConfig> resolveCalibrated(const ModelConfig &config, const WeightsState &state, const JobContext &context,
                                             std::int64_t samples = kCalibrationSamples);

    // Heavy lane only: what the last evaluation was about, to know where the next one differs.
    ResolvedConfig lastConfig;
    std::string lastVariant;
    std::map<std::pair<std::string, std::int64_t>, double> floatValues;   ///< by metric and limit

private:
    mutable std::mutex m_mutex;
    std::shared_ptr<const Network> m_original;
    std::shared_ptr<const Dataset> m_evaluation, m_calibration, m_training;
    std::unique_ptr<Evaluator> m_evaluator;
    std::map<std::pair<std::string, bool>, std::shared_ptr<const ActivationStatistics>> m_statistics;   ///< by state, folded
    std::map<std::string, std::shared_ptr<const WeightsState>> m_states;
    struct KeptPreview { std::shared_ptr<const PreviewSource> source; Mask mask; };
    std::map<std::string, KeptPreview> m_previews;   ///< of the weights state m_previewState
    std::string m_previewState;
    std::int64_t m_cacheBytes;
};

} // namespace bitwright
