// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"
#include "exporters/onnx/onnx_writer.h"
#include "exporters/onnx/quantized_tensor.h"

#include <functional>
#include <optional>

namespace bitwright {

/// A weight on free levels: an 8-bit index for each element into its group's stretch of one table.
struct Codebook {
    std::string indices;            ///< bytes
    std::vector<float> values;      ///< all groups after each other
    std::int64_t groups = 1;        ///< of as many values each
    [[nodiscard]] std::int64_t each() const { return std::int64_t(values.size()) / groups; }
};

/// One layer's share of the file, decided before any node is written.
struct LayerPlan {
    const LayerBinding *binding = nullptr;
    std::optional<OnnxEncoding> weight, activation;
    at::Tensor shared;      ///< a weight on levels that no integer type has, as it is quantized
    std::optional<Codebook> codebook;   ///< the same; none where it has more levels than an index counts
    std::vector<std::int64_t> codes;
    QuantGrid activationGrid;
    bool steps = false;     ///< the input is a step function that no integer type expresses
    int weightBits = 32, activationBits = 32;
    [[nodiscard]] bool quantizesInput() const { return activation || steps; }
};

/// What every quantizable layer of the assignment becomes. Errors name the layer and why it cannot be written.
Result<std::vector<LayerPlan>> planLayers(const ExportInput &input);
/// "int4 per channel, input uint8 with a clip".
std::string encodingText(const LayerPlan &plan);
/// The first operator set that has the plans' types; notes say which types and what is stored wider than asked.
int baseOpset(const std::vector<LayerPlan> &plans, std::vector<std::string> &notes);
/// Notes on levels that no integer type holds.
void noteFreeLevels(const std::vector<LayerPlan> &plans, std::vector<std::string> &notes);

/// Scale and zero point of an encoding as initializers.
std::pair<std::string, std::string> parametersOf(OnnxWriter &writer, const OnnxEncoding &encoding, const std::string &base, bool perGroup);
/// Quantize and dequantize of the value `x` in front of a layer's call, spelled "layer" or "layer@1": the name of the
/// result. Nodes are named after the call, so that verify finds them.
std::string writeQuantizedInput(OnnxWriter &writer, const LayerPlan &plan, const std::string &call, std::string x, bool barrier);
/// (real - zero point) * scale of a weight's codes by plain operators, for where DequantizeLinear cannot stand. `add` makes a
/// node of these inputs and gives its result's name; `last` marks the one whose result is the weight.
using AddStep = std::function<std::string(const char *op, std::vector<std::string> inputs, bool last)>;
void writeProduct(OnnxWriter &writer, const LayerPlan &plan, const std::string &real, const std::string &base, const AddStep &add);
/// True where ONNX Runtime (1.32) would run DequantizeLinear and product as MatMulNBits, which rounds the input to 8 bits
/// unless session.qdq_matmulnbits_accuracy_level says otherwise: the weight is then written as Cast and Mul, which the
/// runtime computes once, to the same values.
bool wouldRoundInput(const LayerPlan &plan);
/// True where ONNX Runtime (1.32) would take the quantizer as part of what stands before it: a layer behind a quantizer
/// becomes an integer layer with other rounding (and lacks 2 bits), a Clip in front of a narrow type ends its optimizer
/// with an error, and through moves of data the quantizer wanders upwards.
bool needsBarrier(const Graph &graph, const Argument &input);
/// "aten::conv2d.padding" → "conv2d".
std::string baseName(const std::string &op);

} // namespace bitwright
