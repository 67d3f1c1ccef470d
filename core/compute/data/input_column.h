// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "data/dataset.h"

#include <string>

namespace bitwright {

/// The type of a name like "int64"; float32 for an empty or unknown one.
at::ScalarType scalarTypeNamed(const std::string &dtype);
/// True for an input as most networks have it, floats with the batch first: a Dataset needs no column for it.
bool isPlain(const InputNeed &need);
/// "?×3×?×?" of an input as data has to bring it, the batch and free sizes as "?".
std::string needText(const InputNeed &need);

/// A column for `need` without values.
InputColumn emptyColumn(const InputNeed &need);
/// Takes an array as the samples of one input: laid out as the network reads it (the batch where the network has it), or
/// with the samples first; one value where it serves all of them. Whole numbers, flags and the range of ids are checked.
/// `what` opens the messages: "npz:a.npz, input 'ids'".
Result<InputColumn> columnOf(const at::Tensor &array, const InputNeed &need, const std::string &what);

/// The rows that `first` and `limit` leave of every column, whose number of samples must be the same; `what` opens the
/// messages. Sets Dataset::images.
Status setColumns(Dataset &data, std::vector<InputColumn> columns, const std::string &what);

} // namespace bitwright
