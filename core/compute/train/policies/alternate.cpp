// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/policies/mask_schedule.h"
#include "train/policies/policies.h"

#include <cmath>

namespace bitwright {

double roundSparsity(double initial, double final, std::int64_t round, std::int64_t rounds)
{
    return 1 - (1 - initial) * std::pow((1 - final) / (1 - initial), double(round) / double(rounds));
}

namespace {

/// Han 2015: prune, train, prune a little more. Masks are held in between.
class PruneAndRecover final : public MaskPolicy {
public:
    explicit PruneAndRecover(const ParamValues &options) : MaskPolicy(options), m_rounds(intParam(options, "rounds", 1)) {}

    Status beginRun(TrainingState &state, const RunPlan &plan, const JobContext &) override
    {
        if (m_rounds > plan.totalSteps) {
            return fail(ErrorKind::Invalid, "recipe alternate, " + std::to_string(m_rounds) + " rounds are more than the " +
                                                std::to_string(plan.totalSteps) + " steps of this training; choose fewer rounds or train longer");
        }
        m_totalSteps = plan.totalSteps;
        return m_masks.begin(state);
    }

    Status beginStep(TrainingState &state, std::int64_t step) override
    {
        m_round = step * m_rounds / m_totalSteps + 1;
        const bool starts = step == 0 || (step - 1) * m_rounds / m_totalSteps + 1 != m_round;
        if (!starts)
            return {};
        return m_masks.update(state, [&](double initial, double final) { return roundSparsity(initial, final, m_round, m_rounds); }, false);
    }

    std::string doing() const override
    {
        return "round " + std::to_string(m_round) + " of " + std::to_string(m_rounds) + ", " + m_masks.doing();
    }

private:
    std::int64_t m_rounds, m_totalSteps = 1, m_round = 1;
};

} // namespace

PolicyRow alternateRow()
{
    return {"alternate", [](const ParamValues &options, const FineTuneInput &) -> Result<std::unique_ptr<TrainingPolicy>> {
                return std::make_unique<PruneAndRecover>(options);
            }};
}

} // namespace bitwright
