// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/export_limits.h"

#include <algorithm>

namespace bitwright {

namespace {

std::string counted(int count, const std::string &one, const std::string &many)
{
    return count == 1 ? "1 " + one : std::to_string(count) + " " + many;
}

/// What the sentences count.
struct Tally {
    int weights = 0, inputs = 0, masks = 0, widened = 0, uneven = 0;
};

void look(const ExportFormat &format, const std::string &layer, Role role, const QuantSpec &spec, Tally &tally, ExportLimits &limits)
{
    if (spec.isFloat())
        return;
    const ExportCapabilities &can = format.capabilities;
    const std::string what = std::string("layer ") + layer + ", " + (role == Role::Weight ? "weights" : "inputs");
    (role == Role::Weight ? tally.weights : tally.inputs)++;
    if (role == Role::Activation && !can.activations)
        return;
    tally.widened += storedWidth(format, spec.bits) != spec.bits;
    if (spec.bits < can.minimumBits || spec.bits > can.maximumBits)
        limits.refused.push_back(what + " of " + std::to_string(spec.bits) + " bits do not fit " + format.title + "; use " +
                                 std::to_string(can.minimumBits) + " to " + std::to_string(can.maximumBits));
    if (spec.method == "uniform")
        return;
    if (!can.codebook)
        limits.refused.push_back(what + ", levels of " + spec.method + " that are not evenly spaced do not fit " + format.title +
                                 "; choose uniform");
    else
        ++tally.uneven;
}

} // namespace

int storedWidth(const ExportFormat &format, int bits)
{
    const auto &widths = format.capabilities.widths;
    const auto found = std::ranges::lower_bound(widths, bits);
    return found == widths.end() ? bits : *found;
}

ExportLimits exportLimits(const ExportFormat &format, const ResolvedConfig &config)
{
    ExportLimits limits;
    if (format.document)
        return limits;
    const ExportCapabilities &can = format.capabilities;
    Tally tally;
    for (const auto &[layer, each] : config) {
        look(format, layer, Role::Weight, each.weight, tally, limits);
        look(format, layer, Role::Activation, each.activation, tally, limits);
        tally.masks += !each.prune.isNone();
    }
    auto &changed = limits.changed;
    if (!can.operators)
        changed.push_back(can.activations ? "The file holds the weights and the assignment, not the operators: it runs beside the network that it was made from."
                                          : "The file holds the weights alone, not the operators.");
    if (!can.activations && tally.inputs > 0)
        changed.push_back("The inputs of " + counted(tally.inputs, "layer", "layers") + " are not quantized by this file.");
    if (!can.integerWeights && tally.weights > 0)
        changed.push_back("The weights of " + counted(tally.weights, "layer", "layers") +
                          " are written as float32 on their levels: the file does not get smaller.");
    if (tally.widened > 0)
        changed.push_back(counted(tally.widened, "tensor has a width", "tensors have a width") + " that " + format.title + " lacks: " +
                          (tally.widened == 1 ? "it is" : "they are") + " stored in the next wider type, with a Clip; answers stay the same.");
    if (!can.widths.empty() && tally.uneven > 0)
        changed.push_back("Levels of " + counted(tally.uneven, "tensor", "tensors") +
                          " that are not evenly spaced have no integer type: they become a codebook with a lookup.");
    if (!can.masks && tally.masks > 0)
        changed.push_back("What is pruned of " + counted(tally.masks, "layer", "layers") + " is written as zeros, not left out.");
    return limits;
}

} // namespace bitwright
