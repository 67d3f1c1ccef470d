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
    const at::Tensor x = quantized.detach().contiguous();
    const auto groups = std::int64_t(grid.groups.size());
    if (groups > 1 && (axis < 0 || axis >= x.dim() || x.size(axis) != groups))
        return fail(ErrorKind::Internal, "the grid has " + std::to_string(groups) + " groups but the tensor another size");
    std::vector<std::int64_t> codes;
    codes.reserve(std::size_t(x.numel()));
    const std::int64_t inner = groups > 1 ? c10::multiply_integers(x.sizes().slice(std::size_t(axis) + 1)) : 1;
    constexpr std::int64_t kPiece = 1 << 20;   // the largest weights have hundreds of millions of values
    for (std::int64_t begin = 0; begin < x.numel(); begin += kPiece) {
        const at::Tensor piece = x.view(-1).slice(0, begin, begin + kPiece).to(at::kDouble);
        const double *values = piece.const_data_ptr<double>();
        for (std::int64_t i = 0; i < piece.numel(); ++i) {
            const QuantGrid::Group &group = grid.groups[groups > 1 ? std::size_t((begin + i) / inner % groups) : 0];
            // The step that simulation and runtime use is a float32.
            const double exact = values[i] / double(float(group.scale)) + double(group.zeroPoint), rounded = std::nearbyint(exact);
            if (!std::isfinite(exact))
                return fail(ErrorKind::Numeric, "it holds NaN or infinity, or a step of zero; look at its statistics");
            if (std::abs(exact - rounded) > 0.01 || rounded < double(grid.qmin) || rounded > double(grid.qmax))
                return fail(ErrorKind::Internal, "its quantized values do not lie on its own grid");
            codes.push_back(std::int64_t(rounded));
        }
    }
    return codes;
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
