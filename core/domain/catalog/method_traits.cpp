// SPDX-License-Identifier: GPL-3.0-or-later
#include "catalog/method_traits.h"

#include <algorithm>

namespace bitwright {

const char *roleName(Role role)
{
    return role == Role::Weight ? "weight" : "activation";
}

bool MethodTraits::hasRole(Role role) const
{
    return std::ranges::find(roles, role) != roles.end();
}

const ParamSpec *MethodTraits::option(const std::string &name) const
{
    auto found = std::ranges::find(options, name, &ParamSpec::name);
    return found == options.end() ? nullptr : &*found;
}

const MethodTraits *Catalog::find(MethodKind kind, const std::string &id) const
{
    auto found = std::ranges::find_if(m_methods, [&](const MethodTraits &m) { return m.kind == kind && m.id == id; });
    return found == m_methods.end() ? nullptr : &*found;
}

} // namespace bitwright
