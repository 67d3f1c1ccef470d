// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/params.h"

#include <string>
#include <vector>

namespace bitwright {

/// What a tensor is to its layer.
enum class Role { Weight, Activation };
[[nodiscard]] const char *roleName(Role role);

enum class MethodKind { Quantizer, Pruner, Recipe };

/// One row about one method: everything the window, the command line, files and docs need to know of it.
struct MethodTraits {
    std::string id;       ///< as in files and on the command line, never translated
    std::string title;    ///< as people say it
    std::string paper;    ///< "authors, venue"
    int year = 0;
    MethodKind kind = MethodKind::Quantizer;
    std::string family;   ///< of quantizers: "uniform", "binary", "ternary", "powers of two", "distribution", "learned", "codebook", "loss-aware"
    std::vector<Role> roles;
    int minimumBits = 1, maximumBits = 8;
    std::vector<ParamSpec> options;
    /// Names of the learned or calibrated values that stand beside the options in an assignment ("scale", …).
    std::vector<std::string> values;
    bool structured = false;   ///< a pruner that scores whole output channels
    bool needsData = false;    ///< a pruner that looks at activations or gradients
    std::string summary;  ///< one sentence for tooltips
    [[nodiscard]] bool hasRole(Role role) const;
    [[nodiscard]] const ParamSpec *option(const std::string &name) const;
};

/// Every method that the program has, in the order of the menus. Handed by reference to whoever needs it.
class Catalog {
public:
    Catalog() = default;
    explicit Catalog(std::vector<MethodTraits> methods) : m_methods(std::move(methods)) {}
    [[nodiscard]] const std::vector<MethodTraits> &methods() const { return m_methods; }
    [[nodiscard]] const MethodTraits *find(MethodKind kind, const std::string &id) const;
    [[nodiscard]] const MethodTraits *quantizer(const std::string &id) const { return find(MethodKind::Quantizer, id); }
    [[nodiscard]] const MethodTraits *pruner(const std::string &id) const { return find(MethodKind::Pruner, id); }
    [[nodiscard]] const MethodTraits *recipe(const std::string &id) const { return find(MethodKind::Recipe, id); }
private:
    std::vector<MethodTraits> m_methods;
};

} // namespace bitwright
