// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/frontend.h"
#include "graph/executor.h"
#include "graph/layer_list.h"
#include "graph_builder.h"
#include "test_models.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <atomic>
#include <numeric>
#include <thread>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder;

Graph open(const std::string &name)
{
    auto graph = loadGraph(g_folder + "/" + name + ".pt2");
    if (!graph)
        throw std::runtime_error(graph.error().message);
    return std::move(*graph);
}

/// relu → +1 → conv-like chain with branches, a view, a residual add and two outputs.
Graph branches()
{
    GraphBuilder b;
    const Argument x = b.input({-1, 8});
    const Argument w = b.parameter("fc.weight", at::randn({8, 8}));
    const Argument a = b.node("aten::linear", {x, w, b.none()}, "a");
    const Argument view = b.node("aten::view", {a, b.ints({-1, 4, 2})}, "view");
    const Argument r = b.node("aten::relu", {a}, "r");          // `a` dies here, but `view` still shows it
    const Argument flat = b.node("aten::flatten.using_ints", {view, b.of(1), b.of(-1)}, "flat");
    const Argument sum = b.node("aten::add.Tensor", {r, flat, b.of(1)}, "sum");
    const Argument tanh = b.node("aten::tanh", {sum}, "tanh");
    const Argument twice = b.node("aten::mul.Tensor", {tanh, tanh}, "twice");
    const Argument own = b.node("aten::relu", {x}, "own");      // x is the caller's
    b.output(b.node("aten::add.Tensor", {own, twice, b.of(2)}, "last"));
    b.output(flat);
    return b.graph;
}

} // namespace

class TestExecutor : public QObject {
    Q_OBJECT

private:
    static void models()
    {
        QTest::addColumn<QString>("name");
        for (const char *name : {"resnet20", "vgg_small", "splitting", "tuple_out", "dense", "constants", "multihead"})
            QTest::newRow(name) << QString::fromLatin1(name);
    }

private Q_SLOTS:
    void initTestCase()
    {
        at::set_num_threads(1);
        g_folder = modelFolder();
        QVERIFY2(!g_folder.empty(), "make_models.py failed");
    }

    void inPlaceChangesNothingElse()
    {
        const Graph graph = branches();
        const Executor executor(std::make_shared<Graph>(graph));
        const at::Tensor x = at::randn({5, 8}), kept = x.clone();
        const at::Tensor weight = graph.parameters[0].tensor.clone();
        const at::NoGradGuard noGrad;
        const at::Tensor a = at::linear(x, weight);
        const at::Tensor tanh = at::tanh(at::relu(a) + a);
        const at::Tensor wanted = at::relu(x) + 2 * tanh * tanh;
        for (const bool inPlace : {true, false}) {
            RunOptions options;
            options.inPlace = inPlace;
            for (int again = 0; again < 2; ++again) {
                const auto outputs = runAll(executor, {x}, options);
                QVERIFY(at::allclose(outputs[0].toTensor(), wanted, 1e-6, 1e-6));
                QVERIFY(at::equal(outputs[1].toTensor(), a));
                QVERIFY(at::equal(x, kept));
                QVERIFY(at::equal(graph.parameters[0].tensor, weight));
            }
        }
    }

    void batchNormInPlaceAgrees()
    {
        at::manual_seed(1);
        for (const bool affine : {true, false})
            for (const bool channelsLast : {true, false}) {
                GraphBuilder b;
                const Argument x = b.input({-1, 6, 5, 5});
                const Argument w = b.parameter("c.weight", at::randn({6, 6, 3, 3}));
                const Argument c = b.node("aten::conv2d", {x, w}, "c");
                b.output(b.batchNorm(c, "bn", 6, affine));
                const Executor executor(b.share());
                at::Tensor input = at::randn({4, 6, 5, 5});
                if (channelsLast)
                    input = input.contiguous(at::MemoryFormat::ChannelsLast);
                const at::NoGradGuard noGrad;
                RunOptions functional;
                functional.inPlace = false;
                const at::Tensor got = runAll(executor, {input})[0].toTensor();
                QVERIFY(at::allclose(got, runAll(executor, {input}, functional)[0].toTensor(), 1e-6, 1e-6));
            }
    }

    void restartsAtEveryNode_data() { models(); }
    void restartsAtEveryNode()
    {
        QFETCH(QString, name);
        const Graph graph = open(name.toStdString());
        const Expected expected = readExpected(g_folder + "/" + name.toStdString() + ".expected");
        const Executor executor(std::make_shared<Graph>(graph));
        const auto parameters = executor.bind();
        const auto inputs = inputsOf(expected, 2);
        std::vector<std::size_t> everywhere(graph.nodes.size() + 1);
        std::iota(everywhere.begin(), everywhere.end(), std::size_t(0));
        std::vector<LiveSet> captured;
        RunOptions options;
        options.captureAt = everywhere;
        options.captured = &captured;
        const at::NoGradGuard noGrad;
        const auto whole = executor.run(inputs, parameters, options);
        QVERIFY2(whole.has_value(), whole ? "" : whole.error().message.c_str());
        QCOMPARE(captured.size(), everywhere.size());
        for (const LiveSet &live : captured) {
            std::vector<at::Tensor> before;
            for (const auto &[value, content] : live.values)
                before.push_back(content.isTensor() ? content.toTensor().clone() : at::Tensor());
            QVERIFY(live.bytes() > 0);
            RunOptions restart;
            restart.begin = live.node;
            restart.from = &live;
            for (int again = 0; again < 2; ++again) {
                const auto part = executor.run(inputs, parameters, restart);
                QVERIFY2(part.has_value(), part ? "" : part.error().message.c_str());
                for (std::size_t i = 0; i < whole->size(); ++i)
                    QVERIFY(at::equal((*part)[i].toTensor(), (*whole)[i].toTensor()));
            }
            for (std::size_t i = 0; i < before.size(); ++i)
                if (before[i].defined())
                    QVERIFY2(at::equal(live.values[i].second.toTensor(), before[i]), "a captured value was changed");
        }
    }

    void stopsAfterTheLastCut()
    {
        const Graph graph = open("resnet20");
        const Executor executor(std::make_shared<Graph>(graph));
        const auto parameters = executor.bind();
        const at::NoGradGuard noGrad;
        const at::Tensor x = at::randn({2, 1, 28, 28});
        const std::vector<std::size_t> first{10}, second{30};
        std::vector<LiveSet> captured;
        RunOptions options;
        options.captureAt = first;
        options.captured = &captured;
        options.stopAfterCapture = true;
        QVERIFY(!executor.runBatch(x, parameters, options)->defined());
        QCOMPARE(captured.size(), std::size_t(1));
        const LiveSet cut = captured.front();
        options.begin = cut.node;
        options.from = &cut;
        options.captureAt = second;
        QVERIFY(executor.run({}, parameters, options)->empty());
        QCOMPARE(captured.size(), std::size_t(2));
        RunOptions rest;
        rest.begin = captured[1].node;
        rest.from = &captured[1];
        QVERIFY(at::equal(*executor.runBatch(x, parameters, rest), *executor.runBatch(x, parameters)));
    }

    void tapSeesEveryLayerInput()
    {
        const Graph graph = open("resnet20");
        const auto bindings = listLayers(graph);
        const Executor executor(std::make_shared<Graph>(graph), bindings);
        const auto parameters = executor.bind();
        const at::NoGradGuard noGrad;
        const at::Tensor x = at::randn({2, 1, 28, 28});
        const at::Tensor wanted = *executor.runBatch(x, parameters);
        std::map<std::size_t, int> seen;
        int owned = 0;
        const Tap look = [&](std::size_t binding, int call, const at::Tensor &input, bool mayOverwrite) {
            ++seen[binding];
            owned += mayOverwrite;
            if (call != 0 || !input.defined())
                throw std::runtime_error("a wrong call");
            return input;
        };
        RunOptions options;
        options.tap = &look;
        QVERIFY(at::equal(*executor.runBatch(x, parameters, options), wanted));
        int quantizable = 0;
        for (std::size_t i = 0; i < bindings.size(); ++i)
            if (bindings[i].info.status == LayerStatus::Quantizable) {
                ++quantizable;
                QCOMPARE(seen[i], 1);
            }
        QCOMPARE(quantizable, 22);
        QVERIFY(owned > 9);
        // Overwriting where it is allowed changes that layer's input only: zeros everywhere must give the last bias.
        const Tap zero = [](std::size_t, int, const at::Tensor &input, bool mayOverwrite) {
            return mayOverwrite ? at::Tensor(input).zero_() : at::zeros_like(input);
        };
        options.tap = &zero;
        const at::Tensor bias = graph.parameter("fc.bias")->tensor;
        QVERIFY(at::allclose(*executor.runBatch(x, parameters, options), bias.expand({2, 10}), 1e-6, 1e-6));
        QVERIFY(at::equal(*executor.runBatch(x, parameters), wanted));
    }

    // fc1 → relu → fc2 → relu → fc3 and a sum: only the first ReLU is read by one layer alone.
    void rectifyingTapSparesTheRelu()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 6});
        const auto linear = [&](const Argument &in, const std::string &name) {
            return b.node("aten::linear", {in, b.parameter(name + ".weight", at::randn({6, 6})), b.none()}, name);
        };
        const Argument first = b.node("aten::relu", {linear(x, "fc1")}, "first");
        const Argument second = b.node("aten::relu", {linear(first, "fc2")}, "second");
        b.output(b.node("aten::add.Tensor", {linear(second, "fc3"), second}, "sum"));
        const auto graph = b.share();
        const Executor executor(graph, listLayers(*graph));
        std::vector<double> least(3);
        const Tap clamp = [&](std::size_t binding, int, const at::Tensor &input, bool) {
            least[binding] = input.min().item<double>();
            return binding == 0 ? input : input.clamp(0, 0.5);
        };
        const std::vector<bool> rectifying{false, true, true};
        const std::vector<c10::IValue> inputs{at::randn({9, 6})};
        const at::NoGradGuard noGrad;
        RunOptions plain, spared;
        plain.tap = spared.tap = &clamp;
        spared.rectifying = &rectifying;
        const auto wanted = executor.run(inputs, executor.bind(), plain);
        QVERIFY(wanted && least[1] == 0 && least[2] == 0);
        const auto got = executor.run(inputs, executor.bind(), spared);
        QVERIFY(got.has_value());
        QVERIFY2(least[1] < 0, "the ReLU was computed");
        QCOMPARE(least[2], 0.0);
        QVERIFY(at::equal((*got)[0].toTensor(), (*wanted)[0].toTensor()));
        // A live set at the layer holds what other assignments may read.
        const std::array<std::size_t, 1> cut{2};
        std::vector<LiveSet> captured;
        spared.captureAt = cut;
        spared.captured = &captured;
        QVERIFY(executor.run(inputs, executor.bind(), spared).has_value());
        QCOMPARE(captured.size(), std::size_t(1));
        QVERIFY(captured[0].values.front().second.toTensor().min().item<double>() >= 0);
        QCOMPARE(least[1], 0.0);
    }

    void tapIsDifferentiable()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 3});
        const Argument w = b.parameter("fc.weight", at::randn({2, 3}));
        b.output(b.node("aten::linear", {x, w}, "fc"));
        const Executor executor(b.share(), listLayers(b.graph));
        const at::Tensor scale = at::ones({}).requires_grad_(true);
        const Tap tap = [&](std::size_t, int, const at::Tensor &input, bool mayOverwrite) {
            if (mayOverwrite)
                throw std::runtime_error("the caller's input must not be overwritten");
            return input * scale;
        };
        RunOptions options;
        options.tap = &tap;
        const at::Tensor input = at::randn({4, 3});
        runAll(executor, {input}, options)[0].toTensor().sum().backward();
        const double wanted = at::linear(input, b.graph.parameters[0].tensor).sum().item<double>();
        QVERIFY(std::abs(scale.grad().item<double>() - wanted) < 1e-4);
    }

    void gradientsPassThroughOverrides()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 3});
        const Argument w = b.parameter("fc.weight", at::randn({2, 3}));
        const Argument y = b.node("aten::linear", {x, w}, "fc");
        b.output(b.node("aten::relu", {y}, "relu"));
        const Executor executor(b.share());
        const at::Tensor leaf = b.graph.parameters[0].tensor.clone().requires_grad_(true);
        const at::Tensor input = at::randn({4, 3});
        runAll(executor, {input}, {}, {{"fc.weight", leaf * 2}})[0].toTensor().sum().backward();
        const at::Tensor again = b.graph.parameters[0].tensor.clone().requires_grad_(true);
        at::relu(at::linear(input, again * 2)).sum().backward();
        QVERIFY(at::allclose(leaf.grad(), again.grad()));
    }

    void batchNormAndDropoutFollowTheMode()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 4});
        const Argument n = b.batchNorm(x, "bn", 4, true, true);   // exported in training mode
        b.output(b.node("aten::dropout", {n, b.of(0.5), b.of(true)}, "drop"));
        const Executor executor(b.share());
        const at::Tensor input = at::randn({64, 4});
        const auto p = [&](const char *name) { return b.graph.parameter(std::string("bn.") + name)->tensor; };
        const at::NoGradGuard noGrad;
        const at::Tensor eval = runAll(executor, {input})[0].toTensor();
        QVERIFY(at::allclose(eval, (input - p("running_mean")) / (p("running_var") + 1e-5).sqrt() * p("weight") + p("bias"), 1e-4, 1e-5));
        const at::Tensor mean = p("running_mean").clone();
        RunOptions options;
        options.training = true;
        const at::Tensor trained = runAll(executor, {input}, options)[0].toTensor();
        const double zeros = trained.eq(0).to(at::kFloat).mean().item<double>();
        QVERIFY(zeros > 0.3 && zeros < 0.7);
        QVERIFY(at::equal(p("running_mean"), mean));
        options.mutateBuffers = true;
        const at::Tensor own = mean.clone();
        runAll(executor, {input}, options, {{"bn.running_mean", own}, {"bn.running_var", p("running_var").clone()}});
        QVERIFY(at::allclose(own, mean * 0.9 + input.mean(0) * 0.1, 1e-4, 1e-5));
        QVERIFY(at::equal(p("running_mean"), mean));
    }

    void listsAndTuplesAsResults()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 6});
        const Argument parts = b.node("aten::split.Tensor", {x, b.of(2), b.of(1)}, "parts");
        const auto unpacked = b.nodes("prim::ListUnpack", {parts}, 3);
        const Argument list = Argument::of(std::vector<Argument>{unpacked[2], unpacked[0]});
        b.output(b.node("aten::cat", {list, b.of(1)}, "cat"));
        const auto top = b.nodes("aten::topk", {x, b.of(2), b.of(1), b.of(true), b.of(true)}, 2, "topk");
        b.output(top[0]);
        b.output(top[1]);
        b.output(parts);
        const Argument rows = b.node("prim::shape", {x, b.of(0)}, "rows");
        b.output(b.node("prim::mul", {rows, b.of(3)}, "three"));
        const Argument sizes = Argument::of(std::vector<Argument>{rows, b.of(3), b.of(-1)});
        b.output(b.node("aten::view", {x, sizes}, "view"));
        const Executor executor(b.share());
        const at::Tensor input = at::randn({4, 6});
        const auto outputs = runAll(executor, {input});
        QVERIFY(at::equal(outputs[0].toTensor(), at::cat({input.narrow(1, 4, 2), input.narrow(1, 0, 2)}, 1)));
        QVERIFY(at::equal(outputs[1].toTensor(), std::get<0>(at::topk(input, 2, 1))));
        QCOMPARE(outputs[2].toTensor().scalar_type(), at::kLong);
        QCOMPARE(outputs[3].toTensorVector().size(), std::size_t(3));
        QCOMPARE(outputs[4].toInt(), 12);
        QCOMPARE(outputs[5].toTensor().sizes().vec(), (std::vector<std::int64_t>{4, 3, 2}));
    }

    void stopsBetweenNodes()
    {
        const Graph graph = open("vgg_small");
        const auto bindings = listLayers(graph);
        const Executor executor(std::make_shared<Graph>(graph), bindings);
        std::stop_source source;
        int taps = 0;
        const Tap tap = [&](std::size_t, int, const at::Tensor &input, bool) {
            if (++taps == 3)
                source.request_stop();
            return input;
        };
        RunOptions options;
        options.tap = &tap;
        options.stop = source.get_token();
        const at::NoGradGuard noGrad;
        const auto result = executor.runBatch(at::zeros({1, 1, 28, 28}), executor.bind(), options);
        QVERIFY(!result && isCancelled(result.error()));
        QCOMPARE(taps, 3);
    }

    void errorsNameTheNode()
    {
        const Graph graph = open("vgg_small");
        const Executor executor(std::make_shared<Graph>(graph));
        const auto wrong = executor.runBatch(at::zeros({1, 3, 28, 28}), executor.bind());
        QVERIFY(!wrong);
        QVERIFY2(wrong.error().message.find("conv2d") != std::string::npos, wrong.error().message.c_str());
        QVERIFY(wrong.error().message.find('\n') == std::string::npos);
        QVERIFY(!executor.run({}, executor.bind()));
        QVERIFY(!executor.run({}, {}));
    }

    void oneExecutorManyThreads()
    {
        const Graph graph = open("resnet20");
        const Executor executor(std::make_shared<Graph>(graph));
        const auto parameters = executor.bind();
        const at::Tensor x = at::randn({2, 1, 28, 28});
        at::Tensor wanted;
        {
            const at::NoGradGuard noGrad;
            wanted = *executor.runBatch(x, parameters);
        }
        std::atomic<int> right = 0;
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                at::set_num_threads(1);
                const at::NoGradGuard noGrad;
                for (int i = 0; i < 5; ++i)
                    right += at::equal(*executor.runBatch(x, parameters), wanted);
            });
        threads.clear();
        QCOMPARE(right.load(), 20);
    }

    void fixedBatchPadsTheLastSlice()
    {
        GraphBuilder b;
        const Argument x = b.input({4, 3});
        const Argument w = b.parameter("fc.weight", at::randn({2, 3}));
        const Argument y = b.node("aten::linear", {x, w}, "fc");
        b.output(b.node("aten::view", {y, b.ints({4, 2})}, "baked"));
        b.graph.fixedBatch = 4;
        const Executor executor(b.share());
        for (const std::int64_t batch : {1, 4, 9}) {
            const at::Tensor input = at::randn({batch, 3});
            QVERIFY(at::allclose(*executor.runBatch(input, executor.bind()), at::linear(input, b.graph.parameters[0].tensor), 1e-5, 1e-6));
        }
    }
};

QTEST_APPLESS_MAIN(TestExecutor)
#include "tst_executor.moc"
