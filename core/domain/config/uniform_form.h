// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"
#include "network/model_summary.h"

#include <cstdint>

namespace bitwright {

/// Which codes a spec of the method `uniform` uses. Weights are symmetric and restricted (-n..n) unless their options say
/// otherwise; activations are asymmetric (0..n with a zero point) unless an option of symmetric grids is given. A learned
/// step is symmetric: full range for weights and signed inputs, 0..n for inputs that are never negative (methods.md A1, B13).
struct UniformForm {
    bool symmetric = true;
    bool isSigned = true;               ///< of a symmetric grid
    bool fullRange = false;             ///< of a symmetric signed grid: also -2^(b-1)
    std::int64_t qmin = 0, qmax = 0;    ///< ends of the codes; equal where the form has one level only

    friend bool operator==(const UniformForm &, const UniformForm &) = default;
};

/// `nonNegative`: the tensor is known to have no negative values (an input behind a ReLU).
UniformForm uniformForm(const QuantSpec &spec, Role role, bool nonNegative = false);

/// Writes the sign of every symmetric uniform activation into its options where it is left to the network: a file with
/// calibrated scales is then read the same by whoever knows the file alone.
void spellOutSigns(ResolvedConfig &config, const ModelSummary &model);

} // namespace bitwright
