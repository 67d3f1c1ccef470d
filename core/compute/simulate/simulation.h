// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "quant/quantizer.h"
#include "simulate/network.h"

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace bitwright {

/// A text that is equal for equal specs; keys caches.
std::string specKey(const QuantSpec &spec);

/// Quantized weights by (network, state, layer, spec): a weight is quantized once per change, not once per batch.
/// Bounded, least recently used first out. Thread-safe.
class WeightCache {
public:
    struct Entry {
        at::Tensor tensor;
        std::map<std::string, std::vector<double>> values;   ///< as calibrated from the weight
    };
    explicit WeightCache(std::int64_t limitBytes = std::int64_t(1) << 29) : m_limit(limitBytes) {}
    [[nodiscard]] std::optional<Entry> find(const std::string &key);
    void insert(const std::string &key, Entry entry);
    void clear();

private:
    using Item = std::pair<std::string, Entry>;
    std::mutex m_mutex;
    std::list<Item> m_items;
    std::unordered_map<std::string, std::list<Item>::iterator> m_index;
    std::int64_t m_bytes = 0, m_limit;
};

/// One assignment on one network, ready to run: weights quantized, activation quantizers at their taps.
/// Not thread-safe, never copied.
class Simulation {
public:
    /// Fails where an activation lacks its values, naming `calibrate`. `config` holds the quantizable layers; those
    /// missing run in float.
    static Result<std::unique_ptr<Simulation>> make(std::shared_ptr<const Network> network, const ResolvedConfig &config,
                                                    bool folded, const WeightsState &state = {}, WeightCache *cache = nullptr);

    [[nodiscard]] const Executor &executor() const { return m_network->executor(m_folded); }
    [[nodiscard]] std::span<const at::Tensor> parameters() const { return m_parameters; }
    /// Options of a pass of executor() under this assignment; valid as long as this object lives.
    [[nodiscard]] RunOptions runOptions(std::stop_token stop = {}) const;
    /// Scores of one batch, without gradient.
    Result<at::Tensor> run(const at::Tensor &input, std::stop_token stop = {}) const;
    /// All outputs for all inputs.
    Result<std::vector<c10::IValue>> runAll(std::span<const c10::IValue> inputs, std::stop_token stop = {}) const;
    /// The quantizer at a binding, or null where it is float.
    [[nodiscard]] Quantizer *quantizer(std::size_t binding, Role role) const;
    /// The complete values in use, for the assignment that is handed on.
    [[nodiscard]] ResolvedConfig configWithValues() const;
    /// Changes with anything that can change a value before `node`: network variant, state, layers up to there.
    [[nodiscard]] std::string prefixKey(std::size_t node) const;
    /// Sees each quantized layer input (binding, call, values after quantization); for verification.
    std::function<void(std::size_t, int, const at::Tensor &)> observer;

private:
    Simulation() = default;
    Status setUpLayer(std::size_t binding, const LayerConfig &layer, const WeightsState &state, WeightCache *cache);
    Status setUpWeight(std::size_t binding, const LayerConfig &layer, const WeightsState &state, WeightCache *cache);

    std::shared_ptr<const Network> m_network;
    bool m_folded = false;
    std::string m_stateName;
    ResolvedConfig m_config;
    std::vector<at::Tensor> m_parameters;
    std::vector<std::unique_ptr<Quantizer>> m_weight, m_activation;
    std::vector<bool> m_rectifying;   ///< by binding: its input quantizer turns what is below zero into zero
    Tap m_tap;
};

} // namespace bitwright
