// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace bitwright {

/// Names of weights states that fine-tuning made begin with this: their weights are other ones than the file's.
inline constexpr const char *kTrainedPrefix = "fine-tuned ";

} // namespace bitwright
