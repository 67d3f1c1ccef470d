// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "base/result.h"
#include "graph/graph.h"

#include <functional>
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

/// What `read` makes of a file of weights; its errors get the file's name and what it is taken for in front, and the way out
/// behind.
Result<Graph> loadWeights(const std::string &path, const std::string &kind, const JobContext &context,
                          Result<Graph> (*read)(const std::string &path, const JobContext &context));

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

/// Bytes of the record that holds a storage; `key` is any text from the file.
using StorageBytes = std::function<Result<std::uint64_t>(const std::string &key)>;

/// Whether LibTorch's own unpickler can be given a pickle. It believes what a pickle says of storages and tensors, and
/// values that nest without end take its stack when they are freed. Refuses what is no pickle, tensors that lie outside
/// of their storage, values that contain themselves, and deep nesting.
Status checkPickle(const std::string &pickle, const StorageBytes &storageBytes);

} // namespace bitwright
