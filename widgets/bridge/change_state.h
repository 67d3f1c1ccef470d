// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/document.h"

#include <QUndoCommand>

namespace bitwright {

/// The parts of a document's state that one edit sets; a layer without a patch is written as nullopt.
struct StateDelta {
    std::map<std::string, std::optional<LayerPatch>> layers;
    std::optional<LayerPatch> defaults;
    std::optional<LayerPolicy> policy;
    std::optional<bool> foldBatchNorm;
    std::optional<std::string> weights;
    [[nodiscard]] bool empty() const { return layers.empty() && !defaults && !policy && !foldBatchNorm && !weights; }
};

/// What must be set in `from` to get `to`.
StateDelta difference(const DocumentState &from, const DocumentState &to);
/// Sets the delta's parts in `state`; the delta then holds what they were, so a second call goes back.
void swap(DocumentState &state, StateDelta &delta);

/// One undo step of the document: swaps values, grows while a drag goes on, vanishes when it changes nothing.
class ChangeState : public QUndoCommand {
public:
    ChangeState(Document &document, StateDelta delta, const QString &text, quint64 drag);
    void redo() override;
    void undo() override;
    [[nodiscard]] int id() const override { return m_drag ? 1 : -1; }
    bool mergeWith(const QUndoCommand *other) override;

private:
    void exchange(bool interactive);

    Document &m_document;
    StateDelta m_delta;
    quint64 m_drag;
    bool m_first = true;   ///< the redo that comes with the push
};

} // namespace bitwright
