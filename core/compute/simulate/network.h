// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "graph/executor.h"
#include "graph/rewrites/fold_batch_norm.h"
#include "network/model_summary.h"
#include "session/data_preview.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// A set of weights for a network: "" is the one in the file, any other a trained state. Tensors by the original
/// graph's qualified names; what is missing comes from the file.
struct WeightsState {
    std::string name;
    ParameterMap tensors;
};

/// A network opened for work: its graph as it is and with batch norm folded, each with an executor. Immutable and shared
/// between threads; the folded twin is made when first asked for.
class Network {
public:
    /// Opens a file of any known format.
    static Result<std::shared_ptr<const Network>> open(const std::string &path, const JobContext &context = {});
    static std::shared_ptr<const Network> make(Graph graph, const std::string &path);

    [[nodiscard]] const ModelSummary &summary() const { return m_summary; }
    /// What data has to bring, in the order of the inputs.
    [[nodiscard]] const std::vector<InputNeed> &needs() const { return m_needs; }
    /// The batch size that the network insists on, 0 where it is free; 1 where it knows no batch.
    [[nodiscard]] std::int64_t fixedBatch() const { return m_fixedBatch; }
    /// The summary with MACs for samples of this shape (less the batch), where the file leaves sizes open.
    [[nodiscard]] ModelSummary summaryFor(const Shape &sample) const;
    [[nodiscard]] const Graph &graph(bool folded = false) const { return executor(folded).graph(); }
    [[nodiscard]] const Executor &executor(bool folded = false) const;
    /// Complete parameters of the (folded) graph under a state; differentiable in the state's tensors.
    [[nodiscard]] ParameterMap parameters(bool folded, const ParameterMap &state = {}) const;
    /// The executor's binding of a layer, or none.
    [[nodiscard]] std::optional<std::size_t> binding(const std::string &layer, bool folded = false) const;

private:
    struct Folded {
        FoldedGraph plan;
        std::unique_ptr<Executor> executor;
    };
    Network() = default;
    const Folded &foldedTwin() const;

    ModelSummary m_summary;
    std::vector<InputNeed> m_needs;
    std::int64_t m_fixedBatch = 0;
    ParameterMap m_parameters;
    std::unique_ptr<Executor> m_executor;
    mutable std::once_flag m_foldOnce;
    mutable std::unique_ptr<Folded> m_folded;
};

} // namespace bitwright
