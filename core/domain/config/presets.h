// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"

#include <string>
#include <vector>

namespace bitwright {

/// The assignment of one paper at one of the widths that it reports.
struct Preset {
    std::string id;          ///< "METHOD-W-A", as on the command line
    std::string title;
    std::string paper;       ///< "authors, venue year"
    QuantPatch weight = {}, activation = {};   ///< for every layer; an empty one leaves it in float
    LayerPolicy policy = {};
    std::string training;    ///< how the paper trains it, and what else belongs to it; one or two sentences
};

/// In the order of the menus, the methods' own.
const std::vector<Preset> &presets();
[[nodiscard]] const Preset *findPreset(const std::string &id);

/// The preset as the whole assignment: its patches become the defaults, its policy the policy, and the layers' own entries
/// lose their quantizers. Masks, the defaults of pruning and batch-norm folding stay.
[[nodiscard]] ModelConfig withPreset(ModelConfig config, const Preset &preset);

} // namespace bitwright
