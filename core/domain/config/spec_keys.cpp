// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/spec_keys.h"

#include "base/names.h"

#include <algorithm>

namespace bitwright {

namespace {

std::string bitsRange(const MethodTraits &traits)
{
    if (traits.minimumBits == traits.maximumBits)
        return std::to_string(traits.minimumBits);
    return std::to_string(traits.minimumBits) + " to " + std::to_string(traits.maximumBits);
}

} // namespace

std::string siteLabel(const std::string &layer, Role role)
{
    return (layer.empty() ? std::string("defaults") : "layer \"" + layer + "\"") + ", " + roleName(role);
}

Result<const MethodTraits *> quantizerFor(const std::string &method, Role role, const std::string &label,
                                          const Catalog &catalog)
{
    std::vector<std::string> names{kFloatMethod};
    for (const auto &traits : catalog.methods())
        if (traits.kind == MethodKind::Quantizer && traits.hasRole(role))
            names.push_back(traits.id);
    const auto *traits = catalog.quantizer(method);
    if (!traits)
        return fail(ErrorKind::Invalid, label + ", there is no method \"" + method + "\"; choose among " + joinNames(names));
    if (!traits->hasRole(role))
        return fail(ErrorKind::Invalid, label + ", method \"" + method + "\" does not quantize a layer's " + roleName(role)
                                            + "; choose among " + joinNames(names));
    return traits;
}

std::string pruneLabel(const std::string &layer)
{
    return (layer.empty() ? std::string("defaults") : "layer \"" + layer + "\"") + ", prune";
}

Result<const MethodTraits *> prunerFor(const std::string &method, const std::string &label, const Catalog &catalog)
{
    if (const MethodTraits *traits = catalog.pruner(method))
        return traits;
    std::vector<std::string> names{kNoPruning};
    for (const auto &traits : catalog.methods())
        if (traits.kind == MethodKind::Pruner)
            names.push_back(traits.id);
    return fail(ErrorKind::Invalid, label + ", there is no method \"" + method + "\"; choose among " + joinNames(names));
}

Status checkBits(const MethodTraits &traits, std::int64_t bits, const std::string &label)
{
    if (bits >= traits.minimumBits && bits <= traits.maximumBits)
        return {};
    return fail(ErrorKind::Invalid, label + ", \"bits\": " + std::to_string(bits) + " is not possible with method \""
                                        + traits.id + "\"; it takes " + bitsRange(traits));
}

std::unexpected<Error> unknownKey(const std::string &key, const MethodTraits &traits, const std::string &label)
{
    std::vector<std::string> names{"method", traits.kind == MethodKind::Pruner ? "sparsity" : "bits"};
    for (const auto &option : traits.options)
        names.push_back(option.name);
    for (const auto &value : traits.values)
        if (std::ranges::find(names, value) == names.end())
            names.push_back(value);
    const std::string near = closestName(key, names);
    return fail(ErrorKind::Invalid, label + ", method \"" + traits.id + "\" has no key \"" + key + "\"; "
                                        + (near.empty() ? "it has " + joinNames(names) : "did you mean \"" + near + "\"?"));
}

bool isValueName(const MethodTraits &traits, const std::string &key)
{
    return std::ranges::find(traits.values, key) != traits.values.end();
}

} // namespace bitwright
