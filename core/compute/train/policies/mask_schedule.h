// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/params.h"
#include "train/policy.h"
#include "train/training_state.h"

#include <functional>
#include <map>
#include <string>

namespace bitwright {

/// The masks of a training run that prunes: which layers, by what criterion, and how far. Shared by the recipes that
/// differ in when and how much alone.
class MaskSchedule {
public:
    explicit MaskSchedule(const ParamValues &options);

    /// Looks up the layers and what is pruned of each now. Errors: no layer to prune, `layers=masked` without masks.
    Status begin(TrainingState &state);
    /// Prunes anew, by the weights as they are: `share` gives the share of a layer from the one that it began with. Held
    /// masks only grow. A layer that had lost more than the final share from the beginning stays as it was.
    Status update(TrainingState &state, const std::function<double(double initial, double final)> &share, bool regrow);

    /// Pruned share over all layers that it prunes, and what it is to be in the end.
    [[nodiscard]] double sparsity() const { return m_sparsity; }
    [[nodiscard]] double goal() const;
    /// "pruned 43 %, goal 60 %".
    [[nodiscard]] std::string doing() const;
    [[nodiscard]] ParameterMap save(const TrainingState &state) const;
    Status restore(TrainingState &state, const ParameterMap &saved);

private:
    void measure(const TrainingState &state);
    [[nodiscard]] PruneSpec spec(double sparsity, Mask mask) const;

    std::string m_criterion;
    double m_final = 0;
    bool m_global = false, m_maskedOnly = false, m_hasInitial = false;
    double m_initial = 0;
    ParamValues m_criterionOptions;
    std::map<std::string, double> m_start;         ///< by layer: the share that it began with
    std::map<std::string, std::int64_t> m_sizes;   ///< by layer: elements of its weight
    double m_sparsity = 0;
};

/// A recipe that prunes by a schedule: what all of them report, save and restore.
class MaskPolicy : public TrainingPolicy {
public:
    explicit MaskPolicy(const ParamValues &options) : m_masks(options) {}

    std::string doing() const override { return m_masks.doing(); }
    std::map<std::string, double> numbers() const override { return {{"sparsity", m_masks.sparsity()}}; }

    Status endEpoch(TrainingState &state, int) override
    {
        m_saved = m_masks.save(state);
        return {};
    }
    ParameterMap save() const override { return m_saved; }
    Status restore(TrainingState &state, const ParameterMap &saved) override
    {
        m_saved = saved;
        return m_masks.restore(state, saved);
    }

protected:
    MaskSchedule m_masks;

private:
    ParameterMap m_saved;
};

} // namespace bitwright
