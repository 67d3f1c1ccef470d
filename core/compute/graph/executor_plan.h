// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

#include <optional>

namespace bitwright {

/// One argument as the run loop needs it: where it comes from and whether it is taken away there.
struct PlanSlot {
    enum class From : std::uint8_t { Constant, Parameter, Copy, Move, List };
    From from = From::Constant;
    Want want = Want::None;
    std::int32_t index = 0;             ///< of the value or the parameter
    c10::IValue constant;
    std::vector<PlanSlot> list;
};

/// What a node may do to an input that dies there.
enum class InPlace : std::uint8_t { No, Unary, Binary, BatchNorm };

struct PlanTap {
    std::int32_t binding = 0;
    std::int32_t call = 0;
    std::int32_t argument = 0;
};

struct PlanStep {
    const Node *node = nullptr;
    std::vector<PlanSlot> arguments;
    std::vector<std::int32_t> outputs;  ///< -1 where nobody reads the result
    std::vector<std::int32_t> dropped;  ///< values whose last use is inside one of this node's lists
    InPlace inPlace = InPlace::No;
    Kernel inPlaceKernel;
    bool statistics = false;            ///< a normalization with running statistics that training would change
    std::int32_t meanArgument = -1, varianceArgument = -1;
    std::optional<PlanTap> tap;
    std::int32_t onlyReader = -1;       ///< of a ReLU in place: the step whose tapped argument alone reads it, or -1
};

struct Plan {
    std::vector<PlanStep> steps;
    std::vector<PlanSlot> outputs;
    std::vector<bool> inputRead;        ///< parallel to graph.inputs
    std::size_t values = 0;
};

/// Liveness, in-place candidates and taps of a graph, decided once.
Plan makePlan(const Graph &graph, const std::vector<LayerBinding> &bindings);

} // namespace bitwright
