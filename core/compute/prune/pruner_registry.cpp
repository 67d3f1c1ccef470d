// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/methods/methods.h"

#include <ATen/ATen.h>

#include <random>

namespace bitwright {

namespace {

ParamSpec channelsOption()
{
    return {"channels", ParamType::Bool, ParamValue(false), 0, 0, {}, {},
            "A channel of which nothing is left goes with its bias and batch norm, so that surgery can remove it.", false};
}

} // namespace

const std::vector<PrunerRow> &prunerRows()
{
    static const std::vector<PrunerRow> rows = [] {
        std::vector<PrunerRow> table{
            magnitudeRow(), qualityRow(), nmRow(), taylorWeightRow(), randomWeightRow(),
            l1Row(), l2Row(), slimmingRow(), medianRow(), taylorRow(), apozRow(), randomRow(),
        };
        for (PrunerRow &row : table)
            if (!row.structured)
                row.traits.options.push_back(channelsOption());
        return table;
    }();
    return rows;
}

ParamSpec patternOption()
{
    return {"pattern", ParamType::Choice, ParamValue(std::string("element")), 0, 0, {"element", "kernel", "row", "column"}, {},
            "What goes as a whole: single weights, kernels (one input of one output), or rows or columns of kernels. Linear layers: single weights.", false};
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

MethodTraits dataTraits(MethodTraits traits)
{
    traits.needsData = true;
    return traits;
}

Status needsEvidence(const PruneSite &site, const std::string &method)
{
    if (site.evidence.defined())
        return {};
    return fail(ErrorKind::Invalid, site.layer + ", " + method + " looks at gradients and activations and no data was run; give data (--data), "
                                        "or make the mask first by `prune`");
}

} // namespace bitwright
