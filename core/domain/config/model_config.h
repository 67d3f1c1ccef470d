// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/params.h"
#include "base/result.h"
#include "catalog/method_traits.h"
#include "grid/mask.h"
#include "network/model_summary.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bitwright {

inline constexpr const char *kFloatMethod = "float";

/// How one tensor is quantized, complete: method, bits, options and the values that are known already.
struct QuantSpec {
    std::string method = kFloatMethod;
    int bits = 32;
    ParamValues options;                                  ///< complete (defaults filled in)
    std::map<std::string, std::vector<double>> values;    ///< learned or calibrated: "scale" -> one entry per group
    [[nodiscard]] bool isFloat() const { return method == kFloatMethod; }
    friend bool operator==(const QuantSpec &, const QuantSpec &) = default;
};

/// What a file or an edit says about one tensor; what it leaves out comes from the defaults, then from the method.
struct QuantPatch {
    std::optional<std::string> method = {};
    std::optional<int> bits = {};
    ParamValues options = {};
    std::map<std::string, std::vector<double>> values = {};
    [[nodiscard]] bool empty() const { return !method && !bits && options.empty() && values.empty(); }
    friend bool operator==(const QuantPatch &, const QuantPatch &) = default;
};

/// How a weight is pruned, complete. The mask is what counts: it is applied before quantization, and quantizers fit their
/// levels to what it keeps. Method, sparsity and options say how it was made.
struct PruneSpec {
    std::string method = {};             ///< empty: not pruned
    double sparsity = 0;                 ///< share of the weight that was to go, 0 to below 1
    ParamValues options = {};            ///< complete
    Mask mask = {};
    [[nodiscard]] bool isNone() const { return method.empty() && mask.empty(); }
    friend bool operator==(const PruneSpec &, const PruneSpec &) = default;
};

/// What a file or an edit says about the pruning of one weight; the rest comes from the defaults.
struct PrunePatch {
    std::optional<std::string> method = {};
    std::optional<double> sparsity = {};
    ParamValues options = {};
    Mask mask = {};
    [[nodiscard]] bool empty() const { return !method && !sparsity && options.empty() && mask.empty(); }
    friend bool operator==(const PrunePatch &, const PrunePatch &) = default;
};

struct LayerPatch {
    QuantPatch weight = {}, activation = {};
    PrunePatch prune = {};
    [[nodiscard]] const QuantPatch &of(Role role) const { return role == Role::Weight ? weight : activation; }
    [[nodiscard]] QuantPatch &of(Role role) { return role == Role::Weight ? weight : activation; }
    [[nodiscard]] bool empty() const { return weight.empty() && activation.empty() && prune.empty(); }
    friend bool operator==(const LayerPatch &, const LayerPatch &) = default;
};

struct LayerConfig {
    QuantSpec weight = {}, activation = {};
    PruneSpec prune = {};
    [[nodiscard]] const QuantSpec &of(Role role) const { return role == Role::Weight ? weight : activation; }
    [[nodiscard]] QuantSpec &of(Role role) { return role == Role::Weight ? weight : activation; }
    friend bool operator==(const LayerConfig &, const LayerConfig &) = default;
};

/// What papers leave out of their low bits (methods.md A4). It acts where the defaults would quantize: a layer whose own
/// entry names a method keeps that.
struct LayerPolicy {
    enum class Keep {
        Same,       ///< like all other layers
        EightBit,   ///< weight and input uniform at 8 bits
        Float,
    };
    Keep firstLast = Keep::Same;     ///< the first and the last quantizable layer
    Keep shortcuts = Keep::Same;     ///< LayerInfo::shortcut
    friend bool operator==(const LayerPolicy &, const LayerPolicy &) = default;
};
/// "same", "8bit", "float", as in files.
[[nodiscard]] const char *keepName(LayerPolicy::Keep keep);
[[nodiscard]] std::optional<LayerPolicy::Keep> keepFromName(const std::string &name);

/// The assignment (cli.md, schema bitwright/assignment/1): a pure value; the window edits it, the engine copies it.
struct ModelConfig {
    std::string modelSha;            ///< informs; may be empty
    std::int64_t modelLayers = 0;
    bool foldBatchNorm = false;
    LayerPolicy policy;
    LayerPatch defaults;
    std::map<std::string, LayerPatch> layers;
    friend bool operator==(const ModelConfig &, const ModelConfig &) = default;
};

/// A layer's complete configuration: its patch over the defaults over the methods' own defaults. A layer patch that
/// names another method than the defaults drops the default options and values that this method does not have.
/// Errors name the layer and the key. Without the policy, which needs the network (layer_policy.h).
Result<LayerConfig> resolveLayer(const ModelConfig &config, const std::string &layer, const Catalog &catalog);

/// The complete configuration of every quantizable layer of `model`.
using ResolvedConfig = std::map<std::string, LayerConfig>;
/// Fails on a layer that the model lacks, on an unknown method or key, on bits or a role that the method cannot do.
Result<ResolvedConfig> resolve(const ModelConfig &config, const ModelSummary &model, const Catalog &catalog);

Result<ModelConfig> configFromJson(const nlohmann::json &document, const Catalog &catalog);
nlohmann::json configToJson(const ModelConfig &config);
/// Reads and writes an assignment file; the error names the file.
Result<ModelConfig> readConfig(const std::string &path, const Catalog &catalog);
Status writeConfig(const ModelConfig &config, const std::string &path);
/// The same from and to text; `source` opens the messages. The text is what writeConfig puts into the file.
Result<ModelConfig> configFromText(const std::string &text, const std::string &source, const Catalog &catalog);
std::string configToText(const ModelConfig &config);
/// The warning when the assignment was made for another file than `model`; empty when it fits or does not say.
std::string modelMismatch(const ModelConfig &config, const ModelSummary &model);

/// Sets a spec's complete content as the layer's own patch.
void setSpec(ModelConfig &config, const std::string &layer, Role role, const QuantSpec &spec);
void setPrune(ModelConfig &config, const std::string &layer, const PruneSpec &spec);

/// Which layers differ between two assignments, and in what; equal entries are left out.
struct ConfigDiff {
    struct Change {
        bool weight = false, activation = false;   ///< weight: its quantizer or its mask
        friend bool operator==(const Change &, const Change &) = default;
    };
    std::map<std::string, Change> layers;
    bool network = false;   ///< batch-norm folding changed: everything is affected
    [[nodiscard]] bool empty() const { return layers.empty() && !network; }
};
ConfigDiff diff(const ModelConfig &before, const ModelConfig &after, const ModelSummary &model, const Catalog &catalog);

} // namespace bitwright
