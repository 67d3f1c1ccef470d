// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

/// Scale or zero point so that it broadcasts along `axis` of a tensor of `rank` dimensions.
Result<at::Tensor> along(const at::Tensor &parameter, std::int64_t axis, std::int64_t rank)
{
    if (parameter.numel() == 1)
        return parameter.reshape({});
    axis = axis < 0 ? axis + rank : axis;
    if (parameter.dim() != 1 || rank < 1 || axis < 0 || axis >= rank)
        return fail(ErrorKind::Unsupported, "a scale that is neither one number nor one per channel");
    std::vector<std::int64_t> shape(std::size_t(rank), 1);
    shape[std::size_t(axis)] = parameter.numel();
    return parameter.reshape(shape);
}

struct Parameters {
    at::Tensor scale, zero;     ///< both float32
};

Result<Parameters> parameters(OnnxReader &r, std::int64_t rank)
{
    if (r.integer("block_size", 0) != 0)
        return fail(ErrorKind::Unsupported, "quantization in blocks");
    Parameters made;
    BW_ASSIGN(const at::Tensor scale, r.constant(1));
    BW_ASSIGN(made.scale, along(scale.to(at::kFloat), r.integer("axis", 1), rank));
    if (r.has(2)) {
        BW_ASSIGN(const at::Tensor zero, r.constant(2));
        BW_ASSIGN(made.zero, along(zero.to(at::kFloat), r.integer("axis", 1), rank));
    } else {
        made.zero = at::zeros({});
    }
    return made;
}

Status quantize(OnnxReader &r)
{
    BW_ASSIGN(Parameters p, parameters(r, r.rank(0)));
    BW_ASSIGN(const onnx::DataType type, r.elementType(2));
    // Our tensors have no narrow types: the range comes from the file.
    const auto [low, high] = onnx::integerRange(type);
    BW_ASSIGN(const Argument x, r.input(0));
    Kernel kernel = [](torch::jit::Stack &stack) {
        const std::int64_t highest = torch::jit::pop(stack).toInt(), lowest = torch::jit::pop(stack).toInt();
        const at::Tensor zero = torch::jit::pop(stack).toTensor(), scale = torch::jit::pop(stack).toTensor();
        at::Tensor codes = torch::jit::pop(stack).toTensor() / scale;
        codes.round_().add_(zero).clamp_(double(lowest), double(highest));
        stack.emplace_back(codes.to(at::kInt));
    };
    const ValueId codes = r.addOwn("onnx::QuantizeLinear",
                                   {x, Argument::of(c10::IValue(p.scale)), Argument::of(c10::IValue(p.zero)),
                                    Argument::of(c10::IValue(low)), Argument::of(c10::IValue(high))},
                                   std::move(kernel));
    r.bind(Argument::of(codes), r.rank(0));
    return {};
}

Status dequantize(OnnxReader &r)
{
    BW_ASSIGN(const Parameters p, parameters(r, r.rank(0)));
    if (r.isConstant(0)) {
        // A stored weight: its float values are computed once, and the layer keeps the initializer's name.
        BW_ASSIGN(const at::Tensor codes, r.constant(0));
        r.bindConstant((codes.to(at::kFloat) - p.zero) * p.scale, r.node().inputs[0]);
        return {};
    }
    BW_ASSIGN(const Argument x, r.input(0));
    Kernel kernel = [](torch::jit::Stack &stack) {
        const at::Tensor zero = torch::jit::pop(stack).toTensor(), scale = torch::jit::pop(stack).toTensor();
        at::Tensor values = torch::jit::pop(stack).toTensor().to(at::kFloat);
        stack.emplace_back(values.sub_(zero).mul_(scale));
    };
    const ValueId values = r.addOwn("onnx::DequantizeLinear",
                                    {x, Argument::of(c10::IValue(p.scale)), Argument::of(c10::IValue(p.zero))}, std::move(kernel));
    r.bind(Argument::of(values), r.rank(0));
    return {};
}

} // namespace

std::span<const OnnxReadingRow> onnxQuantizeReadings()
{
    static const OnnxReadingRow kRows[] = {{"QuantizeLinear", quantize}, {"DequantizeLinear", dequantize}};
    return kRows;
}

} // namespace bitwright
