// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/dataset.h"
#include "simulate/metrics.h"
#include "simulate/simulation.h"

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

namespace bitwright {

/// A running or final estimate of one metric.
struct Estimate {
    double value = 0, low = 0, high = 0;
    double loss = 0;                    ///< NaN without labels
    double sqnrDb = 0;                  ///< NaN without reference
    std::int64_t samples = 0, total = 0;
    bool final = false;
    double seconds = 0;
    std::int64_t nonFinite = 0;         ///< samples whose outputs hold NaN or infinity; never right, left out of the SQNR
};

/// One sentence where answers were no numbers, else empty.
std::string nonFiniteNote(const Estimate &estimate);

struct EvaluationOptions {
    Metric metric = Metric::Top1;
    std::int64_t limit = 0;             ///< samples, 0 for all
    std::int64_t batch = 64;
    /// Node before which live sets are kept for the next evaluation; 0 keeps none.
    std::size_t keepAt = 0;
    bool incremental = true;
};

/// Live sets by (prefix, node, batch), least recently used first out. What lies before a changed layer is not computed
/// again while its inputs fit here.
class ActivationCache {
public:
    explicit ActivationCache(std::int64_t limitBytes) : m_limit(limitBytes) {}
    [[nodiscard]] const LiveSet *find(const std::string &key);
    void insert(const std::string &key, LiveSet live);
    void clear();
    [[nodiscard]] std::int64_t bytes() const { return m_bytes; }
    [[nodiscard]] std::int64_t limit() const { return m_limit; }

private:
    using Item = std::pair<std::string, LiveSet>;
    std::list<Item> m_items;
    std::unordered_map<std::string, std::list<Item>::iterator> m_index;
    std::int64_t m_bytes = 0, m_limit;
};

/// Evaluates assignments of one network on one dataset, one after the other, reusing what an earlier one computed:
/// preprocessed batches, the float network's scores, and live sets before a changed layer. One thread at a time.
class Evaluator {
public:
    Evaluator(std::shared_ptr<const Network> network, std::shared_ptr<const Dataset> data,
              std::int64_t cacheBytes = std::int64_t(1) << 30, std::shared_ptr<const Network> compared = {});

    using OnEstimate = std::function<void(const Estimate &)>;
    /// First estimate after the first slice, then refined; `onEstimate` sees each, the last one is returned.
    Result<Estimate> evaluate(const Simulation &simulation, const EvaluationOptions &options, const JobContext &context,
                              const OnEstimate &onEstimate = {});

    /// The scores of the float network, or of the one that was given to compare with, for rows [first, first + count), computed once and kept.
    Result<at::Tensor> reference(std::int64_t first, std::int64_t count, const JobContext &context);
    [[nodiscard]] at::Tensor labels(std::int64_t first, std::int64_t count) const;
    /// Inputs as the network wants them; padded to the fixed batch where the file insists on one. Only for networks with one.
    [[nodiscard]] at::Tensor inputs(std::int64_t first, std::int64_t count) const;
    /// The same of all inputs of any network.
    [[nodiscard]] std::vector<c10::IValue> arguments(std::int64_t first, std::int64_t count) const;
    /// The first output with its samples first, what was padded cut off.
    [[nodiscard]] Result<at::Tensor> scoresOf(const std::vector<c10::IValue> &outputs, std::int64_t count) const;
    [[nodiscard]] std::int64_t batchSize(std::int64_t wanted) const;
    [[nodiscard]] const Dataset &data() const { return *m_data; }
    [[nodiscard]] const Network &network() const { return *m_network; }
    /// How many nodes ran since the start; tests see by it that a prefix was not computed again.
    [[nodiscard]] std::int64_t nodesRun() const { return m_nodesRun; }
    void clearCache() { m_cache.clear(); }

private:
    Result<at::Tensor> scores(const Simulation &simulation, const EvaluationOptions &options, std::int64_t first,
                              std::int64_t count, std::span<const std::size_t> cuts, const std::vector<std::string> &keys,
                              const JobContext &context);

    std::shared_ptr<const Network> m_network, m_compared;
    std::shared_ptr<const Dataset> m_data;
    ActivationCache m_cache;
    std::unordered_map<std::string, at::Tensor> m_reference;
    std::int64_t m_nodesRun = 0;
};

} // namespace bitwright
