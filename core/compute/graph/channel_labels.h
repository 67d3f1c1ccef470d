// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace bitwright {

/// Disjoint sets of labels, each with a reason why it must stay ("" for none).
class LabelSets {
public:
    int fresh(const std::string &reason = {});
    int find(int label);
    void join(int a, int b);
    void join(const std::vector<int> &a, const std::vector<int> &b);
    void keep(int label, const std::string &reason);
    void keep(const std::vector<int> &labels, const std::string &reason);
    [[nodiscard]] const std::string &reason(int label) { return m_reason[std::size_t(find(label))]; }

private:
    std::vector<int> m_parent;
    std::vector<std::string> m_reason;
};

/// The labels of a tensor: they vary along one axis at most.
struct Labels {
    int axis = -1;                      ///< -1: no channels here that could go
    std::vector<int> ids;               ///< by index along the axis
    bool loud = false;                  ///< a channel that is zero at its source is not zero here (behind a sigmoid)
    [[nodiscard]] bool any() const { return axis >= 0; }
};

/// Labels as an int64 tensor of a shape; `fixed` where there are none.
at::Tensor paint(const Labels &labels, at::IntArrayRef shape, int fixed);
/// Back from a tensor of labels. Where they vary along several axes, those of the other axes are joined for the axis that
/// leaves the most sets; where they do not vary they are kept, for an index was taken out of its axis.
Labels collect(const at::Tensor &painted, LabelSets &sets, bool loud);

} // namespace bitwright
