// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bitwright {

namespace {

using Ints = std::vector<std::int64_t>;

Argument list(Ints values) { return Argument::of(c10::IValue(std::move(values))); }
Argument none() { return Argument::of(c10::IValue()); }

/// The padding that both sides have in common, and a constant_pad_nd in front for what one side has more.
Result<Argument> padded(OnnxReader &r, const Argument &x, const Ints &pads, std::size_t spatial, Ints &common)
{
    common.resize(spatial);
    Ints extra = pads;
    for (std::size_t i = 0; i < spatial; ++i) {
        common[i] = std::min(pads[i], pads[i + spatial]);
        extra[i] -= common[i];
        extra[i + spatial] -= common[i];
    }
    if (std::ranges::all_of(extra, [](std::int64_t more) { return more == 0; }))
        return x;
    BW_ASSIGN(const ValueId value, r.add("aten::constant_pad_nd", {x, list(padOrder(extra))}));
    return Argument::of(value);
}

/// The input with the zeros that automatic padding adds, which depend on its size.
Result<ValueId> samePadded(OnnxReader &r, const Argument &x, std::size_t spatial)
{
    BW_ASSIGN(const at::Tensor weight, r.constant(1));
    const Ints kernel(weight.sizes().begin() + 2, weight.sizes().end());
    const Ints stride = orElse(r.integers("strides"), spatial, 1), dilation = orElse(r.integers("dilations"), spatial, 1);
    OnnxCall call{r.node(), r.opset(), {}};
    std::erase_if(call.node.attributes, [](const onnx::Attribute &attribute) { return attribute.name != "auto_pad"; });
    return r.addOwn("onnx::SamePad", {x}, [=, call = std::move(call)](torch::jit::Stack &stack) {
        const at::Tensor input = torch::jit::pop(stack).toTensor();
        TORCH_CHECK(input.dim() == std::int64_t(spatial) + 2, "a convolution of ", input.dim(), " dimensions");
        const Ints size(input.sizes().begin() + 2, input.sizes().end());
        stack.emplace_back(padSpatial(input, spatialPads(call, size, kernel, stride, dilation), 0));
    });
}

Status convolution(OnnxReader &r)
{
    if (r.rank(1) < 3)
        return fail(ErrorKind::Unsupported, "a convolution whose weight has no known shape");
    const auto spatial = std::size_t(r.rank(1) - 2);
    BW_ASSIGN(Argument x, r.input(0));
    Ints pads(spatial * 2, 0);
    if (r.text("auto_pad", "NOTSET").starts_with("SAME")) {
        BW_ASSIGN(const ValueId same, samePadded(r, x, spatial));
        x = Argument::of(same);
    } else {
        BW_ASSIGN(pads, statedPads(r, spatial));
    }
    BW_ASSIGN(const Argument weight, r.input(1, true));
    BW_ASSIGN(const Argument bias, r.input(2, true));
    Ints common;
    BW_ASSIGN(const Argument ready, padded(r, x, pads, spatial, common));
    return r.emit("aten::conv" + std::to_string(spatial) + "d",
                  {ready, weight, bias, list(orElse(r.integers("strides"), spatial, 1)), list(common),
                   list(orElse(r.integers("dilations"), spatial, 1)), Argument::of(c10::IValue(r.integer("group", 1)))});
}

Status transposedConvolution(OnnxReader &r)
{
    if (r.rank(1) < 3)
        return fail(ErrorKind::Unsupported, "a transposed convolution whose weight has no known shape");
    const auto spatial = std::size_t(r.rank(1) - 2);
    if (r.node().attribute("output_shape"))
        return fail(ErrorKind::Unsupported, "a transposed convolution with a given output shape");
    BW_ASSIGN(const Ints pads, statedPads(r, spatial));
    Ints low(pads.begin(), pads.begin() + std::ptrdiff_t(spatial)), outputPadding = orElse(r.integers("output_padding"), spatial, 0);
    for (std::size_t i = 0; i < spatial; ++i) {
        // More padding at the end cuts the output there, which is less output padding.
        if (__builtin_add_overflow(outputPadding[i], pads[i] - pads[i + spatial], &outputPadding[i]) || outputPadding[i] < 0)
            return fail(ErrorKind::Unsupported, "a transposed convolution with uneven padding");
    }
    BW_ASSIGN(const Argument x, r.input(0));
    BW_ASSIGN(const Argument weight, r.input(1, true));
    BW_ASSIGN(const Argument bias, r.input(2, true));
    return r.emit("aten::conv_transpose" + std::to_string(spatial) + (spatial == 1 ? "d" : "d.input"),
                  {x, weight, bias, list(orElse(r.integers("strides"), spatial, 1)), list(low), list(outputPadding),
                   Argument::of(c10::IValue(r.integer("group", 1))), list(orElse(r.integers("dilations"), spatial, 1))});
}

Status gemm(OnnxReader &r)
{
    const double alpha = r.number("alpha", 1), beta = r.number("beta", 1);
    const bool transA = r.integer("transA", 0) != 0, transB = r.integer("transB", 0) != 0;
    BW_ASSIGN(Argument a, r.input(0));
    BW_ASSIGN(Argument b, r.input(1, true));
    BW_ASSIGN(const Argument c, r.input(2, true));
    if (transA) {
        BW_ASSIGN(const ValueId turned, r.add("aten::t", {a}));
        a = Argument::of(turned);
    }
    if (transB && alpha == 1 && beta == 1 && (!r.has(2) || r.rank(2) == 1))
        return r.emit("aten::linear", {a, b, c}, {}, 2);
    if (!transB && alpha == 1 && beta == 1 && r.isConstant(1)) {
        BW_ASSIGN(const ValueId product, r.add("aten::matmul", {a, b}));
        if (r.has(2))
            return r.emit("aten::add.Tensor", {Argument::of(product), c}, {}, 2);
        r.bind(Argument::of(product), 2);
        return {};
    }
    if (transB) {
        BW_ASSIGN(const ValueId turned, r.add("aten::t", {b}));
        b = Argument::of(turned);
    }
    if (!r.has(2)) {
        BW_ASSIGN(const ValueId product, r.add("aten::mm", {a, b}));
        return r.emit("aten::mul.Scalar", {Argument::of(product), Argument::of(c10::IValue(alpha))}, {}, 2);
    }
    return r.emit("aten::addmm", {c, a, b},
                  {{"beta", Argument::of(c10::IValue(beta))}, {"alpha", Argument::of(c10::IValue(alpha))}}, 2);
}

Status matmul(OnnxReader &r)
{
    BW_ASSIGN(const Argument a, r.input(0, true));
    BW_ASSIGN(const Argument b, r.input(1, true));
    return r.emit("aten::matmul", {a, b}, {}, std::max(r.rank(0), r.rank(1)));
}

Status einsum(OnnxReader &r)
{
    std::vector<Argument> operands;
    for (std::size_t i = 0; i < r.node().inputs.size(); ++i) {
        BW_ASSIGN(auto operand, r.input(i));
        operands.push_back(std::move(operand));
    }
    const std::string equation = r.text("equation", "");
    const std::size_t arrow = equation.find("->");
    const std::int64_t rank = arrow == std::string::npos ? -1 : std::ranges::count_if(equation.substr(arrow + 2), [](char c) { return std::isalpha(std::uint8_t(c)); });
    return r.emit("aten::einsum", {Argument::of(c10::IValue(equation)), Argument::of(std::move(operands))}, {}, rank);
}

Status batchNorm(OnnxReader &r)
{
    if (r.integer("training_mode", 0) != 0)
        return fail(ErrorKind::Unsupported, "a batch norm in training mode; export the network in evaluation mode");
    BW_ASSIGN(const Argument x, r.input(0));
    BW_ASSIGN(const Argument gamma, r.input(1, true));
    BW_ASSIGN(const Argument beta, r.input(2, true));
    BW_ASSIGN(const Argument mean, r.input(3));
    BW_ASSIGN(const Argument variance, r.input(4));
    return r.emit("aten::batch_norm", {x, gamma, beta, mean, variance, Argument::of(c10::IValue(false)), Argument::of(c10::IValue(0.1)),
                                       Argument::of(c10::IValue(r.number("epsilon", 1e-5))), Argument::of(c10::IValue(false))});
}

Status instanceNorm(OnnxReader &r)
{
    BW_ASSIGN(const Argument x, r.input(0));
    BW_ASSIGN(const Argument gamma, r.input(1, true));
    BW_ASSIGN(const Argument beta, r.input(2, true));
    return r.emit("aten::instance_norm", {x, gamma, beta, none(), none(), Argument::of(c10::IValue(true)), Argument::of(c10::IValue(0.1)),
                                          Argument::of(c10::IValue(r.number("epsilon", 1e-5))), Argument::of(c10::IValue(false))});
}

Status layerNorm(OnnxReader &r)
{
    BW_ASSIGN(const at::Tensor gamma, r.constant(1));
    const std::int64_t axis = r.integer("axis", -1), rank = r.rank(0);
    if (axis < -64 || axis > 64)
        return fail(ErrorKind::Parse, "a layer norm from dimension " + std::to_string(axis));
    const std::int64_t covered = axis < 0 ? -axis : rank - axis;
    if (gamma.dim() != covered)
        return fail(ErrorKind::Unsupported, "a layer norm whose factors have another shape than its axes");
    BW_ASSIGN(const Argument x, r.input(0));
    BW_ASSIGN(const Argument weight, r.input(1, true));
    BW_ASSIGN(const Argument bias, r.input(2, true));
    return r.emit("aten::layer_norm", {x, list(gamma.sizes().vec()), weight, bias, Argument::of(c10::IValue(r.number("epsilon", 1e-5)))});
}

} // namespace

std::span<const OnnxReadingRow> onnxLayerReadings()
{
    static const OnnxReadingRow kRows[] = {
        {"Conv", convolution}, {"ConvTranspose", transposedConvolution}, {"Gemm", gemm}, {"MatMul", matmul}, {"Einsum", einsum},
        {"BatchNormalization", batchNorm}, {"InstanceNormalization", instanceNorm}, {"LayerNormalization", layerNorm},
    };
    return kRows;
}

} // namespace bitwright
