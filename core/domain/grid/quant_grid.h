// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <vector>

namespace bitwright {

/// The values one tensor may take, per tensor (one group) or per channel (one group per index of dimension 0).
/// A uniform grid is (q - zeroPoint) * scale for q in [qmin, qmax]; any other lists its levels.
struct QuantGrid {
    struct Group {
        double scale = 0;                 ///< uniform only
        std::int64_t zeroPoint = 0;       ///< uniform only
        std::vector<double> levels;       ///< non-uniform only, ascending
        std::vector<double> thresholds;   ///< non-uniform only, ascending, one fewer than levels
        /// Non-uniform, where the output does not ascend with the input (methods.md B6b, B6f): what is answered between
        /// these breaks, one more than breaks. `thresholds` is empty then.
        std::vector<double> answers = {}, breaks = {};
        friend bool operator==(const Group &, const Group &) = default;
    };
    bool uniform = true;
    std::int64_t qmin = 0, qmax = 0;      ///< uniform only
    bool perChannel = false;
    std::vector<Group> groups;
    double sideBits = 0;                  ///< scales, zero points, codebooks, in bits (methods.md I1)

    [[nodiscard]] bool empty() const { return groups.empty(); }
    [[nodiscard]] std::size_t levelCount(std::size_t group = 0) const;
    [[nodiscard]] double level(std::size_t group, std::size_t index) const;
    /// All levels of a group, ascending.
    [[nodiscard]] std::vector<double> levels(std::size_t group = 0) const;
    /// Where the output goes from one level to the next, ascending, in units of the input.
    [[nodiscard]] std::vector<double> thresholds(std::size_t group = 0) const;
    /// The level nearest to x under the grid's rule (uniform: divide, round half to even, clamp).
    [[nodiscard]] double quantize(std::size_t group, double x) const;
    friend bool operator==(const QuantGrid &, const QuantGrid &) = default;
};

} // namespace bitwright
