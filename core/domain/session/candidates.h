// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <string>
#include <vector>

namespace bitwright {

/// What a comparison tries: every quantizer of the catalogue that can do all of `roles`, or those named in `methods`, at
/// each of `bits` that it has. Widths that it refuses for other reasons are still there; their row says why.
struct Choice {
    std::string method;
    int bits = 0;
    friend bool operator==(const Choice &, const Choice &) = default;
};
std::vector<Choice> choices(const Catalog &catalog, const std::vector<Role> &roles, const std::vector<int> &bits,
                            const std::vector<std::string> &methods = {});

/// The choices as complete specs with the methods' own options, for CompareRequest.
std::vector<QuantSpec> candidateSpecs(const Catalog &catalog, Role role, const std::vector<int> &bits,
                                      const std::vector<std::string> &methods = {});

/// The choices as assignments, for CompareNetworksRequest: `base` with each as the default of `roles` in every layer under
/// `policy`. Quantizers that layers have of their own in these roles go; the other role and all masks stay.
std::vector<CompareNetworksRequest::Candidate> networkCandidates(const ModelConfig &base, const Catalog &catalog,
                                                                 const std::vector<Role> &roles, const std::vector<int> &bits,
                                                                 const LayerPolicy &policy,
                                                                 const std::vector<std::string> &methods = {});

} // namespace bitwright
