// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/preview.h"

#include "quant/quantize_tensor.h"
#include "stats/divergence.h"
#include "tensor/guarded.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>

namespace bitwright {
namespace {

constexpr std::int64_t kExact = 1 << 18;   // elements that are looked at one by one
constexpr std::int64_t kCurve = 1 << 15;   // elements for the error against bits

/// Every k-th element of each row, about `limit` in all; the rows themselves where they are that small.
at::Tensor thinned(const at::Tensor &rows, std::int64_t limit)
{
    const std::int64_t step = (rows.numel() + limit - 1) / std::max<std::int64_t>(1, limit);
    return step <= 1 ? rows : rows.slice(1, 0, rows.size(1), step).contiguous();
}

/// A quantizer over rows: groups are the rows.
Result<std::unique_ptr<Quantizer>> quantizerOf(const PreviewSource &source, const QuantSpec &spec)
{
    Site site = source.site;
    site.channelAxis = 0;
    return makeQuantizer(spec, site);
}

/// Range estimators that need no more than the extremes cost one pass, and the statistics have them already.
bool needsOnlyExtremes(const QuantSpec &spec)
{
    const std::string range = textParam(spec.options, "range", "minmax");
    return spec.method == "uniform" && (range == "minmax" || range == "average" || range == "scaled");
}

Status calibrateFor(const PreviewSource &source, const QuantSpec &spec, Quantizer &quantizer, const at::Tensor &sample)
{
    if (!source.rows.defined())
        return quantizer.calibrate(source.statistics);
    if (sample.numel() == source.numel)
        return quantizer.calibrate(source.rows);
    if (spec.method != "uniform")   // levels that are shown come from all values, those of the error curve from a part
        return quantizer.calibrate(sample.numel() > kCurve ? source.rows : sample);
    const bool perTensor = spec.method == "uniform" && textParam(spec.options, "granularity", "tensor") == "tensor";
    if (perTensor && (needsOnlyExtremes(spec) || sample.numel() > kCurve))
        return quantizer.calibrate(source.statistics);
    return quantizer.calibrate(needsOnlyExtremes(spec) ? source.rows : sample);
}

/// Fine histogram: what is outside the outermost levels, what each level gets, the error.
struct Tally {
    double error = 0, signal = 0, clipped = 0, total = 0;
};

/// Rounding the step to float may put an extreme a hair outside; that is not clipping.
constexpr double kHair = 1e-6;

Tally tallyHistogram(const SiteStatistics &s, const QuantGrid &grid, const std::function<void(double, double)> &eachLevel)
{
    Tally t;
    const Histogram &h = s.histogram;
    const double lo = grid.level(0, 0), hi = grid.level(0, grid.levelCount() - 1), hair = kHair * (hi - lo);
    for (std::size_t i = 0; i < h.counts.size(); ++i) {
        const double count = double(h.counts[i]);
        if (count == 0)
            continue;
        // the outermost bins reach further than the values
        const double x = std::clamp(h.center(i), s.moments.min, s.moments.max), y = grid.quantize(0, x);
        t.error += count * (x - y) * (x - y);
        t.signal += count * x * x;
        t.total += count;
        t.clipped += x < lo - hair || x > hi + hair ? count : 0;
        eachLevel(y, count);
    }
    return t;
}

double meanError(const Tally &t)
{
    return t.total > 0 ? t.error / t.total : 0;
}

/// Which of `levels` (ascending) the values take.
std::size_t levelsTaken(std::span<const float> values, const std::vector<double> &levels)
{
    const std::vector<float> sorted(levels.begin(), levels.end());
    std::vector<bool> taken(levels.size());
    for (const float v : values) {
        const auto at = std::ranges::lower_bound(sorted, v);
        if (at != sorted.end() && *at == v)
            taken[std::size_t(at - sorted.begin())] = true;
    }
    return std::size_t(std::ranges::count(taken, true));
}

/// Share of the grid's levels that nothing takes, over rows of quantized values.
double emptyShare(const at::Tensor &quantized, const QuantGrid &grid, std::int64_t firstGroup)
{
    const bool one = grid.groups.size() == 1;
    const auto all = floatSpan(quantized);
    const std::size_t rows = one ? 1 : std::size_t(quantized.size(0)), length = rows ? all.size() / rows : 0;
    std::size_t taken = 0, levels = 0;
    for (std::size_t row = 0; row < rows; ++row) {
        const std::size_t group = one ? 0 : std::size_t(firstGroup) + row;
        const auto values = all.subspan(row * length, length);
        levels += grid.levelCount(group);
        if (!grid.uniform) {
            taken += levelsTaken(values, grid.levels(group));
            continue;
        }
        const QuantGrid::Group &g = grid.groups[group];
        const at::Tensor part = at::from_blob(const_cast<float *>(values.data()), {std::int64_t(length)}, at::kFloat);
        const auto counts = levelCounts(part, {{float(g.scale)}, {float(g.zeroPoint)}, grid.qmin, grid.qmax, -1});
        taken += std::size_t(std::ranges::count_if(counts.front(), [](std::uint64_t count) { return count > 0; }));
    }
    return levels ? 1 - double(taken) / double(levels) : 0;
}

double clippedShare(const at::Tensor &rows, const QuantGrid &grid, std::int64_t firstGroup)
{
    std::uint64_t outside = 0, total = 0;
    const bool one = grid.groups.size() == 1;
    for (std::int64_t row = 0; row < (one ? 1 : rows.size(0)); ++row) {
        const std::size_t group = one ? 0 : std::size_t(firstGroup + row);
        const double lo = grid.level(group, 0), hi = grid.level(group, grid.levelCount(group) - 1), hair = kHair * (hi - lo);
        const Histogram h = histogramOf(one ? rows : rows[row], lo - hair, hi + hair, 1);
        outside += h.underflow + h.overflow;
        total += h.underflow + h.overflow + h.total();
    }
    return total ? double(outside) / double(total) : 0;
}

Histogram scaledUp(Histogram h, double factor)
{
    for (std::uint64_t &count : h.counts)
        count = std::uint64_t(std::llround(double(count) * factor));
    return h;
}

/// Bins over all that is to be drawn; never empty.
std::pair<double, double> spanOf(const Moments &a, const Moments &b)
{
    const double lo = std::min(a.min, b.min), hi = std::max(a.max, b.max);
    return {lo, hi > lo ? hi : lo + 1};
}

void fillFromWeights(const PreviewSource &source, const PreviewRequest &request, Quantizer &quantizer, PreviewReady &out)
{
    const c10::NoGradGuard noGrad;
    at::Tensor x = source.sample, y = quantizer.apply(x, false);
    std::int64_t represented = source.numel, firstGroup = 0;
    if (request.channel >= 0) {
        x = x.narrow(0, request.channel, 1);
        y = y.narrow(0, request.channel, 1);
        represented = source.rows.size(1);
        firstGroup = request.channel;
    }
    const auto [lo, hi] = spanOf(momentsOf(x), momentsOf(y));
    const double factor = x.numel() ? double(represented) / double(x.numel()) : 1;
    out.original = scaledUp(histogramOf(x, lo, hi, std::size_t(request.bins)), factor);
    out.quantized = scaledUp(histogramOf(y, lo, hi, std::size_t(request.bins)), factor);
    const Difference d = compare(x, y);
    out.mse = d.count ? d.error / double(d.count) : 0;
    out.sqnrDb = signalToNoiseDb(d.signal, d.error);
    out.clippedShare = clippedShare(x, out.grid, firstGroup);
    out.emptyLevelShare = emptyShare(y.contiguous(), out.grid, firstGroup);
}

void fillFromStatistics(const PreviewSource &source, const PreviewRequest &request, PreviewReady &out)
{
    const Histogram &h = source.statistics.histogram;
    Moments levels;
    std::vector<std::pair<double, double>> taken;   // ascending, as the bins are
    const Tally t = tallyHistogram(source.statistics, out.grid, [&](double y, double count) {
        if (taken.empty() || taken.back().first != y)
            taken.emplace_back(y, 0);
        taken.back().second += count;
    });
    if (!taken.empty()) {
        levels.min = taken.front().first;
        levels.max = taken.back().first;
    }
    const auto [lo, hi] = spanOf(source.statistics.moments, levels);
    out.original = rebin(h, lo, hi, std::size_t(request.bins));
    out.quantized = Histogram{lo, hi, std::vector<std::uint64_t>(std::size_t(request.bins), 0)};
    for (const auto &[y, count] : taken) {
        const auto bin = std::size_t(std::clamp((y - lo) / out.quantized.binWidth(), 0.0, double(request.bins - 1)));
        out.quantized.counts[bin] += std::uint64_t(count);
    }
    out.mse = meanError(t);
    out.sqnrDb = signalToNoiseDb(t.signal, t.error);
    out.clippedShare = t.total > 0 ? t.clipped / t.total : 0;
    out.emptyLevelShare = 1 - double(std::min(taken.size(), out.grid.levelCount())) / double(out.grid.levelCount());
}

/// The error of the same method and options at 1 to 8 bits; widths that the method refuses are left out.
std::vector<BitsError> errorCurve(const PreviewSource &source, const PreviewRequest &request, const PreviewReady &at)
{
    const c10::NoGradGuard noGrad;
    std::vector<BitsError> curve;
    const at::Tensor sample = source.rows.defined() ? thinned(source.rows, kCurve) : at::Tensor();
    for (int bits = 1; bits <= 8; ++bits) {
        if (bits == request.spec.bits) {
            curve.push_back({bits, at.mse, at.sqnrDb});
            continue;
        }
        QuantSpec spec = request.spec;
        spec.bits = bits;
        spec.values.clear();
        auto quantizer = quantizerOf(source, spec);
        if (!quantizer || !calibrateFor(source, spec, **quantizer, sample))
            continue;
        if (!source.rows.defined()) {
            const Tally t = tallyHistogram(source.statistics, (*quantizer)->grid(), [](double, double) {});
            curve.push_back({bits, meanError(t), signalToNoiseDb(t.signal, t.error)});
            continue;
        }
        at::Tensor x = sample, y = (*quantizer)->apply(sample, false);
        if (request.channel >= 0) {
            x = x.narrow(0, request.channel, 1);
            y = y.narrow(0, request.channel, 1);
        }
        const Difference d = compare(x, y);
        curve.push_back({bits, d.count ? d.error / double(d.count) : 0, signalToNoiseDb(d.signal, d.error)});
    }
    return curve;
}

} // namespace

Result<PreviewSource> previewSource(const at::Tensor &weight, const Site &site)
{
    return guarded(site.layer, ErrorKind::Internal, [&] {
        PreviewSource source;
        source.site = site;
        source.rows = groupRows(weight, weight.dim() > 1 ? site.channelAxis : -1);
        source.sample = thinned(source.rows, kExact);
        source.numel = weight.numel();
        SiteCollector collector;
        collector.add(source.rows);
        source.statistics = collector.finish();
        return source;
    });
}

PreviewSource previewSource(const SiteStatistics &statistics, const Site &site)
{
    PreviewSource source;
    source.site = site;
    source.statistics = statistics;
    source.numel = std::int64_t(statistics.moments.count);
    return source;
}

Result<PreviewReady> previewSite(const PreviewSource &source, const PreviewRequest &asked)
{
    if (asked.bins < 1)
        return fail(ErrorKind::Invalid, "a preview needs at least one bin");
    if (asked.channel >= 0 && (!source.rows.defined() || asked.channel >= source.rows.size(0)))
        return fail(ErrorKind::Invalid, asked.layer + ", there is no channel " + std::to_string(asked.channel)
                                            + "; choose one of the weight's channels");
    return guarded(asked.layer, ErrorKind::Internal, [&]() -> Result<PreviewReady> {
        PreviewReady out;
        out.request = asked;
        out.spec = asked.spec;
        PreviewRequest request = asked;
        const std::int64_t values = asked.channel >= 0 ? source.rows.size(1) : source.numel;
        request.bins = int(shownBins(std::uint64_t(values), std::size_t(asked.bins)));
        const Moments &moments = source.statistics.moments;
        if (request.spec.isFloat()) {
            out.original = out.quantized = rebin(source.statistics.histogram, moments.min,
                                                 moments.max > moments.min ? moments.max : moments.min + 1,
                                                 std::size_t(request.bins));
            return out;
        }
        BW_ASSIGN(auto quantizer, quantizerOf(source, request.spec));
        if (!quantizer->calibrated())
            BW_CHECK(calibrateFor(source, request.spec, *quantizer, source.sample));
        if (source.rows.defined())
            (void)quantizer->apply(source.sample.slice(1, 0, 1), false);   // spreads one given scale over the channels
        out.spec.values = quantizer->values();
        out.grid = quantizer->grid();
        if (source.rows.defined())
            fillFromWeights(source, request, *quantizer, out);
        else
            fillFromStatistics(source, request, out);
        if (request.errorAgainstBits)
            out.errorByBits = errorCurve(source, request, out);
        out.warning = gridWarning(request.spec, out.grid);
        if (const std::string bad = nonFiniteWarning(moments.nanCount, moments.infCount); !bad.empty())
            out.warning += (out.warning.empty() ? "" : "; ") + bad;
        return out;
    });
}

} // namespace bitwright
