// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include <cmath>
#include <limits>

namespace bitwright {

namespace {

using at::Tensor;

template <Tensor (*F)(const Tensor &)>
OnnxValues unary(const OnnxCall &, const OnnxValues &in) { return {F(tensorIn(in, 0))}; }

template <Tensor (*F)(const OnnxCall &, const Tensor &)>
OnnxValues activation(const OnnxCall &call, const OnnxValues &in) { return {F(call, tensorIn(in, 0))}; }

template <Tensor (*F)(const Tensor &, const Tensor &)>
OnnxValues binary(const OnnxCall &, const OnnxValues &in) { return {F(tensorIn(in, 0), tensorIn(in, 1))}; }

template <Tensor (*F)(const Tensor &, const Tensor &)>
OnnxValues variadic(const OnnxCall &, const OnnxValues &in)
{
    Tensor sofar = tensorIn(in, 0);
    for (std::size_t i = 1; i < in.size(); ++i)
        sofar = F(sofar, tensorIn(in, i));
    return {sofar};
}

// Integers divide towards zero.
Tensor divide(const Tensor &a, const Tensor &b)
{
    return at::isIntegralType(a.scalar_type(), true) ? at::div(a, b, "trunc") : at::div(a, b);
}

OnnxValues remainder(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor a = tensorIn(in, 0), b = tensorIn(in, 1);
    return {call.integer("fmod", 0) != 0 ? at::fmod(a, b) : at::remainder(a, b)};
}

OnnxValues power(const OnnxCall &, const OnnxValues &in)
{
    const Tensor base = tensorIn(in, 0), exponent = tensorIn(in, 1);
    if (!base.is_floating_point() && exponent.is_floating_point())
        return {at::pow(base.to(at::kDouble), exponent.to(at::kDouble)).to(base.scalar_type())};
    return {at::pow(base, exponent).to(base.scalar_type())};
}

OnnxValues shift(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor a = tensorIn(in, 0), b = tensorIn(in, 1);
    return {call.text("direction", "LEFT") == "LEFT" ? at::bitwise_left_shift(a, b) : at::bitwise_right_shift(a, b)};
}

OnnxValues where(const OnnxCall &, const OnnxValues &in)
{
    return {at::where(tensorIn(in, 0).to(at::kBool), tensorIn(in, 1), tensorIn(in, 2))};
}

Tensor sumOf(const Tensor &a, const Tensor &b) { return at::add(a, b); }

OnnxValues mean(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor total = variadic<sumOf>(call, in)[0].toTensor();
    return {total / double(in.size())};
}

OnnxValues clip(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    if (call.opset < 11) {
        if (call.has("min"))
            x = x.clamp_min(call.number("min", 0));
        return {call.has("max") ? x.clamp_max(call.number("max", 0)) : x};
    }
    if (given(in, 1))
        x = at::maximum(x, tensorIn(in, 1).to(x.scalar_type()));
    if (given(in, 2))
        x = at::minimum(x, tensorIn(in, 2).to(x.scalar_type()));
    return {x};
}

OnnxValues cast(const OnnxCall &call, const OnnxValues &in)
{
    const auto wanted = onnx::DataType(call.integer("to", 1));
    const at::ScalarType type = scalarTypeOf(wanted);
    TORCH_CHECK(type != at::ScalarType::Undefined, "a cast to element type ", std::int64_t(wanted));
    const Tensor x = tensorIn(in, 0);
    const int bits = onnx::storageBits(wanted);
    if (bits < 8) {
        // Narrow integers keep their low bits.
        const std::int64_t low = onnx::integerRange(wanted).first;
        Tensor codes = (x.is_floating_point() ? x.trunc() : x).to(at::kLong).bitwise_and((1 << bits) - 1);
        if (low < 0)
            codes = at::where(codes >= -low, codes - (1 << bits), codes);
        return {codes.to(type)};
    }
    if (wanted == onnx::DataType::UInt16)
        return {x.to(at::kLong).bitwise_and(0xffff).to(type)};
    return {x.to(type)};
}

OnnxValues castLike(const OnnxCall &, const OnnxValues &in) { return {tensorIn(in, 0).to(tensorIn(in, 1).scalar_type())}; }

OnnxValues isInf(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Tensor found = at::zeros_like(x, at::TensorOptions(at::kBool));
    if (call.integer("detect_positive", 1) != 0)
        found = at::logical_or(found, at::isposinf(x));
    if (call.integer("detect_negative", 1) != 0)
        found = at::logical_or(found, at::isneginf(x));
    return {found};
}

Tensor softsign(const Tensor &x) { return x / (1 + x.abs()); }
Tensor leakyRelu(const OnnxCall &call, const Tensor &x) { return at::leaky_relu(x, call.number("alpha", 0.01)); }
Tensor elu(const OnnxCall &call, const Tensor &x) { return at::elu(x, call.number("alpha", 1)); }
Tensor celu(const OnnxCall &call, const Tensor &x) { return at::celu(x, call.number("alpha", 1)); }
Tensor selu(const OnnxCall &call, const Tensor &x)
{
    const double alpha = call.number("alpha", 1.67326319217681884765625), gamma = call.number("gamma", 1.05070102214813232421875);
    return gamma * (x.clamp_min(0) + alpha * (x.clamp_max(0).exp() - 1));
}
Tensor hardSigmoid(const OnnxCall &call, const Tensor &x)
{
    return (x * call.number("alpha", 0.2) + call.number("beta", 0.5)).clamp(0, 1);
}
Tensor thresholdedRelu(const OnnxCall &call, const Tensor &x) { return at::where(x > call.number("alpha", 1), x, at::zeros_like(x)); }
Tensor shrink(const OnnxCall &call, const Tensor &x)
{
    const double bias = call.number("bias", 0), lambd = call.number("lambd", 0.5);
    const Tensor zero = at::zeros_like(x);
    return at::where(x < -lambd, x + bias, at::where(x > lambd, x - bias, zero)).to(x.scalar_type());
}
Tensor gelu(const OnnxCall &call, const Tensor &x) { return at::gelu(x, call.text("approximate", "none")); }
Tensor swish(const OnnxCall &call, const Tensor &x) { return x * at::sigmoid(x * call.number("alpha", 1)); }
Tensor softplus(const Tensor &x) { return at::softplus(x); }

OnnxValues prelu(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Tensor slope = tensorIn(in, 1);
    if (call.opset < 7 && slope.dim() == 1 && x.dim() > 2) {   // one per channel, not broadcast
        std::vector<std::int64_t> shape(std::size_t(x.dim() - 1), 1);
        shape[0] = -1;
        slope = slope.reshape(shape);
    }
    return {x.clamp_min(0) + slope * x.clamp_max(0)};
}

template <bool Logarithm>
OnnxValues softmax(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const auto run = [](const Tensor &t, std::int64_t axis) { return Logarithm ? at::log_softmax(t, axis) : at::softmax(t, axis); };
    if (call.opset >= 13)
        return {run(x, call.integer("axis", -1))};
    // Before opset 13 all dimensions from the axis on are one.
    const std::int64_t axis = wrapAxis(call.integer("axis", 1), x.dim());
    std::int64_t rows = 1;
    for (std::int64_t i = 0; i < axis; ++i)
        rows *= x.size(i);
    return {run(x.reshape({rows, rows == 0 ? 0 : x.numel() / rows}), 1).reshape(x.sizes())};
}

OnnxValues hardmax(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const auto hot = [](const Tensor &t, std::int64_t axis) {
        return at::zeros_like(t).scatter(axis, t.argmax(axis, true), 1);
    };
    if (call.opset >= 13)
        return {hot(x, call.integer("axis", -1))};
    const std::int64_t axis = wrapAxis(call.integer("axis", 1), x.dim());
    return {hot(x.flatten(axis).reshape({-1, x.flatten(axis).size(-1)}), 1).reshape(x.sizes())};
}

Tensor roundEven(const Tensor &x) { return at::round(x); }
Tensor notOf(const Tensor &x) { return at::logical_not(x); }
Tensor difference(const Tensor &a, const Tensor &b) { return at::sub(a, b); }

} // namespace

std::span<const OnnxKernelRow> onnxElementwiseKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"Abs", unary<at::abs>}, {"Acos", unary<at::acos>}, {"Acosh", unary<at::acosh>}, {"Asin", unary<at::asin>},
        {"Asinh", unary<at::asinh>}, {"Atan", unary<at::atan>}, {"Atanh", unary<at::atanh>}, {"Ceil", unary<at::ceil>},
        {"Cos", unary<at::cos>}, {"Cosh", unary<at::cosh>}, {"Erf", unary<at::erf>}, {"Exp", unary<at::exp>},
        {"Floor", unary<at::floor>}, {"HardSwish", unary<at::hardswish>}, {"IsNaN", unary<at::isnan>}, {"Log", unary<at::log>},
        {"Mish", unary<at::mish>}, {"Neg", unary<at::neg>}, {"Not", unary<notOf>}, {"Reciprocal", unary<at::reciprocal>},
        {"Relu", unary<at::relu>}, {"Round", unary<roundEven>}, {"Sigmoid", unary<at::sigmoid>}, {"Sign", unary<at::sign>},
        {"Sin", unary<at::sin>}, {"Sinh", unary<at::sinh>}, {"Softplus", unary<softplus>}, {"Softsign", unary<softsign>},
        {"Sqrt", unary<at::sqrt>}, {"Tan", unary<at::tan>}, {"Tanh", unary<at::tanh>}, {"BitwiseNot", unary<at::bitwise_not>},
        {"LeakyRelu", activation<leakyRelu>}, {"Elu", activation<elu>}, {"Celu", activation<celu>}, {"Selu", activation<selu>},
        {"HardSigmoid", activation<hardSigmoid>}, {"ThresholdedRelu", activation<thresholdedRelu>}, {"Shrink", activation<shrink>},
        {"Gelu", activation<gelu>}, {"com.microsoft::Gelu", activation<gelu>}, {"Swish", activation<swish>}, {"PRelu", prelu},
        {"Softmax", softmax<false>}, {"LogSoftmax", softmax<true>}, {"Hardmax", hardmax}, {"Clip", clip}, {"IsInf", isInf},
        {"Add", binary<sumOf>}, {"Sub", binary<difference>}, {"Mul", binary<at::mul>}, {"Div", binary<divide>}, {"Mod", remainder},
        {"Pow", power}, {"BitShift", shift}, {"Equal", binary<at::eq>}, {"Less", binary<at::lt>}, {"LessOrEqual", binary<at::le>},
        {"Greater", binary<at::gt>}, {"GreaterOrEqual", binary<at::ge>}, {"And", binary<at::logical_and>},
        {"Or", binary<at::logical_or>}, {"Xor", binary<at::logical_xor>}, {"BitwiseAnd", binary<at::bitwise_and>},
        {"BitwiseOr", binary<at::bitwise_or>}, {"BitwiseXor", binary<at::bitwise_xor>}, {"Max", variadic<at::maximum>},
        {"Min", variadic<at::minimum>}, {"Sum", variadic<sumOf>}, {"Mean", mean}, {"Where", where}, {"Cast", cast},
        {"CastLike", castLike},
    };
    return kRows;
}

} // namespace bitwright
