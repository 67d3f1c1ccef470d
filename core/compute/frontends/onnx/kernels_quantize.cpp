// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

namespace bitwright {

namespace {

using at::Tensor;
using Ints = std::vector<std::int64_t>;

/// A scale or zero point so that it broadcasts against x: one number, one per index of the axis, or one per block.
Tensor spread(const OnnxCall &call, const Tensor &parameter, const Tensor &x)
{
    if (parameter.numel() == 1)
        return parameter.reshape({});
    const std::int64_t axis = wrapAxis(call.integer("axis", 1), x.dim()), block = call.integer("block_size", 0);
    if (block > 0 && parameter.dim() == x.dim())
        return parameter.repeat_interleave(block, axis).narrow(axis, 0, x.size(axis));
    Ints shape(std::size_t(x.dim()), 1);
    shape[std::size_t(axis)] = parameter.numel();
    return parameter.reshape(shape);
}

std::pair<double, double> limits(const Tensor &zero)
{
    switch (zero.scalar_type()) {
    case at::kChar: return {-128, 127};
    case at::kShort: return {-32768, 32767};
    case at::kInt: return {0, 65535};   // our stand-in for uint16
    default: return {0, 255};
    }
}

OnnxValues quantize(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), scale = tensorIn(in, 1);
    at::ScalarType type = at::kByte;
    std::pair<double, double> range{0, 255};
    if (given(in, 2)) {
        type = tensorIn(in, 2).scalar_type();
        range = limits(tensorIn(in, 2));
    }
    const auto wanted = onnx::DataType(call.integer("output_dtype", 0));
    if (wanted != onnx::DataType::Undefined) {
        type = scalarTypeOf(wanted);
        const auto [low, high] = onnx::integerRange(wanted);
        range = {double(low), double(high)};
    }
    TORCH_CHECK(at::isIntegralType(type, false), "a quantization to a floating type");
    Tensor codes = (x.to(at::kFloat) / spread(call, scale, x).to(at::kFloat)).round();
    if (given(in, 2))
        codes = codes + spread(call, tensorIn(in, 2), x).to(at::kFloat);
    return {codes.clamp(range.first, range.second).to(type)};
}

OnnxValues dequantize(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), scale = tensorIn(in, 1);
    Tensor values = x.to(at::kFloat);
    if (given(in, 2))
        values = values - spread(call, tensorIn(in, 2), x).to(at::kFloat);
    return {(values * spread(call, scale, x).to(at::kFloat)).to(scale.scalar_type())};
}

OnnxValues dynamicQuantize(const OnnxCall &, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Tensor low = x.min().clamp_max(0), high = x.max().clamp_min(0);
    Tensor scale = (high - low) / 255;
    scale = at::where(scale == 0, at::ones_like(scale), scale);
    const Tensor zero = (-low / scale).clamp(0, 255).round();
    return {((x / scale).round() + zero).clamp(0, 255).to(at::kByte), scale, zero.to(at::kByte)};
}

/// Codes less their zero point, in float: sums of up to 2^24 are exact.
Tensor centred(const OnnxValues &in, std::size_t codes, std::size_t zero, std::int64_t axis)
{
    Tensor x = tensorIn(in, codes).to(at::kDouble);
    if (!given(in, zero))
        return x;
    const Tensor z = tensorIn(in, zero).to(at::kDouble);
    if (z.numel() == 1)
        return x - z.reshape({});
    Ints shape(std::size_t(x.dim()), 1);
    shape[std::size_t(wrapAxis(axis, x.dim()))] = z.numel();
    return x - (z.dim() > 1 ? z : z.reshape(shape));
}

OnnxValues matmulInteger(const OnnxCall &, const OnnxValues &in)
{
    const Tensor a = centred(in, 0, 2, tensorIn(in, 0).dim() > 1 ? -2 : 0), b = centred(in, 1, 3, -1);
    return {at::matmul(a, b).to(at::kInt)};
}

OnnxValues convInteger(const OnnxCall &call, const OnnxValues &in)
{
    return {convolve(call, centred(in, 0, 2, 1), centred(in, 1, 3, 0), std::nullopt).to(at::kInt)};
}

/// The integer result of a layer over codes, rounded to the output's.
Tensor requantized(const Tensor &sums, const Tensor &factor, const Tensor &zero)
{
    const auto [low, high] = limits(zero);
    return ((sums * factor).round() + zero.to(at::kDouble)).clamp(low, high).to(zero.scalar_type());
}

OnnxValues qlinearMatmul(const OnnxCall &, const OnnxValues &in)
{
    const auto scaleOf = [&](std::size_t index) { return tensorIn(in, index).to(at::kFloat); };
    const OnnxValues codes{in.at(0), in.at(3), in.at(2), in.at(5)};
    const Tensor a = centred(codes, 0, 2, tensorIn(in, 0).dim() > 1 ? -2 : 0), b = centred(codes, 1, 3, -1);
    const Tensor factor = (scaleOf(1) * scaleOf(4) / scaleOf(6)).to(at::kDouble);
    return {requantized(at::matmul(a, b), factor, tensorIn(in, 7))};
}

OnnxValues qlinearConv(const OnnxCall &call, const OnnxValues &in)
{
    const OnnxValues codes{in.at(0), in.at(3), in.at(2), in.at(5)};
    Tensor sums = convolve(call, centred(codes, 0, 2, 1), centred(codes, 1, 3, 0), std::nullopt);
    Ints shape(std::size_t(sums.dim()), 1);
    shape[1] = -1;
    if (given(in, 8))
        sums = sums + tensorIn(in, 8).to(at::kDouble).reshape(shape);
    Tensor factor = tensorIn(in, 1).to(at::kFloat) * tensorIn(in, 4).to(at::kFloat) / tensorIn(in, 6).to(at::kFloat);
    if (factor.numel() > 1)
        factor = factor.reshape(shape);
    return {requantized(sums, factor.to(at::kDouble), tensorIn(in, 7))};
}

/// com.microsoft's QLinearAdd, QLinearMul, QLinearGlobalAveragePool and QLinearSigmoid: what ONNX Runtime's quantizer writes.
template <Tensor (*F)(const Tensor &, const Tensor &)>
OnnxValues qlinearBinary(const OnnxCall &, const OnnxValues &in)
{
    const auto real = [&](std::size_t at) { return (tensorIn(in, at).to(at::kFloat) - (given(in, at + 2) ? tensorIn(in, at + 2).to(at::kFloat) : at::zeros({}))) * tensorIn(in, at + 1); };
    const Tensor zero = given(in, 7) ? tensorIn(in, 7) : at::zeros({}, at::kByte);
    const auto [low, high] = limits(zero);
    const Tensor made = F(real(0), real(3)) / tensorIn(in, 6);
    return {(made.round() + zero.to(at::kFloat)).clamp(low, high).to(zero.scalar_type())};
}
Tensor sum(const Tensor &a, const Tensor &b) { return a + b; }

OnnxValues qlinearGlobalAverage(const OnnxCall &call, const OnnxValues &in)
{
    TORCH_CHECK(call.integer("channels_last", 0) == 0, "a channels-last global pooling");
    Tensor x = (tensorIn(in, 0).to(at::kFloat) - tensorIn(in, 2).to(at::kFloat)) * tensorIn(in, 1);
    Ints axes;
    for (std::int64_t axis = 2; axis < x.dim(); ++axis)
        axes.push_back(axis);
    const Tensor zero = tensorIn(in, 4);
    const auto [low, high] = limits(zero);
    return {((x.mean(axes, true) / tensorIn(in, 3)).round() + zero.to(at::kFloat)).clamp(low, high).to(zero.scalar_type())};
}

} // namespace

std::span<const OnnxKernelRow> onnxQuantizeKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"QuantizeLinear", quantize}, {"DequantizeLinear", dequantize}, {"com.microsoft::QuantizeLinear", quantize},
        {"com.microsoft::DequantizeLinear", dequantize}, {"DynamicQuantizeLinear", dynamicQuantize}, {"MatMulInteger", matmulInteger},
        {"ConvInteger", convInteger}, {"QLinearMatMul", qlinearMatmul}, {"QLinearConv", qlinearConv},
        {"com.microsoft::QLinearAdd", qlinearBinary<sum>}, {"com.microsoft::QLinearMul", qlinearBinary<at::mul>},
        {"com.microsoft::QLinearGlobalAveragePool", qlinearGlobalAverage},
    };
    return kRows;
}

} // namespace bitwright
