// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Parts of ONNX models made by hand.

#include "frontends/onnx_proto.h"

#include <ATen/ATen.h>

#include <string>
#include <utility>
#include <vector>

namespace bitwright::testing {

/// An initializer of float32.
inline onnx::Tensor floats(const std::string &name, const at::Tensor &values)
{
    onnx::Tensor made;
    made.name = name;
    made.type = onnx::DataType::Float;
    made.dims = values.sizes().vec();
    const at::Tensor flat = values.to(at::kFloat).contiguous();
    made.owned.assign(static_cast<const char *>(flat.const_data_ptr()), flat.nbytes());
    made.hasRaw = true;
    return made;
}

/// An initializer of an integer type, packed where it is narrower than a byte.
inline onnx::Tensor integers(const std::string &name, onnx::DataType type, std::vector<std::int64_t> dims, const std::vector<std::int64_t> &values)
{
    onnx::Tensor made;
    made.name = name;
    made.type = type;
    made.dims = std::move(dims);
    made.owned = onnx::packIntegers(values, type);
    made.hasRaw = true;
    return made;
}

/// A float input or output.
inline onnx::ValueInfo value(const std::string &name, std::vector<onnx::Dimension> shape)
{
    return {name, onnx::DataType::Float, true, std::move(shape)};
}

} // namespace bitwright::testing
