// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/compare_site.h"

#include "cost/entropy.h"
#include "cost/size_model.h"
#include "quant/quantize_tensor.h"
#include "stats/divergence.h"
#include "tensor/guarded.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <limits>
#include <map>

namespace bitwright {
namespace {

constexpr int kFloatBits = 32;

void addCounts(std::vector<std::uint64_t> &to, const std::vector<std::uint64_t> &counts)
{
    to.resize(std::max(to.size(), counts.size()));
    for (std::size_t i = 0; i < counts.size(); ++i)
        to[i] += counts[i];
}

/// How often each code is taken by rows of quantized values, over all groups; what is pruned (NaN) has none.
std::vector<std::uint64_t> codeCounts(const at::Tensor &quantized, const QuantGrid &grid)
{
    const at::Tensor rows = grid.groups.size() == 1 ? quantized.reshape({1, -1}) : quantized;
    std::vector<std::uint64_t> counts;
    if (grid.uniform) {
        AffineGrid affine{{}, {}, grid.qmin, grid.qmax, 0};
        for (const QuantGrid::Group &group : grid.groups) {
            affine.scale.push_back(float(group.scale));
            affine.zeroPoint.push_back(float(group.zeroPoint));
        }
        for (const auto &ofGroup : levelCounts(rows, affine))
            addCounts(counts, ofGroup);
        return counts;
    }
    const auto all = floatSpan(rows);
    const std::size_t length = all.size() / std::max<std::size_t>(1, grid.groups.size());
    for (std::size_t group = 0; group < grid.groups.size(); ++group) {
        const std::vector<float> levels(grid.groups[group].levels.begin(), grid.groups[group].levels.end());
        std::vector<std::uint64_t> taken(levels.size());
        for (const float v : all.subspan(group * length, length))
            if (const auto at = std::ranges::lower_bound(levels, v); at != levels.end() && *at == v)
                ++taken[std::size_t(at - levels.begin())];
        addCounts(counts, taken);
    }
    return counts;
}

void measureWeight(const PreviewSource &source, Quantizer &quantizer, CompareReady &out)
{
    const c10::NoGradGuard noGrad;
    const at::Tensor quantized = quantizer.apply(source.sample, false).contiguous();
    out.grid = quantizer.grid();
    const Difference difference = compare(source.sample, quantized);
    out.mse = difference.count ? difference.error / double(difference.count) : 0;
    out.sqnrDb = signalToNoiseDb(difference.signal, difference.error);
    out.entropyBits = entropyBits(codeCounts(quantized, out.grid));
}

void measureActivation(const PreviewSource &source, const Quantizer &quantizer, CompareReady &out)
{
    out.grid = quantizer.grid();
    const SiteStatistics &s = source.statistics;
    double error = 0, signal = 0, total = 0;
    std::map<double, std::uint64_t> taken;
    for (std::size_t i = 0; i < s.histogram.counts.size(); ++i) {
        const std::uint64_t count = s.histogram.counts[i];
        if (count == 0)
            continue;
        // the outermost bins reach further than the values
        const double x = std::clamp(s.histogram.center(i), s.moments.min, s.moments.max), y = out.grid.quantize(0, x);
        error += double(count) * (x - y) * (x - y);
        signal += double(count) * x * x;
        total += double(count);
        taken[y] += count;
    }
    std::vector<std::uint64_t> counts;
    for (const auto &[level, count] : taken)
        counts.push_back(count);
    out.mse = total > 0 ? error / total : 0;
    out.sqnrDb = signalToNoiseDb(signal, error);
    out.entropyBits = entropyBits(counts);
}

} // namespace

Result<CompareReady> compareSite(const PreviewSource &source, const QuantSpec &spec)
{
    return guarded(source.site.layer, ErrorKind::Internal, [&]() -> Result<CompareReady> {
        CompareReady out;
        out.layer = source.site.layer;
        out.role = source.site.role;
        out.spec = spec;
        if (spec.isFloat()) {
            out.sqnrDb = std::numeric_limits<double>::quiet_NaN();
            out.entropyBits = kFloatBits;
            return out;
        }
        Site site = source.site;
        site.channelAxis = 0;   // of the rows
        BW_ASSIGN(auto quantizer, makeQuantizer(spec, site));
        const bool weight = source.rows.defined();
        if (!quantizer->calibrated())
            BW_CHECK(weight ? quantizer->calibrate(source.rows) : quantizer->calibrate(source.statistics));
        if (weight)
            measureWeight(source, *quantizer, out);
        else
            measureActivation(source, *quantizer, out);
        out.spec.values = quantizer->values();
        out.warning = gridWarning(spec, out.grid);
        const Moments &moments = source.statistics.moments;
        if (const std::string bad = nonFiniteWarning(moments.nanCount, moments.infCount); !bad.empty())
            out.warning += (out.warning.empty() ? "" : "; ") + bad;
        return out;
    });
}

double siteSizeBits(const LayerInfo &layer, const QuantSpec &spec, const Mask &mask)
{
    ModelSummary alone;
    alone.layers = {layer};
    ResolvedConfig config;
    config[layer.name].weight = spec;
    config[layer.name].prune.mask = mask;
    const LayerCost cost = modelCost(alone, config, false).layers.at(layer.name);
    return cost.weightBits + cost.sideBits;
}

} // namespace bitwright
