// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "data/dataset.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// A --data SPEC taken apart: KIND:PATH[,option=value…]. A comma in PATH is fine unless what follows it reads like
/// `name=`: options are split off from the end.
struct DataSpec {
    std::string kind, path;
    std::optional<std::string> split;                       ///< idx: "test" or "train"
    std::optional<std::pair<std::int64_t, std::int64_t>> size;   ///< images: height and width
    std::vector<double> mean, std;                          ///< empty: not given
    std::int64_t limit = -1;                                ///< at most so many samples; -1: all
    std::int64_t first = 0;                                 ///< samples passed over at the start
    std::int64_t count = 256;                               ///< random: how many samples are made
    std::uint64_t seed = 0;                                 ///< random
    std::optional<std::int64_t> low, high;                  ///< random: of whole numbers whose range the network does not tell
    std::vector<std::pair<std::string, std::string>> wishes;   ///< random: NAME=SHAPE, NAME=VALUE, NAME.low=…, NAME.high=…
};

/// Unknown kinds, options and values are errors that name what is accepted.
Result<DataSpec> parseDataSpec(const std::string &text);

} // namespace bitwright
