// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/channel_labels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>

namespace bitwright {

int LabelSets::fresh(const std::string &reason)
{
    m_parent.push_back(int(m_parent.size()));
    m_reason.push_back(reason);
    return m_parent.back();
}

int LabelSets::find(int label)
{
    while (m_parent[std::size_t(label)] != label) {
        int &parent = m_parent[std::size_t(label)];
        parent = m_parent[std::size_t(parent)];
        label = parent;
    }
    return label;
}

void LabelSets::join(int a, int b)
{
    a = find(a);
    b = find(b);
    if (a == b)
        return;
    const int low = std::min(a, b), high = std::max(a, b);
    m_parent[std::size_t(high)] = low;
    if (m_reason[std::size_t(low)].empty())
        m_reason[std::size_t(low)] = m_reason[std::size_t(high)];
}

void LabelSets::join(const std::vector<int> &a, const std::vector<int> &b)
{
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
        join(a[i], b[i]);
}

void LabelSets::keep(int label, const std::string &reason)
{
    std::string &known = m_reason[std::size_t(find(label))];
    if (known.empty())
        known = reason;
}

void LabelSets::keep(const std::vector<int> &labels, const std::string &reason)
{
    for (const int label : labels)
        keep(label, reason);
}

at::Tensor paint(const Labels &labels, at::IntArrayRef shape, int fixed)
{
    if (!labels.any())
        return at::full(shape, fixed, at::kLong);
    std::vector<std::int64_t> along(shape.size(), 1);
    along[std::size_t(labels.axis)] = std::int64_t(labels.ids.size());
    return at::tensor(labels.ids, at::kLong).reshape(along).expand(shape).contiguous();
}

namespace {

/// [size of the axis, everything else]
at::Tensor rows(const at::Tensor &painted, int axis)
{
    return painted.movedim(axis, 0).reshape({painted.size(axis), -1}).contiguous();
}

void joinRows(const at::Tensor &table, LabelSets &sets)
{
    const std::int64_t *label = table.const_data_ptr<std::int64_t>();
    for (std::int64_t row = 0; row < table.size(0); ++row)
        for (std::int64_t i = 1; i < table.size(1); ++i) {
            const std::int64_t at = row * table.size(1) + i;
            if (label[at] != label[at - 1])
                sets.join(int(label[at]), int(label[at - 1]));
        }
}

std::size_t setsAfter(const at::Tensor &painted, int axis, LabelSets sets)
{
    joinRows(rows(painted, axis), sets);
    std::set<int> left;
    const at::Tensor first = rows(painted, axis).select(1, 0).contiguous();
    for (std::int64_t i = 0; i < first.numel(); ++i)
        left.insert(sets.find(int(first.const_data_ptr<std::int64_t>()[i])));
    return left.size();
}

} // namespace

Labels collect(const at::Tensor &painted, LabelSets &sets, bool loud)
{
    Labels labels;
    labels.loud = loud;
    std::vector<int> varying;
    for (int axis = 0; axis < int(painted.dim()); ++axis)
        if (painted.size(axis) > 1 && !painted.eq(painted.narrow(axis, 0, 1)).all().item<bool>())
            varying.push_back(axis);
    if (painted.numel() == 0)
        return labels;
    if (varying.empty()) {
        sets.keep(int(painted.flatten()[0].item<std::int64_t>()), "one of its channels is taken out by number");
        return labels;
    }
    labels.axis = varying.front();
    if (varying.size() > 1) {
        std::size_t most = 0;
        for (const int axis : varying)
            if (const std::size_t left = setsAfter(painted, axis, sets); left >= most) {
                most = left;
                labels.axis = axis;
            }
        joinRows(rows(painted, labels.axis), sets);
    }
    const at::Tensor along = rows(painted, labels.axis).select(1, 0).contiguous();
    const std::int64_t *label = along.const_data_ptr<std::int64_t>();
    labels.ids.assign(label, label + along.numel());
    return labels;
}

} // namespace bitwright
