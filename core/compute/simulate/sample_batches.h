// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "simulate/network.h"

namespace bitwright {

/// What openData has to know of a network; decoder and job are the caller's.
DataContext dataContext(const Network &network);

/// The batch size that samples of `data` have to come in, 0 where any will do.
std::int64_t requiredBatch(const Network &network, const Dataset &data);

/// All inputs for rows [first, first + count) as the network wants them, filled up to the batch it insists on.
std::vector<c10::IValue> batchArguments(const Network &network, const Dataset &data, std::int64_t first, std::int64_t count);

/// The first output with its `count` samples in dimension 0, what was filled up cut off; an error where it counts none.
Result<at::Tensor> outputBySample(const Network &network, const Dataset &data, const std::vector<c10::IValue> &outputs, std::int64_t count);

/// True where the first output is a score vector per sample: top-1 means something. One sample is run where the file does
/// not tell.
Result<bool> givesScores(const Network &network, const Dataset &data, const JobContext &context);

/// Error where the network reads several inputs, which `what` ("pruning by data") cannot bring it.
Status needsSingleInput(const Network &network, const std::string &what);

} // namespace bitwright
