// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/subgraph.h"

#include "graph/node_builder.h"
#include "graph_builder.h"
#include "test_models.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// if (x.sum() > 0) x * w else relu(x + 1), the bodies written over the ids of the graph around them.
Graph branching()
{
    GraphBuilder b;
    const Argument x = b.input({-1, 4});
    const Argument w = b.parameter("w", at::full({4}, 3.0));
    const Argument sum = b.node("aten::sum", {x, b.none()}, "sum");
    const Argument positive = b.node("aten::gt.Scalar", {sum, b.of(0)}, "positive");
    const auto body = [&](const auto &write) {
        auto outer = std::exchange(b.graph.nodes, {});
        const Argument result = write();
        return BodyParts{std::exchange(b.graph.nodes, std::move(outer)), {result}, {}};
    };
    const BodyParts yes = body([&] { return b.node("aten::mul.Tensor", {x, w}, "product"); });
    const BodyParts no = body([&] { return b.node("aten::relu", {b.node("aten::add.Scalar", {x, b.of(1), b.of(1)}, "more")}, "r"); });
    const std::vector<ValueId> captured = freeValues(no, freeValues(yes));
    const ValueId out = b.graph.addValue("out");
    auto node = makeIf("branch", positive, std::make_shared<Graph>(cutBody(b.graph, yes, captured)),
                       std::make_shared<Graph>(cutBody(b.graph, no, captured)), argumentsOf(captured), {out});
    if (!node)
        throw std::runtime_error(node.error().message);
    b.graph.nodes.push_back(std::move(*node));
    b.output(Argument::of(out));
    return b.graph;
}

/// Doubles `x` for `trips` trips while its sum is below a hundred; each trip's value is a scan.
Graph looping(Argument trips, bool endless = false)
{
    GraphBuilder body;
    body.input({});
    body.input({});
    const Argument x = body.input({-1});
    const Argument twice = body.node("aten::mul.Scalar", {x, body.of(2)}, "twice");
    const Argument sum = body.node("aten::sum", {twice, body.none()}, "sum");
    body.output(endless ? body.node("aten::ge.Scalar", {sum, body.of(0)}, "always") : body.node("aten::lt.Scalar", {sum, body.of(100)}, "go"));
    body.output(twice);
    body.output(twice);
    GraphBuilder b;
    const Argument start = b.input({-1});
    const ValueId last = b.graph.addValue("last"), all = b.graph.addValue("all");
    auto node = makeLoop("doubling", {std::make_shared<Graph>(body.graph), std::move(trips), {}, {start}, {}}, {last, all});
    if (!node)
        throw std::runtime_error(node.error().message);
    b.graph.nodes.push_back(std::move(*node));
    b.output(Argument::of(last));
    b.output(Argument::of(all));
    return b.graph;
}

Result<std::vector<c10::IValue>> runOn(const Graph &graph, const at::Tensor &input, const RunOptions &options = {})
{
    const Executor executor(std::make_shared<Graph>(graph));
    const std::vector<c10::IValue> inputs{input};
    return executor.run(inputs, executor.bind(), options);
}

} // namespace

class TestSubgraph : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void bothBranches()
    {
        const Graph graph = branching();
        const at::NoGradGuard noGrad;
        const at::Tensor x = at::rand({2, 4});
        const auto yes = runOn(graph, x), no = runOn(graph, -3 * x);
        QVERIFY(yes && no);
        QVERIFY(at::equal(yes->front().toTensor(), x * 3));
        QVERIFY(at::equal(no->front().toTensor(), at::relu(-3 * x + 1)));
        QCOMPARE(bodiesOf(graph.nodes.back()).size(), std::size_t(2));
        QVERIFY(bodiesOf(graph.nodes.front()).empty());
    }

    void survivesRewrites()
    {
        Graph graph = branching();
        const auto status = normalize(graph);
        QVERIFY2(status.has_value(), status ? "" : status.error().message.c_str());
        QVERIFY(resolveNode(graph.nodes.back()).has_value());
        const at::NoGradGuard noGrad;
        const at::Tensor x = at::rand({2, 4});
        QVERIFY(at::equal(runOn(graph, x)->front().toTensor(), x * 3));
    }

    void gradientsReachCapturedParameters()
    {
        const Graph graph = branching();
        const Executor executor(std::make_shared<Graph>(graph));
        const at::Tensor w = graph.parameter("w")->tensor.clone().requires_grad_(true);
        const std::vector<c10::IValue> inputs{at::ones({2, 4})};
        const auto result = executor.run(inputs, executor.bind({{"w", w}}));
        QVERIFY(result.has_value());
        result->front().toTensor().sum().backward();
        QVERIFY(at::equal(w.grad(), at::full({4}, 2.0)));
    }

    void loops_data()
    {
        QTest::addColumn<int>("trips");
        QTest::addColumn<int>("ran");
        QTest::newRow("none") << 0 << 0;
        QTest::newRow("counted") << 3 << 3;
        QTest::newRow("ended by its condition") << 1000 << 6;
        QTest::newRow("without a number") << -1 << 6;
    }
    void loops()
    {
        QFETCH(int, trips);
        QFETCH(int, ran);
        const Graph graph = looping(trips < 0 ? Argument{} : Argument::of(c10::IValue(std::int64_t(trips))));
        const at::NoGradGuard noGrad;
        const at::Tensor x = at::ones({2});
        const auto results = runOn(graph, x);
        QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
        QVERIFY(at::equal((*results)[0].toTensor(), x * (1 << ran)));
        const at::Tensor scan = (*results)[1].toTensor();
        QCOMPARE(scan.size(0), std::int64_t(ran));
        for (int trip = 0; trip < ran; ++trip)
            QVERIFY(at::equal(scan[trip], x * (2 << trip)));
    }

    void endsWhatDoesNotEnd()
    {
        const at::NoGradGuard noGrad;
        const Graph graph = looping({}, true);
        const auto results = runOn(graph, at::zeros({1}));
        QVERIFY(!results.has_value());
        QVERIFY2(results.error().message.find("doubling") != std::string::npos
                     && results.error().message.find("does not end") != std::string::npos,
                 results.error().message.c_str());
        std::stop_source source;
        source.request_stop();
        RunOptions options;
        options.stop = source.get_token();
        const auto stopped = runOn(graph, at::zeros({1}), options);
        QVERIFY(!stopped && isCancelled(stopped.error()));
    }

    void namesTheNodeThatFails()
    {
        const at::NoGradGuard noGrad;
        const auto results = runOn(branching(), at::ones({2, 5}));
        QVERIFY(!results.has_value());
        QVERIFY2(results.error().message.find("product") != std::string::npos, results.error().message.c_str());
    }

    void refusesWrongNumbers()
    {
        auto body = std::make_shared<Graph>();
        body->outputs.push_back(Argument::of(c10::IValue(1)));
        QVERIFY(!makeIf("n", Argument::of(c10::IValue(true)), body, body, {Argument{}}, {0}).has_value());
        QVERIFY(!makeIf("n", Argument::of(c10::IValue(true)), body, body, {}, {}).has_value());
        QVERIFY(!makeLoop("n", {body, {}, {}, {}, {}}, {}).has_value());
    }

    void runsABodyOnce()
    {
        GraphBuilder b;
        b.output(b.node("aten::relu", {b.input({-1})}, "r"));
        const std::vector<c10::IValue> inputs{at::tensor({-1.0, 2.0})};
        const auto results = runBody(std::make_shared<Graph>(b.graph), inputs);
        QVERIFY(at::equal(results.at(0).toTensor(), at::tensor({0.0, 2.0})));
        QVERIFY_THROWS_EXCEPTION(std::runtime_error, runBody(std::make_shared<Graph>(b.graph), std::vector<c10::IValue>{}));
    }
};

QTEST_APPLESS_MAIN(TestSubgraph)
#include "tst_subgraph.moc"
