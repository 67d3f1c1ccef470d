// SPDX-License-Identifier: GPL-3.0-or-later
#include "catalog/recipes.h"

#include <algorithm>
#include <array>

namespace bitwright {

namespace {

/// Each of these decides which weights are pruned while training runs; there is one mask a weight.
constexpr std::array kOwnMasks{"gradual", "alternate"};

constexpr const char *kDistill = "distill";

MethodTraits recipe(std::string id, std::string title, std::string paper, int year, std::string summary, std::vector<ParamSpec> options)
{
    MethodTraits traits;
    traits.id = std::move(id);
    traits.title = std::move(title);
    traits.paper = std::move(paper);
    traits.year = year;
    traits.kind = MethodKind::Recipe;
    traits.summary = std::move(summary);
    traits.options = std::move(options);
    return traits;
}

ParamSpec real(std::string name, double fallback, double minimum, double maximum, std::string help, std::string unit = {})
{
    return {std::move(name), ParamType::Real, ParamValue(fallback), minimum, maximum, {}, std::move(unit), std::move(help)};
}

ParamSpec integer(std::string name, std::int64_t fallback, double minimum, double maximum, std::string help, std::string unit = {})
{
    return {std::move(name), ParamType::Int, ParamValue(fallback), minimum, maximum, {}, std::move(unit), std::move(help)};
}

ParamSpec choice(std::string name, std::vector<std::string> choices, std::string help)
{
    ParamValue first = choices.empty() ? std::string() : choices.front();
    return {std::move(name), ParamType::Choice, std::move(first), 0, 0, std::move(choices), {}, std::move(help)};
}

ParamSpec flag(std::string name, bool fallback, std::string help)
{
    return {std::move(name), ParamType::Bool, ParamValue(fallback), 0, 0, {}, {}, std::move(help)};
}

/// What every recipe that prunes can be told, before its own options.
std::vector<ParamSpec> pruning(const std::vector<std::string> &criteria, std::vector<ParamSpec> own)
{
    std::vector<ParamSpec> options{
        choice("criterion", criteria, "What is pruned first; the pruners that need no data."),
        real("final", 0.8, 0, 0.999999, "Share of the weights (channels) that is pruned in the end."),
        choice("scope", {"layer", "global"}, "The same share of every layer, or one ranking over all layers."),
        choice("layers", {"all", "masked"}, "Every layer that can be pruned, or those that the assignment prunes already."),
    };
    for (ParamSpec &option : own)
        options.push_back(std::move(option));
    return options;
}

} // namespace

std::vector<MethodTraits> recipeTraits(const std::vector<std::string> &criteria)
{
    ParamSpec initial = real("initial", 0, 0, 0.999999, "Share that is pruned at the beginning; left out: what the masks prune already.");
    initial.optional = true;
    return {
        recipe(kDistill, "Distillation", "Hinton et al., 2015; Romero et al., ICLR 2015", 2015,
               "The network also learns to answer as the float network (or another teacher) does.",
               {real("temperature", 4, 0.01, 100, "Divides the scores of both networks: higher shows more of what the teacher thinks of wrong classes."),
                real("weight", 0.9, 0, 1, "Share of the teacher in the loss, the labels have the rest; without labels it is 1."),
                real("hint", 0, 0, 1000000, "Weight of the squared difference between the inputs of the last layers in both networks; 0 is off."),
                integer("hint_layers", 1, 1, 100, "How many of the last layers the hint compares.")}),
        recipe("gradual", "Gradual pruning", "Zhu and Gupta, 2017", 2017,
               "The pruned share grows along a cubic curve while the network trains.",
               pruning(criteria,
                       {std::move(initial),
                        real("begin", 0.1, 0, 1, "When pruning begins, as a share of the training."),
                        real("end", 0.75, 0, 1, "When the final share is reached; what is left of the training recovers."),
                        integer("every", 20, 1, 1000000, "Steps between two updates of the masks.", "steps"),
                        flag("regrow", false, "Pruned weights go on learning and may come back at the next update; else they stay zero.")})),
        recipe("alternate", "Prune and recover in turn", "Han et al., NeurIPS 2015", 2015,
               "Rounds of pruning and recovery: each prunes the same part of what is left, then trains.",
               pruning(criteria, {integer("rounds", 4, 1, 1000, "How many rounds the training is divided into.")})),
        recipe("slimming", "Slimming term", "Liu et al., ICCV 2017", 2017,
               "Pulls the scales of batch norms towards zero, so that the criterion slimming finds channels to remove.",
               {real("strength", 1e-4, 0, 1000, "What is added to the gradient of each scale, times its sign.")}),
    };
}

bool learnsFromTeacher(const std::string &id)
{
    return id == kDistill;
}

std::string recipeClash(const std::vector<std::string> &ids)
{
    for (std::size_t i = 0; i < ids.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (ids[i] == ids[j])
                return "recipe " + ids[i] + ", it is named twice; name it once";
            if (std::ranges::find(kOwnMasks, ids[i]) != kOwnMasks.end() && std::ranges::find(kOwnMasks, ids[j]) != kOwnMasks.end())
                return "recipes " + ids[j] + " and " + ids[i] + ", both decide what is pruned; choose one of them";
        }
    }
    return {};
}

} // namespace bitwright
