// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_reader.h"
#include "graph/stored_layers.h"

#include <ATen/ATen.h>

#include <algorithm>


namespace bitwright {

namespace {

/// Scale or zero point so that it broadcasts along `axis` of a tensor of `rank` dimensions.
Result<at::Tensor> along(const at::Tensor &parameter, std::int64_t axis, std::int64_t rank)
{
    if (parameter.numel() == 1)
        return parameter.reshape({});
    axis = axis < 0 ? axis + rank : axis;
    if (parameter.dim() != 1 || rank < 1 || axis < 0 || axis >= rank)
        return fail(ErrorKind::Unsupported, "a scale that is neither one number nor one per channel");
    std::vector<std::int64_t> shape(std::size_t(rank), 1);
    shape[std::size_t(axis)] = parameter.numel();
    return parameter.reshape(shape);
}

struct Parameters {
    at::Tensor scale, zero;     ///< both float32
};

Result<Parameters> parameters(OnnxReader &r, std::int64_t rank)
{
    if (r.integer("block_size", 0) != 0)
        return fail(ErrorKind::Unsupported, "quantization in blocks");
    Parameters made;
    BW_ASSIGN(const at::Tensor scale, r.constant(1));
    BW_ASSIGN(made.scale, along(scale.to(at::kFloat), r.integer("axis", 1), rank));
    if (r.has(2)) {
        BW_ASSIGN(const at::Tensor zero, r.constant(2));
        BW_ASSIGN(made.zero, along(zero.to(at::kFloat), r.integer("axis", 1), rank));
    } else {
        made.zero = at::zeros({});
    }
    return made;
}

constexpr int kWidest = 16;   // bits of what counts as codes of a layer; 32 are those of a bias

/// Bits and sign of the codes at an input; none where the file leaves them open or they are no codes.
std::optional<std::pair<int, bool>> codeType(const OnnxReader &r, std::size_t input)
{
    if (const auto stored = r.storedOfInput(input))
        return std::pair(stored->bits, stored->isSigned);
    if (const auto type = r.elementType(input); r.has(input) && type) {
        const int bits = onnx::storageBits(*type);
        if (bits > 0 && bits <= kWidest && *type != onnx::DataType::Float16 && *type != onnx::DataType::BFloat16 && *type != onnx::DataType::Bool)
            return std::pair(bits, onnx::integerRange(*type).first < 0);
        return std::nullopt;
    }
    const auto known = r.constant(input);
    if (!known || !c10::isIntegralType(known->scalar_type(), false) || c10::elementSize(known->scalar_type()) > 2)
        return std::nullopt;
    return std::pair(int(8 * c10::elementSize(known->scalar_type())), known->scalar_type() != at::kByte);
}

/// What a Q or DQ node with one scale says of its output.
std::optional<StoredQuantization> storedAtRun(const Parameters &p, std::optional<std::pair<int, bool>> type)
{
    if (!type || p.scale.numel() != 1)
        return std::nullopt;
    return storedOf(type->first, type->second, p.scale, p.zero, -1);
}

/// One scale or zero point for each element of `codes`, from one for each block along the axis.
Result<at::Tensor> overBlocks(const at::Tensor &parameter, const at::Tensor &codes, std::int64_t axis, std::int64_t block)
{
    bool fits = parameter.dim() == codes.dim() && axis >= 0 && axis < codes.dim();
    for (std::int64_t d = 0; fits && d < codes.dim(); ++d)
        fits = parameter.size(d) == (d == axis ? codes.size(d) / block + (codes.size(d) % block != 0 ? 1 : 0) : codes.size(d));
    if (!fits)
        return fail(ErrorKind::Unsupported, "scales that do not fit its blocks");
    return parameter.repeat_interleave(std::min(block, std::max<std::int64_t>(codes.size(axis), 1)), axis).narrow(axis, 0, codes.size(axis));
}

/// A stored weight: its float values are computed once, and the layer keeps the initializer's name.
Status dequantizeWeight(OnnxReader &r)
{
    if (r.bindSameWeight())
        return {};
    BW_ASSIGN(const at::Tensor codes, r.constant(0));
    BW_ASSIGN(const at::Tensor scale, r.constant(1));
    at::Tensor zero;
    if (r.has(2)) {
        BW_ASSIGN(zero, r.constant(2));
    }
    const auto type = codeType(r, 0);
    const std::int64_t block = r.integer("block_size", 0);
    std::int64_t axis = r.integer("axis", 1);
    axis = axis < 0 ? axis + codes.dim() : axis;
    at::Tensor values = codes.to(at::kFloat);
    if (block > 0) {
        BW_ASSIGN(const at::Tensor steps, overBlocks(scale.to(at::kFloat), codes, axis, block));
        if (zero.defined()) {
            BW_ASSIGN(const at::Tensor zeros, overBlocks(zero.to(at::kFloat), codes, axis, block));
            values = values - zeros;
        }
        values = values * steps;
    } else {
        BW_ASSIGN(const Parameters p, parameters(r, codes.dim()));
        values = (values - p.zero) * p.scale;
    }
    auto stored = type ? storedOf(type->first, type->second, scale, zero, int(axis)) : std::nullopt;
    if (stored && stored->scale.size() > 1)
        stored->block = block;
    r.bindConstant(values, r.weightName());
    r.noteStored(std::move(stored));
    return {};
}

Status quantize(OnnxReader &r)
{
    BW_ASSIGN(Parameters p, parameters(r, r.rank(0)));
    BW_ASSIGN(const onnx::DataType type, r.elementType(2));
    // Our tensors have no narrow types: the range comes from the file.
    const auto [low, high] = onnx::integerRange(type);
    BW_ASSIGN(const Argument x, r.input(0));
    Kernel kernel = [](torch::jit::Stack &stack) {
        const std::int64_t highest = torch::jit::pop(stack).toInt(), lowest = torch::jit::pop(stack).toInt();
        const at::Tensor zero = torch::jit::pop(stack).toTensor(), scale = torch::jit::pop(stack).toTensor();
        at::Tensor codes = torch::jit::pop(stack).toTensor() / scale;
        codes.round_().add_(zero).clamp_(double(lowest), double(highest));
        stack.emplace_back(codes.to(at::kInt));
    };
    const ValueId codes = r.addOwn("onnx::QuantizeLinear",
                                   {x, Argument::of(c10::IValue(p.scale)), Argument::of(c10::IValue(p.zero)),
                                    Argument::of(c10::IValue(low)), Argument::of(c10::IValue(high))},
                                   std::move(kernel));
    r.bind(Argument::of(codes), r.rank(0));
    r.noteStored(storedAtRun(p, std::pair(onnx::storageBits(type), low < 0)));
    return {};
}

Status dequantize(OnnxReader &r)
{
    if (r.isConstant(0))
        return dequantizeWeight(r);
    BW_ASSIGN(const Parameters p, parameters(r, r.rank(0)));
    BW_ASSIGN(const Argument x, r.input(0));
    Kernel kernel = [](torch::jit::Stack &stack) {
        const at::Tensor zero = torch::jit::pop(stack).toTensor(), scale = torch::jit::pop(stack).toTensor();
        at::Tensor values = torch::jit::pop(stack).toTensor().to(at::kFloat);
        stack.emplace_back(values.sub_(zero).mul_(scale));
    };
    const ValueId values = r.addOwn("onnx::DequantizeLinear",
                                    {x, Argument::of(c10::IValue(p.scale)), Argument::of(c10::IValue(p.zero))}, std::move(kernel));
    r.bind(Argument::of(values), r.rank(0));
    r.noteStored(storedAtRun(p, r.storedOfInput(0) || !r.has(2) ? codeType(r, 0) : codeType(r, 2)));
    return {};
}

/// Codes of 2, 4 or 8 bits, the first in the lowest bits of a byte, as [rows, each].
Result<at::Tensor> unpacked(const at::Tensor &bytes, std::int64_t bits, std::int64_t rows, std::int64_t each)
{
    const std::int64_t perByte = 8 / bits, row = (each + perByte - 1) / perByte;
    if (bytes.scalar_type() != at::kByte || bytes.numel() != rows * row)
        return fail(ErrorKind::Parse, "codes that do not fill its shape");
    const at::Tensor flat = bytes.reshape({rows, row, 1}), shifts = at::arange(0, 8, bits, at::kByte);
    const at::Tensor codes = flat.bitwise_right_shift(shifts).bitwise_and(at::scalar_tensor((1 << bits) - 1, at::kByte));
    return codes.reshape({rows, row * perByte}).narrow(1, 0, each);
}

/// com.microsoft's weight in blocks: a linear map whose weight [N, K] lies as unsigned codes with a scale for each block of a row.
Status matmulNBits(OnnxReader &r)
{
    const std::int64_t inputs = r.integer("K", 0), outputs = r.integer("N", 0), bits = r.integer("bits", 4), block = r.integer("block_size", 0);
    constexpr std::int64_t kMost = std::int64_t(1) << 31;
    if ((bits != 2 && bits != 4 && bits != 8) || block < 16 || block > 65536 || inputs < 1 || outputs < 1 || inputs > kMost || outputs > kMost)
        return fail(ErrorKind::Unsupported, "weights of " + std::to_string(bits) + " bits in blocks of " + std::to_string(block));
    if (r.has(4))
        return fail(ErrorKind::Unsupported, "weights whose rows are in another order (g_idx)");
    BW_ASSIGN(const at::Tensor bytes, r.constant(1));
    BW_ASSIGN(const at::Tensor scale, r.constant(2));
    const std::int64_t blocks = (inputs + block - 1) / block;
    if (scale.numel() != outputs * blocks || !scale.is_floating_point())
        return fail(ErrorKind::Parse, "scales that do not fit its blocks");
    BW_ASSIGN(const at::Tensor codes, unpacked(bytes, bits, outputs * blocks, block));
    at::Tensor zero = at::full({outputs, blocks}, std::int64_t(1) << (bits - 1), at::kByte);
    if (r.has(3)) {
        BW_ASSIGN(const at::Tensor given, r.constant(3));
        if (given.is_floating_point() && given.numel() == outputs * blocks) {
            zero = given.reshape({outputs, blocks});
        } else {
            BW_ASSIGN(zero, unpacked(given, bits, outputs, blocks));
        }
    }
    const at::Tensor steps = scale.reshape({outputs, blocks, 1}).to(at::kFloat);
    at::Tensor values = (codes.reshape({outputs, blocks, block}).to(at::kFloat) - zero.reshape({outputs, blocks, 1}).to(at::kFloat)) * steps;
    values = values.reshape({outputs, blocks * block}).narrow(1, 0, inputs).to(scale.scalar_type()).contiguous();
    // Levels that are not whole steps from zero are no uniform quantization.
    const bool whole = !zero.is_floating_point() || at::equal(zero, zero.round());
    auto stored = whole ? storedOf(int(bits), false, scale, zero, 1) : std::nullopt;
    if (stored && stored->scale.size() > 1)
        stored->block = block;
    BW_ASSIGN(const Argument x, r.input(0));
    BW_ASSIGN(const Argument bias, r.input(5, true));
    return r.emit("aten::linear", {x, r.ownWeight(r.node().inputs[1], values, stored), bias});
}

} // namespace

std::span<const OnnxReadingRow> onnxQuantizeReadings()
{
    static const OnnxReadingRow kRows[] = {{"QuantizeLinear", quantize}, {"DequantizeLinear", dequantize},
                                            {"com.microsoft::QuantizeLinear", quantize}, {"com.microsoft::DequantizeLinear", dequantize},
                                            {"com.microsoft::MatMulNBits", matmulNBits}};
    return kRows;
}

} // namespace bitwright
