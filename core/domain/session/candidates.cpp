// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/candidates.h"

#include <algorithm>

namespace bitwright {

std::vector<Choice> choices(const Catalog &catalog, const std::vector<Role> &roles, const std::vector<int> &bits,
                            const std::vector<std::string> &methods)
{
    std::vector<Choice> found;
    for (const MethodTraits &traits : catalog.methods()) {
        const bool asked = methods.empty() || std::ranges::find(methods, traits.id) != methods.end();
        const bool able = std::ranges::all_of(roles, [&](Role role) { return traits.hasRole(role); });
        if (traits.kind != MethodKind::Quantizer || !asked || !able)
            continue;
        for (const int b : bits)
            if (b >= traits.minimumBits && b <= traits.maximumBits)
                found.push_back({traits.id, b});
    }
    return found;
}

std::vector<QuantSpec> candidateSpecs(const Catalog &catalog, Role role, const std::vector<int> &bits,
                                      const std::vector<std::string> &methods)
{
    std::vector<QuantSpec> specs;
    for (const Choice &choice : choices(catalog, {role}, bits, methods)) {
        QuantSpec spec{.method = choice.method, .bits = choice.bits, .options = {}, .values = {}};
        for (const ParamSpec &option : catalog.quantizer(choice.method)->options)
            if (!option.optional)
                spec.options[option.name] = option.fallback;
        specs.push_back(std::move(spec));
    }
    return specs;
}

std::vector<CompareNetworksRequest::Candidate> networkCandidates(const ModelConfig &base, const Catalog &catalog,
                                                                 const std::vector<Role> &roles, const std::vector<int> &bits,
                                                                 const LayerPolicy &policy, const std::vector<std::string> &methods)
{
    ModelConfig bare = base;
    bare.policy = policy;
    for (const Role role : roles)
        for (auto &[name, patch] : bare.layers)
            patch.of(role) = {};
    std::erase_if(bare.layers, [](const auto &entry) { return entry.second.empty(); });
    std::vector<CompareNetworksRequest::Candidate> candidates;
    for (const Choice &choice : choices(catalog, roles, bits, methods)) {
        const std::string width = std::to_string(choice.bits) + (choice.bits == 1 ? " bit" : " bits");
        candidates.push_back({catalog.quantizer(choice.method)->title + ", " + width, bare});
        for (const Role role : roles)
            candidates.back().config.defaults.of(role) = {.method = choice.method, .bits = choice.bits, .options = {}, .values = {}};
    }
    return candidates;
}

} // namespace bitwright
