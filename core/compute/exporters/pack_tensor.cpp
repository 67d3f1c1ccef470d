// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pack_tensor.h"

#include "base/json_util.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <span>

namespace bitwright::pack {

namespace {

using nlohmann::json;

constexpr int kWidestGap = 8;
constexpr std::int64_t kMostLevels = 65535;   // with code 0 for pruned they still fit 16 bits

struct TypeName { const char *name; at::ScalarType type; };
constexpr std::array<TypeName, 9> kTypes{{{"float32", at::kFloat}, {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16},
                                          {"int64", at::kLong}, {"int32", at::kInt}, {"int16", at::kShort}, {"int8", at::kChar}, {"uint8", at::kByte}}};

const TypeName *typeOf(const std::string &name)
{
    const auto found = std::ranges::find_if(kTypes, [&](const TypeName &type) { return name == type.name; });
    return found == kTypes.end() ? nullptr : &*found;
}

constexpr std::array<const char *, 4> kPositions{"all", "code", "bitmap", "gaps"};

const char *codingName(Coding coding)
{
    return coding == Coding::Huffman ? "huffman" : "plain";
}

std::uint64_t alphabetOf(const PackedTensor &packed)
{
    const bool zeroCode = packed.positions == Positions::Code || packed.positions == Positions::Gaps;
    return std::uint64_t(packed.levels) + (zeroCode ? 1 : 0);
}

/// Which group the element at a flat index belongs to.
struct GroupOf {
    std::int64_t groups = 1, inner = 1, size = 1, block = 0, blocks = 0;
    GroupOf(const PackedTensor &packed) : groups(packed.groups)
    {
        for (std::size_t d = std::size_t(packed.axis + 1); packed.axis >= 0 && d < packed.shape.size(); ++d)
            inner *= packed.shape[d];
        if (packed.axis < 0 || packed.block == 0)
            return;
        size = packed.shape[std::size_t(packed.axis)];
        block = packed.block;
        blocks = (size + block - 1) / block;
    }
    std::size_t operator()(std::int64_t index) const
    {
        if (block > 0)
            return std::size_t((index / (inner * size) * blocks + index / inner % size / block) * inner + index % inner);
        return groups == 1 ? 0 : std::size_t(index / inner % groups);
    }
};

/// How many groups a tensor of this shape has.
std::int64_t groupCount(const PackedTensor &packed)
{
    if (packed.axis < 0)
        return 1;
    const std::int64_t size = packed.shape[std::size_t(packed.axis)];
    if (packed.block == 0)
        return size;
    const std::int64_t others = size > 0 ? packed.count() / size : 0;
    return others * ((size + packed.block - 1) / packed.block);
}

std::vector<float> levelsOf(const QuantGrid &grid, std::size_t group)
{
    std::vector<float> levels;
    for (const double level : grid.levels(group))
        levels.push_back(float(level));
    return levels;
}

/// Codes 0, 1, … of the kept elements in their order; nothing where one of them is no level.
std::optional<std::vector<std::uint16_t>> codesOf(std::span<const float> values, const QuantGrid &grid, const PackedTensor &packed,
                                                  const std::vector<std::uint8_t> &kept)
{
    std::vector<std::vector<float>> levels;
    for (std::size_t g = 0; g < grid.groups.size(); ++g)
        levels.push_back(levelsOf(grid, g));
    const GroupOf groupOf(packed);
    std::vector<std::uint16_t> codes;
    codes.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!kept.empty() && !kept[i])
            continue;
        const auto &list = levels[groupOf(std::int64_t(i))];
        const bool down = list.front() > list.back();   // a negative scale
        const auto at = down ? std::ranges::lower_bound(list, values[i], std::greater<>()) : std::ranges::lower_bound(list, values[i]);
        if (at == list.end() || *at != values[i])
            return std::nullopt;
        codes.push_back(std::uint16_t(at - list.begin()));
    }
    return codes;
}

std::vector<std::uint64_t> histogram(std::span<const std::uint16_t> symbols, std::uint64_t alphabet)
{
    std::vector<std::uint64_t> counts(std::size_t(alphabet), 0);
    for (const std::uint16_t symbol : symbols)
        ++counts[symbol];
    return counts;
}

/// One of the ways to store positions and codes, with its price.
struct Way {
    Positions positions = Positions::All;
    int gapBits = 0;
    std::vector<std::uint16_t> places, codes;
    std::uint64_t placeAlphabet = 0, codeAlphabet = 0;
    Stream placePlan, codePlan;
    [[nodiscard]] std::uint64_t bytes() const { return placePlan.bytes + codePlan.bytes; }
    void price()
    {
        if (placeAlphabet > 0)
            placePlan = planStream(histogram(places, placeAlphabet));
        codePlan = planStream(histogram(codes, codeAlphabet));
    }
};

Way gapsWay(std::span<const std::uint16_t> codes, const std::vector<std::uint8_t> &kept, int bits, std::uint64_t levels)
{
    Way way{Positions::Gaps, bits, {}, {}, std::uint64_t(1) << bits, levels + 1, {}, {}};
    const std::int64_t most = (std::int64_t(1) << bits) - 1;
    std::int64_t previous = -1;
    std::size_t next = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        if (!kept[i])
            continue;
        std::int64_t gap = std::int64_t(i) - previous - 1;
        for (; gap > most; gap -= most + 1) {
            way.places.push_back(std::uint16_t(most));
            way.codes.push_back(0);
        }
        way.places.push_back(std::uint16_t(gap));
        way.codes.push_back(std::uint16_t(codes[next++] + 1));
        previous = std::int64_t(i);
    }
    return way;
}

std::vector<Way> waysOf(std::vector<std::uint16_t> codes, const std::vector<std::uint8_t> &kept, std::uint64_t levels)
{
    std::vector<Way> ways;
    if (kept.empty()) {
        ways.push_back({Positions::All, 0, {}, std::move(codes), 0, levels, {}, {}});
        ways.back().price();
        return ways;
    }
    Way coded{Positions::Code, 0, {}, {}, 0, levels + 1, {}, {}};
    Way bitmap{Positions::Bitmap, 0, std::vector<std::uint16_t>((kept.size() + 7) / 8, 0), codes, 256, levels, {}, {}};
    std::size_t next = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        coded.codes.push_back(kept[i] ? std::uint16_t(codes[next++] + 1) : std::uint16_t(0));
        bitmap.places[i / 8] |= std::uint16_t(kept[i] << (i % 8));
    }
    ways.push_back(std::move(coded));
    ways.push_back(std::move(bitmap));
    for (int bits = 1; bits <= kWidestGap; ++bits)
        ways.push_back(gapsWay(codes, kept, bits, levels));
    for (Way &way : ways)
        way.price();
    return ways;
}

template <class T>
void append(std::string &bytes, T value)
{
    bytes.append(reinterpret_cast<const char *>(&value), sizeof value);   // every machine we build for is little-endian
}

/// Scales and zero points, or the levels themselves.
std::string sideBytes(const QuantGrid &grid, const PackedTensor &packed)
{
    std::string bytes;
    for (const auto &group : grid.groups) {
        if (packed.uniform)
            append(bytes, float(group.scale));
        else
            for (const double level : group.levels)
                append(bytes, float(level));
    }
    for (const auto &group : grid.groups)
        if (packed.zeroPoints)
            append(bytes, std::int32_t(group.zeroPoint));
    return bytes;
}

std::string rawBytes(const at::Tensor &tensor)
{
    const at::Tensor plain = tensor.detach().contiguous();
    return {static_cast<const char *>(plain.const_data_ptr()), plain.nbytes()};
}

/// A float weight that is pruned: a bitmap and the values that are left, where that is smaller.
void packSparseFloat(PackedTensor &packed, const at::Tensor &tensor, const std::vector<std::uint8_t> &kept)
{
    const at::Tensor plain = tensor.detach().contiguous();
    const auto values = floatSpan(plain);
    std::vector<std::uint16_t> places((kept.size() + 7) / 8, 0);
    std::string left;
    for (std::size_t i = 0; i < kept.size(); ++i) {
        places[i / 8] |= std::uint16_t(kept[i] << (i % 8));
        if (kept[i])
            append(left, values[i]);
    }
    const Stream plan = planStream(histogram(places, 256));
    if (plan.bytes + left.size() >= packed.payload.size())
        return;
    packed.positions = Positions::Bitmap;
    packed.positionCoding = plan.coding;
    packed.entries = std::int64_t(left.size() / sizeof(float));
    packed.payload = writeStream(plan, places, 256) + left;
}

bool describesGrid(PackedTensor &packed, const QuantGrid &grid, int axis, std::int64_t block)
{
    packed.uniform = grid.uniform;
    packed.qmin = grid.uniform ? grid.qmin : 0;
    packed.groups = std::int64_t(grid.groups.size());
    packed.axis = packed.groups > 1 ? axis : -1;
    packed.block = packed.axis < 0 ? 0 : block;
    packed.levels = grid.empty() ? 0 : std::int64_t(grid.levelCount());
    packed.zeroPoints = grid.uniform && std::ranges::any_of(grid.groups, [](const auto &group) { return group.zeroPoint != 0; });
    const bool sameCount = std::ranges::all_of(grid.groups, [&](const auto &group) {
        return grid.uniform || std::int64_t(group.levels.size()) == packed.levels;
    });
    const bool fits = packed.axis < 0 ? packed.groups == 1
                                      : std::size_t(packed.axis) < packed.shape.size() && groupCount(packed) == packed.groups;
    return sameCount && fits && packed.levels > 0 && packed.levels <= kMostLevels;
}

bool packOnGrid(PackedTensor &packed, const at::Tensor &tensor, const QuantGrid &grid, int axis, std::int64_t block,
                const std::vector<std::uint8_t> &kept)
{
    if (!describesGrid(packed, grid, axis, block))
        return false;
    const at::Tensor plain = tensor.detach().contiguous();
    auto codes = codesOf(floatSpan(plain), grid, packed, kept);
    if (!codes)
        return false;
    const auto ways = waysOf(std::move(*codes), kept, std::uint64_t(packed.levels));
    const Way &way = *std::ranges::min_element(ways, {}, &Way::bytes);
    packed.quantized = true;
    packed.positions = way.positions;
    packed.gapBits = way.gapBits;
    packed.entries = std::int64_t(way.codes.size());
    packed.positionCoding = way.placePlan.coding;
    packed.codes = way.codePlan.coding;
    packed.payload = sideBytes(grid, packed);
    if (way.placeAlphabet > 0)
        packed.payload += writeStream(way.placePlan, way.places, way.placeAlphabet);
    packed.payload += writeStream(way.codePlan, way.codes, way.codeAlphabet);
    return true;
}

template <class T>
Result<std::vector<T>> takeValues(std::string_view &bytes, std::int64_t count)
{
    if (bytes.size() / sizeof(T) < std::uint64_t(count))
        return fail(ErrorKind::Parse, "it has fewer values than its header says");
    std::vector<T> values(std::size_t(count), T{});
    if (count > 0)
        std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    bytes.remove_prefix(values.size() * sizeof(T));
    return values;
}

/// Any group's levels, as the simulation computes them. Evenly spaced ones are made when asked for: a header could want
/// more of them than memory holds.
struct Levels {
    const PackedTensor &packed;
    std::vector<float> values;            ///< scales, or the levels of all groups
    std::vector<std::int32_t> zeros;
    [[nodiscard]] float at(std::size_t group, std::int64_t index) const
    {
        return packed.uniform ? float(packed.qmin + index - zeros[group]) * values[group]
                              : values[group * std::size_t(packed.levels) + std::size_t(index)];
    }
};

Result<Levels> takeLevels(std::string_view &bytes, const PackedTensor &packed)
{
    Levels levels{packed, {}, {}};
    BW_ASSIGN(levels.values, takeValues<float>(bytes, packed.groups * (packed.uniform ? 1 : packed.levels)));
    if (packed.uniform)
        levels.zeros.assign(std::size_t(packed.groups), 0);
    if (packed.zeroPoints) {
        BW_ASSIGN(levels.zeros, takeValues<std::int32_t>(bytes, packed.groups));
    }
    return levels;
}

/// Index of the element that each entry of the file stands for.
Result<std::vector<std::int64_t>> takePlaces(std::string_view &bytes, const PackedTensor &packed)
{
    const std::int64_t count = packed.count();
    std::vector<std::int64_t> places;
    if (packed.positions == Positions::Gaps) {
        BW_ASSIGN(const auto gaps, readStream(bytes, packed.positionCoding, std::uint64_t(packed.entries), std::uint64_t(1) << packed.gapBits));
        std::int64_t at = -1;
        for (const std::uint16_t gap : gaps)
            places.push_back(at += gap + 1);
    } else if (packed.positions == Positions::Bitmap) {
        BW_ASSIGN(const auto bitmap, readStream(bytes, packed.positionCoding, std::uint64_t((count + 7) / 8), 256));
        for (std::int64_t i = 0; i < count; ++i)
            if (bitmap[std::size_t(i / 8)] >> (i % 8) & 1)
                places.push_back(i);
    }
    const bool right = packed.positions == Positions::Gaps || packed.positions == Positions::Bitmap
                           ? std::int64_t(places.size()) == packed.entries && (places.empty() || places.back() < count)
                           : packed.entries == count;
    if (!right)
        return fail(ErrorKind::Parse, "its positions do not fit its shape");
    return places;
}

Result<at::Tensor> unpackQuantized(const PackedTensor &packed)
{
    std::string_view bytes = packed.payload;
    BW_ASSIGN(const auto levels, takeLevels(bytes, packed));
    BW_ASSIGN(const auto places, takePlaces(bytes, packed));
    BW_ASSIGN(const auto codes, readStream(bytes, packed.codes, std::uint64_t(packed.entries), alphabetOf(packed)));
    if (!bytes.empty())
        return fail(ErrorKind::Parse, "it has bytes behind its codes");
    at::Tensor out = at::zeros(packed.shape, at::kFloat);
    float *to = out.mutable_data_ptr<float>();
    const GroupOf groupOf(packed);
    const bool zeroCode = packed.positions == Positions::Code || packed.positions == Positions::Gaps;
    for (std::size_t i = 0; i < codes.size(); ++i) {
        if (zeroCode && codes[i] == 0)
            continue;
        const std::int64_t place = places.empty() ? std::int64_t(i) : places[i];
        to[place] = levels.at(groupOf(place), codes[i] - (zeroCode ? 1 : 0));
    }
    return out;
}

Result<at::Tensor> unpackRaw(const PackedTensor &packed)
{
    const TypeName *type = typeOf(packed.type);
    at::Tensor out = at::zeros(packed.shape, type->type);
    std::string_view bytes = packed.payload;
    if (packed.positions == Positions::Bitmap) {
        BW_ASSIGN(const auto places, takePlaces(bytes, packed));
        BW_ASSIGN(const auto values, takeValues<float>(bytes, packed.entries));
        for (std::size_t i = 0; i < values.size(); ++i)
            out.mutable_data_ptr<float>()[places[i]] = values[i];
    } else if (bytes.size() == out.nbytes()) {
        if (!bytes.empty())
            std::memcpy(out.mutable_data_ptr(), bytes.data(), bytes.size());
        bytes = {};
    }
    if (!bytes.empty())
        return fail(ErrorKind::Parse, "it has another number of values than its shape");
    return out;
}

std::unexpected<Error> badHeader(const char *key)
{
    return fail(ErrorKind::Parse, std::string("its header has a wrong \"") + key + '"');
}

Result<std::int64_t> number(const json &header, const char *key, std::int64_t fallback, std::int64_t least, std::int64_t most)
{
    const auto found = header.find(key);
    if (found == header.end())
        return fallback;
    const auto value = jsonInteger(*found);
    if (!value || *value < least || *value > most)
        return badHeader(key);
    return *value;
}

Result<Coding> coding(const json &header, const char *key)
{
    const auto found = header.find(key);
    if (found == header.end() || *found == "plain")
        return Coding::Plain;
    if (*found != "huffman")
        return badHeader(key);
    return Coding::Huffman;
}

/// Shape and the number of its elements, which may not pass `limit`.
Result<std::vector<std::int64_t>> shapeOf(const json &header, std::int64_t limit)
{
    const auto found = header.find("shape");
    if (found == header.end() || !found->is_array() || found->size() > 16)
        return badHeader("shape");
    std::vector<std::int64_t> shape;
    std::int64_t count = 1;
    for (const json &size : *found) {
        const auto value = jsonInteger(size);
        if (!value || *value < 0 || *value > limit || (*value > 0 && count > limit / *value))
            return badHeader("shape");
        shape.push_back(*value);
        count *= *value;
    }
    return shape;
}

Status readGrid(const json &header, PackedTensor &packed)
{
    const auto levels = header.find("grid");
    if (levels == header.end())
        return {};
    packed.quantized = true;
    packed.uniform = *levels == "uniform";
    if ((!packed.uniform && *levels != "codebook") || packed.type != "float32")
        return badHeader("grid");
    BW_ASSIGN(packed.levels, number(header, "levels", 0, 1, kMostLevels));
    BW_ASSIGN(packed.qmin, number(header, "qmin", 0, -kMostLevels, kMostLevels));
    BW_ASSIGN(const std::int64_t axis, number(header, "axis", -1, 0, std::int64_t(packed.shape.size()) - 1));
    packed.axis = int(axis);
    BW_ASSIGN(packed.block, number(header, "block", 0, 1, axis < 0 ? 0 : std::max<std::int64_t>(packed.shape[std::size_t(axis)], 1)));
    packed.groups = groupCount(packed);
    const auto zeros = header.find("zero_points");
    packed.zeroPoints = zeros != header.end() && *zeros == true;
    if (packed.levels == 0)
        return badHeader("levels");
    BW_ASSIGN(packed.codes, coding(header, "codes"));
    return {};
}

} // namespace

std::int64_t PackedTensor::count() const
{
    std::int64_t count = 1;
    for (const std::int64_t size : shape)
        count *= size;
    return count;
}

double PackedTensor::bitsPerWeight() const
{
    return count() > 0 ? 8.0 * double(payload.size()) / double(count()) : 0;
}

std::string PackedTensor::describe() const
{
    const auto huffman = [](Coding coding) { return coding == Coding::Huffman ? ", Huffman" : ""; };
    std::string text = type;
    if (quantized) {
        text = std::to_string(plainBits(std::uint64_t(levels))) + "-bit " + (uniform ? "codes" : "codes of a codebook") + huffman(codes);
        if (groups > 1)
            text += block > 0 ? ", in blocks of " + std::to_string(block) : ", per channel";
    }
    if (positions == Positions::Code)
        text += "; zero is a code";
    else if (positions == Positions::Bitmap)
        text += std::string("; bitmap") + huffman(positionCoding);
    else if (positions == Positions::Gaps)
        text += "; gaps of " + std::to_string(gapBits) + (gapBits == 1 ? " bit" : " bits") + huffman(positionCoding);
    return text;
}

PackedTensor packTensor(const std::string &name, const at::Tensor &tensor, const QuantGrid *grid, int axis, int bits, const Mask &mask,
                        std::int64_t block)
{
    PackedTensor packed;
    packed.name = name;
    packed.shape = tensor.sizes().vec();
    const auto type = std::ranges::find(kTypes, tensor.scalar_type(), &TypeName::type);
    TORCH_CHECK(type != kTypes.end(), name, " is of a type that a pack cannot hold, ", c10::toString(tensor.scalar_type()));
    packed.type = type->name;
    std::vector<std::uint8_t> kept;
    if (!mask.empty() && mask.size() == tensor.numel() && tensor.scalar_type() == at::kFloat)
        kept = mask.kept();
    if (grid && tensor.scalar_type() == at::kFloat && tensor.numel() > 0 && packOnGrid(packed, tensor, *grid, axis, block, kept)) {
        packed.bits = bits;
        return packed;
    }
    packed = PackedTensor{packed.name, packed.shape, packed.type};
    packed.payload = rawBytes(tensor);
    if (!kept.empty())
        packSparseFloat(packed, tensor, kept);
    return packed;
}

Result<at::Tensor> unpackTensor(const PackedTensor &packed)
{
    auto tensor = packed.quantized ? unpackQuantized(packed) : unpackRaw(packed);
    if (!tensor)
        return fail(tensor.error().kind, "tensor " + packed.name + ", " + tensor.error().message);
    return tensor;
}

json tensorHeader(const PackedTensor &packed)
{
    json header{{"name", packed.name}, {"shape", packed.shape}, {"bytes", packed.payload.size()}};
    if (packed.type != "float32")
        header["type"] = packed.type;
    if (packed.quantized) {
        header["grid"] = packed.uniform ? "uniform" : "codebook";
        header["bits"] = packed.bits;
        header["levels"] = packed.levels;
        if (packed.uniform)
            header["qmin"] = packed.qmin;
        if (packed.axis >= 0)
            header["axis"] = packed.axis;
        if (packed.block > 0)
            header["block"] = packed.block;
        if (packed.zeroPoints)
            header["zero_points"] = true;
        header["codes"] = codingName(packed.codes);
    }
    if (packed.positions == Positions::All)
        return header;
    header["positions"] = kPositions[std::size_t(packed.positions)];
    if (packed.positions == Positions::Gaps)
        header["gap_bits"] = packed.gapBits;
    if (packed.positions != Positions::Code) {
        header["entries"] = packed.entries;
        header["position_codes"] = codingName(packed.positionCoding);
    }
    return header;
}

Result<PackedTensor> tensorFromHeader(const json &header, std::int64_t elementLimit)
{
    PackedTensor packed;
    if (!header.is_object() || !header.contains("name") || !header["name"].is_string())
        return badHeader("name");
    packed.name = header["name"].get<std::string>();
    BW_ASSIGN(packed.shape, shapeOf(header, elementLimit));
    if (header.contains("type"))
        packed.type = header["type"].is_string() ? header["type"].get<std::string>() : "";
    if (!typeOf(packed.type))
        return badHeader("type");
    BW_CHECK(readGrid(header, packed));
    BW_ASSIGN(const std::int64_t bits, number(header, "bits", 32, 1, 32));
    packed.bits = int(bits);
    const std::string positions = header.value("positions", json("all")).is_string() ? header.value("positions", json("all")).get<std::string>() : "";
    const auto way = std::ranges::find(kPositions, positions, [](const char *name) { return std::string(name); });
    if (way == kPositions.end())
        return badHeader("positions");
    packed.positions = Positions(way - kPositions.begin());
    if (!packed.quantized && packed.positions != Positions::All && (packed.positions != Positions::Bitmap || packed.type != "float32"))
        return badHeader("positions");
    BW_ASSIGN(const std::int64_t gap, number(header, "gap_bits", 0, 1, kWidestGap));
    packed.gapBits = int(gap);
    if (packed.positions == Positions::Gaps && gap == 0)
        return badHeader("gap_bits");
    BW_ASSIGN(packed.entries, number(header, "entries", packed.count(), 0, packed.count()));
    BW_ASSIGN(packed.positionCoding, coding(header, "position_codes"));
    return packed;
}

} // namespace bitwright::pack
