// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tensor/codebook.h"

namespace bitwright {

/// 2^bits evenly spaced levels from -limit to limit, none at zero: limit (2 round((x / limit + 1) n / 2) / n - 1), n = 2^bits - 1,
/// round half to even (methods.md A1).
LevelTable midRise(double limit, int bits);

/// 1 / n, rounded so that x = 1/2, the only tie that a float can hold, goes to the even code as in exact arithmetic.
float unitStep(int n);

} // namespace bitwright
