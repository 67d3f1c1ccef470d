// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "graph/graph.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bitwright {

/// Weights by name, in the order of the file.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// A graph that only holds weights: weightsOnly is set and the one obstacle says what is missing for running it. Names
/// must be unique.
Graph weightsGraph(const std::string &format, NamedTensors tensors);

/// What a pickle (data.pkl of torch.save) refers to and who reads the bytes of its storages.
struct StorageSource {
    virtual ~StorageSource() = default;
    /// The bytes of a storage as a one-dimensional tensor of bytes; `key` is any text from the file.
    virtual Result<at::Tensor> bytes(const std::string &key) = 0;
};

/// The tensors in the dictionaries of a pickle, their keys joined by dots. Nothing of the file is ever run: only the
/// calls that build tensors and ordered dictionaries are known, every other object is skipped. An outer "state_dict" or
/// "model" is left out of the names, an optimizer's state is not read.
Result<NamedTensors> unpickleTensors(const std::string &pickle, StorageSource &storages);

} // namespace bitwright
