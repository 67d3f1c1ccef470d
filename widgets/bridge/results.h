// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitwright {

/// What the engine has told so far, for whoever comes later: a panel that is opened, a table that is repainted.
/// Plain data on the GUI thread, filled by EngineController before it emits the signal of the same name.
struct Results {
    using Site = std::pair<std::string, Role>;
    std::map<Site, StatisticsReady> statistics;
    /// The newest preview of each site; compare its request.spec with the document's before believing it.
    std::map<Site, PreviewReady> previews;
    /// Weight error of each quantized layer under `spec`; the layer's SQNR in the table.
    struct WeightError {
        QuantSpec spec;
        bool foldBatchNorm = false;
        std::string weights;
        Mask mask;
        double mse = 0, sqnrDb = 0;
        [[nodiscard]] bool isOf(const QuantSpec &ofSpec, bool folded, const std::string &state, const Mask &ofMask) const
        {
            return spec == ofSpec && foldBatchNorm == folded && weights == state && mask == ofMask;
        }
    };
    std::map<std::string, WeightError> weightErrors;
    /// Of the present model, oldest first: loaded from the session, then measured here.
    std::vector<TrialRecord> trials;
    std::vector<SweepPoint> sweep;
    /// Of the last pruning sensitivity, in the order of arrival; its criterion and what it was measured by.
    std::vector<SensitivityPoint> sensitivity;
    SensitivityRequest sensitivityAsked;
    /// The running or final estimate of the present configuration; nothing while none has come yet.
    std::optional<EvaluationReady> estimate;
    /// Of the present or last fine-tuning.
    std::vector<TrainingStep> trainingSteps;
    std::vector<TrainingEpoch> trainingEpochs;
    std::optional<DataOpened> data;
    std::vector<InputNeed> inputs;     ///< of the present model
    std::optional<ExportReady> lastExport;
    /// The float network's metric on the same data, from the newest evaluation that knew it.
    std::optional<double> floatValue;

    [[nodiscard]] const StatisticsReady *statisticsOf(const std::string &layer, Role role) const
    {
        const auto it = statistics.find({layer, role});
        return it == statistics.end() ? nullptr : &it->second;
    }
    [[nodiscard]] const PreviewReady *previewOf(const std::string &layer, Role role) const
    {
        const auto it = previews.find({layer, role});
        return it == previews.end() ? nullptr : &it->second;
    }
};

} // namespace bitwright
