// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/lowering.h"

#include <ATen/ATen.h>

#include <numbers>

namespace bitwright {

namespace {

using onnx::Attribute;

std::string baseName(const OnnxWriter &w)
{
    const std::string &op = w.node().op;
    const std::size_t begin = op.find("::") + 2;
    return op.substr(begin, op.find('.', begin) - begin);
}

Result<std::string> self(OnnxWriter &w)
{
    const Argument &first = w.node().arguments.front();
    const TracedValue *known = w.traced(first);
    BW_ASSIGN(const std::string name, w.tensor(first));
    // An integer into a function that gives floats is converted first.
    if (known && known->tensor && known->type != w.result().type && at::isFloatingType(w.result().type) && known->type != at::kBool)
        return w.cast(name, known->type, w.result().type);
    return name;
}

// Functions that ONNX has under one name, without options.
Status direct(OnnxWriter &w)
{
    static const std::pair<const char *, const char *> kNames[] = {
        {"relu", "Relu"},     {"sigmoid", "Sigmoid"}, {"tanh", "Tanh"},   {"exp", "Exp"},       {"sqrt", "Sqrt"},
        {"abs", "Abs"},       {"neg", "Neg"},         {"log", "Log"},     {"floor", "Floor"},   {"ceil", "Ceil"},
        {"round", "Round"},   {"erf", "Erf"},         {"sin", "Sin"},     {"cos", "Cos"},       {"sign", "Sign"},
        {"reciprocal", "Reciprocal"}, {"softsign", "Softsign"}, {"logical_not", "Not"}, {"bitwise_not", "Not"}};
    const std::string op = baseName(w);
    for (const auto &[ours, theirs] : kNames) {
        if (op == ours) {
            BW_ASSIGN(const std::string x, self(w));
            w.add(theirs, {x}, {}, w.resultName());
            return {};
        }
    }
    return fail(ErrorKind::Internal, op + " is not a direct operator");
}

Status clip(OnnxWriter &w)
{
    const std::string op = baseName(w);
    BW_ASSIGN(const std::string x, self(w));
    const auto limit = [&](const char *name) -> Result<std::string> {
        if (w.absent(name))
            return std::string();
        BW_ASSIGN(const double value, w.number(name));
        return w.scalar(value, w.result().type);
    };
    std::string low, high;
    if (op == "relu6") {
        low = w.scalar(0, w.result().type);
        high = w.scalar(6, w.result().type);
    } else if (op == "hardtanh") {
        BW_ASSIGN(low, limit("min_val"));
        BW_ASSIGN(high, limit("max_val"));
    } else {
        if (op != "clamp_max") {
            BW_ASSIGN(low, limit("min"));
        }
        if (op != "clamp_min") {
            BW_ASSIGN(high, limit("max"));
        }
    }
    w.add("Clip", {x, low, high}, {}, w.resultName());
    return {};
}

std::string hardSigmoidOf(OnnxWriter &w, const std::string &x, const std::string &target = {})
{
    return w.add("HardSigmoid", {x}, {Attribute::of("alpha", float(1.0 / 6)), Attribute::of("beta", 0.5f)}, target);
}

Status hardSigmoid(OnnxWriter &w)
{
    BW_ASSIGN(const std::string x, self(w));
    hardSigmoidOf(w, x, w.resultName());
    return {};
}

Status hardSwish(OnnxWriter &w)
{
    BW_ASSIGN(const std::string x, self(w));
    w.add("Mul", {x, hardSigmoidOf(w, x)}, {}, w.resultName());
    return {};
}

Status silu(OnnxWriter &w)
{
    BW_ASSIGN(const std::string x, self(w));
    w.add("Mul", {x, w.add("Sigmoid", {x})}, {}, w.resultName());
    return {};
}

Status mish(OnnxWriter &w)
{
    BW_ASSIGN(const std::string x, self(w));
    w.add("Mul", {x, w.add("Tanh", {w.add("Softplus", {x})})}, {}, w.resultName());
    return {};
}

Status softplus(OnnxWriter &w)
{
    BW_ASSIGN(const double beta, w.number("beta"));
    BW_ASSIGN(const std::string x, self(w));
    if (beta == 1) {
        w.add("Softplus", {x}, {}, w.resultName());
        return {};
    }
    const std::string scaled = w.add("Softplus", {w.add("Mul", {x, w.scalar(beta)})});
    w.add("Div", {scaled, w.scalar(beta)}, {}, w.resultName());
    return {};
}

Status gelu(OnnxWriter &w)
{
    BW_ASSIGN(const std::string approximate, w.text("approximate"));
    BW_ASSIGN(const std::string x, self(w));
    std::string inner;
    if (approximate == "tanh") {
        const std::string cube = w.add("Mul", {w.add("Mul", {x, x}), x});
        const std::string sum = w.add("Add", {x, w.add("Mul", {cube, w.scalar(0.044715)})});
        inner = w.add("Tanh", {w.add("Mul", {sum, w.scalar(std::numbers::sqrt2 * std::numbers::inv_sqrtpi)})});
    } else {
        inner = w.add("Erf", {w.add("Mul", {x, w.scalar(1 / std::numbers::sqrt2)})});
    }
    const std::string half = w.add("Mul", {x, w.scalar(0.5)});
    w.add("Mul", {half, w.add("Add", {inner, w.scalar(1)})}, {}, w.resultName());
    return {};
}

Status leakyRelu(OnnxWriter &w)
{
    BW_ASSIGN(const double slope, w.number("negative_slope"));
    BW_ASSIGN(const std::string x, self(w));
    w.add("LeakyRelu", {x}, {Attribute::of("alpha", float(slope))}, w.resultName());
    return {};
}

Status elu(OnnxWriter &w)
{
    BW_ASSIGN(const double alpha, w.number("alpha"));
    BW_ASSIGN(const double scale, w.number("scale"));
    BW_ASSIGN(const double inputScale, w.number("input_scale"));
    BW_ASSIGN(const std::string x, self(w));
    if (inputScale != 1)
        return fail(ErrorKind::Unsupported, "elu with an input scale");
    const std::string y = w.add("Elu", {x}, {Attribute::of("alpha", float(alpha))}, scale == 1 ? w.resultName() : std::string());
    if (scale != 1)
        w.add("Mul", {y, w.scalar(scale)}, {}, w.resultName());
    return {};
}

Status selu(OnnxWriter &w)
{
    BW_ASSIGN(const std::string x, self(w));
    w.add("Selu", {x}, {}, w.resultName());
    return {};
}

Status celu(OnnxWriter &w)
{
    BW_ASSIGN(const double alpha, w.number("alpha"));
    BW_ASSIGN(const std::string x, self(w));
    w.add("Celu", {x}, {Attribute::of("alpha", float(alpha))}, w.resultName());
    return {};
}

Status prelu(OnnxWriter &w)
{
    const TracedValue *slope = w.traced("weight");
    BW_ASSIGN(const std::string x, w.tensor("self"));
    BW_ASSIGN(std::string name, w.tensor("weight"));
    if (slope && slope->rank() == 1 && slope->shape[0] > 1 && w.result().rank() > 2) {
        std::vector<std::int64_t> shape(std::size_t(w.result().rank() - 1), 1);
        shape[0] = slope->shape[0];
        name = w.add("Reshape", {name, w.integers(shape)});
    }
    w.add("PRelu", {x, name}, {}, w.resultName());
    return {};
}

Status softmax(OnnxWriter &w)
{
    BW_ASSIGN(const std::int64_t axis, w.integer("dim"));
    BW_ASSIGN(const std::string x, self(w));
    w.add(baseName(w).find("log") != std::string::npos ? "LogSoftmax" : "Softmax", {x}, {Attribute::of("axis", axis)}, w.resultName());
    return {};
}

// ---- two operands ----

at::ScalarType operandType(const OnnxWriter &w, bool comparison)
{
    if (!comparison)
        return w.result().type;
    at::ScalarType type = at::kFloat;
    bool found = false;
    for (const char *name : {"self", "other"}) {
        if (const TracedValue *known = w.traced(name); known && known->tensor) {
            type = found ? c10::promoteTypes(type, known->type) : known->type;
            found = true;
        }
    }
    return type;
}

Status arithmetic(OnnxWriter &w)
{
    const std::string op = baseName(w);
    const at::ScalarType type = operandType(w, false);
    BW_ASSIGN(std::string a, w.operand("self", type));
    BW_ASSIGN(std::string b, w.operand("other", type));
    if (op == "add" || op == "sub" || op == "rsub") {
        double alpha = 1;
        if (!w.absent("alpha")) {
            BW_ASSIGN(alpha, w.number("alpha"));
        }
        std::string &scaled = op == "rsub" ? a : b;
        if (alpha != 1)
            scaled = w.add("Mul", {scaled, w.scalar(alpha, type)});
        if (op == "rsub")
            std::swap(a, b);
        w.add(op == "add" ? "Add" : "Sub", {a, b}, {}, w.resultName());
        return {};
    }
    if (op == "div" && !w.absent("rounding_mode")) {
        BW_ASSIGN(const std::string mode, w.text("rounding_mode"));
        if (mode != "floor" || !at::isFloatingType(type))
            return fail(ErrorKind::Unsupported, "a division that rounds to " + mode);
        w.add("Floor", {w.add("Div", {a, b})}, {}, w.resultName());
        return {};
    }
    w.add(op == "mul" ? "Mul" : "Div", {a, b}, {}, w.resultName());
    return {};
}

Status power(OnnxWriter &w)
{
    const at::ScalarType type = w.result().type;
    BW_ASSIGN(const std::string a, w.operand("self", type));
    BW_ASSIGN(const std::string b, w.operand("exponent", type));
    w.add("Pow", {a, b}, {}, w.resultName());
    return {};
}

Status square(OnnxWriter &w)
{
    BW_ASSIGN(const std::string x, self(w));
    w.add("Mul", {x, x}, {}, w.resultName());
    return {};
}

Status reciprocalRoot(OnnxWriter &w)
{
    BW_ASSIGN(const std::string x, self(w));
    w.add("Reciprocal", {w.add("Sqrt", {x})}, {}, w.resultName());
    return {};
}

Status extremum(OnnxWriter &w)
{
    const std::string op = baseName(w);
    const at::ScalarType type = operandType(w, false);
    BW_ASSIGN(const std::string a, w.operand("self", type));
    BW_ASSIGN(const std::string b, w.operand("other", type));
    w.add(op.starts_with("max") ? "Max" : "Min", {a, b}, {}, w.resultName());
    return {};
}

Status comparison(OnnxWriter &w)
{
    const std::string op = baseName(w);
    const at::ScalarType type = operandType(w, true);
    BW_ASSIGN(const std::string a, w.operand("self", type));
    BW_ASSIGN(const std::string b, w.operand("other", type));
    const char *name = op == "eq" || op == "ne" ? "Equal" : op == "lt" ? "Less" : op == "le" ? "LessOrEqual"
                     : op == "gt" ? "Greater" : "GreaterOrEqual";
    const std::string y = w.add(name, {a, b}, {}, op == "ne" ? std::string() : w.resultName());
    if (op == "ne")
        w.add("Not", {y}, {}, w.resultName());
    return {};
}

Status where(OnnxWriter &w)
{
    BW_ASSIGN(const std::string condition, w.tensor("condition"));
    BW_ASSIGN(const std::string a, w.operand("self", w.result().type));
    BW_ASSIGN(const std::string b, w.operand("other", w.result().type));
    w.add("Where", {condition, a, b}, {}, w.resultName());
    return {};
}

Status maskedFill(OnnxWriter &w)
{
    BW_ASSIGN(const std::string mask, w.tensor("mask"));
    BW_ASSIGN(const std::string x, w.tensor("self"));
    BW_ASSIGN(const std::string value, w.operand("value", w.result().type));
    w.add("Where", {mask, value, x}, {}, w.resultName());
    return {};
}

} // namespace

std::span<const LoweringRow> elementwiseLowerings()
{
    static const LoweringRow kRows[] = {
        {"relu", direct}, {"sigmoid", direct}, {"tanh", direct}, {"exp", direct}, {"sqrt", direct}, {"abs", direct},
        {"neg", direct}, {"log", direct}, {"floor", direct}, {"ceil", direct}, {"round", direct}, {"erf", direct},
        {"sin", direct}, {"cos", direct}, {"sign", direct}, {"reciprocal", direct}, {"softsign", direct},
        {"logical_not", direct}, {"bitwise_not", direct},
        {"relu6", clip}, {"hardtanh", clip}, {"clamp", clip}, {"clip", clip}, {"clamp_min", clip}, {"clamp_max", clip},
        {"hardsigmoid", hardSigmoid}, {"hardswish", hardSwish}, {"silu", silu}, {"mish", mish}, {"softplus", softplus},
        {"gelu", gelu}, {"leaky_relu", leakyRelu}, {"elu", elu}, {"selu", selu}, {"celu", celu}, {"prelu", prelu},
        {"softmax", softmax}, {"_softmax", softmax}, {"log_softmax", softmax}, {"_log_softmax", softmax},
        {"add", arithmetic}, {"sub", arithmetic}, {"rsub", arithmetic}, {"mul", arithmetic}, {"div", arithmetic},
        {"pow", power}, {"square", square}, {"rsqrt", reciprocalRoot}, {"maximum", extremum}, {"minimum", extremum},
        {"eq", comparison}, {"ne", comparison}, {"lt", comparison}, {"le", comparison}, {"gt", comparison}, {"ge", comparison},
        {"where", where}, {"masked_fill", maskedFill},
    };
    return kRows;
}

} // namespace bitwright
