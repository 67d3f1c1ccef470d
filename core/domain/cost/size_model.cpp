// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/size_model.h"

#include "config/stored_spec.h"
#include "config/uniform_form.h"
#include "cost/channels_gone.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
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

/// The weight's codes in the file, which are what it takes until it gets a quantizer. Folding makes other weights.
const StoredQuantization *storedCodes(const LayerInfo &layer, const QuantSpec &spec, bool folded)
{
    const bool kept = spec.isFloat() && layer.storedWeight && !(folded && !layer.batchNorm.empty());
    return kept ? &*layer.storedWeight : nullptr;
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

namespace {

/// What stands beside the codes (methods.md I1), in float32 numbers: for each group, and for each bit of the code.
struct SideNumbers { const char *method; Role role; double each = 0, eachBit = 0; };
constexpr SideNumbers kSideNumbers[] = {
    {"binaryconnect", Role::Weight}, {"bnn", Role::Weight}, {"bnn", Role::Activation}, {"bireal", Role::Activation},
    {"wrpn", Role::Weight}, {"wrpn", Role::Activation}, {"dorefa", Role::Activation}, {"hwgq", Role::Activation},
    {"bwn", Role::Weight, 1}, {"xnor", Role::Weight, 1}, {"bireal", Role::Weight, 1}, {"twn", Role::Weight, 1}, {"ttq", Role::Weight, 2},
    {"abc", Role::Weight, 0, 1}, {"abc", Role::Activation, 0, 2}, {"horq", Role::Weight, 0, 1}, {"horq", Role::Activation, 0, 1},
    {"inq", Role::Weight, 0.25},   // an exponent of 8 bits
    {"apot", Role::Weight, 1}, {"apot", Role::Activation, 1}, {"balanced", Role::Weight, 1}, {"sawb", Role::Weight, 1},
    {"qil", Role::Weight, 3}, {"qil", Role::Activation, 2}, {"lqnets", Role::Weight, 0, 1}, {"lqnets", Role::Activation, 0, 1},
};

/// Those whose numbers depend on their options; none for methods that only keep what stands in the assignment.
std::optional<double> sideNumbers(const QuantSpec &spec, Role role)
{
    const double levels = double(std::int64_t(1) << spec.bits);
    if (spec.method == "kmeans" || spec.method == "lloyd") {
        const auto codebook = spec.values.find("codebook");
        return codebook == spec.values.end() ? levels : double(codebook->second.size());
    }
    if (spec.method == "dorefa" && role == Role::Weight)
        return spec.bits == 1 ? 1 : 0;
    if (spec.method == "xnor" && role == Role::Activation) {
        const auto alpha = spec.values.find("alpha");
        return textParam(spec.options, "scale", "none") == "none" ? 0 : alpha == spec.values.end() ? 1 : double(alpha->second.size());
    }
    if (spec.method == "pact")
        return textParam(spec.options, "variant") == "two_sided" ? 2 : 1;
    if (spec.method == "laq")
        return textParam(spec.options, "variant").ends_with("2") ? 2 : 1;
    if (spec.method == "quantnet") {
        const auto biases = spec.values.find("biases");
        const double usual = role == Role::Activation ? levels : spec.bits == 1 ? 2 : levels - 1;   // the paper's sets
        return 2 + (biases == spec.values.end() ? usual : double(biases->second.size()) + 1);
    }
    for (const SideNumbers &row : kSideNumbers)
        if (spec.method == row.method && role == row.role)
            return row.each + row.eachBit * spec.bits;
    return std::nullopt;
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
    const double mapped = boolParam(spec.options, "normalize") && boolParam(spec.options, "restore") ? 2 : 0;   // mean and deviation
    if (spec.method == "uniform")
        return double(groups) * (kFloatBits * (1 + mapped) + (hasZeroPoint(spec, role) ? double(spec.bits) : 0));
    if (const auto numbers = sideNumbers(spec, role))
        return kFloatBits * double(groups) * (*numbers + mapped);
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
        const StoredQuantization *stored = storedCodes(layer, spec.weight, foldBatchNorm);
        const double weightBits = stored ? stored->bits : codeBits(spec.weight);
        const double inputBits = spec.activation.isFloat() && layer.storedInput ? layer.storedInput->bits : codeBits(spec.activation);
        LayerCost one;
        if (!(foldBatchNorm && foldable.contains(layer.name))) {
            one.weightBits = double(layer.weightCount) * weightBits;
            if (const Mask &mask = spec.prune.mask; !mask.empty()) {
                one.weightBits = sparseBits(mask, weightBits, layer.weightShape.empty() ? 1 : layer.weightShape[0]).least();
                one.keptShare = double(mask.keptCount()) / double(mask.size());
            }
            one.sideBits = sideBits(spec.weight, Role::Weight, weightGroups(spec.weight, layer))
                           + sideBits(spec.activation, Role::Activation, 1);
            if (stored)
                one.sideBits += storedSideBits(*stored);
            one.restBits = restBits(layer, foldBatchNorm, batchNormListed);
        }
        one.macs = double(layer.macs);
        const auto live = liveMacs.find(layer.name);
        one.bops = one.macs * (live == liveMacs.end() ? 1 : live->second) * weightBits * inputBits;
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
