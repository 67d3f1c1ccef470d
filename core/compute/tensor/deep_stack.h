// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <functional>

namespace bitwright {

/// Stack that `onDeepStack` asks for. Only what is used becomes memory.
constexpr std::size_t kDeepStackBytes = std::size_t(1) << 30;

/// Runs `body` on a thread of its own with a stack of 1 GB and waits for it; LibTorch's settings of the calling thread hold
/// there, and an exception comes back. For libraries that call themselves as deep as a file says. Where the system has no
/// such thread, the caller's serves.
void onDeepStack(const std::function<void()> &body);

} // namespace bitwright
