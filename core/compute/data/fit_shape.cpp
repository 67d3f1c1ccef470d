// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/fit_shape.h"

#include <ATen/ATen.h>

namespace bitwright {

namespace {

/// True when a sample of this shape can go in; -1 in `wanted` takes any size.
bool fits(at::IntArrayRef sample, const Shape &wanted)
{
    if (sample.size() + 1 != wanted.size())
        return false;
    for (std::size_t i = 0; i < sample.size(); ++i)
        if (wanted[i + 1] >= 0 && wanted[i + 1] != sample[i])
            return false;
    return true;
}

bool isColourCount(std::int64_t size)
{
    return size == 1 || size == 3 || size == 4;
}

} // namespace

std::string shapeText(const Shape &shape)
{
    std::string text;
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i > 0 ? "×" : "") + (shape[i] < 0 ? std::string("?") : std::to_string(shape[i]));
    return text.empty() ? "a single number" : text;
}

Result<at::Tensor> fitShape(const at::Tensor &images, const Shape &wanted, const std::string &spec)
{
    if (images.dim() < 1)
        return fail(ErrorKind::Invalid, spec + ", holds a single number, not samples; its first dimension must count samples");
    const auto sample = images.sizes().slice(1);
    const bool channelsLast = sample.size() == 3 && isColourCount(sample[2]);
    if (wanted.empty()) {
        if (sample.size() == 2)
            return images.unsqueeze(1);
        if (channelsLast && !isColourCount(sample[0]))
            return images.permute({0, 3, 1, 2}).contiguous();
        return images;
    }
    if (fits(sample, wanted))
        return images;
    if (sample.size() == 2) {
        auto withChannel = images.unsqueeze(1);
        if (fits(withChannel.sizes().slice(1), wanted))
            return withChannel;
    }
    if (channelsLast) {
        auto planes = images.permute({0, 3, 1, 2});
        if (fits(planes.sizes().slice(1), wanted))
            return planes.contiguous();
    }
    return fail(ErrorKind::Invalid, spec + ", its samples have the shape " + shapeText(sample.vec()) +
                                        ", the network reads " + shapeText(Shape(wanted.begin() + 1, wanted.end())) +
                                        "; choose data that fits");
}

Result<at::Tensor> fitLabels(const at::Tensor &labels, std::int64_t images, const std::string &spec)
{
    auto flat = labels;
    if (flat.dim() == 2 && flat.size(1) == 1)
        flat = flat.squeeze(1);
    if (flat.dim() != 1)
        return fail(ErrorKind::Invalid, spec + ", its labels have the shape " + shapeText(labels.sizes().vec()) +
                                            "; one whole number per sample is needed");
    if (flat.size(0) != images)
        return fail(ErrorKind::Invalid, spec + ", holds " + std::to_string(images) + " samples and " +
                                            std::to_string(flat.size(0)) + " labels; they must be as many");
    const auto whole = flat.to(at::kLong);
    if (flat.is_floating_point() && !at::equal(whole.to(flat.scalar_type()), flat))
        return fail(ErrorKind::Invalid, spec + ", its labels are not whole numbers; store the class index");
    if (images > 0 && whole.min().item<std::int64_t>() < 0)
        return fail(ErrorKind::Invalid, spec + ", has the label " + std::to_string(whole.min().item<std::int64_t>()) +
                                            " at sample " + std::to_string(whole.argmin().item<std::int64_t>()) +
                                            "; labels count from 0");
    return whole.contiguous();
}

} // namespace bitwright
