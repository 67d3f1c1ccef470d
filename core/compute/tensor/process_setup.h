// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace bitwright {

/// Process settings that every program wants before its first tensor: memory stays with the process instead of going
/// back to the kernel after each batch, and idle OpenMP workers sleep instead of spinning. First line of main.
/// OMP_WAIT_POLICY is read before main, so the program starts itself again once with it set (unless it is set already);
/// that happens before the libraries initialise themselves and costs a few milliseconds.
void setUpProcess();

} // namespace bitwright
