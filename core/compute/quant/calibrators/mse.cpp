// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"

#include "tensor/kernels.h"

#include <algorithm>
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

/// Round half to even for |x| < 2^22, which the compiler can do for several at once.
float nearest(float x)
{
    constexpr float kShift = 12582912;   // 1.5 * 2^23: the sum has no room for a fraction
    return (x + kShift) - kShift;
}

/// Every value stands at the centre of its bin.
Range fromStatistics(const SiteStatistics &s, const RangeRequest &r)
{
    std::vector<float> centers, counts;
    for (std::size_t i = 0; i < s.histogram.counts.size(); ++i) {
        if (s.histogram.counts[i] == 0)
            continue;
        centers.push_back(float(s.histogram.center(i)));
        counts.push_back(float(s.histogram.counts[i]));
    }
    std::vector<float> errors(centers.size());
    return search(extremes(s.moments.min, s.moments.max, r.form), r, [&](const Step &step, double power) {
        const float low = float(r.qmin) - step.zeroPoint, high = float(r.qmax) - step.zeroPoint;
        for (std::size_t i = 0; i < centers.size(); ++i) {
            // clamped first: the same result, and within reach of nearest()
            const float q = nearest(std::min(high, std::max(low, centers[i] / step.scale)));
            errors[i] = centers[i] - q * step.scale;
        }
        double sum = 0;
        for (std::size_t i = 0; i < centers.size(); ++i) {
            const double e = std::abs(double(errors[i]));
            sum += double(counts[i]) * (power == 2 ? e * e : std::pow(e, power));
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
