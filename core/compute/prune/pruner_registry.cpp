// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

#include <random>

namespace bitwright {

const std::vector<PrunerRow> &prunerRows()
{
    static const std::vector<PrunerRow> rows{
        magnitudeRow(), qualityRow(), nmRow(), randomWeightRow(),
        l1Row(), l2Row(), slimmingRow(), medianRow(), randomRow(),
    };
    return rows;
}

ParamSpec seedOption()
{
    return {"seed", ParamType::Int, ParamValue(std::int64_t(0)), 0, 9007199254740992.0, {}, {}, "Same seed, same mask.", false};
}

at::Tensor randomScores(std::int64_t parts, const ParamValues &options, const std::string &layer)
{
    // The layer's name is part of the seed: two layers of one shape shall not lose the same places. FNV-1a, which unlike
    // std::hash is the same everywhere.
    std::uint64_t hash = 14695981039346656037ULL ^ std::uint64_t(intParam(options, "seed"));
    for (const char letter : layer)
        hash = (hash ^ std::uint8_t(letter)) * 1099511628211ULL;
    std::mt19937_64 generator(hash);
    at::Tensor scores = at::empty({parts}, at::kFloat);
    float *score = scores.mutable_data_ptr<float>();
    for (std::int64_t i = 0; i < parts; ++i)
        score[i] = float(generator() >> 40);   // 24 bits: exact in a float
    return scores;
}

at::Tensor channelRows(const PruneSite &site)
{
    return site.weight.movedim(site.channelAxis, 0).flatten(1);
}

} // namespace bitwright
