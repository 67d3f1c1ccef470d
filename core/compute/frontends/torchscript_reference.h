// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// A TorchScript file run by LibTorch itself: the yardstick of verification and of the benchmarks.
class TorchScriptReference {
public:
    static Result<TorchScriptReference> load(const std::string &path);
    TorchScriptReference(TorchScriptReference &&) noexcept;
    TorchScriptReference &operator=(TorchScriptReference &&) noexcept;
    ~TorchScriptReference();

    /// One forward pass in evaluation mode, outputs flattened in order, tensors only. Respects the caller's grad mode.
    Result<std::vector<at::Tensor>> run(const std::vector<at::Tensor> &inputs);
    /// The same with what lists, tuples and dictionaries hold given one after the other, as our reader lists the inputs
    /// of the network: `names` are the names that it gives them ("state.0", "batch.image"). Numbers may come as tensors
    /// without dimensions. Outputs are flattened in the same order, numbers among them; what is None is left out.
    Result<std::vector<c10::IValue>> runLeaves(const std::vector<c10::IValue> &leaves, const std::vector<std::string> &names);
    /// Runs `passes` times so that LibTorch's own optimizations are made before anything is timed.
    Status warmUp(const std::vector<at::Tensor> &inputs, int passes = 3);
    /// The state as the file holds it or as training changed it: name → tensor (not a copy).
    [[nodiscard]] std::vector<std::pair<std::string, at::Tensor>> parameters() const;
    /// Training mode on or off; load() leaves it off.
    void train(bool on);

private:
    struct Private;
    explicit TorchScriptReference(std::unique_ptr<Private> private_);
    std::unique_ptr<Private> d;
};

/// Loads, runs once without gradients, gives the outputs.
Result<std::vector<at::Tensor>> runTorchScriptReference(const std::string &path, const std::vector<at::Tensor> &inputs);

} // namespace bitwright
