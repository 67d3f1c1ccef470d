// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/rewrites/remove_channels.h"
#include "prune/pruner.h"
#include "simulate/network.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bitwright {

/// What the mask of one layer does to the parameters that an executor is bound to.
struct LayerMask {
    std::size_t parameter = 0;          ///< of the weight, in the graph's order
    at::Tensor kept;                    ///< bool, of the weight's shape; undefined where nothing is pruned
    /// Of a mask that removes channels: bias, gamma and beta, each with 0 or 1 per channel. A channel is gone behind its
    /// batch norm.
    std::vector<std::pair<std::size_t, at::Tensor>> channels;

    /// Zeroes what is pruned; differentiable, pruned entries get no gradient.
    void apply(std::vector<at::Tensor> &bound) const;
    /// The weight with NaN where it is pruned, which calibration leaves out: levels are fitted to what survives.
    [[nodiscard]] at::Tensor survivors(const at::Tensor &weight) const;
};

/// `spec` holds its mask already, or prunes nothing.
LayerMask layerMask(const Network &network, bool folded, const LayerBinding &binding, const PruneSpec &spec);

/// Which units are wholly gone: every layer that writes them has emptied them under a mask that removes channels. Those are
/// what surgery takes out. Parallel to the summary's groups.
RemovedUnits emptiedUnits(const Network &network, const ResolvedConfig &config);

/// What units that are wholly gone silence beyond their layers: batch norms behind an addition, learned scales. `kept` is
/// undefined.
LayerMask silencedParameters(const Network &network, bool folded, const ResolvedConfig &config);

/// What criteria look at, for one layer.
PruneSite pruneSite(const Network &network, const LayerBinding &binding, const at::Tensor &weight, const WeightsState &state);

/// The layers of `shares` with a sparsity each or, where it is empty, every layer that can be pruned at `sparsity`. With a
/// structured `method` those that share a group with them follow.
/// Errors: a layer that there is not or that cannot be pruned or cut, nothing to prune.
Result<std::vector<PruneTask>> pruneTasks(const Network &network, bool folded, const WeightsState &state, const std::string &method,
                                          const std::map<std::string, double> &shares, double sparsity);

/// Channels that `before` has removed stay removed in a mask that is made anew.
void keepRemovedChannels(PruneSpec &made, const PruneSpec &before, const LayerInfo &layer);

/// Makes the mask of every layer that names a method and has none yet, from the weights of `state`.
Status fillMasks(ResolvedConfig &config, const Network &network, bool folded, const WeightsState &state);

/// The (folded) graph's parameters by name with everything pruned set to zero: what exporters write.
ParameterMap maskedParameters(const Network &network, bool folded, const WeightsState &state, const ResolvedConfig &config);

/// The weights to calibrate activations with: `state`, or what the masks leave of it.
WeightsState maskedState(const Network &network, const WeightsState &state, const ResolvedConfig &config);

} // namespace bitwright
