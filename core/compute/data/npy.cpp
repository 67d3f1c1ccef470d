// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/array_file.h"

#include "base/text_file.h"
#include "data/byte_order.h"
#include "data/byte_source.h"
#include "data/npy_header.h"
#include "tensor/guarded.h"
#include "tensor/memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

namespace bitwright {

namespace {

/// The type the file's bytes are read as; unsigned ones are widened afterwards.
at::ScalarType storedType(const NpyHeader &header)
{
    switch (header.kind) {
    case 'b': return at::kBool;
    case 'f': return header.itemBytes == 2 ? at::kHalf : header.itemBytes == 4 ? at::kFloat : at::kDouble;
    default: break;
    }
    switch (header.itemBytes) {
    case 1: return header.kind == 'u' ? at::kByte : at::kChar;
    case 2: return at::kShort;
    case 4: return at::kInt;
    default: return at::kLong;
    }
}

Result<at::Tensor> widen(at::Tensor tensor, const NpyHeader &header, const std::string &file)
{
    if (header.kind == 'b')   // any byte but 0 is true; anything else than 0 and 1 in a bool is undefined in C++
        return tensor.view(at::kByte).ne(0);
    if (header.kind != 'u' || header.itemBytes == 1)
        return tensor;
    if (header.itemBytes == 2)
        return tensor.to(at::kInt).bitwise_and(0xffff);
    if (header.itemBytes == 4)
        return tensor.to(at::kLong).bitwise_and(0xffffffffLL);
    if (tensor.numel() > 0 && tensor.min().item<std::int64_t>() < 0)
        return fail(ErrorKind::Unsupported, file + ", holds integers beyond 2^63; save them as float64");
    return tensor;
}

Result<NpyHeader> readHeader(ByteSource &source)
{
    std::array<unsigned char, 8> start{};
    BW_ASSIGN(const auto got, source.read(start.data(), 8));
    if (got < 8 || std::memcmp(start.data(), "\x93NUMPY", 6) != 0)
        return fail(ErrorKind::Parse, source.name() + ", not a .npy file; save it with numpy.save");
    const int version = start[6];
    if (version < 1 || version > 3)
        return fail(ErrorKind::Unsupported, source.name() + ", version " + std::to_string(version) +
                                                " of the .npy format; versions 1 to 3 are read");
    std::array<unsigned char, 4> length{};
    BW_CHECK(source.readAll(length.data(), version == 1 ? 2 : 4));
    const std::size_t bytes = std::size_t(length[0]) | std::size_t(length[1]) << 8 | std::size_t(length[2]) << 16 |
                              std::size_t(length[3]) << 24;
    if (bytes > (1 << 20))
        return fail(ErrorKind::Parse, source.name() + ", its .npy header is longer than 1 MiB; get the file again");
    std::string text(bytes, '\0');
    BW_CHECK(source.readAll(text.data(), std::int64_t(bytes)));
    return parseNpyHeader(text, source.name());
}

Result<at::Tensor> readBody(ByteSource &source, NpyHeader header, std::int64_t first, std::int64_t limit)
{
    BW_ASSIGN(const auto bytes, checkedBytes(header.shape, header.itemBytes, source.name()));
    if (bytes > source.bound())
        return fail(ErrorKind::Parse, source.name() + ", its header promises " + std::to_string(bytes) +
                                          " bytes, the file holds fewer; get the file again");
    const bool rows = !header.shape.empty() && (first > 0 || limit >= 0);
    const std::int64_t total = header.shape.empty() ? 1 : header.shape[0];
    const std::int64_t begin = std::min(first, total);
    const std::int64_t count = limit < 0 ? total - begin : std::min(limit, total - begin);
    std::vector<std::int64_t> shape = header.shape;
    const bool partly = rows && !header.fortranOrder;
    if (partly)
        shape[0] = count;
    if (header.fortranOrder)
        std::reverse(shape.begin(), shape.end());
    BW_CHECK(checkMemory(std::uint64_t(total > 0 ? partly ? bytes / total * count : bytes : 0), source.name()));
    auto tensor = at::empty(shape, at::TensorOptions(storedType(header)));
    if (partly && total > 0)
        BW_CHECK(source.skip(bytes / total * begin));
    BW_CHECK(source.readAll(tensor.data_ptr(), std::int64_t(tensor.nbytes())));
    if (!partly || begin + count == total)
        BW_CHECK(source.expectEnd());
    if (header.swapped())
        swapBytes(tensor.data_ptr(), tensor.numel(), header.itemBytes);
    BW_ASSIGN(tensor, widen(tensor, header, source.name()));
    if (header.fortranOrder) {
        std::vector<std::int64_t> order(shape.size());
        std::iota(order.rbegin(), order.rend(), 0);
        tensor = tensor.permute(order);
        if (rows)
            tensor = tensor.narrow(0, begin, count);
    }
    return tensor.contiguous();
}

std::string descriptor(at::ScalarType type)
{
    switch (type) {
    case at::kByte: return "|u1";
    case at::kChar: return "|i1";
    case at::kBool: return "|b1";
    case at::kShort: return "<i2";
    case at::kInt: return "<i4";
    case at::kLong: return "<i8";
    case at::kHalf: return "<f2";
    case at::kDouble: return "<f8";
    default: return "<f4";
    }
}

} // namespace

Result<at::Tensor> readNpy(ByteSource &source, std::int64_t first, std::int64_t limit, std::int64_t *total)
{
    return guarded(source.name(), ErrorKind::Io, [&]() -> Result<at::Tensor> {
        BW_ASSIGN(auto header, readHeader(source));
        if (total != nullptr)
            *total = header.shape.empty() ? 1 : header.shape[0];
        return readBody(source, std::move(header), first, limit);
    });
}

Result<at::Tensor> readNpy(const std::string &path)
{
    BW_ASSIGN(auto source, openFile(path));
    return readNpy(*source);
}

std::string npyBytes(const at::Tensor &tensor)
{
    auto values = tensor.detach().cpu();
    if (values.scalar_type() == at::kBFloat16)
        values = values.to(at::kFloat);
    values = values.contiguous();
    std::string header = "{'descr': '" + descriptor(values.scalar_type()) + "', 'fortran_order': False, 'shape': (";
    for (auto size : values.sizes())
        header += std::to_string(size) + ", ";
    header += "), }";
    constexpr std::size_t kPrefix = 10;
    const std::size_t padded = (kPrefix + header.size() + 1 + 63) / 64 * 64;   // data starts at a multiple of 64
    header.resize(padded - kPrefix - 1, ' ');
    header += '\n';
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes += char(header.size() & 0xff);
    bytes += char(header.size() >> 8);
    bytes += header;
    bytes.append(static_cast<const char *>(values.data_ptr()), values.nbytes());
    return bytes;
}

Status writeNpy(const std::string &path, const at::Tensor &tensor)
{
    return guarded(path, ErrorKind::Io, [&] { return writeTextFile(path, npyBytes(tensor)); });
}

} // namespace bitwright
