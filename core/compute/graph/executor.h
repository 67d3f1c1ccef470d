// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

#include <memory>
#include <span>
#include <stop_token>
#include <vector>

namespace bitwright {

/// Values alive just before a node: enough to go on from there.
struct LiveSet {
    std::size_t node = 0;
    std::vector<std::pair<ValueId, c10::IValue>> values;
    [[nodiscard]] std::int64_t bytes() const;
};

/// Called with a layer's input just before one of its nodes runs; returns what the layer shall see. When
/// `mayOverwrite` the tensor dies here and needs no gradient: it may be changed in place and returned.
/// `binding` is the index into the executor's bindings, `call` counts the layer's calls in this pass.
/// In a pass with grad mode off the autograd layers of the dispatcher are switched off inside the tap as well.
using Tap = std::function<at::Tensor(std::size_t binding, int call, const at::Tensor &input, bool mayOverwrite)>;

struct RunOptions {
    bool training = false;              ///< batch norm and dropout in training mode
    bool dropout = true;                ///< training: false leaves dropout off (batch-norm re-estimation)
    bool mutateBuffers = false;         ///< training: batch norm updates the running statistics bound to it
    const Tap *tap = nullptr;
    /// By binding: the tap turns everything below zero into zero. A ReLU that only such a layer reads is then left out,
    /// where it would have worked in place and no wanted live set holds its result: same numbers, one pass less.
    const std::vector<bool> *rectifying = nullptr;
    std::stop_token stop;
    std::size_t begin = 0;              ///< first node; > 0 needs `from`
    const LiveSet *from = nullptr;
    std::span<const std::size_t> captureAt;   ///< ascending node indices whose live sets are wanted
    std::vector<LiveSet> *captured = nullptr; ///< receives them; values in it are never overwritten afterwards
    bool stopAfterCapture = false;      ///< end the pass after the last captured cut; run() then returns no outputs
    bool inPlace = true;                ///< allow in-place nodes where an input dies and no gradient is needed
};

/// Runs a Graph through the dispatcher, dropping each value after its last use. Const and re-entrant: any number of
/// threads may run one executor. Gradients flow when grad mode is on and bound parameters require them.
class Executor {
public:
    /// `bindings` says at which nodes and arguments the tap is called.
    explicit Executor(std::shared_ptr<const Graph> graph, std::vector<LayerBinding> bindings = {});
    ~Executor();
    Executor(const Executor &) = delete;

    [[nodiscard]] const Graph &graph() const;
    [[nodiscard]] const std::vector<LayerBinding> &bindings() const;

    /// Parameters in graph order: the loaded ones, replaced by those of `overrides` that have the same name.
    [[nodiscard]] std::vector<at::Tensor> bind(const ParameterMap &overrides = {}) const;

    /// One pass. `parameters` as from bind(). Errors name the node that failed; Cancelled when the stop token fired.
    Result<std::vector<c10::IValue>> run(std::span<const c10::IValue> inputs, std::span<const at::Tensor> parameters,
                                         const RunOptions &options = {}) const;
    /// run() for networks whose first output is the scores; honours fixedBatch by slicing and padding (with the last
    /// sample again). An undefined tensor where stopAfterCapture ended the pass.
    Result<at::Tensor> runBatch(const at::Tensor &input, std::span<const at::Tensor> parameters,
                                const RunOptions &options = {}) const;

    /// Index of the first node at which a change of this layer (weight or input quantizer) matters.
    [[nodiscard]] std::size_t firstNodeOf(std::size_t binding) const;

private:
    struct Private;
    std::unique_ptr<Private> d;
};

} // namespace bitwright
