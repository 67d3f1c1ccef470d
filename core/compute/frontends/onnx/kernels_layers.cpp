// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include <ATen/ExpandUtils.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

using at::Tensor;
using Ints = std::vector<std::int64_t>;

namespace {

/// Numbers that no window has, whose products would overflow.
void checkWindow(const Ints &kernel, const Ints &stride, const Ints &dilation)
{
    constexpr std::int64_t kMost = std::int64_t(1) << 31;
    const auto sane = [](std::int64_t number) { return number > 0 && number < kMost; };
    TORCH_CHECK(std::ranges::all_of(kernel, [](std::int64_t number) { return number >= 0 && number < kMost; }) && std::ranges::all_of(stride, sane) &&
                    std::ranges::all_of(dilation, sane), "a window or stride of an impossible size");
}

void checkPads(const Ints &pads)
{
    TORCH_CHECK(std::ranges::all_of(pads, [](std::int64_t pad) { return pad > -(1LL << 31) && pad < (1LL << 31); }), "a padding of an impossible size");
}

} // namespace

std::vector<std::int64_t> spatialPads(const OnnxCall &call, const Ints &size, const Ints &kernel, const Ints &stride, const Ints &dilation)
{
    const std::string automatic = call.text("auto_pad", "NOTSET");
    const std::size_t spatial = kernel.size();
    checkWindow(kernel, stride, dilation);
    TORCH_CHECK(size.size() >= spatial && stride.size() >= spatial && dilation.size() >= spatial, "a window over ", spatial, " of ", size.size(), " dimensions");
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
        Ints pads(spatial * 2, 0);
        for (std::size_t i = 0; i < spatial; ++i) {
            const std::int64_t reach = (kernel[i] - 1) * dilation[i] + 1, out = (size[i] + stride[i] - 1) / stride[i];
            const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * stride[i] + reach - size[i]);
            const std::int64_t less = total / 2;
            pads[i] = automatic == "SAME_UPPER" ? less : total - less;
            pads[i + spatial] = total - pads[i];
        }
        return pads;
    }
    const Ints pads = automatic == "VALID" ? Ints(spatial * 2, 0) : orElse(call.integers("pads"), spatial * 2, 0);
    checkPads(pads);
    return pads;
}

std::vector<std::int64_t> padOrder(const Ints &pads)
{
    const std::size_t spatial = pads.size() / 2;
    Ints ours;
    for (std::size_t i = spatial; i-- > 0;) {
        ours.push_back(pads[i]);
        ours.push_back(pads[i + spatial]);
    }
    return ours;
}

at::Tensor padSpatial(const Tensor &x, const Ints &pads, double fill)
{
    if (std::ranges::all_of(pads, [](auto pad) { return pad == 0; }))
        return x;
    return at::constant_pad_nd(x, padOrder(pads), fill);
}

at::Tensor convolve(const OnnxCall &call, const Tensor &x, const Tensor &weight, const std::optional<Tensor> &bias)
{
    TORCH_CHECK(x.dim() >= 3 && weight.dim() == x.dim(), "a convolution of ", x.dim(), " dimensions with a weight of ", weight.dim());
    const auto spatial = std::size_t(x.dim() - 2);
    const Ints kernel(weight.sizes().begin() + 2, weight.sizes().end()), size(x.sizes().begin() + 2, x.sizes().end());
    const Ints stride = orElse(call.integers("strides"), spatial, 1), dilation = orElse(call.integers("dilations"), spatial, 1);
    const Ints pads = spatialPads(call, size, kernel, stride, dilation);
    Ints common(spatial), zeros(spatial, 0);
    bool even = true;
    for (std::size_t i = 0; i < spatial; ++i) {
        common[i] = pads[i];
        even &= pads[i] == pads[i + spatial] && pads[i] >= 0;
    }
    return at::convolution(even ? x : padSpatial(x, pads, 0), weight, bias, stride, even ? common : zeros, dilation, false, zeros,
                           call.integer("group", 1));
}

namespace {

OnnxValues conv(const OnnxCall &call, const OnnxValues &in) { return {convolve(call, tensorIn(in, 0), tensorIn(in, 1), optionalIn(in, 2))}; }

OnnxValues convTranspose(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), weight = tensorIn(in, 1);
    TORCH_CHECK(x.dim() >= 3 && weight.dim() == x.dim(), "a transposed convolution of ", x.dim(), " dimensions");
    const auto spatial = std::size_t(x.dim() - 2);
    const Ints stride = orElse(call.integers("strides"), spatial, 1), dilation = orElse(call.integers("dilations"), spatial, 1);
    const Ints extra = orElse(call.integers("output_padding"), spatial, 0), wanted = call.integers("output_shape");
    const std::string automatic = call.text("auto_pad", "NOTSET");
    Ints pads = orElse(call.integers("pads"), spatial * 2, 0), full(spatial), zeros(spatial, 0);
    checkWindow({}, stride, dilation);
    checkPads(pads);
    checkPads(extra);
    checkPads(wanted);
    TORCH_CHECK(wanted.empty() || wanted.size() >= spatial, "an output shape of ", wanted.size(), " dimensions");
    for (std::size_t i = 0; i < spatial; ++i) {
        const std::int64_t reach = (weight.size(std::int64_t(i) + 2) - 1) * dilation[i] + 1;
        full[i] = (x.size(std::int64_t(i) + 2) - 1) * stride[i] + reach + extra[i];
        const bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
        if (!wanted.empty() || same) {
            const std::int64_t target = wanted.empty() ? x.size(std::int64_t(i) + 2) * stride[i] : wanted[wanted.size() - spatial + i];
            const std::int64_t total = std::max<std::int64_t>(0, full[i] - target), less = total / 2;
            pads[i] = automatic == "SAME_UPPER" ? less : total - less;
            pads[i + spatial] = total - pads[i];
            full[i] = std::max(full[i], target);
        }
    }
    Tensor made = at::convolution(x, weight, optionalIn(in, 2), stride, zeros, dilation, true, zeros, call.integer("group", 1));
    for (std::size_t i = 0; i < spatial; ++i) {
        const auto axis = std::int64_t(i) + 2;
        const std::int64_t missing = full[i] - made.size(axis);
        if (missing > 0) {
            // Output padding lengthens the end by values that only the bias reaches.
            Ints sizes = made.sizes().vec();
            sizes[std::size_t(axis)] = missing;
            Tensor tail = at::zeros(sizes, made.options());
            if (given(in, 2)) {
                Ints shape(std::size_t(made.dim()), 1);
                shape[1] = -1;
                tail = tail + tensorIn(in, 2).reshape(shape);
            }
            made = at::cat({made, tail}, axis);
        }
        made = made.narrow(axis, pads[i], made.size(axis) - pads[i] - pads[i + spatial]);
    }
    return {made};
}

/// Sums, counts and maxima of windows are all read from this view: one more dimension per spatial one, the taps.
struct Window {
    Ints size, kernel, stride, dilation, pads, out;
};

Window windowOf(const OnnxCall &call, const Tensor &x)
{
    Window w;
    w.kernel = call.integers("kernel_shape");
    const std::size_t spatial = w.kernel.size();
    TORCH_CHECK(spatial > 0 && std::int64_t(spatial) == x.dim() - 2, "a pooling over ", spatial, " of ", x.dim() - 2, " dimensions");
    w.size.assign(x.sizes().begin() + 2, x.sizes().end());
    w.stride = orElse(call.integers("strides"), spatial, 1);
    w.dilation = orElse(call.integers("dilations"), spatial, 1);
    for (std::size_t i = 0; i < spatial; ++i)
        TORCH_CHECK(w.kernel[i] > 0 && w.stride[i] > 0 && w.dilation[i] > 0, "a pooling with a window or stride of zero");
    w.pads = spatialPads(call, w.size, w.kernel, w.stride, w.dilation);
    const bool ceil = call.integer("ceil_mode", 0) != 0;
    for (std::size_t i = 0; i < spatial; ++i) {
        const std::int64_t reach = (w.kernel[i] - 1) * w.dilation[i] + 1, room = w.size[i] + w.pads[i] + w.pads[i + spatial] - reach;
        std::int64_t out = (ceil ? (room + w.stride[i] - 1) : room) / w.stride[i] + 1;
        // A window that would begin in the padding at the end is left out.
        if (ceil && (out - 1) * w.stride[i] >= w.size[i] + w.pads[i])
            --out;
        TORCH_CHECK(out > 0, "a pooling whose window is larger than its input");
        w.out.push_back(out);
    }
    return w;
}

/// Positions of the windows' taps along one dimension in the unpadded input, [out, kernel].
Tensor taps(const Window &w, std::size_t i)
{
    return (at::arange(w.out[i]) * w.stride[i] - w.pads[i]).unsqueeze(1) + (at::arange(w.kernel[i]) * w.dilation[i]).unsqueeze(0);
}

/// x with each spatial dimension replaced by [out, kernel], `fill` outside the input.
Tensor unfolded(const Tensor &x, const Window &w, const at::Scalar &fill)
{
    Tensor made = x;
    std::int64_t axis = 2;
    for (std::size_t i = 0; i < w.kernel.size(); ++i, axis += 2) {
        const Tensor place = taps(w, i);
        const Tensor real = at::logical_and(place >= 0, place < w.size[i]);
        Tensor picked = made.index_select(axis, place.clamp(0, w.size[i] - 1).reshape({-1}));
        Ints shape = picked.sizes().vec(), mask(std::size_t(picked.dim() + 1), 1);
        shape[std::size_t(axis)] = w.out[i];
        shape.insert(shape.begin() + axis + 1, w.kernel[i]);
        mask[std::size_t(axis)] = w.out[i];
        mask[std::size_t(axis) + 1] = w.kernel[i];
        made = at::where(real.reshape(mask), picked.reshape(shape), at::scalar_tensor(fill, x.options()));
    }
    return made;
}

/// unfolded() with all taps in the last dimension.
Tensor windows(const Tensor &x, const Window &w, const at::Scalar &fill)
{
    const Tensor made = unfolded(x, w, fill);
    Ints order{0, 1};
    for (std::int64_t i = 2; i < made.dim(); i += 2)
        order.push_back(i);
    for (std::int64_t i = 3; i < made.dim(); i += 2)
        order.push_back(i);
    return made.permute(order).flatten(2 + std::int64_t(w.kernel.size()));
}

OnnxValues maxPool(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Window w = windowOf(call, x);
    const bool floating = x.is_floating_point();
    const at::Scalar low = floating ? at::Scalar(-std::numeric_limits<double>::infinity())
                                    : at::Scalar(x.scalar_type() == at::kByte ? 0 : x.scalar_type() == at::kChar ? -128 : std::numeric_limits<std::int32_t>::min());
    const auto [values, tap] = windows(x, w, low).max(-1);
    OnnxValues made{values};
    if (call.node.outputs.size() < 2)
        return made;
    // The index of the maximum in the flattened input.
    const std::size_t spatial = w.kernel.size();
    Tensor rest = tap, linear = at::zeros_like(tap);
    const bool columns = call.integer("storage_order", 0) != 0;
    std::int64_t stride = 1;
    std::vector<Tensor> places(spatial);
    for (std::size_t i = spatial; i-- > 0;) {
        const Tensor here = at::remainder(rest, w.kernel[i]);
        rest = at::div(rest, w.kernel[i], "floor");
        Ints shape(std::size_t(tap.dim()), 1);
        shape[2 + i] = w.out[i];
        places[i] = (at::arange(w.out[i]) * w.stride[i] - w.pads[i]).reshape(shape) + here * w.dilation[i];
    }
    for (std::size_t step = 0; step < spatial; ++step) {
        const std::size_t i = columns ? step : spatial - 1 - step;
        linear = linear + places[i] * stride;
        stride *= w.size[i];
    }
    std::int64_t plane = 1;
    for (auto size : w.size)
        plane *= size;
    Ints shape(std::size_t(tap.dim()), 1);
    shape[0] = x.size(0);
    shape[1] = x.size(1);
    linear = linear + (at::arange(x.size(0) * x.size(1)) * plane).reshape(shape);
    made.emplace_back(linear);
    return made;
}

OnnxValues averagePool(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Window w = windowOf(call, x);
    const Tensor total = windows(x, w, 0).sum(-1);
    const bool counts = call.integer("count_include_pad", 0) != 0;
    Tensor share = at::ones({}, x.options());
    for (std::size_t i = 0; i < w.kernel.size(); ++i) {
        const Tensor place = taps(w, i);
        const std::int64_t low = counts ? -w.pads[i] : 0, high = w.size[i] + (counts ? w.pads[i + w.kernel.size()] : 0);
        Ints shape(std::size_t(x.dim()), 1);
        shape[2 + i] = w.out[i];
        share = share * at::logical_and(place >= low, place < high).sum(1).to(x.scalar_type()).reshape(shape);
    }
    return {total / share};
}

OnnxValues lpPool(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const double p = double(call.integer("p", 2));
    return {windows(x.abs().pow(p), windowOf(call, x), 0).sum(-1).pow(1 / p)};
}

OnnxValues maxUnpool(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), index = tensorIn(in, 1);
    const Ints kernel = call.integers("kernel_shape");
    const std::size_t spatial = kernel.size();
    const Ints stride = orElse(call.integers("strides"), spatial, 1), pads = orElse(call.integers("pads"), spatial * 2, 0);
    Ints inferred = x.sizes().vec();
    checkWindow(kernel, stride, {});
    checkPads(pads);
    for (std::size_t i = 0; i < spatial; ++i)
        inferred.at(2 + i) = (x.size(std::int64_t(i) + 2) - 1) * stride[i] - pads[i] - pads[i + spatial] + kernel[i];
    const Ints shape = given(in, 2) ? intsIn(in, 2) : inferred;
    // Indices are those of the unpadded pooling; a larger output shape keeps their rows and columns.
    Tensor flat = at::zeros(inferred, x.options()).reshape({-1});
    flat.scatter_(0, index.reshape({-1}), x.reshape({-1}));
    Tensor made = flat.reshape(inferred);
    if (shape == inferred)
        return {made};
    Tensor larger = at::zeros(shape, x.options()), corner = larger;
    for (std::int64_t i = 0; i < made.dim(); ++i)
        corner = corner.narrow(i, 0, std::min(made.size(i), larger.size(i)));
    corner.copy_(made);
    return {larger};
}

OnnxValues matmul(const OnnxCall &, const OnnxValues &in) { return {at::matmul(tensorIn(in, 0), tensorIn(in, 1))}; }

OnnxValues gemm(const OnnxCall &call, const OnnxValues &in)
{
    Tensor a = tensorIn(in, 0), b = tensorIn(in, 1);
    if (call.integer("transA", 0) != 0)
        a = a.t();
    if (call.integer("transB", 0) != 0)
        b = b.t();
    const double alpha = call.number("alpha", 1), beta = call.number("beta", 1);
    Tensor made = at::mm(a, b);
    if (alpha != 1)
        made = (made * alpha).to(a.scalar_type());
    if (given(in, 2))
        made = made + (beta == 1 ? tensorIn(in, 2) : (tensorIn(in, 2) * beta).to(a.scalar_type()));
    return {made};
}

OnnxValues fusedMatmul(const OnnxCall &call, const OnnxValues &in)
{
    Tensor a = tensorIn(in, 0), b = tensorIn(in, 1);
    if (call.integer("transA", 0) != 0)
        a = a.transpose(-1, -2);
    if (call.integer("transB", 0) != 0)
        b = b.transpose(-1, -2);
    return {at::matmul(a, b) * call.number("alpha", 1)};
}

OnnxValues einsum(const OnnxCall &call, const OnnxValues &in)
{
    std::vector<Tensor> operands;
    for (std::size_t i = 0; i < in.size(); ++i)
        operands.push_back(tensorIn(in, i));
    std::string equation = call.text("equation", "");
    std::erase(equation, ' ');
    return {at::einsum(equation, operands)};
}

OnnxValues batchNorm(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    Ints shape(std::size_t(x.dim()), 1);
    shape.at(1) = -1;
    const double epsilon = call.number("epsilon", 1e-5), momentum = call.number("momentum", 0.9);
    const auto normalized = [&](const Tensor &mean, const Tensor &variance) {
        return (x - mean.reshape(shape)) / (variance.reshape(shape) + epsilon).sqrt() * tensorIn(in, 1).reshape(shape) + tensorIn(in, 2).reshape(shape);
    };
    const Tensor runningMean = tensorIn(in, 3), runningVariance = tensorIn(in, 4);
    if (call.integer("training_mode", 0) == 0)
        return {normalized(runningMean, runningVariance).to(x.scalar_type())};
    Ints axes{0};
    for (std::int64_t axis = 2; axis < x.dim(); ++axis)
        axes.push_back(axis);
    const Tensor mean = x.mean(axes), variance = x.var(axes, false);
    return {normalized(mean, variance), runningMean * momentum + mean * (1 - momentum), runningVariance * momentum + variance * (1 - momentum)};
}

OnnxValues instanceNorm(const OnnxCall &call, const OnnxValues &in)
{
    return {at::instance_norm(tensorIn(in, 0), tensorIn(in, 1), tensorIn(in, 2), std::nullopt, std::nullopt, true, 0.1, call.number("epsilon", 1e-5), false)};
}

/// Type in which a normalization reckons: `stash_type`, float32 unless said.
at::ScalarType stash(const OnnxCall &call, const Tensor &x)
{
    return call.integer("stash_type", 1) == 1 && x.scalar_type() != at::kDouble ? at::kFloat : x.scalar_type();
}

OnnxValues layerNorm(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor given0 = tensorIn(in, 0), x = given0.to(stash(call, given0));
    const std::int64_t axis = wrapAxis(call.integer("axis", -1), x.dim());
    Ints axes;
    for (std::int64_t i = axis; i < x.dim(); ++i)
        axes.push_back(i);
    const Tensor mean = x.mean(axes, true), inverse = (x - mean).square().mean(axes, true).add(call.number("epsilon", 1e-5)).rsqrt();
    Tensor y = ((x - mean) * inverse).to(given0.scalar_type()) * tensorIn(in, 1);
    if (given(in, 2))
        y = y + tensorIn(in, 2);
    return {y, mean, inverse};
}

OnnxValues skipLayerNorm(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0) + tensorIn(in, 1);
    if (given(in, 4))
        x = x + tensorIn(in, 4);
    const Tensor y = at::layer_norm(x, {x.size(-1)}, tensorIn(in, 2), optionalIn(in, 3), call.number("epsilon", 1e-5));
    return {y, x.mean(-1, true), x.var(-1, false, true).add(call.number("epsilon", 1e-5)).rsqrt(), x};
}

OnnxValues rmsNorm(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor given0 = tensorIn(in, 0), x = given0.to(stash(call, given0));
    const std::int64_t axis = wrapAxis(call.integer("axis", -1), x.dim());
    Ints axes;
    for (std::int64_t i = axis; i < x.dim(); ++i)
        axes.push_back(i);
    return {(x * x.square().mean(axes, true).add(call.number("epsilon", 1e-5)).rsqrt()).to(given0.scalar_type()) * tensorIn(in, 1)};
}

OnnxValues groupNorm(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t groups = call.integer("num_groups", 1), channels = x.size(1);
    Tensor scale = tensorIn(in, 1), bias = tensorIn(in, 2);
    TORCH_CHECK(groups > 0 && channels % groups == 0, channels, " channels in ", groups, " groups");
    if (scale.numel() == groups && groups != channels) {   // one factor per group until opset 20
        scale = scale.repeat_interleave(channels / groups);
        bias = bias.repeat_interleave(channels / groups);
    }
    return {at::group_norm(x, groups, scale, bias, call.number("epsilon", 1e-5))};
}

OnnxValues lrn(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t size = call.integer("size", 1);
    TORCH_CHECK(x.dim() >= 2 && size > 0 && size < (1 << 20), "a normalization over ", size, " channels");
    const std::int64_t low = (size - 1) / 2, high = size - 1 - low;
    Ints pads(std::size_t(2 * (x.dim() - 1)), 0);
    pads[pads.size() - 2] = low;
    pads[pads.size() - 1] = high;
    const Tensor squares = at::constant_pad_nd(x.square(), pads, 0);
    Tensor sum = at::zeros_like(x);
    for (std::int64_t i = 0; i < size; ++i)
        sum = sum + squares.narrow(1, i, x.size(1));
    return {x / (call.number("bias", 1) + call.number("alpha", 1e-4) / double(size) * sum).pow(call.number("beta", 0.75))};
}

OnnxValues lpNormalization(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", -1), x.dim());
    const Tensor norm = call.integer("p", 2) == 1 ? x.abs().sum(axis, true) : x.square().sum(axis, true).sqrt();
    return {at::where(norm == 0, at::zeros_like(x), x / norm)};
}

OnnxValues meanVariance(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Ints axes = call.has("axes") ? call.integers("axes") : Ints{0, 2, 3};
    const Tensor mean = x.mean(axes, true);
    return {(x - mean) / (x.square().mean(axes, true) - mean.square()).sqrt().add(1e-9)};
}

OnnxValues determinant(const OnnxCall &, const OnnxValues &in) { return {at::linalg_det(tensorIn(in, 0))}; }

OnnxValues attention(const OnnxCall &call, const OnnxValues &in)
{
    Tensor q = tensorIn(in, 0), k = tensorIn(in, 1), v = tensorIn(in, 2);
    const bool flat = q.dim() == 3;
    const at::ScalarType type = q.scalar_type();
    if (flat) {
        const std::int64_t qHeads = call.integer("q_num_heads", 1), kvHeads = call.integer("kv_num_heads", qHeads);
        const auto apart = [](const Tensor &t, std::int64_t heads) { return t.reshape({t.size(0), t.size(1), heads, -1}).transpose(1, 2); };
        q = apart(q, qHeads);
        k = apart(k, kvHeads);
        v = apart(v, kvHeads);
    }
    const std::int64_t past = given(in, 4) ? tensorIn(in, 4).size(2) : 0;
    if (given(in, 4))
        k = at::cat({tensorIn(in, 4), k}, 2);
    if (given(in, 5))
        v = at::cat({tensorIn(in, 5), v}, 2);
    const Tensor presentKey = k, presentValue = v;
    TORCH_CHECK(v.size(1) == k.size(1), "an attention of ", k.size(1), " keys and ", v.size(1), " values");
    if (k.size(1) != q.size(1)) {
        TORCH_CHECK(k.size(1) > 0 && q.size(1) % k.size(1) == 0, "an attention of ", q.size(1), " heads over ", k.size(1));
        k = k.repeat_interleave(q.size(1) / k.size(1), 1);
        v = v.repeat_interleave(q.size(1) / v.size(1), 1);
    }
    const double scale = call.number("scale", 1 / std::sqrt(double(q.size(-1))));
    const std::int64_t queries = q.size(2), keys = k.size(2), mode = call.integer("qk_matmul_output_mode", 0);
    Tensor scores = at::matmul(q * std::sqrt(scale), k.transpose(-1, -2) * std::sqrt(scale));
    Tensor shown = scores;
    const double inf = std::numeric_limits<double>::infinity();
    Tensor bias = at::zeros({1, 1, queries, keys}, q.options());
    if (given(in, 3)) {
        Tensor mask = tensorIn(in, 3);
        // A mask that ends early hides the keys behind its end.
        const std::int64_t missing = keys - mask.size(-1);
        if (mask.scalar_type() == at::kBool) {
            if (missing > 0)
                mask = at::constant_pad_nd(mask, {0, missing}, false);
            bias = at::zeros(mask.sizes(), q.options()).masked_fill(at::logical_not(mask), -inf);
        } else {
            bias = missing > 0 ? at::constant_pad_nd(mask, {0, missing}, -inf) : mask;
        }
    }
    // How far a key lies behind (positive: after) its query.
    Tensor first = at::full({1, 1, 1, 1}, past, at::kLong);
    if (given(in, 6))   // lengths of the caches that are in use: the queries are the last of them
        first = (tensorIn(in, 6).to(at::kLong) - queries).reshape({-1, 1, 1, 1});
    const Tensor distance = at::arange(keys).reshape({1, 1, 1, -1}) - at::arange(queries).reshape({1, 1, -1, 1}) - first;
    const std::int64_t left = call.integer("left_window_size", -1), right = call.integer("right_window_size", -1);
    const auto hide = [&](const Tensor &hidden) { bias = at::where(hidden, at::scalar_tensor(-inf, q.options()), bias); };
    if (call.integer("is_causal", 0) != 0)
        hide(distance > 0);
    if (left >= 0)
        hide(distance < -left);
    if (right >= 0)
        hide(distance > right);
    if (given(in, 6)) {
        const Tensor hidden = at::arange(keys).reshape({1, 1, 1, -1}) >= tensorIn(in, 6).to(at::kLong).reshape({-1, 1, 1, 1});
        bias = at::where(hidden, at::scalar_tensor(-inf, q.options()), bias);
    }
    const double cap = call.number("softcap", 0);
    if (cap > 0)
        scores = cap * at::tanh(scores / cap);
    if (mode == 1)
        shown = scores;
    scores = scores + bias;
    if (mode == 2)
        shown = scores;
    Tensor weights = call.has("softmax_precision") ? at::softmax(scores.to(scalarTypeOf(onnx::DataType(call.integer("softmax_precision", 1)))), -1).to(type)
                                                   : at::softmax(scores, -1);
    // A row that may see nothing gives zeros.
    weights = at::where(at::isnan(weights), at::zeros_like(weights), weights);
    if (mode == 3)
        shown = weights;
    Tensor made = at::matmul(weights, v);
    if (flat)
        made = made.transpose(1, 2).reshape({made.size(0), queries, -1});
    return {made, presentKey, presentValue, shown};
}

OnnxValues rotary(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    const bool flat = x.dim() == 3;
    if (flat) {
        const std::int64_t heads = call.integer("num_heads", 1);
        x = x.reshape({x.size(0), x.size(1), heads, -1});
    } else {
        x = x.transpose(1, 2);
    }
    const std::int64_t asked = call.integer("rotary_embedding_dim", 0), size = asked > 0 ? asked : x.size(-1), half = size / 2;
    Tensor cosine = tensorIn(in, 1), sine = tensorIn(in, 2);
    if (given(in, 3)) {
        const Tensor place = tensorIn(in, 3).to(at::kLong);
        cosine = at::embedding(cosine, place);
        sine = at::embedding(sine, place);
    }
    cosine = cosine.narrow(-1, 0, half).unsqueeze(2);
    sine = sine.narrow(-1, 0, half).unsqueeze(2);
    const Tensor turned = x.narrow(-1, 0, size), rest = x.narrow(-1, size, x.size(-1) - size);
    Tensor made;
    if (call.integer("interleaved", 0) != 0) {
        const Tensor a = turned.slice(-1, 0, size, 2), b = turned.slice(-1, 1, size, 2);
        made = at::stack({a * cosine - b * sine, a * sine + b * cosine}, -1).reshape(turned.sizes());
    } else {
        const Tensor a = turned.narrow(-1, 0, half), b = turned.narrow(-1, half, half);
        made = at::cat({a * cosine - b * sine, a * sine + b * cosine}, -1);
    }
    made = at::cat({made, rest}, -1);
    return {flat ? made.reshape(tensorIn(in, 0).sizes()) : made.transpose(1, 2)};
}

} // namespace

std::span<const OnnxKernelRow> onnxLayerKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"Conv", conv}, {"ConvTranspose", convTranspose}, {"MaxPool", maxPool}, {"AveragePool", averagePool}, {"LpPool", lpPool},
        {"MaxUnpool", maxUnpool}, {"MatMul", matmul}, {"Gemm", gemm}, {"com.microsoft::FusedMatMul", fusedMatmul}, {"Einsum", einsum},
        {"BatchNormalization", batchNorm}, {"InstanceNormalization", instanceNorm}, {"LayerNormalization", layerNorm},
        {"com.microsoft::SkipLayerNormalization", skipLayerNorm}, {"RMSNormalization", rmsNorm},
        {"SimplifiedLayerNormalization", rmsNorm}, {"GroupNormalization", groupNorm}, {"LRN", lrn}, {"LpNormalization", lpNormalization},
        {"MeanVarianceNormalization", meanVariance}, {"Det", determinant}, {"Attention", attention}, {"RotaryEmbedding", rotary},
    };
    return kRows;
}

} // namespace bitwright
