// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

using at::Tensor;
using Ints = std::vector<std::int64_t>;

// ---- Resize ----

struct Line {
    std::int64_t in = 0, out = 0;
    double scale = 1, begin = 0, end = 1;   ///< the region of tf_crop_and_resize
};

double sourceOf(const std::string &mode, const Line &line, std::int64_t at)
{
    const double x = double(at), scaled = double(line.in) * line.scale;
    if (mode == "align_corners")
        return scaled <= 1 ? 0 : x * double(line.in - 1) / (scaled - 1);
    if (mode == "asymmetric")
        return x / line.scale;
    if (mode == "tf_half_pixel_for_nn")
        return (x + 0.5) / line.scale;
    if (mode == "pytorch_half_pixel")
        return line.out == 1 ? 0 : (x + 0.5) / line.scale - 0.5;
    if (mode == "tf_crop_and_resize") {
        if (line.out > 1)
            return line.begin * double(line.in - 1) + x * (line.end - line.begin) * double(line.in - 1) / double(line.out - 1);
        return 0.5 * (line.begin + line.end) * double(line.in - 1);
    }
    if (mode == "half_pixel_symmetric") {
        const double adjustment = double(line.out) / scaled, centre = double(line.in) / 2;
        return centre * (1 - adjustment) + (x + 0.5) / line.scale - 0.5;
    }
    return (x + 0.5) / line.scale - 0.5;
}

std::int64_t nearest(const std::string &mode, double x)
{
    x = std::isnan(x) ? 0 : std::clamp(x, -1e15, 1e15);
    if (mode == "floor")
        return std::int64_t(std::floor(x));
    if (mode == "ceil")
        return std::int64_t(std::ceil(x));
    if (mode == "round_prefer_ceil")
        return std::int64_t(std::floor(x + 0.5));
    return std::int64_t(std::ceil(x - 0.5));
}

/// The matrix [out, in] that resamples one dimension, and whether each output lies outside the input.
std::pair<Tensor, Tensor> resampler(const OnnxCall &call, const Line &line)
{
    const std::string mode = call.text("mode", "nearest"), coordinates = call.text("coordinate_transformation_mode", call.opset < 11 ? "asymmetric" : "half_pixel");
    const std::string rounding = call.text("nearest_mode", call.opset < 11 ? "floor" : "round_prefer_floor");
    const bool antialias = call.integer("antialias", 0) != 0 && line.scale < 1, exclude = call.integer("exclude_outside", 0) != 0;
    const double a = call.number("cubic_coeff_a", -0.75);
    Tensor matrix = at::zeros({line.out, line.in}, at::kDouble), outside = at::zeros({line.out}, at::kBool);
    auto cells = matrix.accessor<double, 2>();
    auto beyond = outside.accessor<bool, 1>();
    const auto cubic = [&](double t) {
        t = std::abs(t);
        if (t <= 1)
            return (a + 2) * t * t * t - (a + 3) * t * t + 1;
        return t < 2 ? a * t * t * t - 5 * a * t * t + 8 * a * t - 4 * a : 0.0;
    };
    const auto linear = [](double t) { return std::max(0.0, 1 - std::abs(t)); };
    for (std::int64_t i = 0; i < line.out; ++i) {
        const double x = sourceOf(coordinates, line, i);
        beyond[i] = coordinates == "tf_crop_and_resize" && (x < 0 || x > double(line.in - 1));
        if (mode == "nearest") {
            cells[i][std::clamp<std::int64_t>(nearest(rounding, x), 0, line.in - 1)] = 1;
            continue;
        }
        const bool isCubic = mode == "cubic";
        const double shrink = antialias ? line.scale : 1, reach = (isCubic ? 2 : 1) / shrink;
        TORCH_CHECK(std::abs(x) < 1e15 && reach <= 2.0 * double(line.in) + 4, "a resize by ", line.scale);
        const auto first = std::int64_t(std::floor(x - reach)), last = std::int64_t(std::ceil(x + reach));
        double total = 0;
        std::vector<double> row(std::size_t(line.in), 0.0);
        for (std::int64_t j = first; j <= last; ++j) {
            const double t = (double(j) - x) * shrink, weight = isCubic ? cubic(t) : linear(t);
            if (weight == 0 || (exclude && (j < 0 || j >= line.in)))
                continue;
            row[std::size_t(std::clamp<std::int64_t>(j, 0, line.in - 1))] += weight;
            total += weight;
        }
        for (std::int64_t j = 0; j < line.in; ++j)
            cells[i][j] = total != 0 ? row[std::size_t(j)] / total : 0;
    }
    return {matrix, outside};
}

OnnxValues resize(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    const bool upsample = call.node.op == "Upsample";
    const std::size_t scaleAt = upsample || call.opset < 11 ? 1 : 2;
    std::vector<double> scales, region;
    Ints sizes;
    if (upsample && call.has("scales"))
        for (float scale : call.numbers("scales"))
            scales.push_back(scale);
    else if (given(in, 3) && scaleAt == 2)
        sizes = intsIn(in, 3);
    else {
        const Tensor given0 = tensorIn(in, scaleAt).to(at::kDouble).contiguous();
        scales.assign(given0.const_data_ptr<double>(), given0.const_data_ptr<double>() + given0.numel());
    }
    if (scaleAt == 2 && given(in, 1)) {
        const Tensor roi = tensorIn(in, 1).to(at::kDouble).contiguous();
        region.assign(roi.const_data_ptr<double>(), roi.const_data_ptr<double>() + roi.numel());
    }
    Ints axes = call.integers("axes");
    if (axes.empty())
        for (std::int64_t axis = 0; axis < x.dim(); ++axis)
            axes.push_back(axis);
    TORCH_CHECK((sizes.empty() ? scales.size() : sizes.size()) == axes.size(), "a resize whose lists differ in length");
    for (auto &axis : axes)
        axis = wrapAxis(axis, x.dim());
    const std::string policy = call.text("keep_aspect_ratio_policy", "stretch");
    double common = 0;
    if (!sizes.empty() && policy != "stretch") {
        for (std::size_t i = 0; i < axes.size(); ++i) {
            const double ratio = double(sizes[i]) / double(x.size(axes[i]));
            common = i == 0 ? ratio : policy == "not_larger" ? std::min(common, ratio) : std::max(common, ratio);
        }
    }
    const at::ScalarType type = x.scalar_type();
    const bool integral = !x.is_floating_point();
    Tensor beyond;
    x = x.to(at::kDouble);
    const bool crops = call.text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
    for (std::size_t i = 0; i < axes.size(); ++i) {
        Line line;
        line.in = x.size(axes[i]);
        if (sizes.empty()) {
            line.scale = scales[i];
            const bool part = crops && region.size() == 2 * axes.size();
            const double size = std::floor(double(line.in) * (part ? region[i + axes.size()] - region[i] : 1) * line.scale + 1e-9);
            TORCH_CHECK(size >= 0 && size < double(1 << 24), "a resize to ", size);
            line.out = std::int64_t(size);
        } else {
            TORCH_CHECK(common * double(line.in) < 1e15, "a resize by ", common);
            line.out = common > 0 ? std::int64_t(std::floor(common * double(line.in) + 0.5)) : sizes[i];
            line.scale = common > 0 ? common : double(line.out) / double(line.in);
        }
        if (crops && region.size() == 2 * axes.size()) {
            line.begin = region[i];
            line.end = region[i + axes.size()];
        }
        TORCH_CHECK(line.out >= 0 && line.out < (1LL << 24) && line.scale > 0 && (line.in > 0 || line.out == 0), "a resize to ", line.out);
        if (line.out == line.in && line.scale == 1 && !crops)
            continue;
        const auto [matrix, outside] = resampler(call, line);
        x = at::tensordot(x, matrix, {axes[i]}, {1}).movedim(-1, axes[i]);
        Ints shape(std::size_t(x.dim()), 1);
        shape[std::size_t(axes[i])] = line.out;
        if (crops)
            beyond = beyond.defined() ? at::logical_or(beyond, outside.reshape(shape)) : outside.reshape(shape);
    }
    if (beyond.defined())
        x = at::where(beyond, at::scalar_tensor(call.number("extrapolation_value", 0), x.options()), x);
    return {integral ? x.round().to(type) : x.to(type)};
}

OnnxValues gridSample(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), grid = tensorIn(in, 1).to(x.scalar_type());
    const std::string mode = call.text("mode", "linear"), padding = call.text("padding_mode", "zeros");
    const int interpolation = mode == "nearest" ? 1 : mode == "cubic" || mode == "bicubic" ? 2 : 0;
    const int fill = padding == "border" ? 1 : padding == "reflection" ? 2 : 0;
    return {at::grid_sampler(x, grid, interpolation, fill, call.integer("align_corners", 0) != 0)};
}

OnnxValues affineGrid(const OnnxCall &call, const OnnxValues &in)
{
    return {at::affine_grid_generator(tensorIn(in, 0), intsIn(in, 1), call.integer("align_corners", 0) != 0)};
}

OnnxValues nonMaxSuppression(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor boxes = tensorIn(in, 0).to(at::kFloat).contiguous(), scores = tensorIn(in, 1).to(at::kFloat).contiguous();
    const std::int64_t most = given(in, 2) ? intsIn(in, 2).at(0) : 0;
    const float overlap = given(in, 3) ? tensorIn(in, 3).item<float>() : 0;
    const bool hasLeast = given(in, 4);
    const float least = hasLeast ? tensorIn(in, 4).item<float>() : 0;
    const bool centre = call.integer("center_point_box", 0) != 0;
    TORCH_CHECK(boxes.dim() == 3 && boxes.size(2) == 4 && scores.dim() == 3 && scores.size(2) == boxes.size(1) && scores.size(0) == boxes.size(0),
                "boxes and scores that do not match");
    const auto b = boxes.accessor<float, 3>();
    const auto s = scores.accessor<float, 3>();
    struct Box { float x0, y0, x1, y1; };
    const auto boxAt = [&](std::int64_t batch, std::int64_t i) {
        const auto v = b[batch][i];
        if (centre)
            return Box{v[0] - v[2] / 2, v[1] - v[3] / 2, v[0] + v[2] / 2, v[1] + v[3] / 2};
        return Box{std::min(v[1], v[3]), std::min(v[0], v[2]), std::max(v[1], v[3]), std::max(v[0], v[2])};
    };
    const auto iou = [](const Box &p, const Box &q) {
        const float w = std::min(p.x1, q.x1) - std::max(p.x0, q.x0), h = std::min(p.y1, q.y1) - std::max(p.y0, q.y0);
        if (w <= 0 || h <= 0)
            return 0.f;
        const float shared = w * h;
        return shared / ((p.x1 - p.x0) * (p.y1 - p.y0) + (q.x1 - q.x0) * (q.y1 - q.y0) - shared);
    };
    checkCount(scores.size(0));
    checkCount(scores.size(1));
    std::vector<std::int64_t> found;
    for (std::int64_t batch = 0; batch < scores.size(0); ++batch) {
        for (std::int64_t label = 0; label < scores.size(1); ++label) {
            std::vector<std::int64_t> order;
            for (std::int64_t i = 0; i < scores.size(2); ++i)
                if (!hasLeast || s[batch][label][i] > least)
                    order.push_back(i);
            std::ranges::stable_sort(order, [&](auto p, auto q) { return s[batch][label][p] > s[batch][label][q]; });
            std::vector<Box> kept;
            for (auto i : order) {
                if (std::int64_t(kept.size()) >= most)
                    break;
                const Box box = boxAt(batch, i);
                if (std::ranges::any_of(kept, [&](const Box &other) { return iou(box, other) > overlap; }))
                    continue;
                kept.push_back(box);
                found.insert(found.end(), {batch, label, i});
            }
        }
    }
    return {at::tensor(found, at::kLong).reshape({-1, 3})};
}

OnnxValues roiAlign(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), rois = tensorIn(in, 1).to(at::kDouble).contiguous();
    const Ints batch = intsIn(in, 2);
    const std::int64_t height = call.integer("output_height", 1), width = call.integer("output_width", 1), ratio = call.integer("sampling_ratio", 0);
    const double scale = call.number("spatial_scale", 1);
    const bool half = call.text("coordinate_transformation_mode", call.opset >= 16 ? "half_pixel" : "output_half_pixel") == "half_pixel";
    const bool largest = call.text("mode", "avg") == "max";
    constexpr std::int64_t kMost = 1 << 20;
    TORCH_CHECK(height > 0 && width > 0 && height < kMost && width < kMost && ratio < kMost, "regions of an impossible size");
    TORCH_CHECK(x.dim() == 4 && rois.dim() == 2 && rois.size(1) == 4 && std::int64_t(batch.size()) == rois.size(0), "regions that do not match");
    const auto r = rois.accessor<double, 2>();
    std::vector<Tensor> made;
    // Weights of the four neighbours along one dimension for a list of places.
    const auto sampler = [](const std::vector<double> &places, std::int64_t size) {
        Tensor low = at::empty({std::int64_t(places.size())}, at::kLong), high = low.clone(), part = at::empty({std::int64_t(places.size())}, at::kDouble), real = at::empty({std::int64_t(places.size())}, at::kDouble);
        for (std::size_t i = 0; i < places.size(); ++i) {
            const bool outside = places[i] < -1 || places[i] > double(size);
            double at = std::min(std::max(0.0, places[i]), double(size));
            auto first = std::int64_t(at);
            std::int64_t second = first + 1;
            if (first >= size - 1) {
                first = second = size - 1;
                at = double(first);
            }
            low[std::int64_t(i)] = first;
            high[std::int64_t(i)] = second;
            part[std::int64_t(i)] = at - double(first);
            real[std::int64_t(i)] = outside ? 0.0 : 1.0;
        }
        return std::tuple(low, high, part, real);
    };
    for (std::int64_t n = 0; n < rois.size(0); ++n) {
        const double shift = half ? 0.5 : 0;
        const double x0 = r[n][0] * scale - shift, y0 = r[n][1] * scale - shift;
        double w = r[n][2] * scale - shift - x0, h = r[n][3] * scale - shift - y0;
        if (!half) {
            w = std::max(w, 1.0);
            h = std::max(h, 1.0);
        }
        const double binH = h / double(height), binW = w / double(width);
        TORCH_CHECK(std::abs(binH) < double(kMost) && std::abs(binW) < double(kMost), "a region of an impossible size");
        const std::int64_t countH = ratio > 0 ? ratio : std::int64_t(std::ceil(binH)), countW = ratio > 0 ? ratio : std::int64_t(std::ceil(binW));
        TORCH_CHECK(countH > 0 && countW > 0 && countH * height < (1 << 20) && countW * width < (1 << 20), "a region of an impossible size");
        std::vector<double> ys, xs;
        for (std::int64_t p = 0; p < height; ++p)
            for (std::int64_t i = 0; i < countH; ++i)
                ys.push_back(y0 + double(p) * binH + (double(i) + 0.5) * binH / double(countH));
        for (std::int64_t p = 0; p < width; ++p)
            for (std::int64_t i = 0; i < countW; ++i)
                xs.push_back(x0 + double(p) * binW + (double(i) + 0.5) * binW / double(countW));
        const Tensor plane = x.select(0, batch[std::size_t(n)]).to(at::kDouble);
        const auto [yl, yh, yp, yr] = sampler(ys, plane.size(1));
        const auto [xl, xh, xp, xr] = sampler(xs, plane.size(2));
        const Tensor rowLow = plane.index_select(1, yl), rowHigh = plane.index_select(1, yh);
        const Tensor wy = yp.reshape({1, -1, 1}), wx = xp.reshape({1, 1, -1}), real = yr.reshape({1, -1, 1}) * xr.reshape({1, 1, -1});
        const Tensor a = rowLow.index_select(2, xl) * (1 - wy) * (1 - wx), b = rowLow.index_select(2, xh) * (1 - wy) * wx;
        const Tensor c = rowHigh.index_select(2, xl) * wy * (1 - wx), d = rowHigh.index_select(2, xh) * wy * wx;
        const Ints shape{plane.size(0), height, countH, width, countW};
        if (largest)
            made.push_back(at::amax((at::maximum(at::maximum(a, b), at::maximum(c, d)) * real).reshape(shape), {2, 4}));
        else
            made.push_back(((a + b + c + d) * real).reshape(shape).mean({2, 4}));
    }
    if (made.empty())
        return {at::zeros({0, x.size(1), height, width}, x.options())};
    return {at::stack(made).to(x.scalar_type())};
}

OnnxValues maxRoiPool(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0), rois = tensorIn(in, 1);
    const Ints shape = call.integers("pooled_shape");
    const double scale = call.number("spatial_scale", 1);
    TORCH_CHECK(shape.size() == 2 && shape[0] > 0 && shape[1] > 0 && rois.dim() == 2 && rois.size(1) == 5 && x.dim() == 4, "regions of another shape");
    Tensor made = at::zeros({rois.size(0), x.size(1), shape[0], shape[1]}, x.options());
    for (std::int64_t n = 0; n < rois.size(0); ++n) {
        const auto value = [&](std::int64_t i) {
            const double place = std::round(rois[n][i].item<double>() * scale);
            return std::int64_t(std::isnan(place) ? 0 : std::clamp(place, -1e9, 1e9));
        };
        const std::int64_t batch = rois[n][0].item<std::int64_t>(), x0 = value(1), y0 = value(2);
        const double w = double(std::max<std::int64_t>(value(3) - x0 + 1, 1)) / double(shape[1]), h = double(std::max<std::int64_t>(value(4) - y0 + 1, 1)) / double(shape[0]);
        for (std::int64_t i = 0; i < shape[0]; ++i) {
            for (std::int64_t j = 0; j < shape[1]; ++j) {
                const auto top = std::clamp<std::int64_t>(y0 + std::int64_t(std::floor(double(i) * h)), 0, x.size(2)), bottom = std::clamp<std::int64_t>(y0 + std::int64_t(std::ceil(double(i + 1) * h)), 0, x.size(2));
                const auto left = std::clamp<std::int64_t>(x0 + std::int64_t(std::floor(double(j) * w)), 0, x.size(3)), right = std::clamp<std::int64_t>(x0 + std::int64_t(std::ceil(double(j + 1) * w)), 0, x.size(3));
                if (bottom > top && right > left)
                    made[n].select(1, i).select(1, j).copy_(at::amax(x[batch].slice(1, top, bottom).slice(2, left, right), {1, 2}));
            }
        }
    }
    return {made};
}

OnnxValues col2im(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const Ints image = intsIn(in, 1), block = intsIn(in, 2);
    const std::size_t spatial = image.size();
    const Ints dilation = orElse(call.integers("dilations"), spatial, 1), stride = orElse(call.integers("strides"), spatial, 1), pads = orElse(call.integers("pads"), spatial * 2, 0);
    std::int64_t taps = 1;
    constexpr std::int64_t kMost = 1 << 20;
    const auto sane = [](std::int64_t size) { return size > 0 && size < kMost; };
    TORCH_CHECK(std::ranges::all_of(image, sane) && std::ranges::all_of(block, sane) && std::ranges::all_of(dilation, sane) && std::ranges::all_of(stride, sane) &&
                std::ranges::all_of(pads, [](std::int64_t size) { return size >= 0 && size < kMost; }), "an image of an impossible size");
    for (auto size : block)
        TORCH_CHECK((taps *= size) < kMost, "a block of an impossible size");
    TORCH_CHECK(taps > 0 && block.size() == spatial && x.dim() == 3 && x.size(1) % taps == 0, "columns that do not match the block");
    Ints padded{x.size(0), x.size(1) / taps}, counts;
    for (std::size_t i = 0; i < spatial; ++i) {
        padded.push_back(image[i] + pads[i] + pads[i + spatial]);
        counts.push_back((padded.back() - (dilation[i] * (block[i] - 1) + 1)) / stride[i] + 1);
    }
    Tensor made = at::zeros(padded, x.options());
    const Tensor columns = x.reshape({x.size(0), padded[1], taps, -1});
    for (std::int64_t tap = 0; tap < taps; ++tap) {
        Tensor view = made;
        std::int64_t rest = tap;
        for (std::size_t i = spatial; i-- > 0;) {
            const std::int64_t here = rest % block[i];
            rest /= block[i];
            const std::int64_t begin = here * dilation[i];
            view = view.slice(std::int64_t(i) + 2, begin, begin + (counts[i] - 1) * stride[i] + 1, stride[i]);
        }
        view.add_(columns.select(2, tap).reshape(view.sizes()));
    }
    for (std::size_t i = 0; i < spatial; ++i)
        made = made.narrow(std::int64_t(i) + 2, pads[i], image[i]);
    return {made};
}

OnnxValues centreCropPad(const OnnxCall &call, const OnnxValues &in)
{
    Tensor x = tensorIn(in, 0);
    const Ints sizes = intsIn(in, 1);
    Ints axes = call.integers("axes");
    if (axes.empty())
        for (std::int64_t axis = 0; axis < x.dim(); ++axis)
            axes.push_back(axis);
    for (std::size_t i = 0; i < axes.size(); ++i) {
        const std::int64_t axis = wrapAxis(axes[i], x.dim()), have = x.size(axis), want = sizes.at(i);
        if (want < have) {
            x = x.narrow(axis, (have - want) / 2, want);
        } else if (want > have) {
            Ints pads(std::size_t(2 * (x.dim() - axis)), 0);
            pads[pads.size() - 2] = (want - have) / 2;
            pads[pads.size() - 1] = want - have - (want - have) / 2;
            x = at::constant_pad_nd(x, pads, 0);
        }
    }
    return {x};
}

// Losses are written by training exporters; evaluation networks rarely hold them.
OnnxValues logLoss(const OnnxCall &call, const Tensor &logits, const OnnxValues &in)
{
    const std::string how = call.text("reduction", "mean");
    const std::int64_t classes = logits.size(1), ignored = call.integer("ignore_index", -1);
    const Tensor target = tensorIn(in, 1).to(at::kLong);
    const Tensor weight = given(in, 2) ? tensorIn(in, 2) : at::ones({classes}, logits.options());
    const Tensor real = call.has("ignore_index") ? target != ignored : at::ones_like(target, at::TensorOptions(at::kBool));
    const Tensor safe = at::where(real, target, at::zeros_like(target));
    const Tensor factor = at::where(real, weight.index_select(0, safe.reshape({-1})).reshape(target.sizes()), at::zeros({}, logits.options()));
    const Tensor loss = -logits.gather(1, safe.unsqueeze(1)).squeeze(1) * factor;
    if (how == "none")
        return {loss};
    return {how == "sum" ? loss.sum() : loss.sum() / factor.sum()};
}
OnnxValues negativeLogLikelihood(const OnnxCall &call, const OnnxValues &in) { return logLoss(call, tensorIn(in, 0), in); }
OnnxValues softmaxCrossEntropy(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor logits = at::log_softmax(tensorIn(in, 0), 1);
    OnnxValues made = logLoss(call, logits, in);
    made.emplace_back(logits);
    return made;
}

} // namespace

std::span<const OnnxKernelRow> onnxImageKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"Resize", resize}, {"Upsample", resize}, {"GridSample", gridSample}, {"AffineGrid", affineGrid},
        {"NonMaxSuppression", nonMaxSuppression}, {"RoiAlign", roiAlign}, {"MaxRoiPool", maxRoiPool}, {"Col2Im", col2im},
        {"CenterCropPad", centreCropPad}, {"NegativeLogLikelihoodLoss", negativeLogLikelihood},
        {"SoftmaxCrossEntropyLoss", softmaxCrossEntropy},
    };
    return kRows;
}

} // namespace bitwright
