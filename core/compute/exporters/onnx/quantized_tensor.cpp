// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/quantized_tensor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace bitwright {

std::string OnnxEncoding::describe() const
{
    return std::string(onnx::dataTypeName(type)) + (scales.size() > 1 ? " per channel" : " per tensor");
}

Result<OnnxEncoding> encodingOf(const QuantGrid &grid)
{
    using onnx::DataType;
    if (!grid.uniform || grid.groups.empty())
        return fail(ErrorKind::Unsupported, "its levels are not evenly spaced, which QuantizeLinear cannot express; choose the "
                                            "method uniform");
    static const struct { DataType type; int opset; } kTypes[] = {
        {DataType::UInt2, 25}, {DataType::Int2, 25}, {DataType::UInt4, 21}, {DataType::Int4, 21},
        {DataType::UInt8, 13}, {DataType::Int8, 13}, {DataType::UInt16, 21}, {DataType::Int16, 21}};
    std::int64_t lowest = grid.qmin, highest = grid.qmax;
    for (const QuantGrid::Group &group : grid.groups) {
        lowest = std::min(lowest, group.zeroPoint);
        highest = std::max(highest, group.zeroPoint);
    }
    for (const auto &candidate : kTypes) {
        const auto [low, high] = onnx::integerRange(candidate.type);
        if (lowest < low || highest > high)
            continue;
        OnnxEncoding encoding{candidate.type, grid.qmin != low || grid.qmax != high, candidate.opset, {}, {}};
        for (const QuantGrid::Group &group : grid.groups) {
            encoding.scales.push_back(float(group.scale));
            encoding.zeroPoints.push_back(group.zeroPoint);
        }
        return encoding;
    }
    return fail(ErrorKind::Unsupported, "its " + std::to_string(grid.qmax - grid.qmin + 1) +
                                            " levels are more than ONNX's 16-bit types hold; use at most 16 bits");
}

Result<std::vector<std::int64_t>> codesOf(const at::Tensor &quantized, const QuantGrid &grid, int axis)
{
    at::Tensor x = quantized.detach().to(at::kDouble).contiguous();
    const auto groups = std::int64_t(grid.groups.size());
    std::vector<double> scale;
    std::vector<double> zero;
    for (const QuantGrid::Group &group : grid.groups) {
        // The step that simulation and runtime use is a float32.
        scale.push_back(double(float(group.scale)));
        zero.push_back(double(group.zeroPoint));
    }
    at::Tensor scales = at::tensor(scale, at::kDouble), zeros = at::tensor(zero, at::kDouble);
    if (groups > 1) {
        if (axis >= x.dim() || x.size(axis) != groups)
            return fail(ErrorKind::Internal, "the grid has " + std::to_string(groups) + " groups but the tensor another size");
        std::vector<std::int64_t> shape(std::size_t(x.dim()), 1);
        shape[std::size_t(axis)] = groups;
        scales = scales.reshape(shape);
        zeros = zeros.reshape(shape);
    }
    const at::Tensor exact = x / scales + zeros;
    const at::Tensor rounded = exact.round();
    if (!at::isfinite(exact).all().item<bool>())
        return fail(ErrorKind::Numeric, "it holds NaN or infinity, or a step of zero; look at its statistics");
    if ((exact - rounded).abs().max().item<double>() > 0.01 || rounded.min().item<double>() < double(grid.qmin) ||
        rounded.max().item<double>() > double(grid.qmax))
        return fail(ErrorKind::Internal, "its quantized values do not lie on its own grid");
    const at::Tensor codes = rounded.to(at::kLong).contiguous();
    return std::vector<std::int64_t>(codes.const_data_ptr<std::int64_t>(), codes.const_data_ptr<std::int64_t>() + codes.numel());
}

int irVersionFor(int opset)
{
    if (opset >= 25)
        return 13;
    if (opset >= 24)
        return 12;
    if (opset >= 23)
        return 11;
    if (opset >= 21)
        return 10;
    if (opset >= 19)
        return 9;
    return opset >= 15 ? 8 : 7;
}

} // namespace bitwright
