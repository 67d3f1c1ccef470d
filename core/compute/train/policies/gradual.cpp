// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/policies/mask_schedule.h"
#include "train/policies/policies.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

double cubicSparsity(double initial, double final, double progress)
{
    const double left = 1 - std::clamp(progress, 0.0, 1.0);
    return final + (initial - final) * left * left * left;
}

namespace {

/// Zhu and Gupta 2017: s_t = s_f + (s_i - s_f) (1 - (t - t0) / (t1 - t0))³, every so many steps.
class GradualPruning final : public MaskPolicy {
public:
    explicit GradualPruning(const ParamValues &options)
        : MaskPolicy(options), m_begin(realParam(options, "begin")), m_end(realParam(options, "end")),
          m_every(intParam(options, "every", 1)), m_regrow(boolParam(options, "regrow"))
    {
    }

    Status beginRun(TrainingState &state, const RunPlan &plan, const JobContext &) override
    {
        state.letRegrow(m_regrow);
        // The last step of the run is the latest that still trains under the final masks.
        m_first = std::llround(m_begin * double(plan.totalSteps - 1));
        m_last = std::llround(m_end * double(plan.totalSteps - 1));
        return m_masks.begin(state);
    }

    Status beginStep(TrainingState &state, std::int64_t step) override
    {
        if (step < m_first || step > m_last || ((step - m_first) % m_every != 0 && step != m_last))
            return {};
        const double progress = m_last > m_first ? double(step - m_first) / double(m_last - m_first) : 1;
        return m_masks.update(state, [&](double initial, double final) { return cubicSparsity(initial, final, progress); }, m_regrow);
    }

private:
    double m_begin, m_end;
    std::int64_t m_every, m_first = 0, m_last = 0;
    bool m_regrow;
};

} // namespace

PolicyRow gradualRow()
{
    return {"gradual", [](const ParamValues &options, const FineTuneInput &) -> Result<std::unique_ptr<TrainingPolicy>> {
                if (realParam(options, "begin") > realParam(options, "end"))
                    return fail(ErrorKind::Invalid, "recipe gradual, it ends before it begins; give an end that is no less than begin");
                return std::make_unique<GradualPruning>(options);
            }};
}

} // namespace bitwright
