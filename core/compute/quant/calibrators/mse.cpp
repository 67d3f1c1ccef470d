// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

#include "tensor/kernels.h"

#include <cmath>
#include <functional>
#include <limits>

namespace bitwright {
namespace {

/// Error of one grid over the values; `power` 2 for the symmetric search and 2.4 for the asymmetric one.
using ErrorOf = std::function<double(const Step &, double power)>;

/// Symmetric and unsigned: r from 1.00 down to 0.01, so that the larger r wins a tie. Asymmetric (BRECQ): both ends
/// times 1 - 0.01 i, the first minimum wins (methods.md A3.5).
Range search(Range full, const RangeRequest &r, const ErrorOf &errorOf)
{
    const bool asymmetric = r.form == GridForm::Asymmetric;
    const int steps = asymmetric ? 80 : 100;
    Range best = full;
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < steps; ++i) {
        const double ratio = double(100 - i) / 100;
        const Range range{full.lo * ratio, full.hi * ratio};
        const double error = errorOf(stepFor(range, r), asymmetric ? 2.4 : 2.0);
        if (error < least) {
            least = error;
            best = range;
        }
    }
    return best;
}

Range fromValues(std::span<const float> x, const Moments &m, const RangeRequest &r)
{
    return search(extremes(m.min, m.max, r.form), r, [&](const Step &step, double power) {
        return affineError(x, step.scale, step.zeroPoint, r.qmin, r.qmax, power);
    });
}

/// Every value stands at the centre of its bin.
Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    std::vector<std::pair<float, double>> filled;
    for (std::size_t i = 0; i < s.histogram.counts.size(); ++i)
        if (s.histogram.counts[i] > 0)
            filled.emplace_back(float(s.histogram.center(i)), double(s.histogram.counts[i]));
    return search(extremes(s.moments.min, s.moments.max, r.form), r, [&](const Step &step, double power) {
        double sum = 0;
        const float low = float(r.qmin) - step.zeroPoint, high = float(r.qmax) - step.zeroPoint;
        for (const auto &[x, count] : filled) {
            const float q = std::max(low, std::min(high, std::rint(x / step.scale)));
            const double e = std::abs(double(x) - double(q * step.scale));
            sum += count * (power == 2 ? e * e : std::pow(e, power));
        }
        return sum;
    });
}

} // namespace

CalibratorRow mseCalibrator()
{
    return {"mse", "Least squared error", fromValues, fromStatistics};
}

} // namespace bitwright
