// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/lowering.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitwright {

namespace {

using onnx::Attribute;
using Ints = std::vector<std::int64_t>;

Ints filled(Ints values, std::size_t size)
{
    if (values.size() == 1)
        values.resize(size, values[0]);
    return values;
}

Result<std::string> optional(OnnxWriter &w, const std::string &name)
{
    return w.absent(name) ? std::string() : w.tensor(name);
}

// A layer may be called without a batch dimension; ONNX always has one.
Result<std::string> withBatch(OnnxWriter &w, const std::string &x, std::int64_t rank, std::size_t spatial, bool &added)
{
    added = rank == std::int64_t(spatial) + 1;
    return added ? w.add("Unsqueeze", {x, w.integers({0})}) : x;
}

void withoutBatch(OnnxWriter &w, const std::string &y, bool added)
{
    if (added)
        w.add("Squeeze", {y, w.integers({0})}, {}, w.resultName());
}

Result<Ints> convolutionPads(OnnxWriter &w, const Ints &kernel, const Ints &dilation)
{
    Ints low, high;
    const Argument *padding = w.argument("padding");
    BW_ASSIGN(const auto value, w.plain(*padding));
    if (value.isString()) {
        const bool same = value.toStringRef() == "same";
        for (std::size_t i = 0; i < kernel.size(); ++i) {
            const std::int64_t total = same ? dilation[i] * (kernel[i] - 1) : 0;
            low.push_back(total / 2);
            high.push_back(total - total / 2);
        }
    } else {
        BW_ASSIGN(const auto given, w.ints("padding"));
        low = high = filled(given, kernel.size());
    }
    low.insert(low.end(), high.begin(), high.end());
    return low;
}

Status convolution(OnnxWriter &w)
{
    const TracedValue *weight = w.traced("weight");
    if (!weight || weight->rank() < 3)
        return fail(ErrorKind::Unsupported, "a convolution whose weight is unknown");
    const Ints kernel(weight->shape.begin() + 2, weight->shape.end());
    BW_ASSIGN(Ints stride, w.ints("stride"));
    BW_ASSIGN(Ints dilation, w.ints("dilation"));
    BW_ASSIGN(const std::int64_t groups, w.integer("groups"));
    stride = filled(stride, kernel.size());
    dilation = filled(dilation, kernel.size());
    BW_ASSIGN(const Ints pads, convolutionPads(w, kernel, dilation));
    BW_ASSIGN(const std::string input, w.tensor("input"));
    BW_ASSIGN(const std::string weightName, w.tensor("weight"));
    BW_ASSIGN(const std::string biasName, optional(w, "bias"));
    bool added = false;
    BW_ASSIGN(const std::string x, withBatch(w, input, w.result().rank(), kernel.size(), added));
    const std::string y = w.add("Conv", {x, weightName, biasName},
                                {Attribute::of("kernel_shape", kernel), Attribute::of("strides", stride),
                                 Attribute::of("pads", pads), Attribute::of("dilations", dilation), Attribute::of("group", groups)},
                                added ? std::string() : w.resultName());
    withoutBatch(w, y, added);
    return {};
}

Status transposedConvolution(OnnxWriter &w)
{
    const TracedValue *weight = w.traced("weight");
    if (!weight || weight->rank() < 3)
        return fail(ErrorKind::Unsupported, "a transposed convolution whose weight is unknown");
    const Ints kernel(weight->shape.begin() + 2, weight->shape.end());
    BW_ASSIGN(Ints stride, w.ints("stride"));
    BW_ASSIGN(Ints dilation, w.ints("dilation"));
    BW_ASSIGN(Ints padding, w.ints("padding"));
    BW_ASSIGN(Ints outputPadding, w.ints("output_padding"));
    BW_ASSIGN(const std::int64_t groups, w.integer("groups"));
    Ints pads = filled(padding, kernel.size());
    pads.insert(pads.end(), pads.begin(), pads.begin() + std::ptrdiff_t(kernel.size()));
    BW_ASSIGN(const std::string input, w.tensor("input"));
    BW_ASSIGN(const std::string weightName, w.tensor("weight"));
    BW_ASSIGN(const std::string biasName, optional(w, "bias"));
    bool added = false;
    BW_ASSIGN(const std::string x, withBatch(w, input, w.result().rank(), kernel.size(), added));
    const std::string y =
        w.add("ConvTranspose", {x, weightName, biasName},
              {Attribute::of("kernel_shape", kernel), Attribute::of("strides", filled(stride, kernel.size())),
               Attribute::of("pads", pads), Attribute::of("dilations", filled(dilation, kernel.size())),
               Attribute::of("output_padding", filled(outputPadding, kernel.size())), Attribute::of("group", groups)},
              added ? std::string() : w.resultName());
    withoutBatch(w, y, added);
    return {};
}

// Always Gemm with a bias: ONNX Runtime turns MatMul behind a dequantized weight into a product with requantized
// activations, and Gemm without a bias into an integer one that lacks 2 bits; both would differ from the simulation.
Status linear(OnnxWriter &w)
{
    const TracedValue *weight = w.traced("weight"), *input = w.traced("input");
    if (!weight || weight->rank() != 2 || !input || !input->tensor)
        return fail(ErrorKind::Unsupported, "a linear map whose weight or input is unknown");
    const std::int64_t outputs = weight->shape[0], features = weight->shape[1];
    BW_ASSIGN(std::string x, w.tensor("input"));
    BW_ASSIGN(const std::string weightName, w.tensor("weight"));
    BW_ASSIGN(std::string biasName, optional(w, "bias"));
    if (biasName.empty())
        biasName = w.initializer(at::zeros({outputs}), w.node().name + ".zero_bias");
    const bool flat = input->rank() == 2;
    const auto layer = w.layerInputs.find(&w.node());
    if (!flat && !(layer != w.layerInputs.end() && layer->second.flat))
        x = w.add("Reshape", {x, w.integers({-1, features})});
    const std::string y = w.add("Gemm", {x, weightName, biasName}, {Attribute::of("transB", std::int64_t(1))},
                                flat ? w.resultName() : std::string());
    if (!flat)
        BW_CHECK(w.reshape(y, w.result().shape, {}, w.resultName()));
    return {};
}

Status addmm(OnnxWriter &w)
{
    BW_ASSIGN(const std::string c, w.tensor("self"));
    BW_ASSIGN(const std::string a, w.tensor("mat1"));
    BW_ASSIGN(const std::string b, w.tensor("mat2"));
    BW_ASSIGN(const double alpha, w.number("alpha"));
    BW_ASSIGN(const double beta, w.number("beta"));
    w.add("Gemm", {a, b, c}, {Attribute::of("alpha", float(alpha)), Attribute::of("beta", float(beta))}, w.resultName());
    return {};
}

Status matmul(OnnxWriter &w)
{
    std::vector<std::string> names;
    for (const Argument &argument : w.node().arguments) {
        if (names.size() == 2)
            break;
        BW_ASSIGN(auto name, w.tensor(argument));
        names.push_back(std::move(name));
    }
    w.add("MatMul", names, {}, w.resultName());
    return {};
}

Status einsum(OnnxWriter &w)
{
    BW_ASSIGN(const std::string equation, w.text("equation"));
    BW_ASSIGN(const auto names, w.tensors(*w.argument("tensors")));
    w.add("Einsum", names, {Attribute::of("equation", equation)}, w.resultName());
    return {};
}

// softmax(q k' / sqrt(d) + mask) v
Status attention(OnnxWriter &w)
{
    BW_ASSIGN(const bool causal, w.flag("is_causal"));
    const TracedValue *query = w.traced("query"), *key = w.traced("key");
    if (causal || !query || !key || query->rank() < 3)
        return fail(ErrorKind::Unsupported, "causal attention");
    const auto rank = std::size_t(key->rank());
    double scale = 1 / std::sqrt(double(query->shape.back()));
    if (!w.absent("scale")) {
        BW_ASSIGN(scale, w.number("scale"));
    }
    BW_ASSIGN(const std::string q, w.tensor("query"));
    BW_ASSIGN(const std::string k, w.tensor("key"));
    BW_ASSIGN(const std::string v, w.tensor("value"));
    Ints order(rank);
    for (std::size_t i = 0; i < rank; ++i)
        order[i] = std::int64_t(i);
    std::swap(order[rank - 1], order[rank - 2]);
    const std::string transposed = w.add("Transpose", {k}, {Attribute::of("perm", order)});
    std::string scores = w.add("Mul", {w.add("MatMul", {q, transposed}), w.scalar(scale)});
    if (!w.absent("attn_mask")) {
        const TracedValue *mask = w.traced("attn_mask");
        BW_ASSIGN(std::string name, w.tensor("attn_mask"));
        if (mask && mask->type == at::kBool)
            scores = w.add("Where", {name, scores, w.scalar(-std::numeric_limits<double>::infinity())});
        else
            scores = w.add("Add", {scores, name});
    }
    w.add("MatMul", {w.add("Softmax", {scores}, {Attribute::of("axis", std::int64_t(-1))}), v}, {}, w.resultName());
    return {};
}

Result<std::string> orFilled(OnnxWriter &w, const std::string &name, std::int64_t size, double value)
{
    if (!w.absent(name))
        return w.tensor(name);
    return w.initializer(at::full({size}, value, at::TensorOptions(at::kFloat)), w.node().name + "." + name);
}

Status batchNorm(OnnxWriter &w)
{
    if (w.absent("running_mean") || w.absent("running_var"))
        return fail(ErrorKind::Unsupported, "a batch norm without running statistics");
    const TracedValue *mean = w.traced("running_mean");
    const std::int64_t channels = mean && !mean->shape.empty() ? mean->shape[0] : 0;
    BW_ASSIGN(const double eps, w.number("eps"));
    BW_ASSIGN(const std::string x, w.tensor("input"));
    BW_ASSIGN(const std::string gamma, orFilled(w, "weight", channels, 1));
    BW_ASSIGN(const std::string beta, orFilled(w, "bias", channels, 0));
    BW_ASSIGN(const std::string meanName, w.tensor("running_mean"));
    BW_ASSIGN(const std::string variance, w.tensor("running_var"));
    w.add("BatchNormalization", {x, gamma, beta, meanName, variance}, {Attribute::of("epsilon", float(eps))}, w.resultName());
    return {};
}

Status layerNorm(OnnxWriter &w)
{
    w.need(17);
    BW_ASSIGN(const Ints shape, w.ints("normalized_shape"));
    BW_ASSIGN(const double eps, w.number("eps"));
    BW_ASSIGN(const std::string x, w.tensor("input"));
    std::string gamma, beta;
    if (w.absent("weight")) {
        gamma = w.initializer(at::ones(shape), w.node().name + ".ones");
    } else {
        BW_ASSIGN(gamma, w.tensor("weight"));
    }
    if (!w.absent("bias")) {
        BW_ASSIGN(beta, w.tensor("bias"));
    }
    w.add("LayerNormalization", {x, gamma, beta},
          {Attribute::of("axis", -std::int64_t(shape.size())), Attribute::of("epsilon", float(eps))}, w.resultName());
    return {};
}

// Per-channel factors and offsets over [N, C, ...].
Result<std::string> scaleAndShift(OnnxWriter &w, std::string y, std::int64_t rank)
{
    Ints shape(std::size_t(rank - 1), 1);
    shape[0] = -1;
    const bool hasBias = !w.absent("bias");
    if (!w.absent("weight")) {
        BW_ASSIGN(const std::string gamma, w.tensor("weight"));
        y = w.add("Mul", {y, w.add("Reshape", {gamma, w.integers(shape)})}, {}, hasBias ? std::string() : w.resultName());
    }
    if (hasBias) {
        BW_ASSIGN(const std::string beta, w.tensor("bias"));
        y = w.add("Add", {y, w.add("Reshape", {beta, w.integers(shape)})}, {}, w.resultName());
    }
    return y;
}

Status groupNorm(OnnxWriter &w)
{
    BW_ASSIGN(const std::int64_t groups, w.integer("num_groups"));
    BW_ASSIGN(const double eps, w.number("eps"));
    BW_ASSIGN(const std::string x, w.tensor("input"));
    const std::string cut = w.add("Reshape", {x, w.integers({0, groups, -1})});
    const std::string ones = w.initializer(at::ones({groups}), w.node().name + ".ones");
    const std::string zeros = w.initializer(at::zeros({groups}), w.node().name + ".zeros");
    const std::string y = w.add("InstanceNormalization", {cut, ones, zeros}, {Attribute::of("epsilon", float(eps))});
    const bool plain = w.absent("weight") && w.absent("bias");
    BW_ASSIGN(const std::string whole, w.reshape(y, w.result().shape, {}, plain ? w.resultName() : std::string()));
    if (!plain)
        BW_CHECK(scaleAndShift(w, whole, w.result().rank()));
    return {};
}

Status instanceNorm(OnnxWriter &w)
{
    BW_ASSIGN(const bool own, w.flag("use_input_stats"));
    if (!own)
        return fail(ErrorKind::Unsupported, "an instance norm with running statistics");
    const std::int64_t channels = w.result().rank() > 1 ? w.result().shape[1] : 0;
    BW_ASSIGN(const double eps, w.number("eps"));
    BW_ASSIGN(const std::string x, w.tensor("input"));
    BW_ASSIGN(const std::string gamma, orFilled(w, "weight", channels, 1));
    BW_ASSIGN(const std::string beta, orFilled(w, "bias", channels, 0));
    w.add("InstanceNormalization", {x, gamma, beta}, {Attribute::of("epsilon", float(eps))}, w.resultName());
    return {};
}

Status embedding(OnnxWriter &w)
{
    BW_ASSIGN(const std::string table, w.tensor("weight"));
    BW_ASSIGN(const std::string indices, w.tensor("indices"));
    w.add("Gather", {table, indices}, {Attribute::of("axis", std::int64_t(0))}, w.resultName());
    return {};
}

} // namespace

std::span<const LoweringRow> layerLowerings()
{
    static const LoweringRow kRows[] = {
        {"conv1d", convolution}, {"conv2d", convolution}, {"conv3d", convolution},
        {"conv_transpose1d", transposedConvolution}, {"conv_transpose2d", transposedConvolution},
        {"conv_transpose3d", transposedConvolution},
        {"linear", linear}, {"addmm", addmm}, {"matmul", matmul}, {"mm", matmul}, {"bmm", matmul}, {"einsum", einsum},
        {"scaled_dot_product_attention", attention},
        {"batch_norm", batchNorm}, {"layer_norm", layerNorm}, {"group_norm", groupNorm}, {"instance_norm", instanceNorm},
        {"embedding", embedding},
    };
    return kRows;
}

} // namespace bitwright
