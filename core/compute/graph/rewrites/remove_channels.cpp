// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/rewrites/remove_channels.h"

#include "graph/node_builder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bitwright {

namespace {

using Kind = Argument::Kind;

class Remover {
public:
    Remover(const Graph &graph, const ChannelPlan &plan, const RemovedUnits &removed) : m_graph(graph), m_plan(plan), m_removed(removed) {}
    Result<Graph> run(const ParameterMap &tensors);

private:
    [[nodiscard]] Status check() const;
    [[nodiscard]] std::int64_t staying(const std::vector<ChannelUnit> &channels) const
    {
        return std::ranges::count_if(channels, [&](ChannelUnit unit) {
            return unit.group < 0 || !m_removed[std::size_t(unit.group)][std::size_t(unit.unit)];
        });
    }
    void slice(const ParameterMap &tensors);
    Status count(const ChannelCount &count);
    Status split(const ChannelSplit &split);

    Graph m_graph;
    const ChannelPlan &m_plan;
    const RemovedUnits &m_removed;
};

Status Remover::check() const
{
    if (m_removed.size() != m_plan.groups.size())
        return fail(ErrorKind::Internal, "channels to remove, they belong to another network");
    for (std::size_t g = 0; g < m_removed.size(); ++g) {
        const ChannelGroup &group = m_plan.groups[g];
        const std::string name = group.parts.empty() ? std::string("a group") : group.parts.front().name;
        if (m_removed[g].size() != std::size_t(group.units))
            return fail(ErrorKind::Internal, name + ", the channels to remove belong to another network");
        const auto gone = std::ranges::count(m_removed[g], true);
        if (gone > 0 && !group.removable())
            return fail(ErrorKind::Unsupported, name + ", its channels cannot be removed: " + group.refusal + "; keep them");
        if (gone > 0 && gone == std::ptrdiff_t(group.units))
            return fail(ErrorKind::Invalid, name + ", no channel would be left; keep one at least");
    }
    return {};
}

void Remover::slice(const ParameterMap &tensors)
{
    const c10::NoGradGuard noGrad;
    for (Parameter &parameter : m_graph.parameters)
        if (const auto found = tensors.find(parameter.name); found != tensors.end())
            parameter.tensor = found->second.detach();
    for (const KeptIndices &each : keptIndices(m_plan, m_removed)) {
        at::Tensor &tensor = m_graph.parameters[std::size_t(m_graph.parameterOf(each.parameter))].tensor;
        tensor = tensor.index_select(each.axis, at::tensor(each.kept, at::kLong)).contiguous();
        m_graph.stored.erase(each.parameter);   // its scales count the channels that were
    }
}

Status Remover::count(const ChannelCount &count)
{
    Argument &given = m_graph.nodes[count.node].arguments[std::size_t(count.argument)];
    const c10::IValue value(staying(count.channels));
    if (count.element < 0) {
        given = Argument::of(value);
    } else if (given.kind == Kind::List) {
        given.list[std::size_t(count.element)] = Argument::of(value);
    } else {
        std::vector<std::int64_t> sizes = given.constant.toIntVector();
        sizes[std::size_t(count.element)] = value.toInt();
        given = Argument::of(c10::IValue(sizes));
    }
    return {};
}

/// Equal pieces may become unequal: each gets its size.
Status Remover::split(const ChannelSplit &split)
{
    Node &node = m_graph.nodes[split.node];
    std::vector<std::int64_t> sizes;
    for (const std::vector<ChannelUnit> &piece : split.pieces)
        sizes.push_back(staying(piece));
    const int dim = argumentIndex(node, "dim");
    BW_ASSIGN(node, makeNode("aten::split_with_sizes",
                             {node.arguments[0], Argument::of(c10::IValue(sizes)), node.arguments[std::size_t(dim)]}, {}, node.outputs, node.name));
    return {};
}

Result<Graph> Remover::run(const ParameterMap &tensors)
{
    BW_CHECK(check());
    slice(tensors);
    for (const ChannelCount &each : m_plan.counts)
        BW_CHECK(count(each));
    for (const ChannelSplit &each : m_plan.splits)
        BW_CHECK(split(each));
    for (const FixedScale &fixed : m_plan.scales) {
        Node &node = m_graph.nodes[fixed.node];
        node.arguments[std::size_t(argumentIndex(node, "scale"))] = Argument::of(c10::IValue(fixed.scale));
    }
    m_graph.format = "pt2";   // what it can be written as
    return std::move(m_graph);
}

} // namespace

std::vector<KeptIndices> keptIndices(const ChannelPlan &plan, const RemovedUnits &removed)
{
    // An axis may be shared by several groups (behind a concatenation): what stays is what none of them takes.
    std::map<std::pair<ValueId, int>, std::vector<bool>> goes;
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
        if (std::ranges::count(removed[g], true) == 0)
            continue;
        for (std::size_t k = 0; k < plan.groups[g].parts.size(); ++k) {
            const ChannelGroup::Part &part = plan.groups[g].parts[k];
            std::vector<bool> &axis = goes[{plan.parameters[g][k], part.axis}];
            axis.resize(part.unit.size());
            for (std::size_t i = 0; i < part.unit.size(); ++i)
                if (part.unit[i] >= 0 && removed[g][std::size_t(part.unit[i])])
                    axis[i] = true;
        }
    }
    std::vector<KeptIndices> all;
    for (const auto &[key, gone] : goes) {
        all.push_back({key.first, key.second, {}});
        for (std::size_t i = 0; i < gone.size(); ++i)
            if (!gone[i])
                all.back().kept.push_back(std::int64_t(i));
    }
    return all;
}

Result<Graph> removeChannels(const Graph &graph, const ChannelPlan &plan, const RemovedUnits &removed, const ParameterMap &tensors)
{
    return Remover(graph, plan, removed).run(tensors);
}

} // namespace bitwright
