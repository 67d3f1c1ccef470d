// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "network/channel_group.h"
#include "network/stored_quantization.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

using Shape = std::vector<std::int64_t>;   ///< -1 stands for a size that is free (the batch)

struct TensorInfo {
    std::string name;
    Shape shape;
    std::string dtype;   ///< "float32", "int64", …
    /// Dimensions besides the batch whose size in `shape` is only the usual one (a traced example's, a guess); ascending.
    std::vector<std::int64_t> freeDimensions = {};
    /// The shape with every size that may differ as -1.
    [[nodiscard]] Shape acceptedShape() const;
    friend bool operator==(const TensorInfo &, const TensorInfo &) = default;
};

enum class LayerStatus { Quantizable, Float, Unsupported };
[[nodiscard]] const char *layerStatusName(LayerStatus status);

/// One layer as a person thinks of it: a convolution or linear map with its weight, or a listed layer without one.
struct LayerInfo {
    std::string name;           ///< the weight's qualified name less ".weight"
    std::string op;             ///< "conv2d", "linear", "conv_transpose2d", …
    Shape weightShape;          ///< as stored; dimension 0 is the output channel except for transposed convolutions
    std::int64_t weightCount = 0;
    std::int64_t biasCount = 0;
    std::int64_t macs = 0;      ///< per sample, all calls together; 0 where shapes are unknown
    std::int64_t groups = 1;
    int channelAxis = 0;        ///< dimension of the weight that counts output channels (1 for transposed)
    LayerStatus status = LayerStatus::Float;
    std::string reason;         ///< why not quantizable, one short sentence; empty when it is
    std::string batchNorm;      ///< qualified prefix of the batch norm that follows and can be folded, or empty
    std::int64_t batchNormCount = 0;   ///< trainable parameters of that batch norm (gamma and beta)
    bool nonNegativeInput = false;     ///< the input comes from a ReLU or the like
    bool shortcut = false;             ///< a 1x1 convolution on the skip path of a residual block
    int calls = 1;              ///< how often the layer runs in one forward pass
    /// Only the weight can be quantized: an embedding looks rows up, a recurrent layer takes its input in several places,
    /// a layer within a branch or a loop may not run at all.
    bool weightOnly = false;
    std::optional<StoredQuantization> storedWeight, storedInput;   ///< what the file itself says, where it is quantized already
    [[nodiscard]] bool inputQuantizable() const { return status == LayerStatus::Quantizable && !weightOnly; }
    [[nodiscard]] std::int64_t parameters() const { return weightCount + biasCount; }
    [[nodiscard]] std::int64_t channels() const { return weightShape.empty() ? 0 : weightShape[std::size_t(channelAxis)]; }
    friend bool operator==(const LayerInfo &, const LayerInfo &) = default;
};

/// Why only the weight of a weightOnly layer can be quantized: a clause for messages, "an embedding looks rows up".
[[nodiscard]] std::string weightOnlyReason(const LayerInfo &layer);

/// What a list says behind a layer's status: the reason why it stays float, or that its input does; empty for most.
[[nodiscard]] std::string layerNote(const LayerInfo &layer);

/// A network as values: what the table, the size model and files need to know. Made by compute, shown by widgets.
struct ModelSummary {
    std::string path;
    std::string format;         ///< "pt2", "torchscript", "onnx"
    std::string sha256;
    std::vector<TensorInfo> inputs, outputs;
    std::int64_t parameters = 0;   ///< trainable: weights, biases, batch-norm gamma and beta
    std::int64_t nodes = 0;
    std::map<std::string, std::int64_t> operators;
    std::vector<LayerInfo> layers;
    std::vector<ChannelGroup> groups;   ///< of output channels, those that cannot be cut too
    std::int64_t fixedBatch = 0;   ///< batch size the file insists on, 0 when free
    std::vector<std::string> obstacles = {};   ///< why it cannot be run, operator by operator; empty: it can
    [[nodiscard]] const LayerInfo *layer(const std::string &name) const;
    [[nodiscard]] std::int64_t quantizableLayers() const;
    /// The groups that hold output channels of a layer; several where a concatenation or a split parts them.
    [[nodiscard]] std::vector<const ChannelGroup *> groupsOf(const std::string &layer) const;
    friend bool operator==(const ModelSummary &, const ModelSummary &) = default;
};

} // namespace bitwright
