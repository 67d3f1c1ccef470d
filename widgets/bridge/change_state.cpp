// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/change_state.h"

#include <utility>

namespace bitwright {

StateDelta difference(const DocumentState &from, const DocumentState &to)
{
    StateDelta delta;
    for (const auto &[name, patch] : to.config.layers) {
        const auto old = from.config.layers.find(name);
        if (old == from.config.layers.end() || old->second != patch)
            delta.layers[name] = patch;
    }
    for (const auto &[name, patch] : from.config.layers) {
        if (!to.config.layers.contains(name))
            delta.layers[name] = std::nullopt;
    }
    if (from.config.defaults != to.config.defaults)
        delta.defaults = to.config.defaults;
    if (from.config.policy != to.config.policy)
        delta.policy = to.config.policy;
    if (from.config.foldBatchNorm != to.config.foldBatchNorm)
        delta.foldBatchNorm = to.config.foldBatchNorm;
    if (from.weights != to.weights)
        delta.weights = to.weights;
    return delta;
}

void swap(DocumentState &state, StateDelta &delta)
{
    for (auto &[name, patch] : delta.layers) {
        std::optional<LayerPatch> old;
        if (const auto it = state.config.layers.find(name); it != state.config.layers.end())
            old = std::move(it->second);
        if (patch)
            state.config.layers[name] = std::move(*patch);
        else
            state.config.layers.erase(name);
        patch = std::move(old);
    }
    if (delta.defaults)
        std::swap(state.config.defaults, *delta.defaults);
    if (delta.policy)
        std::swap(state.config.policy, *delta.policy);
    if (delta.foldBatchNorm)
        std::swap(state.config.foldBatchNorm, *delta.foldBatchNorm);
    if (delta.weights)
        std::swap(state.weights, *delta.weights);
}

ChangeState::ChangeState(Document &document, StateDelta delta, const QString &text, quint64 drag)
    : QUndoCommand(text), m_document(document), m_delta(std::move(delta)), m_drag(drag)
{
}

void ChangeState::exchange(bool interactive)
{
    DocumentState next = m_document.m_state;
    const bool weights = m_delta.weights.has_value();
    swap(next, m_delta);
    m_document.take(next, {.diff = {}, .weights = weights, .interactive = interactive, .calibration = false});
}

void ChangeState::redo()
{
    exchange(std::exchange(m_first, false) && m_drag != 0);
}

void ChangeState::undo()
{
    exchange(false);
}

bool ChangeState::mergeWith(const QUndoCommand *other)
{
    const auto *next = dynamic_cast<const ChangeState *>(other);
    if (!next || next->m_drag != m_drag)
        return false;
    // Both hold what was there before them; ours is the older, so only what we did not touch is taken over.
    for (const auto &[name, patch] : next->m_delta.layers)
        m_delta.layers.try_emplace(name, patch);
    if (!m_delta.defaults)
        m_delta.defaults = next->m_delta.defaults;
    if (!m_delta.policy)
        m_delta.policy = next->m_delta.policy;
    if (!m_delta.foldBatchNorm)
        m_delta.foldBatchNorm = next->m_delta.foldBatchNorm;
    if (!m_delta.weights)
        m_delta.weights = next->m_delta.weights;
    DocumentState before = m_document.m_state;
    StateDelta copy = m_delta;
    swap(before, copy);
    setObsolete(before == m_document.m_state);
    return true;
}

} // namespace bitwright
