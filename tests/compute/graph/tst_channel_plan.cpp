// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/channel_plan.h"
#include "graph/layer_list.h"
#include "graph/rewrites/remove_channels.h"
#include "graph_builder.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

Argument conv(GraphBuilder &b, const Argument &x, const std::string &name, std::int64_t in, std::int64_t out, std::int64_t groups = 1)
{
    const Argument weight = b.parameter(name + ".weight", at::randn({out, in / groups, 3, 3}));
    const Argument bias = b.parameter(name + ".bias", at::randn({out}));
    return b.node("aten::conv2d", {x, weight, bias}, name,
                  {{"padding", GraphBuilder::ints({1, 1})}, {"groups", GraphBuilder::of(groups)}});
}

Argument head(GraphBuilder &b, const Argument &x, std::int64_t channels)
{
    const Argument pooled = b.node("aten::mean.dim", {x, GraphBuilder::ints({2, 3})}, "pool");
    return b.node("aten::linear", {pooled, b.parameter("head.weight", at::randn({3, channels})), b.parameter("head.bias", at::randn({3}))}, "head");
}

ChannelPlan planOf(const Graph &graph)
{
    return planChannels(graph, listLayers(graph));
}

const ChannelGroup *groupOf(const ChannelPlan &plan, const std::string &layer)
{
    for (const ChannelGroup &group : plan.groups)
        if (group.part(layer, true))
            return &group;
    return nullptr;
}

std::int64_t numbers(const Graph &graph)
{
    std::int64_t count = 0;
    for (const Parameter &parameter : graph.parameters)
        count += parameter.tensor.numel();
    return count;
}

/// One unit of one group.
RemovedUnits only(const ChannelPlan &plan, const ChannelGroup *group, std::size_t unit)
{
    RemovedUnits removed;
    for (const ChannelGroup &each : plan.groups) {
        removed.emplace_back(std::size_t(each.units), false);
        if (&each == group)
            removed.back()[unit] = true;
    }
    return removed;
}

} // namespace

class TestChannelPlan : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void oneChannelLessTakesItsNumbers();
    void additionsTieTheirBranches();
    void depthwiseFollowsAndCounts();
    void aSigmoidIsNotSilent();
    void whatNormalizesOverChannelsKeepsThem();
    void flattenTakesBlocks();
    void concatenationShiftsTheIndices();
    void aSharedWeightIsOne();
    void refusalsAreErrors();
};

/// methods.md D4: conv 3 to 4, batch norm, conv 4 to 5, 3x3: one channel less removes 27 + 1 + 4 + 45 numbers.
void TestChannelPlan::oneChannelLessTakesItsNumbers()
{
    GraphBuilder b;
    Argument x = b.node("aten::relu", {b.batchNorm(conv(b, b.input({-1, 3, 6, 6}), "a", 3, 4), "bn", 4)}, "relu");
    b.output(head(b, conv(b, x, "b", 4, 5), 5));
    const ChannelPlan plan = planOf(b.graph);
    const ChannelGroup *group = groupOf(plan, "a");
    QVERIFY(group && group->removable());
    QCOMPARE(group->units, 4);
    const auto cut = removeChannels(b.graph, plan, only(plan, group, 1), {});
    QVERIFY2(cut.has_value(), cut ? "" : cut.error().message.c_str());
    QCOMPARE(numbers(b.graph) - numbers(*cut), 27 + 1 + 4 + 45);
    QVERIFY(at::equal(cut->parameter("a.bias")->tensor, b.graph.parameter("a.bias")->tensor.index_select(0, at::tensor({0, 2, 3}))));
    QVERIFY(!groupOf(plan, "head")->removable());
}

void TestChannelPlan::additionsTieTheirBranches()
{
    GraphBuilder b;
    const Argument stem = conv(b, b.input({-1, 1, 6, 6}), "stem", 1, 4);
    const Argument branch = conv(b, b.node("aten::relu", {conv(b, stem, "inner", 4, 6)}, "relu"), "branch", 6, 4);
    b.output(head(b, b.node("aten::add.Tensor", {stem, branch}, "add"), 4));
    const ChannelPlan plan = planOf(b.graph);
    QCOMPARE(groupOf(plan, "stem"), groupOf(plan, "branch"));
    QVERIFY(groupOf(plan, "inner") != groupOf(plan, "stem"));
    QVERIFY(groupOf(plan, "stem")->part("inner", false));   // who reads it
    QCOMPARE(groupOf(plan, "inner")->units, 6);
}

void TestChannelPlan::depthwiseFollowsAndCounts()
{
    GraphBuilder b;
    const Argument wide = conv(b, b.input({-1, 1, 6, 6}), "wide", 1, 6);
    b.output(head(b, conv(b, conv(b, wide, "depth", 6, 6, 6), "narrow", 6, 4), 4));
    const ChannelPlan plan = planOf(b.graph);
    QCOMPARE(groupOf(plan, "wide"), groupOf(plan, "depth"));
    const auto cut = removeChannels(b.graph, plan, only(plan, groupOf(plan, "wide"), 0), {});
    QVERIFY(cut.has_value());
    QCOMPARE(cut->parameter("depth.weight")->tensor.sizes().vec(), (std::vector<std::int64_t>{5, 1, 3, 3}));
    QCOMPARE(cut->nodes[1].arguments[std::size_t(argumentIndex(cut->nodes[1], "groups"))].constant.toInt(), 5);
    const Executor executor(std::make_shared<const Graph>(*cut));
    QCOMPARE(runAll(executor, {at::randn({2, 1, 6, 6})})[0].toTensor().size(1), 3);
}

void TestChannelPlan::aSigmoidIsNotSilent()
{
    GraphBuilder b;
    const Argument a = conv(b, b.input({-1, 1, 6, 6}), "a", 1, 4);
    b.output(head(b, conv(b, b.node("aten::sigmoid", {a}, "sigmoid"), "b", 4, 4), 4));
    const ChannelPlan plan = planOf(b.graph);
    QVERIFY(!groupOf(plan, "a")->removable());
    QVERIFY(QString::fromStdString(groupOf(plan, "a")->refusal).contains(QStringLiteral("silent")));
    QVERIFY(groupOf(plan, "b")->removable());
}

void TestChannelPlan::whatNormalizesOverChannelsKeepsThem()
{
    GraphBuilder b;
    const Argument a = b.node("aten::linear", {b.input({-1, 4}), b.parameter("a.weight", at::randn({6, 4})), GraphBuilder::none()}, "a");
    const Argument norm = b.node("aten::layer_norm", {a, GraphBuilder::ints({6}), b.parameter("n.weight", at::ones({6})), b.parameter("n.bias", at::zeros({6}))}, "norm");
    b.output(b.node("aten::linear", {norm, b.parameter("b.weight", at::randn({3, 6})), GraphBuilder::none()}, "b"));
    const ChannelPlan plan = planOf(b.graph);
    QVERIFY(QString::fromStdString(groupOf(plan, "a")->refusal).contains(QStringLiteral("layer_norm")));
}

/// Linear layers behind a flatten lose r H W .. r H W + H W - 1 (methods.md D4).
void TestChannelPlan::flattenTakesBlocks()
{
    GraphBuilder b;
    const Argument a = conv(b, b.input({-1, 1, 2, 2}), "a", 1, 3);
    const Argument flat = b.node("aten::flatten.using_ints", {a, GraphBuilder::of(std::int64_t(1))}, "flat");
    b.output(b.node("aten::linear", {flat, b.parameter("b.weight", at::arange(24.0F).reshape({2, 12})), GraphBuilder::none()}, "b"));
    const ChannelPlan plan = planOf(b.graph);
    const auto cut = removeChannels(b.graph, plan, only(plan, groupOf(plan, "a"), 1), {});
    QVERIFY(cut.has_value());
    QVERIFY(at::equal(cut->parameter("b.weight")->tensor[0], at::tensor({0.0F, 1.0F, 2.0F, 3.0F, 8.0F, 9.0F, 10.0F, 11.0F})));
}

void TestChannelPlan::concatenationShiftsTheIndices()
{
    GraphBuilder b;
    const Argument x = b.input({-1, 1, 6, 6});
    const Argument a = conv(b, x, "a", 1, 2), c = conv(b, x, "c", 1, 3);
    const Argument both = b.node("aten::cat", {Argument::of(std::vector<Argument>{a, x, c}), GraphBuilder::of(std::int64_t(1))}, "cat");
    b.output(head(b, conv(b, both, "reader", 6, 4), 4));
    const ChannelPlan plan = planOf(b.graph);
    const ChannelGroup::Part *reads = groupOf(plan, "c")->part("reader", false);
    QVERIFY(reads);
    QCOMPARE(reads->unit, (std::vector<std::int32_t>{-1, -1, -1, 0, 1, 2}));   // two of a, one of the input, three of c
    const auto cut = removeChannels(b.graph, plan, only(plan, groupOf(plan, "c"), 1), {});
    QVERIFY(cut.has_value());
    QVERIFY(at::equal(cut->parameter("reader.weight")->tensor,
                      b.graph.parameter("reader.weight")->tensor.index_select(1, at::tensor({0, 1, 2, 3, 5}))));
}

/// One weight that runs twice: what it writes is what it reads, and the stem goes along.
void TestChannelPlan::aSharedWeightIsOne()
{
    GraphBuilder b;
    const Argument stem = conv(b, b.input({-1, 1, 6, 6}), "stem", 1, 4);
    const Argument weight = b.parameter("twice.weight", at::randn({4, 4, 3, 3}));
    const auto call = [&](const Argument &x, const char *name) {
        return b.node("aten::conv2d", {x, weight, GraphBuilder::none()}, name, {{"padding", GraphBuilder::ints({1, 1})}});
    };
    b.output(head(b, call(b.node("aten::relu", {call(stem, "first")}, "relu"), "second"), 4));
    const ChannelPlan plan = planOf(b.graph);
    QCOMPARE(groupOf(plan, "twice"), groupOf(plan, "stem"));
    const auto cut = removeChannels(b.graph, plan, only(plan, groupOf(plan, "stem"), 2), {});
    QVERIFY(cut.has_value());
    QCOMPARE(cut->parameter("twice.weight")->tensor.sizes().vec(), (std::vector<std::int64_t>{3, 3, 3, 3}));
    const Executor executor(std::make_shared<const Graph>(*cut));
    QCOMPARE(runAll(executor, {at::randn({2, 1, 6, 6})})[0].toTensor().size(1), 3);
}

void TestChannelPlan::refusalsAreErrors()
{
    GraphBuilder b;
    b.output(head(b, conv(b, b.input({-1, 1, 6, 6}), "a", 1, 4), 4));
    const ChannelPlan plan = planOf(b.graph);
    const auto answer = removeChannels(b.graph, plan, only(plan, groupOf(plan, "head"), 0), {});
    QVERIFY(!answer && answer.error().message.find("what the network answers") != std::string::npos);
    RemovedUnits all = only(plan, nullptr, 0);
    all[std::size_t(groupOf(plan, "a") - plan.groups.data())].assign(4, true);
    const auto nothing = removeChannels(b.graph, plan, all, {});
    QVERIFY(!nothing && nothing.error().message.find("keep one") != std::string::npos);
    QVERIFY(!removeChannels(b.graph, plan, {}, {}));
}

QTEST_APPLESS_MAIN(TestChannelPlan)
#include "tst_channel_plan.moc"
