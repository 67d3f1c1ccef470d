// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "catalog/export_format.h"
#include "config/model_config.h"

#include <string>
#include <vector>

namespace bitwright {

/// What a format cannot hold of an assignment, known before anything is written.
struct ExportLimits {
    std::vector<std::string> refused;   ///< what keeps the file from being written; one sentence each, with the layer
    std::vector<std::string> changed;   ///< what is stored otherwise or left out; one sentence each
    [[nodiscard]] bool empty() const { return refused.empty() && changed.empty(); }
};
/// Follows from the format's capabilities alone. Whether the levels of a method are evenly spaced only their values can
/// tell, so what depends on that is said as a condition.
ExportLimits exportLimits(const ExportFormat &format, const ResolvedConfig &config);

/// The width of the integer type that `bits` are stored in; `bits` itself where the format has any width.
int storedWidth(const ExportFormat &format, int bits);

} // namespace bitwright
