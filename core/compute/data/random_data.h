// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/data_spec.h"
#include "data/dataset.h"

namespace bitwright {

/// Samples of the network's input shapes: floats from the normal distribution (or evenly from low to high), whole numbers
/// evenly from low to below high, flags by a coin. A sample depends on the seed and its own number only: fewer samples are
/// the same ones. What neither the network nor the spec tells (free sizes, the range of ids) is an error that says how to
/// ask for it.
Result<Dataset> makeRandomData(const DataSpec &spec, const DataContext &context);

} // namespace bitwright
