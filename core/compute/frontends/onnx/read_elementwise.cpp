// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

namespace bitwright {

namespace {

Argument value(double number) { return Argument::of(c10::IValue(number)); }
Argument value(std::int64_t number) { return Argument::of(c10::IValue(number)); }

Status unary(OnnxReader &r)
{
    static const std::pair<const char *, const char *> kNames[] = {
        {"Relu", "relu"},   {"Sigmoid", "sigmoid"}, {"Tanh", "tanh"},   {"Exp", "exp"},     {"Sqrt", "sqrt"},
        {"Abs", "abs"},     {"Neg", "neg"},         {"Log", "log"},     {"Floor", "floor"}, {"Ceil", "ceil"},
        {"Round", "round"}, {"Erf", "erf"},         {"Sin", "sin"},     {"Cos", "cos"},     {"Sign", "sign"},
        {"Reciprocal", "reciprocal"}, {"Not", "logical_not"}, {"Softplus", "softplus"}, {"HardSwish", "hardswish"},
        {"Mish", "mish"}};
    for (const auto &[theirs, ours] : kNames) {
        if (r.node().op == theirs) {
            BW_ASSIGN(const Argument x, r.input(0));
            return r.emit(std::string("aten::") + ours, {x});
        }
    }
    return fail(ErrorKind::Internal, r.node().op + " is not in the table");
}

Status softsign(OnnxReader &r)
{
    BW_ASSIGN(const Argument x, r.input(0));
    BW_ASSIGN(const ValueId size, r.add("aten::abs", {x}));
    BW_ASSIGN(const ValueId below, r.add("aten::add.Scalar", {Argument::of(size), value(std::int64_t(1))}));
    return r.emit("aten::div.Tensor", {x, Argument::of(below)});
}

Status hardSigmoid(OnnxReader &r)
{
    const double alpha = r.number("alpha", 0.2), beta = r.number("beta", 0.5);
    BW_ASSIGN(const Argument x, r.input(0));
    if (float(alpha) == float(1.0 / 6) && beta == 0.5)
        return r.emit("aten::hardsigmoid", {x});
    BW_ASSIGN(const ValueId scaled, r.add("aten::mul.Scalar", {x, value(alpha)}));
    BW_ASSIGN(const ValueId shifted, r.add("aten::add.Scalar", {Argument::of(scaled), value(beta)}));
    return r.emit("aten::clamp", {Argument::of(shifted), value(0.0), value(1.0)});
}

Status leakyRelu(OnnxReader &r)
{
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::leaky_relu", {x, value(r.number("alpha", 0.01))});
}

Status elu(OnnxReader &r)
{
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::elu", {x, value(r.number("alpha", 1))});
}

Status selu(OnnxReader &r)
{
    // ATen's has its paper's factors built in.
    if (float(r.number("alpha", 1.6732632f)) != 1.6732632f || float(r.number("gamma", 1.0507010f)) != 1.0507010f)
        return fail(ErrorKind::Unsupported, "a SELU with factors of its own");
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::selu", {x});
}

Status celu(OnnxReader &r)
{
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::celu", {x, value(r.number("alpha", 1))});
}

// ATen's prelu wants one factor or one per channel; ONNX broadcasts from the right.
Status prelu(OnnxReader &r)
{
    if (r.opset() < 7)
        return fail(ErrorKind::Unsupported, "a PReLU of opset 6");
    BW_ASSIGN(const Argument x, r.input(0));
    BW_ASSIGN(const Argument slope, r.input(1, true));
    BW_ASSIGN(const ValueId positive, r.add("aten::clamp_min", {x, value(std::int64_t(0))}));
    BW_ASSIGN(const ValueId negative, r.add("aten::clamp_max", {x, value(std::int64_t(0))}));
    BW_ASSIGN(const ValueId scaled, r.add("aten::mul.Tensor", {Argument::of(negative), slope}));
    return r.emit("aten::add.Tensor", {Argument::of(positive), Argument::of(scaled)});
}

Status clip(OnnxReader &r)
{
    const auto limit = [&](const char *attribute, std::size_t index) -> Result<Argument> {
        if (r.opset() < 11) {
            const onnx::Attribute *found = r.node().attribute(attribute);
            return found ? value(double(found->f)) : Argument::of(c10::IValue());
        }
        if (!r.has(index))
            return Argument::of(c10::IValue());
        BW_ASSIGN(const at::Tensor bound, r.constant(index));
        if (bound.numel() != 1)
            return fail(ErrorKind::Parse, "a limit that is no number");
        return at::isFloatingType(bound.scalar_type()) ? value(bound.item().toDouble()) : value(bound.item().toLong());
    };
    BW_ASSIGN(const Argument low, limit("min", 1));
    BW_ASSIGN(const Argument high, limit("max", 2));
    BW_ASSIGN(const Argument x, r.input(0));
    if (low.constant.isNone() && high.constant.isNone()) {
        r.bind(x, r.rank(0));
        return {};
    }
    return r.emit("aten::clamp", {x, low, high});
}

Status softmax(OnnxReader &r)
{
    if (r.opset() < 13 && r.integer("axis", 1) != r.rank(0) - 1)
        return fail(ErrorKind::Unsupported, "a softmax over several dimensions");
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit(r.node().op == "Softmax" ? "aten::softmax.int" : "aten::log_softmax.int", {x, value(r.integer("axis", -1))});
}

/// A second operand that is one number stays a number, so that the node reads like the original.
Result<std::optional<c10::Scalar>> scalarOperand(OnnxReader &r, std::size_t index)
{
    if (!r.isConstant(index) || r.rank(index) != 0)
        return std::optional<c10::Scalar>();
    BW_ASSIGN(const at::Tensor found, r.constant(index));
    return std::optional<c10::Scalar>(found.item());
}

Status binary(OnnxReader &r)
{
    static const std::pair<const char *, const char *> kNames[] = {
        {"Add", "add"}, {"Sub", "sub"}, {"Mul", "mul"}, {"Div", "div"}, {"Equal", "eq"}, {"Less", "lt"},
        {"LessOrEqual", "le"}, {"Greater", "gt"}, {"GreaterOrEqual", "ge"}};
    for (const auto &[theirs, ours] : kNames) {
        if (r.node().op != theirs)
            continue;
        if (r.node().op == "Div" && !r.isFloating(0) && !r.isFloating(1))
            return fail(ErrorKind::Unsupported, "a division of what may be integers");
        BW_ASSIGN(const Argument a, r.input(0));
        BW_ASSIGN(const auto number, scalarOperand(r, 1));
        const std::int64_t rank = std::max(r.rank(0), r.rank(1));
        if (number && !r.isConstant(0) && std::string(ours) != "div")
            return r.emit(std::string("aten::") + ours + ".Scalar", {a, Argument::of(c10::IValue(*number))}, {}, rank);
        BW_ASSIGN(const Argument b, r.input(1));
        return r.emit(std::string("aten::") + ours + ".Tensor", {a, b}, {}, rank);
    }
    return fail(ErrorKind::Internal, r.node().op + " is not in the table");
}

Status power(OnnxReader &r)
{
    BW_ASSIGN(const Argument a, r.input(0));
    BW_ASSIGN(const auto number, scalarOperand(r, 1));
    if (number)
        return r.emit("aten::pow.Tensor_Scalar", {a, Argument::of(c10::IValue(*number))});
    BW_ASSIGN(const Argument b, r.input(1));
    return r.emit("aten::pow.Tensor_Tensor", {a, b}, {}, std::max(r.rank(0), r.rank(1)));
}

Status extremum(OnnxReader &r)
{
    const std::string op = r.node().op == "Max" ? "aten::maximum" : "aten::minimum";
    BW_ASSIGN(Argument sofar, r.input(0));
    std::int64_t rank = r.rank(0);
    for (std::size_t i = 1; i < r.node().inputs.size(); ++i) {
        BW_ASSIGN(const Argument next, r.input(i));
        BW_ASSIGN(const ValueId made, r.add(op, {sofar, next}));
        sofar = Argument::of(made);
        rank = std::max(rank, r.rank(i));
    }
    r.bind(sofar, rank);
    return {};
}

Status where(OnnxReader &r)
{
    BW_ASSIGN(const Argument condition, r.input(0));
    BW_ASSIGN(const Argument a, r.input(1));
    BW_ASSIGN(const Argument b, r.input(2));
    return r.emit("aten::where.self", {condition, a, b}, {}, std::max({r.rank(0), r.rank(1), r.rank(2)}));
}

Status gelu(OnnxReader &r)
{
    BW_ASSIGN(const Argument x, r.input(0));
    return r.emit("aten::gelu", {x}, {{"approximate", Argument::of(c10::IValue(r.text("approximate", "none")))}});
}

} // namespace

std::span<const OnnxReadingRow> onnxElementwiseReadings()
{
    static const OnnxReadingRow kRows[] = {
        {"Relu", unary}, {"Sigmoid", unary}, {"Tanh", unary}, {"Exp", unary}, {"Sqrt", unary}, {"Abs", unary}, {"Neg", unary},
        {"Log", unary}, {"Floor", unary}, {"Ceil", unary}, {"Round", unary}, {"Erf", unary}, {"Sin", unary}, {"Cos", unary},
        {"Sign", unary}, {"Reciprocal", unary}, {"Not", unary}, {"Softplus", unary}, {"HardSwish", unary}, {"Mish", unary},
        {"Softsign", softsign}, {"HardSigmoid", hardSigmoid}, {"LeakyRelu", leakyRelu}, {"Elu", elu}, {"Selu", selu},
        {"Celu", celu}, {"PRelu", prelu}, {"Clip", clip}, {"Softmax", softmax}, {"LogSoftmax", softmax}, {"Gelu", gelu},
        {"Add", binary}, {"Sub", binary}, {"Mul", binary}, {"Div", binary}, {"Equal", binary}, {"Less", binary},
        {"LessOrEqual", binary}, {"Greater", binary}, {"GreaterOrEqual", binary}, {"Pow", power}, {"Max", extremum},
        {"Min", extremum}, {"Where", where},
    };
    return kRows;
}

} // namespace bitwright
