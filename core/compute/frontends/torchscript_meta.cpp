// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/torchscript_meta.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>
#include <vector>

namespace bitwright::torchscript {

namespace {

using torch::jit::Stack;

/// Applies `change` to each tensor and each device, lists included.
template <typename Change>
void forEachTensor(c10::IValue &value, c10::Device device, Change change)
{
    if (value.isTensor()) {
        if (value.toTensor().defined())
            value = change(value.toTensor());
    } else if (value.isDevice()) {
        value = device;
    } else if (value.isTensorList()) {
        c10::List<at::Tensor> changed;
        for (const c10::IValue &element : value.toListRef())
            changed.push_back(change(element.toTensor()));
        value = changed;
    } else if (value.isList()) {
        c10::impl::GenericList changed(value.type()->containedType(0));
        for (c10::IValue element : value.toListRef()) {
            forEachTensor(element, device, change);
            changed.push_back(std::move(element));
        }
        value = changed;
    }
}

at::Tensor toMeta(const at::Tensor &tensor)
{
    // Zero-dimensional ones stand for numbers and mix with any device.
    if (tensor.is_meta() || tensor.dim() == 0)
        return tensor;
    return at::empty_like(tensor, tensor.options().device(c10::kMeta));
}

at::Tensor toZeros(const at::Tensor &tensor)
{
    return tensor.is_meta() ? at::zeros_like(tensor, tensor.options().device(c10::kCPU)) : tensor;
}

struct Convolution {
    std::vector<std::int64_t> stride, padding, dilation, outputPadding;
    bool transposed = false, same = false;
    std::int64_t groups = 1;
};

std::vector<std::int64_t> spread(const c10::IValue &value, std::size_t rank)
{
    std::vector<std::int64_t> list = value.isInt() ? std::vector{value.toInt()} : value.toIntVector();
    if (list.size() == 1)
        list.resize(rank, list[0]);
    TORCH_CHECK(list.size() == rank, "expected ", rank, " numbers, not ", list.size());
    return list;
}

std::optional<Convolution> readConvolution(const std::string &kind, const Stack &stack, std::size_t rank)
{
    Convolution c;
    c.outputPadding.assign(rank, 0);
    if (kind == "aten::_convolution" || kind == "aten::convolution") {
        c.stride = spread(stack[3], rank);
        c.padding = spread(stack[4], rank);
        c.dilation = spread(stack[5], rank);
        c.transposed = stack[6].toBool();
        c.outputPadding = spread(stack[7], rank);
        c.groups = stack[8].toInt();
    } else if (kind.starts_with("aten::conv_transpose")) {
        c.transposed = true;
        c.stride = spread(stack[3], rank);
        c.padding = spread(stack[4], rank);
        c.outputPadding = spread(stack[5], rank);
        c.groups = stack[6].toInt();
        c.dilation = spread(stack[7], rank);
    } else if (kind == "aten::conv1d" || kind == "aten::conv2d" || kind == "aten::conv3d" ||
               kind == "aten::_convolution_mode") {
        c.stride = spread(stack[3], rank);
        c.same = stack[4].isString() && stack[4].toStringRef() == "same";
        c.padding = stack[4].isString() ? std::vector<std::int64_t>(rank, 0) : spread(stack[4], rank);
        c.dilation = spread(stack[5], rank);
        c.groups = stack[6].toInt();
    } else {
        return {};
    }
    return c;
}

std::optional<at::Tensor> convolve(const std::string &kind, const Stack &stack)
{
    if (stack.size() < 7 || !stack[0].isTensor() || !stack[1].isTensor())
        return {};
    const at::Tensor &input = stack[0].toTensor(), &weight = stack[1].toTensor();
    const auto rank = std::size_t(std::max<std::int64_t>(weight.dim(), 2)) - 2;
    const auto read = readConvolution(kind, stack, rank);
    if (!read)
        return {};
    const bool batched = input.dim() == weight.dim();
    TORCH_CHECK(batched || input.dim() == weight.dim() - 1, "a tensor of rank ", weight.dim(), " is expected, not ",
                input.sizes());
    TORCH_CHECK(input.scalar_type() == weight.scalar_type(), "input and weight have different types");
    const std::int64_t channelsAt = batched ? 1 : 0, channels = input.size(channelsAt);
    const std::int64_t wanted = read->transposed ? weight.size(0) : weight.size(1) * read->groups;
    TORCH_CHECK(channels == wanted, wanted, " channels are expected, not ", input.sizes());
    std::vector<std::int64_t> sizes;
    if (batched)
        sizes.push_back(input.size(0));
    sizes.push_back(read->transposed ? weight.size(1) * read->groups : weight.size(0));
    for (std::size_t i = 0; i < rank; ++i) {
        const std::int64_t size = input.size(channelsAt + 1 + std::int64_t(i));
        const std::int64_t reach = read->dilation[i] * (weight.size(std::int64_t(i) + 2) - 1);
        if (read->same)
            sizes.push_back(size);
        else if (read->transposed)
            sizes.push_back((size - 1) * read->stride[i] - 2 * read->padding[i] + reach + read->outputPadding[i] + 1);
        else
            sizes.push_back((size + 2 * read->padding[i] - reach - 1 + read->stride[i]) / read->stride[i]);
        TORCH_CHECK(sizes.back() > 0 && size + 2 * read->padding[i] > (read->transposed ? 0 : reach),
                    "the kernel is larger than the input ", input.sizes());
    }
    return at::empty(sizes, input.options());
}

/// Normalizations keep the shape of their input and only ask for their number of channels.
std::optional<at::Tensor> normalized(const std::string &kind, const Stack &stack)
{
    const bool batch = kind == "aten::batch_norm" || kind == "aten::instance_norm";
    const bool group = kind == "aten::group_norm", layer = kind == "aten::layer_norm";
    if ((!batch && !group && !layer) || !stack[0].isTensor())
        return {};
    const at::Tensor &input = stack[0].toTensor();
    if (layer) {
        const std::vector<std::int64_t> sizes = stack[1].toIntVector();
        const auto from = std::ptrdiff_t(input.dim()) - std::ptrdiff_t(sizes.size());
        TORCH_CHECK(from >= 0 && std::equal(sizes.begin(), sizes.end(), input.sizes().begin() + from),
                    "sizes that end in ", at::IntArrayRef(sizes), " are expected, not ", input.sizes());
        return at::empty_like(input);
    }
    TORCH_CHECK(input.dim() >= 2, "a normalization needs channels, not ", input.sizes());
    for (std::size_t i = group ? 2 : 1; i < (group ? 4 : 5); ++i)
        if (stack[i].isTensor() && stack[i].toTensor().defined())
            TORCH_CHECK(stack[i].toTensor().numel() == input.size(1), stack[i].toTensor().numel(),
                        " channels are expected, not ", input.sizes());
    return at::empty_like(input);
}

} // namespace

bool onMeta(const c10::IValue &value)
{
    if (value.isTensor())
        return value.toTensor().defined() && value.toTensor().is_meta();
    return value.isList() && std::ranges::any_of(value.toListRef(), onMeta);
}

void runOnMeta(const std::string &kind, const std::function<void(Stack &)> &operation, Stack &stack)
{
    for (c10::IValue &value : stack)
        forEachTensor(value, c10::kMeta, toMeta);
    std::optional<at::Tensor> result = convolve(kind, stack);
    if (!result)
        result = normalized(kind, stack);
    if (result) {
        stack = {std::move(*result)};
        return;
    }
    const Stack kept = stack;
    try {
        operation(stack);
    } catch (const c10::NotImplementedError &) {
        stack = kept;
        for (c10::IValue &value : stack)
            forEachTensor(value, c10::kCPU, toZeros);
        operation(stack);
        for (c10::IValue &value : stack)
            forEachTensor(value, c10::kMeta, toMeta);
    }
}

} // namespace bitwright::torchscript
