// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "data/data_spec.h"
#include "data/dataset.h"

namespace bitwright {

/// Reads a folder per class (in the order of their names) with the injected decoder. The classes take turns, so that
/// the first N samples hold all of them. Pictures are brought to `size=`, else to the network's input, else they must
/// be of one size.
Result<Dataset> readImageFolder(const DataSpec &spec, const DataContext &context);

} // namespace bitwright
