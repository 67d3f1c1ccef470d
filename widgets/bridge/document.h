// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "cost/size_model.h"
#include "network/model_summary.h"

#include <QObject>
#include <QUndoStack>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

using LayerNames = std::vector<std::string>;

/// What the person edits: the assignment and the weights state that it is measured with.
struct DocumentState {
    ModelConfig config;
    std::string weights;   ///< "" for the float weights as loaded, else a trained state's name
    friend bool operator==(const DocumentState &, const DocumentState &) = default;
};

/// What one edit, undo or redo changed.
struct ChangeEvent {
    ConfigDiff diff;            ///< which layers and roles
    bool weights = false;       ///< another weights state
    bool interactive = false;   ///< in the middle of a drag; more will follow
    bool calibration = false;   ///< only values that the engine filled in; nothing that the person chose
    [[nodiscard]] bool touches(const std::string &layer) const
    {
        return diff.network || weights || diff.layers.contains(layer);
    }
};

/// The network, its assignment with undo, the one selection and the pinned baseline. Lives on the GUI thread, asks
/// nobody else: size and BOPs are right in the same call as the edit. Every edit is one undo step; one that changes
/// nothing leaves no step, one that a method cannot do is refused as a whole and told by `refused`.
class Document : public QObject {
    Q_OBJECT
public:
    /// `catalog` must outlive the document.
    explicit Document(const Catalog &catalog, QObject *parent = nullptr);
    ~Document() override;

    // ---- the network ----
    using Networks = std::map<std::string, std::shared_ptr<const ModelSummary>>;
    /// Takes another network; drops undo steps, selection and baseline. A null pointer closes it. `cut` are the smaller ones
    /// that surgery had made of it, by name (weights_name.h).
    void setModel(std::shared_ptr<const ModelSummary> model, DocumentState state = {}, Networks cut = {});
    /// A network that surgery made of the one that is open; weights states of its name belong to it from now on.
    void addNetwork(const std::string &name, std::shared_ptr<const ModelSummary> model);
    /// The network that the present weights belong to: what was opened, or a smaller one.
    [[nodiscard]] const ModelSummary *model() const { return m_model.get(); }
    [[nodiscard]] const LayerInfo *layer(const std::string &name) const;
    [[nodiscard]] bool isQuantizable(const std::string &layer) const;
    [[nodiscard]] const Catalog &catalog() const { return m_catalog; }

    // ---- the assignment, resolved and costed ----
    [[nodiscard]] const DocumentState &state() const { return m_state; }
    [[nodiscard]] const ModelConfig &config() const { return m_state.config; }
    [[nodiscard]] const ResolvedConfig &resolved() const { return m_resolved; }
    /// Null for a layer that cannot be quantized.
    [[nodiscard]] const QuantSpec *spec(const std::string &layer, Role role) const;
    [[nodiscard]] const ModelCost &cost() const { return m_cost; }
    /// The float network's cost.
    [[nodiscard]] const ModelCost &floatCost() const { return m_floatCost; }
    [[nodiscard]] std::int64_t floatSizeBytes() const;
    /// What a float tensor becomes when a person only says bits: the first quantizer that can do them.
    [[nodiscard]] Result<QuantSpec> defaultSpec(Role role, int bits) const;
    /// What a person gets who chooses this method: its options at their defaults for the role. Errors: no such method, a
    /// role or bits that it cannot do.
    [[nodiscard]] Result<QuantSpec> freshSpec(const std::string &method, Role role, int bits) const;
    /// What the policy makes of a tensor that the defaults would quantize; Same where it leaves it alone.
    [[nodiscard]] LayerPolicy::Keep keptAs(const std::string &layer, Role role) const;
    /// Names of the layers of which at least one tensor is quantized.
    [[nodiscard]] LayerNames quantizedLayers() const;
    /// Names of the layers that have a mask.
    [[nodiscard]] LayerNames prunedLayers() const;
    /// A layer's mask; empty where nothing is pruned.
    [[nodiscard]] Mask mask(const std::string &layer) const;
    /// Takes the masks of these layers away, or says nothing where there are none.
    void clearMasks(const LayerNames &layers);
    /// How a layer is pruned; none where it is not.
    [[nodiscard]] PruneSpec pruneSpec(const std::string &layer) const;
    /// Masks of several layers as one step, named by `text`. Calls with the same non-zero `drag` become one step.
    void setPrunes(const std::map<std::string, PruneSpec> &specs, const QString &text, quint64 drag = 0);
    /// True when nothing is quantized or pruned and the weights are as loaded.
    [[nodiscard]] bool isFloat() const;

    // ---- edits, each one undo step ----
    [[nodiscard]] QUndoStack *undoStack() { return &m_undo; }
    /// 1 to 16 bits, or 0 for float. A float tensor gets the first quantizer of the catalog that can do the role.
    void setBits(const LayerNames &layers, Role role, int bits) { setBits(layers, std::vector{role}, bits); }
    void setBits(const LayerNames &layers, const std::vector<Role> &roles, int bits);
    /// One more or one less for each layer by itself; float and the ends of the range stay.
    void stepBits(const LayerNames &layers, const std::vector<Role> &roles, int delta);
    /// A quantizer's id, or "float". Bits are kept where the method can do them.
    void setMethod(const LayerNames &layers, Role role, const std::string &method);
    /// nullopt takes an optional option away.
    void setOption(const LayerNames &layers, Role role, const std::string &name, const std::optional<ParamValue> &value)
    {
        setOption(layers, std::vector{role}, name, value);
    }
    void setOption(const LayerNames &layers, const std::vector<Role> &roles, const std::string &name,
                   const std::optional<ParamValue> &value);
    /// `text` names the step; empty for a plain one.
    void setSpec(const LayerNames &layers, Role role, const QuantSpec &spec, const QString &text = {});
    /// What is kept out of low bits. Where layers were set one by one, what most of them have becomes the default, so that
    /// the policy has something to act on.
    void setPolicy(const LayerPolicy &policy);
    /// Values such as "scale" and "zero_point" (dragging a clip handle). Calls with the same non-zero `drag` become one
    /// step. The other values of the site stay; an empty list takes a value away.
    void setValues(const std::string &layer, Role role, const std::map<std::string, std::vector<double>> &values,
                   quint64 drag = 0);
    /// A new drag's number, never 0.
    [[nodiscard]] quint64 beginDrag() { return ++m_lastDrag; }
    /// The last call of a drag: tells listeners that nothing more follows.
    void endDrag();
    void setFoldBatchNorm(bool fold);
    /// Everything at once: a restored trial, a found assignment, a fine-tuned state. `text` names the step.
    void setState(const DocumentState &state, const QString &text);
    void setConfig(const ModelConfig &config, const QString &text) { setState({config, m_state.weights}, text); }

    /// Takes over values that the engine calibrated for activations whose choices are still the same. No undo step.
    void absorbCalibration(const ModelConfig &calibrated);

    /// Whether the file itself quantizes a tensor that could be given the same quantizer.
    [[nodiscard]] bool hasStored() const;
    /// What the file itself quantizes becomes the assignment of these layers; of all where none of them has any. Tells what an
    /// assignment cannot express, where that is all that there is.
    void takeStored(const LayerNames &layers);

    // ---- baseline ----
    void pinBaseline();
    void clearBaseline();
    [[nodiscard]] bool hasBaseline() const { return m_baseline.has_value(); }
    [[nodiscard]] const std::optional<DocumentState> &baseline() const { return m_baseline; }
    /// The baseline's cost, or the float network's when none is pinned: what "before" means in the table.
    [[nodiscard]] const ModelCost &baselineCost() const { return m_baseline ? m_baselineCost : m_floatCost; }
    /// Null when none is pinned or for a layer that cannot be quantized.
    [[nodiscard]] const QuantSpec *baselineSpec(const std::string &layer, Role role) const;

    // ---- the one selection of the window ----
    [[nodiscard]] const LayerNames &selection() const { return m_selection; }
    /// The layer that the plots show: the one clicked last. Empty when nothing is selected.
    [[nodiscard]] const std::string &currentLayer() const { return m_current; }
    /// `current` must be among `layers` or empty (then the first is taken).
    void setSelection(const LayerNames &layers, const std::string &current = {});
    [[nodiscard]] bool canGoBack() const { return m_historyAt > 0; }
    [[nodiscard]] bool canGoForward() const { return m_historyAt + 1 < m_history.size(); }
    void goBack();
    void goForward();
    /// Which tensors the bit keys act on (W and A); at least one is always on.
    [[nodiscard]] bool editsRole(Role role) const { return role == Role::Weight ? m_editWeights : m_editActivations; }
    void setEditsRole(Role role, bool on);
    /// The roles that are on, weights first.
    [[nodiscard]] std::vector<Role> editedRoles() const;

signals:
    void modelChanged();
    /// After each edit, undo, redo and absorbed calibration; resolved() and cost() are already new.
    void changed(const bitwright::ChangeEvent &event);
    void dragEnded();
    void baselineChanged();
    void selectionChanged(const bitwright::LayerNames &layers);
    void editedRolesChanged();
    /// One sentence about why an edit was not done.
    void refused(const QString &why);

private:
    friend class ChangeState;
    struct SelectionEntry {
        LayerNames layers;
        std::string current;
        friend bool operator==(const SelectionEntry &, const SelectionEntry &) = default;
    };
    using Edit = std::function<Status(ModelConfig &)>;
    void edit(const QString &text, const Edit &change, quint64 drag = 0);
    using SiteEdit = std::function<Status(const LayerInfo &, Role, QuantSpec &)>;
    void editSites(const QString &text, const LayerNames &layers, const std::vector<Role> &roles, const SiteEdit &change,
                   quint64 drag = 0);
    void push(const DocumentState &next, const QString &text, quint64 drag);
    void take(const DocumentState &next, ChangeEvent event);
    void makeDefault(ModelConfig &config, Role role, const LayerPolicy &policy) const;
    void select(const SelectionEntry &entry);

    const Catalog &m_catalog;
    /// The network of a weights state, or null where it is not known.
    [[nodiscard]] std::shared_ptr<const ModelSummary> networkFor(const std::string &weights) const;

    std::shared_ptr<const ModelSummary> m_model, m_opened;
    /// Networks with trained weights, which are no codes of the file any more; by the network that they come from.
    mutable std::map<std::shared_ptr<const ModelSummary>, std::shared_ptr<const ModelSummary>> m_trained;
    Networks m_cut;
    DocumentState m_state;
    ResolvedConfig m_resolved;
    ModelCost m_cost, m_floatCost, m_baselineCost;
    std::optional<DocumentState> m_baseline;
    ResolvedConfig m_baselineResolved;
    QUndoStack m_undo;
    quint64 m_lastDrag = 0;
    LayerNames m_selection;
    std::string m_current;
    std::vector<SelectionEntry> m_history;
    std::size_t m_historyAt = 0;
    bool m_editWeights = true, m_editActivations = true;
};

/// "weights of conv1", "activations of 3 layers": how undo steps and messages name what they act on.
QString siteText(const LayerNames &layers, const std::vector<Role> &roles);

} // namespace bitwright
