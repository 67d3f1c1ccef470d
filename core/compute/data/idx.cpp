// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/idx.h"

#include "data/byte_order.h"
#include "data/byte_source.h"
#include "data/npy_header.h"
#include "tensor/guarded.h"
#include "tensor/memory.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <vector>

namespace bitwright {

namespace fs = std::filesystem;

namespace {

struct IdxType { at::ScalarType type; std::int64_t bytes; };

Result<IdxType> idxType(int code, const std::string &file)
{
    switch (code) {
    case 0x08: return IdxType{at::kByte, 1};
    case 0x09: return IdxType{at::kChar, 1};
    case 0x0b: return IdxType{at::kShort, 2};
    case 0x0c: return IdxType{at::kInt, 4};
    case 0x0d: return IdxType{at::kFloat, 4};
    case 0x0e: return IdxType{at::kDouble, 8};
    default: return fail(ErrorKind::Parse, file + ", not an IDX file (unknown number type); check the path");
    }
}

Result<at::Tensor> readRows(ByteSource &source, std::int64_t first, std::int64_t limit, std::int64_t *total)
{
    std::array<unsigned char, 4> magic{};
    BW_ASSIGN(const auto got, source.read(magic.data(), 4));
    if (got < 4 || magic[0] != 0 || magic[1] != 0 || magic[3] == 0 || magic[3] > 8)
        return fail(ErrorKind::Parse, source.name() + ", not an IDX file; check the path");
    BW_ASSIGN(const auto type, idxType(magic[2], source.name()));
    std::vector<std::int64_t> shape;
    for (int i = 0; i < magic[3]; ++i) {
        std::array<unsigned char, 4> size{};
        BW_CHECK(source.readAll(size.data(), 4));
        shape.push_back(std::int64_t(size[0]) << 24 | std::int64_t(size[1]) << 16 | std::int64_t(size[2]) << 8 | size[3]);
    }
    BW_ASSIGN(const auto bytes, checkedBytes(shape, type.bytes, source.name()));
    if (bytes > source.bound())
        return fail(ErrorKind::Parse, source.name() + ", its header promises " + std::to_string(bytes) +
                                          " bytes, the file holds fewer; get the file again");
    const auto rows = shape[0];
    if (total != nullptr)
        *total = rows;
    const auto begin = std::min(first, rows);
    shape[0] = limit < 0 ? rows - begin : std::min(limit, rows - begin);
    BW_CHECK(checkMemory(std::uint64_t(rows > 0 ? bytes / rows * shape[0] : 0), source.name()));
    auto tensor = at::empty(shape, at::TensorOptions(type.type));
    if (rows > 0)
        BW_CHECK(source.skip(bytes / rows * begin));
    BW_CHECK(source.readAll(tensor.data_ptr(), std::int64_t(tensor.nbytes())));
    if (begin + shape[0] == rows)
        BW_CHECK(source.expectEnd());
    if (type.bytes > 1)
        swapBytes(tensor.data_ptr(), tensor.numel(), type.bytes);
    return tensor;
}

/// True when the file's name says that it holds the images of this split.
bool isImagesOf(const std::string &name, const std::string &split)
{
    if (name.find("idx") == std::string::npos || name.find("images") == std::string::npos || name.ends_with(".part"))
        return false;
    const bool train = name.find("train") != std::string::npos;
    const bool test = name.find("t10k") != std::string::npos || name.find("test") != std::string::npos;
    return split == "train" ? train : test;
}

/// "t10k-images-idx3-ubyte.gz" -> "t10k-labels-idx1-ubyte.gz", with and without the ending.
Result<std::string> labelsBeside(const fs::path &images)
{
    auto name = images.filename().string();
    const auto swap = [&name](const std::string &from, const std::string &to) {
        if (const auto at = name.rfind(from); at != std::string::npos)
            name.replace(at, from.size(), to);
    };
    swap("images", "labels");
    swap("idx3", "idx1");
    const bool packed = name.ends_with(".gz");
    const auto other = packed ? name.substr(0, name.size() - 3) : name + ".gz";
    std::error_code code;
    for (const auto &candidate : {name, other})
        if (candidate != images.filename() && fs::exists(images.parent_path() / candidate, code))
            return (images.parent_path() / candidate).string();
    return fail(ErrorKind::Io, (images.parent_path() / name).string() + ", no such file; the labels belong beside the images");
}

} // namespace

Result<at::Tensor> readIdx(const std::string &path, std::int64_t first, std::int64_t limit, std::int64_t *total)
{
    BW_ASSIGN(auto source, openFile(path));
    return guarded(path, ErrorKind::Io, [&] { return readRows(*source, first, limit, total); });
}

Result<IdxPair> findIdxPair(const std::string &path, const std::string &split)
{
    std::error_code code;
    IdxPair pair;
    if (fs::is_regular_file(path, code)) {
        pair.images = path;
    } else {
        std::vector<std::string> found;
        for (const auto &entry : fs::directory_iterator(path, code))
            if (entry.is_regular_file(code) && isImagesOf(entry.path().filename().string(), split))
                found.push_back(entry.path().string());
        std::sort(found.begin(), found.end());   // the plain file comes before its .gz
        if (found.size() == 2 && found[1] == found[0] + ".gz")
            found.pop_back();
        if (found.empty())
            return fail(ErrorKind::Io, path + ", holds no IDX images of the " + split +
                                           " split (like t10k-images-idx3-ubyte.gz); check the folder");
        if (found.size() > 1)
            return fail(ErrorKind::Invalid, path + ", holds several sets of IDX images (" + found[0] + ", " + found[1] +
                                                "); name the image file itself");
        pair.images = found[0];
    }
    BW_ASSIGN(pair.labels, labelsBeside(pair.images));
    return pair;
}

} // namespace bitwright
