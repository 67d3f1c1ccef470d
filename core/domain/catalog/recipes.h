// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "catalog/method_traits.h"

#include <string>
#include <vector>

namespace bitwright {

/// What joins plain fine-tuning: one row a recipe, in the order of the menus. `criteria` are the pruners that a recipe
/// may choose from, those that need no data.
std::vector<MethodTraits> recipeTraits(const std::vector<std::string> &criteria);

/// Why these recipes cannot run together, one sentence that names both; empty where they can.
std::string recipeClash(const std::vector<std::string> &ids);

/// Whether a recipe has a teacher: another network's file may be named for it.
bool learnsFromTeacher(const std::string &id);

} // namespace bitwright
