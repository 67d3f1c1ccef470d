// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <string>

namespace bitwright::cli {

/// Cores that this process may use: its affinity mask and the container's quota.
int usableCores();

/// Sets the thread count (0: all usable cores) and checks the device; one that is not there is an error.
Status setUpCompute(int threads, const std::string &device);

} // namespace bitwright::cli
