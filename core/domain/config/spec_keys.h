// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"

#include <string>

namespace bitwright {

/// How messages name one tensor: `layer "conv1", weight` or `defaults, activation`.
std::string siteLabel(const std::string &layer, Role role);

/// The traits of a quantizer that can do this role, or the error that names what there is. Not for "float".
Result<const MethodTraits *> quantizerFor(const std::string &method, Role role, const std::string &label,
                                          const Catalog &catalog);

/// The id that leaves a layer out where the defaults prune.
inline constexpr const char *kNoPruning = "none";
/// `layer "conv1", prune` or `defaults, prune`.
std::string pruneLabel(const std::string &layer);
/// The traits of a pruner, or the error that names what there is. Not for "none".
Result<const MethodTraits *> prunerFor(const std::string &method, const std::string &label, const Catalog &catalog);

/// Bits within the method's range.
Status checkBits(const MethodTraits &traits, std::int64_t bits, const std::string &label);

/// The error for a key that a method has neither as an option nor as a value.
std::unexpected<Error> unknownKey(const std::string &key, const MethodTraits &traits, const std::string &label);

[[nodiscard]] bool isValueName(const MethodTraits &traits, const std::string &key);

} // namespace bitwright
