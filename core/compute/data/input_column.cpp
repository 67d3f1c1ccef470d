// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/input_column.h"

#include "data/fit_shape.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>

namespace bitwright {

namespace {

/// True when `shape` is `wanted` but for free sizes and dimension `batch` (-1: none).
bool fits(at::IntArrayRef shape, const Shape &wanted, int batch)
{
    if (shape.size() != wanted.size())
        return false;
    for (std::size_t i = 0; i < shape.size(); ++i)
        if (int(i) != batch && wanted[i] >= 0 && wanted[i] != shape[i])
            return false;
    return true;
}

Shape without(const Shape &shape, int axis)
{
    Shape left = shape;
    left.erase(left.begin() + axis);
    return left;
}

std::unexpected<Error> badShape(const at::Tensor &array, const InputNeed &need, const std::string &what)
{
    const std::string found = what + " has the shape " + shapeText(array.sizes().vec());
    if (need.isNumber())
        return fail(ErrorKind::Invalid, found + ", the network reads one number for all samples; store one");
    if (need.shared)
        return fail(ErrorKind::Invalid, found + ", the network reads one array of " + needText(need) + " for all samples; store that one");
    if (need.batchAxis < 0)
        return fail(ErrorKind::Invalid, found + ", one sample of the network is " + needText(need) + "; put the samples in front of that");
    return fail(ErrorKind::Invalid, found + ", the network reads " + needText(need) + " with the samples in dimension " +
                                        std::to_string(need.batchAxis) + "; bring the array to that shape");
}

/// The samples first, one sample as the network reads it behind; the value itself where it is shared.
Result<at::Tensor> arranged(const at::Tensor &array, const InputNeed &need, const std::string &what)
{
    if (need.isNumber()) {
        if (array.numel() == 0 || array.dim() > 1 || !at::equal(array.reshape({-1}), array.reshape({-1})[0].expand({array.numel()})))
            return badShape(array, need, what);
        return array.reshape({-1})[0].clone();
    }
    const Shape wanted = need.info.acceptedShape();
    if (need.shared)
        return fits(array.sizes(), wanted, -1) ? Result<at::Tensor>(array) : badShape(array, need, what);
    if (need.batchAxis < 0)
        return array.dim() > 0 && fits(array.sizes().slice(1), wanted, -1) ? Result<at::Tensor>(array) : badShape(array, need, what);
    if (array.dim() < 1)
        return badShape(array, need, what);
    if (!need.rankKnown)
        return array;
    if (fits(array.sizes(), wanted, need.batchAxis))
        return need.batchAxis == 0 ? array : array.movedim(need.batchAxis, 0);
    if (need.batchAxis > 0 && fits(array.sizes().slice(1), without(wanted, need.batchAxis), -1))
        return array;
    if (need.batchAxis == 0 && !need.isWhole()) {   // pictures without or with their channels behind
        Shape free = wanted;
        free[0] = -1;
        if (auto images = fitShape(array, free, what))
            return images;
    }
    return badShape(array, need, what);
}

Status checkWhole(const at::Tensor &values, const InputNeed &need, const std::string &what)
{
    if (values.is_floating_point() && !at::equal(values, values.round()))
        return fail(ErrorKind::Invalid, what + " holds fractions, the network reads whole numbers (" + need.info.dtype + "); store ids or counts");
    if (need.high <= 0 || need.rangeGuessed || values.numel() == 0)
        return {};
    const at::Tensor whole = values.to(at::kLong);
    const std::int64_t most = whole.max().item<std::int64_t>(), least = whole.min().item<std::int64_t>();
    const std::int64_t lowest = need.fromEnd ? -need.high : 0;
    if (most < need.high && least >= lowest)
        return {};
    const bool above = most >= need.high;
    const std::int64_t at = above ? whole.argmax().item<std::int64_t>() : whole.argmin().item<std::int64_t>();
    const std::int64_t sample = need.shared || whole.dim() == 0 ? 0 : at / std::max<std::int64_t>(1, whole.numel() / whole.size(0));
    return fail(ErrorKind::Invalid, what + " holds " + std::to_string(above ? most : least) + " at sample " + std::to_string(sample) + ", but " +
                                        need.rangeFrom + "; use ids from " + std::to_string(lowest) + " to " + std::to_string(need.high - 1));
}

} // namespace

at::ScalarType scalarTypeNamed(const std::string &dtype)
{
    static const std::map<std::string, at::ScalarType> kTypes{
        {"float64", at::kDouble}, {"float16", at::kHalf}, {"bfloat16", at::kBFloat16}, {"int64", at::kLong}, {"int32", at::kInt},
        {"int16", at::kShort}, {"int8", at::kChar}, {"uint8", at::kByte}, {"bool", at::kBool}, {"int", at::kLong}, {"float", at::kDouble}};
    const auto found = kTypes.find(dtype);
    return found == kTypes.end() ? at::kFloat : found->second;
}

bool isPlain(const InputNeed &need)
{
    return need.batchAxis == 0 && scalarTypeNamed(need.info.dtype) == at::kFloat;
}

std::string needText(const InputNeed &need)
{
    if (!need.rankKnown)
        return "any shape";
    Shape shape = need.info.acceptedShape();
    if (need.batchAxis >= 0 && std::size_t(need.batchAxis) < shape.size())
        shape[std::size_t(need.batchAxis)] = -1;
    return shapeText(shape);
}

InputColumn emptyColumn(const InputNeed &need)
{
    InputColumn column;
    column.name = need.info.name;
    column.type = scalarTypeNamed(need.info.dtype);
    column.batchAxis = need.batchAxis;
    column.shared = need.shared;
    // "int", "float" and "bool" without a width are numbers of the program; a tensor of rank 0 has a width.
    column.number = need.info.dtype == "int" || need.info.dtype == "float" || (need.info.dtype == "bool" && need.isNumber());
    return column;
}

Result<InputColumn> columnOf(const at::Tensor &array, const InputNeed &need, const std::string &what)
{
    InputColumn column = emptyColumn(need);
    BW_ASSIGN(at::Tensor values, arranged(array, need, what));
    if (at::isFloatingType(column.type)) {
        const bool bytes = values.scalar_type() == at::kByte && !column.shared;
        column.values = (bytes || column.shared ? values : values.to(at::kFloat)).contiguous();
        if (bytes)
            column.preprocessing.scale = 1.0 / 255.0;
    } else if (column.type == at::kBool) {
        column.values = values.ne(0).contiguous();
    } else {
        BW_CHECK(checkWhole(values, need, what));
        column.values = values.to(column.type).contiguous();
    }
    return column;
}

Status setColumns(Dataset &data, std::vector<InputColumn> columns, const std::string &what)
{
    const InputColumn *first = nullptr;
    for (const InputColumn &column : columns) {
        if (column.shared)
            continue;
        if (first && column.values.size(0) != first->values.size(0))
            return fail(ErrorKind::Invalid, what + ", input '" + first->name + "' has " + std::to_string(first->values.size(0)) + " samples, input '" +
                                                column.name + "' " + std::to_string(column.values.size(0)) + "; they must be as many");
        first = first ? first : &column;
    }
    if (!first)
        return fail(ErrorKind::Unsupported, what + ", the network has no input that differs from sample to sample; run can be used on it");
    data.images = first->values;
    if (columns.size() == 1 && first->type == at::kFloat && first->batchAxis == 0)
        return {};   // what every Dataset is without columns
    data.columns = std::move(columns);
    return {};
}

} // namespace bitwright
