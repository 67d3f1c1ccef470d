// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// A scripted file does not say what its input looks like. A traced one may, a side file of ours does; otherwise the
// first layers tell rank and channels, and sizes are tried until one goes through the whole network.

#include "base/job_context.h"
#include "frontends/torchscript_walker.h"

#include <map>

namespace bitwright::torchscript {

/// Shape without the batch, and the type of the elements.
struct InputGuess {
    Shape shape;
    c10::ScalarType dtype = c10::kFloat;
    std::vector<std::int64_t> free = {};   ///< indices into shape: other sizes give the same graph
    std::int64_t first = 0;                ///< > 0: the first size, which is not the batch
};

/// What is tried for one input, the likeliest first.
using Guesses = std::vector<InputGuess>;

/// What the file itself (traced inputs) or a side file says, one entry per input; empty where neither does.
struct StatedInputs {
    std::vector<InputGuess> inputs;
    std::int64_t batch = 0;        ///< of the example that was traced, else 0
};
StatedInputs statedInputs(const std::string &path);

/// Guesses for each input of a graph that was walked without samples, by what reads the input first.
std::vector<Guesses> guessInputs(const Graph &graph, const TensorTable &tensors);

/// What was found out about the inputs.
struct FoundInputs {
    std::vector<InputGuess> inputs;
    std::int64_t batch = 0;        ///< a batch size that goes through
    bool fixedBatch = false;       ///< no other does
    bool meta = true;              ///< the meta device was enough
    std::string refusal;           ///< why the last try failed; inputs is empty then
};

/// Tries guesses until the network runs.
FoundInputs findInputs(const torch::jit::Module &module, const TensorTable &tensors,
                       const std::vector<InputGuess> &stated, const std::vector<Guesses> &guesses,
                       const std::vector<std::int64_t> &batches, const JobContext &context);

/// Fills in `free` of every input that was found: a size is free where twice that size walks to the same graph.
void findFreeSizes(FoundInputs &found, const torch::jit::Module &module, const TensorTable &tensors, const JobContext &context);

/// Sample tensors for a walk.
std::vector<at::Tensor> makeSamples(const std::vector<InputGuess> &inputs, std::int64_t batch, bool meta);

} // namespace bitwright::torchscript
