// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// ONNX operators as they stand in the specification, run on tensors. The reader lowers to ATen's operators where it can
// (layers are found, trained and exported there); what depends on values that only the run knows, or has no ATen
// counterpart, becomes a node with one of these kernels. They also compute at load what depends on constants alone.

#include "frontends/onnx_proto.h"

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

using OnnxValues = std::vector<c10::IValue>;   ///< tensors, lists of tensors (sequences), None for what is left out

// Attributes of a node, the fallback where they are left out or of another type.
std::int64_t integerOf(const onnx::Node &node, const char *attribute, std::int64_t fallback);
double numberOf(const onnx::Node &node, const char *attribute, double fallback);
std::string textOf(const onnx::Node &node, const char *attribute, const std::string &fallback);
std::vector<std::int64_t> integersOf(const onnx::Node &node, const char *attribute);

/// One node's attributes, as kernels read them.
struct OnnxCall {
    onnx::Node node;
    std::int64_t opset = 0;
    std::shared_ptr<const void> file;     ///< keeps the bytes that tensors among the attributes view

    [[nodiscard]] bool has(const char *attribute) const { return node.attribute(attribute) != nullptr; }
    [[nodiscard]] std::int64_t integer(const char *attribute, std::int64_t fallback) const { return integerOf(node, attribute, fallback); }
    [[nodiscard]] double number(const char *attribute, double fallback) const { return numberOf(node, attribute, fallback); }
    [[nodiscard]] std::string text(const char *attribute, const std::string &fallback) const { return textOf(node, attribute, fallback); }
    [[nodiscard]] std::vector<std::int64_t> integers(const char *attribute) const { return integersOf(node, attribute); }
    [[nodiscard]] std::vector<float> numbers(const char *attribute) const;
    [[nodiscard]] std::vector<std::string> texts(const char *attribute) const;
};

/// Gives the node's outputs in order; throws c10::Error where the inputs are impossible.
using OnnxKernel = OnnxValues (*)(const OnnxCall &call, const OnnxValues &in);
struct OnnxKernelRow {
    const char *op;
    OnnxKernel run;
};

// One table per subject, each in a file of its own.
std::span<const OnnxKernelRow> onnxElementwiseKernels();
std::span<const OnnxKernelRow> onnxReductionKernels();
std::span<const OnnxKernelRow> onnxShapeKernels();
std::span<const OnnxKernelRow> onnxLayerKernels();
std::span<const OnnxKernelRow> onnxRecurrentKernels();
std::span<const OnnxKernelRow> onnxImageKernels();
std::span<const OnnxKernelRow> onnxQuantizeKernels();
std::span<const OnnxKernelRow> onnxSequenceKernels();
std::span<const OnnxKernelRow> onnxSignalKernels();
/// The kernel of an operator of ONNX's own domain (or of the few of com.microsoft that exporters write), or null.
OnnxKernel findOnnxKernel(const std::string &domain, const std::string &op);
/// Every operator with a kernel, in alphabetical order.
std::vector<std::string> onnxKernelNames();

// ---- what kernels share ----
[[nodiscard]] inline bool given(const OnnxValues &in, std::size_t index) { return index < in.size() && !in[index].isNone(); }
at::Tensor tensorIn(const OnnxValues &in, std::size_t index);
std::optional<at::Tensor> optionalIn(const OnnxValues &in, std::size_t index);
/// An integer tensor's elements.
std::vector<std::int64_t> intsIn(const OnnxValues &in, std::size_t index);
/// Integers that stand in an attribute in old operator sets and in an input in new ones.
std::vector<std::int64_t> intsOf(const OnnxCall &call, const char *attribute, const OnnxValues &in, std::size_t index);
/// An axis counted from the end made one from the front.
/// Refuses to do something so often: a tensor without elements may be of any size in its other dimensions.
void checkCount(std::int64_t count);
std::int64_t wrapAxis(std::int64_t axis, std::int64_t rank);
/// The element type that stands for one of ONNX's; Undefined where there is none. Unsigned types wider than a byte and
/// those narrower than one become the next signed or byte type.
at::ScalarType scalarTypeOf(onnx::DataType type);
/// `values` filled with `fallback` where the list was left out.
std::vector<std::int64_t> orElse(std::vector<std::int64_t> values, std::size_t size, std::int64_t fallback);

/// Padding at both ends of each spatial dimension: low values first, then high ones, from `pads` or `auto_pad`.
std::vector<std::int64_t> spatialPads(const OnnxCall &call, const std::vector<std::int64_t> &size, const std::vector<std::int64_t> &kernel,
                                      const std::vector<std::int64_t> &stride, const std::vector<std::int64_t> &dilation);
/// Low values first, then high ones, as constant_pad_nd wants them: low and high of the last dimension, then of the one before.
std::vector<std::int64_t> padOrder(const std::vector<std::int64_t> &pads);
/// constant_pad_nd with low and high of the last dimensions as spatialPads gives them.
at::Tensor padSpatial(const at::Tensor &x, const std::vector<std::int64_t> &pads, double fill);
/// A convolution over 1 to 3 dimensions by its attributes.
at::Tensor convolve(const OnnxCall &call, const at::Tensor &x, const at::Tensor &weight, const std::optional<at::Tensor> &bias);

} // namespace bitwright
