// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/size_model.h"

#include "config/uniform_form.h"
#include "cost/channels_gone.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <set>

namespace bitwright {

namespace {

constexpr double kFloatBits = 32;

/// How many groups of parameters a spec has on a layer's weight.
std::int64_t weightGroups(const QuantSpec &spec, const LayerInfo &layer)
{
    const bool channels = textParam(spec.options, "granularity", "tensor") == "channel";
    return channels ? std::max<std::int64_t>(layer.channels(), 1) : 1;
}

double codeBits(const QuantSpec &spec)
{
    return spec.isFloat() ? kFloatBits : double(spec.bits);
}

/// Biases and batch norm of one layer stay float32. Folded, the batch norm is gone and the layer has one bias a channel.
double restBits(const LayerInfo &layer, bool folded, bool batchNormListed)
{
    if (layer.batchNorm.empty())
        return kFloatBits * double(layer.biasCount);
    if (folded)
        return kFloatBits * double(layer.channels());
    return kFloatBits * double(layer.biasCount + (batchNormListed ? 0 : layer.batchNormCount));
}

} // namespace

bool hasZeroPoint(const QuantSpec &spec, Role role)
{
    return spec.method == "uniform" && !uniformForm(spec, role).symmetric;
}

double sideBits(const QuantSpec &spec, Role role, std::int64_t groups)
{
    if (spec.isFloat())
        return 0;
    if (spec.method == "uniform")
        return double(groups) * (kFloatBits + (hasZeroPoint(spec, role) ? double(spec.bits) : 0));
    if (spec.method == "kmeans") {
        const auto codebook = spec.values.find("codebook");
        return kFloatBits * (codebook == spec.values.end() ? double(std::int64_t(1) << spec.bits) : double(codebook->second.size()));
    }
    // A method without a row here stores its values as float32 once they are known, at least one per group.
    std::size_t stored = 0;
    for (const auto &[name, value] : spec.values)
        stored += value.size();
    return kFloatBits * double(std::max<std::size_t>(stored, std::size_t(groups)));
}

SparseBits sparseBits(const Mask &mask, double bitsPerCode, std::int64_t rows)
{
    SparseBits bits;
    const double kept = double(mask.keptCount()), all = double(mask.size());
    const std::int64_t columns = std::max<std::int64_t>(1, mask.size() / std::max<std::int64_t>(1, rows));
    bits.dense = all * bitsPerCode;
    bits.bitmap = all + kept * bitsPerCode;
    bits.relative = std::numeric_limits<double>::infinity();
    for (const int index : {4, 5, 8})
        bits.relative = std::min(bits.relative, double(mask.relativeEntries(index)) * (bitsPerCode + index));
    bits.csr = kept * (bitsPerCode + double(std::bit_width(std::uint64_t(columns - 1)))) + 32.0 * double(rows + 1);
    return bits;
}

ModelCost modelCost(const ModelSummary &model, const ResolvedConfig &config, bool foldBatchNorm)
{
    static const LayerConfig kFloat;
    // A batch norm may be a row of its own or only a note at its layer; it is counted once, in its row if it has one.
    std::set<std::string> foldable;
    for (const auto &layer : model.layers)
        if (!layer.batchNorm.empty())
            foldable.insert(layer.batchNorm);

    const auto liveMacs = liveMacShares(model, config);
    ModelCost cost;
    double listed = 0;
    for (const auto &layer : model.layers) {
        const auto found = config.find(layer.name);
        const LayerConfig &spec = found == config.end() ? kFloat : found->second;
        const bool batchNormListed = !layer.batchNorm.empty() && model.layer(layer.batchNorm) != nullptr;
        listed += double(layer.parameters()) + (batchNormListed ? 0 : double(layer.batchNormCount));
        LayerCost one;
        if (!(foldBatchNorm && foldable.contains(layer.name))) {
            one.weightBits = double(layer.weightCount) * codeBits(spec.weight);
            if (const Mask &mask = spec.prune.mask; !mask.empty()) {
                one.weightBits = sparseBits(mask, codeBits(spec.weight), layer.weightShape.empty() ? 1 : layer.weightShape[0]).least();
                one.keptShare = double(mask.keptCount()) / double(mask.size());
            }
            one.sideBits = sideBits(spec.weight, Role::Weight, weightGroups(spec.weight, layer))
                           + sideBits(spec.activation, Role::Activation, 1);
            one.restBits = restBits(layer, foldBatchNorm, batchNormListed);
        }
        one.macs = double(layer.macs);
        const auto live = liveMacs.find(layer.name);
        one.bops = one.macs * (live == liveMacs.end() ? 1 : live->second) * codeBits(spec.weight) * codeBits(spec.activation);
        cost.sizeBits += one.totalBits();
        cost.bops += one.bops;
        cost.layers.emplace(layer.name, one);
    }
    cost.otherBits = kFloatBits * std::max(0.0, double(model.parameters) - listed);
    cost.sizeBits += cost.otherBits;
    return cost;
}

std::int64_t floatSizeBytes(const ModelSummary &model)
{
    return 4 * model.parameters;
}

} // namespace bitwright
