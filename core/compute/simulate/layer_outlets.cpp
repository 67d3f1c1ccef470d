// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/layer_outlets.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <string_view>

namespace bitwright {

namespace {

bool reads(const Argument &argument, ValueId value)
{
    return (argument.kind == Argument::Kind::Value && argument.value == value) ||
           (argument.kind == Argument::Kind::List && std::ranges::any_of(argument.list, [&](const Argument &each) { return reads(each, value); }));
}

std::vector<std::size_t> readersOf(const Graph &graph, ValueId value)
{
    std::vector<std::size_t> readers;
    for (std::size_t i = 0; i < graph.nodes.size(); ++i)
        if (std::ranges::any_of(graph.nodes[i].arguments, [&](const Argument &argument) { return reads(argument, value); }))
            readers.push_back(i);
    return readers;
}

bool isZero(const Argument &argument)
{
    return argument.kind == Argument::Kind::Constant && argument.constant.isScalar() && argument.constant.toScalar().toDouble() == 0;
}

/// Turns everything below zero into zero.
bool isRectifier(const Node &node)
{
    const std::string_view op = node.op;
    if (op == "aten::relu" || op == "aten::relu6")
        return true;
    return (op == "aten::hardtanh" || op == "aten::clamp" || op == "aten::clamp_min") && node.arguments.size() > 1 && isZero(node.arguments[1]);
}

bool keepsChannels(const Node &node)
{
    return node.op == "aten::batch_norm" || node.op.starts_with("aten::add.") || node.op == "aten::max_pool2d" || node.op == "aten::avg_pool2d";
}

Outlet behind(const Graph &graph, std::size_t node)
{
    return {graph.nodes[node].outputs.front(), node + 1};
}

Outlet rectifiedOutlet(const Graph &graph, Outlet from)
{
    while (from.exists()) {
        std::optional<std::size_t> next;
        for (const std::size_t reader : readersOf(graph, from.value)) {
            if (isRectifier(graph.nodes[reader]))
                return behind(graph, reader);
            if (!next && keepsChannels(graph.nodes[reader]))
                next = reader;
        }
        from = next ? behind(graph, *next) : Outlet{};
    }
    return {};
}

} // namespace

std::vector<LayerOutlets> outletsOf(const Graph &graph, const LayerBinding &binding)
{
    std::vector<LayerOutlets> calls;
    if (binding.info.weightOnly)
        return calls;
    for (const std::size_t node : binding.nodes) {
        LayerOutlets outlets;
        outlets.own = outlets.normalized = behind(graph, node);
        const auto readers = readersOf(graph, outlets.own.value);
        if (!binding.info.batchNorm.empty() && readers.size() == 1 && graph.nodes[readers.front()].op == "aten::batch_norm")
            outlets.normalized = behind(graph, readers.front());
        outlets.rectified = rectifiedOutlet(graph, outlets.own);
        calls.push_back(outlets);
    }
    return calls;
}

at::Tensor outletChannels(const at::Tensor &value, const LayerInfo &layer)
{
    return value.movedim(layer.op.starts_with("conv") ? 1 : -1, 0).flatten(1);
}

} // namespace bitwright
