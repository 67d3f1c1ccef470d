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
    const std::int64_t axis = wrapAxis(call.integer("axis", 1), x.dim());
    TORCH_CHECK(axis < x.dim(), "axis ", axis, " of a tensor with ", x.dim(), " dimensions");
    const std::int64_t block = std::min(call.integer("block_size", 0), std::max<std::int64_t>(x.size(axis), 1));
    if (block > 0 && parameter.dim() == x.dim()) {
        TORCH_CHECK((parameter.size(axis) - 1) * block < x.size(axis), "scales that do not fit its blocks");
        return parameter.repeat_interleave(block, axis).narrow(axis, 0, x.size(axis));
    }
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
    shape.at(std::size_t(wrapAxis(axis, x.dim()))) = z.numel();
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

/// Codes, scale and zero point as they stand one after the other; the zero point may be missing.
Tensor realAt(const OnnxValues &in, std::size_t codes)
{
    const Tensor zero = given(in, codes + 2) ? tensorIn(in, codes + 2).to(at::kFloat) : at::zeros({});
    return (tensorIn(in, codes).to(at::kFloat) - zero) * tensorIn(in, codes + 1);
}

/// The other way, by the scale at `scale` and the zero point behind it.
Tensor codesFor(const OnnxValues &in, const Tensor &values, std::size_t scale)
{
    const Tensor zero = given(in, scale + 1) ? tensorIn(in, scale + 1) : at::zeros({}, at::kByte);
    const auto [low, high] = limits(zero);
    return ((values / tensorIn(in, scale)).round() + zero.to(at::kFloat)).clamp(low, high).to(zero.scalar_type());
}

OnnxValues qlinearGlobalAverage(const OnnxCall &call, const OnnxValues &in)
{
    TORCH_CHECK(call.integer("channels_last", 0) == 0, "a channels-last global pooling");
    const Tensor x = realAt(in, 0);
    Ints axes;
    for (std::int64_t axis = 2; axis < x.dim(); ++axis)
        axes.push_back(axis);
    return {codesFor(in, x.mean(axes, true), 3)};
}

/// An operator of one input between two sets of codes.
OnnxValues qlinearUnary(const OnnxCall &call, const OnnxValues &in, const char *op)
{
    TORCH_CHECK(call.integer("channels_last", 0) == 0, "a channels-last pooling");
    const OnnxKernel run = findOnnxKernel("", op);
    TORCH_CHECK(run, op, " is not known here");
    return {codesFor(in, run(call, {realAt(in, 0)}).at(0).toTensor(), 3)};
}
OnnxValues qlinearSigmoid(const OnnxCall &call, const OnnxValues &in) { return qlinearUnary(call, in, "Sigmoid"); }
OnnxValues qlinearLeakyRelu(const OnnxCall &call, const OnnxValues &in) { return qlinearUnary(call, in, "LeakyRelu"); }
OnnxValues qlinearAveragePool(const OnnxCall &call, const OnnxValues &in) { return qlinearUnary(call, in, "AveragePool"); }
OnnxValues qlinearReduceMean(const OnnxCall &call, const OnnxValues &in) { return qlinearUnary(call, in, "ReduceMean"); }
OnnxValues qlinearSoftmax(const OnnxCall &call, const OnnxValues &in)
{
    // One axis where the operator set that the node was made from is 13 or more, all behind it before.
    const Tensor x = realAt(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", -1), x.dim());
    if (call.integer("opset", 13) >= 13)
        return {codesFor(in, x.softmax(axis), 3)};
    return {codesFor(in, x.flatten(axis).softmax(-1).reshape(x.sizes()), 3)};
}

OnnxValues qlinearConcat(const OnnxCall &call, const OnnxValues &in)
{
    std::vector<Tensor> parts;
    for (std::size_t i = 2; i + 1 < in.size(); i += 3)
        parts.push_back(realAt(in, i));
    TORCH_CHECK(!parts.empty(), "nothing to join");
    return {codesFor(in, at::cat(parts, wrapAxis(call.integer("axis", 0), parts.front().dim())), 0)};
}

/// A scale or zero point of a matrix, one for each of its columns, against a product.
Tensor perColumn(const Tensor &parameter)
{
    return parameter.numel() == 1 ? parameter.reshape({}) : parameter;
}

OnnxValues qgemm(const OnnxCall &call, const OnnxValues &in)
{
    const bool transA = call.integer("transA", 0) != 0, transB = call.integer("transB", 0) != 0;
    Tensor a = centred({in.at(0), in.at(2)}, 0, 1, -1), b = centred({in.at(3), in.at(5)}, 0, 1, transB ? 0 : -1);
    a = transA ? a.t() : a;
    b = transB ? b.t() : b;
    Tensor sums = at::matmul(a, b);
    if (given(in, 6))
        sums = sums + tensorIn(in, 6).to(at::kDouble);
    const Tensor factor = (tensorIn(in, 1).to(at::kFloat).reshape({}) * perColumn(tensorIn(in, 4)).to(at::kFloat) * float(call.number("alpha", 1))).to(at::kDouble);
    if (!given(in, 7))
        return {(sums * factor).to(at::kFloat)};
    return {requantized(sums, factor / tensorIn(in, 7).to(at::kDouble).reshape({}), given(in, 8) ? tensorIn(in, 8) : at::zeros({}, at::kByte))};
}

/// (codes of a) times (codes of b) in float; `bias` may be missing.
OnnxValues scaledProduct(const OnnxValues &codes, const Tensor &scaleA, const Tensor &scaleB, const OnnxValues &in, std::size_t bias)
{
    const Tensor a = centred(codes, 0, 2, -2), b = centred(codes, 1, 3, -1);
    Tensor made = at::matmul(a, b).to(at::kFloat) * (perColumn(scaleA) * perColumn(scaleB));
    if (given(in, bias))
        made = made + tensorIn(in, bias);
    return {made};
}

OnnxValues dynamicQuantizeMatmul(const OnnxCall &call, const OnnxValues &in)
{
    const OnnxValues made = dynamicQuantize(call, {in.at(0)});
    const OnnxValues codes{made.at(0), in.at(1), made.at(2), given(in, 3) ? in[3] : c10::IValue()};
    return scaledProduct(codes, made.at(1).toTensor(), tensorIn(in, 2), in, 4);
}

OnnxValues matmulIntegerToFloat(const OnnxCall &, const OnnxValues &in)
{
    const OnnxValues codes{in.at(0), in.at(1), given(in, 4) ? in[4] : c10::IValue(), given(in, 5) ? in[5] : c10::IValue()};
    return scaledProduct(codes, tensorIn(in, 2), tensorIn(in, 3), in, 6);
}

} // namespace

std::span<const OnnxKernelRow> onnxQuantizeKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"QuantizeLinear", quantize}, {"DequantizeLinear", dequantize}, {"com.microsoft::QuantizeLinear", quantize},
        {"com.microsoft::DequantizeLinear", dequantize}, {"DynamicQuantizeLinear", dynamicQuantize}, {"MatMulInteger", matmulInteger},
        {"ConvInteger", convInteger}, {"QLinearMatMul", qlinearMatmul}, {"QLinearConv", qlinearConv},
        {"com.microsoft::QLinearAdd", qlinearBinary<sum>}, {"com.microsoft::QLinearMul", qlinearBinary<at::mul>},
        {"com.microsoft::QLinearGlobalAveragePool", qlinearGlobalAverage}, {"com.microsoft::QLinearAveragePool", qlinearAveragePool},
        {"com.microsoft::QLinearSigmoid", qlinearSigmoid}, {"com.microsoft::QLinearLeakyRelu", qlinearLeakyRelu},
        {"com.microsoft::QLinearReduceMean", qlinearReduceMean}, {"com.microsoft::QLinearSoftmax", qlinearSoftmax},
        {"com.microsoft::QLinearConcat", qlinearConcat}, {"com.microsoft::QGemm", qgemm},
        {"com.microsoft::DynamicQuantizeMatMul", dynamicQuantizeMatmul}, {"com.microsoft::MatMulIntegerToFloat", matmulIntegerToFloat},
    };
    return kRows;
}

} // namespace bitwright
