// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "network/channel_group.h"
#include "prune/evidence.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// One weight that may be pruned, with what criteria look at.
struct PruneSite {
    std::string layer;                  ///< for messages
    at::Tensor weight;                  ///< float32
    int channelAxis = 0;                ///< dimension of the output channels
    at::Tensor batchNormScale = {};     ///< gamma of the batch norm behind the layer, or undefined
    SiteEvidence evidence = {};         ///< for criteria that need data
};

/// What a criterion thinks of a site: how much each part matters, the least first to go.
struct PruneScores {
    at::Tensor scores;                  ///< float32: one per element in storage order, or one per output channel
    /// Not null: the parts that go whatever the target is (a pattern, a threshold that was given), one bool per score.
    at::Tensor decided = {};
};

/// A criterion. Turning scores and a target into masks is the same for all of them, below.
struct PrunerRow {
    MethodTraits traits;
    bool structured = false;            ///< scores whole output channels
    /// Options are complete. `sparsity` matters to patterns alone. Errors name the layer and say what is missing.
    Result<PruneScores> (*score)(const PruneSite &site, const ParamValues &options, double sparsity) = nullptr;
};

/// The table: order is the order in menus.
const std::vector<PrunerRow> &prunerRows();
const PrunerRow *findPruner(const std::string &id);

/// How the target is shared out.
enum class PruneScope { Layer, Global };

/// A layer's part in one act of pruning.
struct PruneTask {
    PruneSite site;
    double sparsity = 0;                ///< share of the elements (channels) that goes; under Global only its mean counts
    bool follows = false;               ///< only goes with the groups of the others; its own sparsity does not count
};

/// Masks by `method`, parallel to `tasks`. Exactly round((1 - s) n) parts stay, in each layer or over all of them; among
/// equals the lower index goes first. Globally, structured scores are divided by their layer's mean, and a layer keeps
/// at least one percent of its elements, or a tenth of its channels, whatever its scores; at least one always.
/// Structured criteria rank the units of `groups` instead of channels: the mean of what their layers say, each divided by
/// its own mean (methods.md D3); channels of no group that can be cut stay, and those of which no layer can be judged (no
/// ReLU for apoz, no batch norm for slimming) unless there are no others. Without groups every channel stands alone.
/// Under the option `pattern` of unstructured criteria whole kernels, or rows or columns of them, are the parts, each ranked
/// by its mean score; linear layers have none and go by element.
/// Errors: unknown method or option, NaN in a weight, a criterion that lacks what it needs.
Result<std::vector<Mask>> pruneMasks(const std::string &method, const ParamValues &options, const std::vector<PruneTask> &tasks,
                                     PruneScope scope, std::span<const ChannelGroup> groups = {});

/// Whether a channel of which a mask leaves nothing is gone with its bias and batch norm: of structured criteria, and of
/// others under their option `channels`.
bool removesChannels(const PruneSpec &spec);

/// The mask over a weight as a bool tensor of its shape.
at::Tensor maskTensor(const Mask &mask, const at::Tensor &weight);
/// One bool per output channel: true where the mask keeps nothing of it.
at::Tensor emptiedChannels(const Mask &mask, const at::Tensor &weight, int channelAxis);

} // namespace bitwright
