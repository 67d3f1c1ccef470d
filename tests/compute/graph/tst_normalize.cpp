// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph_builder.h"

#include <QtTest/QtTest>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

QString operators(const Graph &graph)
{
    QStringList names;
    for (const Node &node : graph.nodes)
        names << QString::fromStdString(node.op).remove(QStringLiteral("aten::"));
    return names.join(QLatin1Char(' '));
}

at::Tensor firstOutput(const Graph &graph, const at::Tensor &input)
{
    const Executor executor(std::make_shared<Graph>(graph));
    return runAll(executor, {input})[0].toTensor();
}

/// Normalizes and compares what comes out before and after.
void normalizeAndCompare(Graph &graph, const at::Tensor &input, double tolerance = 1e-6)
{
    const at::Tensor before = firstOutput(graph, input);
    const Status status = normalize(graph);
    if (!status)
        throw std::runtime_error(status.error().message);
    QVERIFY(at::allclose(firstOutput(graph, input), before, tolerance, tolerance));
}

} // namespace

class TestNormalize : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase() { at::set_num_threads(1); }

    void convolutions_data()
    {
        QTest::addColumn<int>("dimensions");
        QTest::addColumn<bool>("transposed");
        QTest::addColumn<QString>("spelled");
        QTest::newRow("1d") << 1 << false << QStringLiteral("conv1d");
        QTest::newRow("2d") << 2 << false << QStringLiteral("conv2d");
        QTest::newRow("3d") << 3 << false << QStringLiteral("conv3d");
        QTest::newRow("1d transposed") << 1 << true << QStringLiteral("conv_transpose1d");
        QTest::newRow("2d transposed") << 2 << true << QStringLiteral("conv_transpose2d.input");
        QTest::newRow("3d transposed") << 3 << true << QStringLiteral("conv_transpose3d.input");
    }
    void convolutions()
    {
        QFETCH(int, dimensions);
        QFETCH(bool, transposed);
        QFETCH(QString, spelled);
        std::vector<std::int64_t> weight{4, 4}, input{2, 4};
        weight.resize(std::size_t(dimensions) + 2, 3);
        input.resize(std::size_t(dimensions) + 2, 7);
        const std::vector<std::int64_t> ones(std::size_t(dimensions), 1), twos(std::size_t(dimensions), 2);
        GraphBuilder b;
        const Argument x = b.input(input), w = b.parameter("w.weight", at::randn(weight));
        b.output(b.node("aten::convolution", {x, w, b.none(), b.ints(twos), b.ints(ones), b.ints(ones), b.of(transposed),
                                              b.ints(transposed ? ones : std::vector<std::int64_t>(ones.size(), 0)), b.of(1)}));
        normalizeAndCompare(b.graph, at::randn(input));
        QCOMPARE(operators(b.graph), spelled);
    }

    void linearSpellings()
    {
        const at::Tensor weight = at::randn({5, 3}), bias = at::randn({5}), input = at::randn({2, 3});
        const auto build = [&](const std::string &transpose, std::vector<Argument> extra, const std::string &product) {
            GraphBuilder b;
            const Argument x = b.input({-1, 3}), w = b.parameter("w", weight), c = b.parameter("b", bias);
            std::vector<Argument> arguments{w};
            arguments.insert(arguments.end(), extra.begin(), extra.end());
            const Argument t = b.node(transpose, arguments);
            if (product == "aten::addmm")
                b.output(b.node(product, {c, x, t}));
            else
                b.output(b.node("aten::add.Tensor", {b.node(product, {x, t}), c}));
            normalizeAndCompare(b.graph, input, 1e-5);
            QCOMPARE(operators(b.graph), QStringLiteral("linear"));
        };
        build("aten::t", {}, "aten::addmm");
        build("aten::t", {}, "aten::matmul");
        build("aten::numpy_T", {}, "aten::mm");
        build("aten::transpose.int", {GraphBuilder::of(0), GraphBuilder::of(-1)}, "aten::matmul");
        build("aten::permute", {GraphBuilder::ints({1, 0})}, "aten::addmm");
    }

    void batchNormSpellings()
    {
        const at::Tensor input = at::randn({4, 3, 2, 2});
        for (const std::string op : {"aten::_native_batch_norm_legit_no_training", "aten::native_batch_norm", "aten::_native_batch_norm_legit"}) {
            GraphBuilder b;
            const Argument x = b.input({-1, 3, 2, 2}), gamma = b.parameter("bn.weight", at::rand({3})), beta = b.parameter("bn.bias", at::rand({3}));
            const Argument mean = b.parameter("bn.running_mean", at::rand({3})), var = b.parameter("bn.running_var", at::rand({3}) + 0.5);
            std::vector<Argument> arguments{x, gamma, beta, mean, var};
            if (op != "aten::_native_batch_norm_legit_no_training")
                arguments.push_back(b.of(false));
            arguments.push_back(b.of(0.1));
            arguments.push_back(b.of(1e-3));
            b.output(b.nodes(op, arguments, 3)[0]);
            normalizeAndCompare(b.graph, input);
            QCOMPARE(operators(b.graph), QStringLiteral("batch_norm"));
            QVERIFY(b.graph.nodes[0].trainingArgument == 5);
        }
    }

    void inPlaceBecomesFunctional()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 4});
        const Argument a = b.node("aten::neg", {x}, "a");
        const Argument view = b.node("aten::view", {a, b.ints({-1, 2, 2})}, "view");
        const Argument changed = b.node("aten::relu_", {a}, "changed");
        b.node("aten::add_.Scalar", {changed, b.of(1)}, "again");
        const Argument part = b.node("aten::select.int", {a, b.of(1), b.of(0)}, "part");
        b.node("aten::mul_.Scalar", {part, b.of(10)}, "scaled");
        b.output(a);
        b.output(changed);
        b.output(view);
        QVERIFY(normalize(b.graph).has_value());
        for (const Node &node : b.graph.nodes)
            QVERIFY(!node.op.substr(0, node.op.find('.')).ends_with('_'));
        const at::Tensor input = at::randn({3, 4}), kept = input.clone();
        at::Tensor wanted = at::relu(-input) + 1;
        wanted.select(1, 0).mul_(10);
        const Executor executor(b.share());
        for (int again = 0; again < 2; ++again) {
            const auto outputs = runAll(executor, {input});
            QVERIFY(at::equal(outputs[0].toTensor(), wanted));
            QVERIFY(at::equal(outputs[1].toTensor(), wanted));
            QVERIFY(at::equal(outputs[2].toTensor(), wanted.view({3, 2, 2})));
            QVERIFY(at::equal(input, kept));
        }
    }

    void aViewThatCannotBeWrittenBackIsRefused()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 4});
        const Argument a = b.node("aten::neg", {x}, "a");
        const Argument odd = b.node("aten::unfold", {a, b.of(1), b.of(2), b.of(2)}, "odd");
        b.node("aten::relu_", {odd}, "changed");
        b.output(a);
        const Status status = normalize(b.graph);
        QVERIFY(!status);
        QCOMPARE(status.error().kind, ErrorKind::Unsupported);
        QVERIFY(status.error().message.find("odd") != std::string::npos);
    }

    void deadAndAssertingNodesGo()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 4});
        const Argument counter = b.parameter("bn.num_batches_tracked", at::zeros({}, at::kLong), false);
        b.node("aten::add_.Tensor", {counter, b.of(1)}, "count");
        b.nodes("aten::_assert_scalar", {b.of(true), b.of(std::string("checked"))}, 0);
        const Argument copy = b.node("aten::lift_fresh_copy", {x}, "copy");
        b.output(b.node("aten::relu", {copy}));
        QVERIFY(normalize(b.graph).has_value());
        QCOMPARE(operators(b.graph), QStringLiteral("relu"));
        QVERIFY(at::equal(b.graph.parameters[0].tensor, at::zeros({}, at::kLong)));
    }

    void scalarGlueIsComputed()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 12});
        const Argument six = b.node("prim::mul", {b.of(2), b.of(3)});
        const Argument two = b.node("aten::floordiv.int", {b.of(-13), b.of(-6)});
        const Argument sizes = b.node("prim::ListConstruct", {b.of(-1), six, two});
        b.output(b.node("aten::view", {x, sizes}));
        QVERIFY(normalize(b.graph).has_value());
        QCOMPARE(operators(b.graph), QStringLiteral("view"));
        QCOMPARE(b.graph.nodes[0].arguments[1].constant.toIntVector(), (std::vector<std::int64_t>{-1, 6, 2}));
    }

    void glue_data()
    {
        QTest::addColumn<QString>("op");
        QTest::addColumn<double>("a");
        QTest::addColumn<double>("b");
        QTest::addColumn<double>("result");   // as Python gives it
        QTest::newRow("floordiv") << QStringLiteral("floordiv") << -7.0 << 2.0 << -4.0;
        QTest::newRow("mod") << QStringLiteral("mod") << -7.0 << 3.0 << 2.0;
        QTest::newRow("mod negative") << QStringLiteral("mod") << 7.0 << -3.0 << -2.0;
        QTest::newRow("truediv") << QStringLiteral("truediv") << 7.0 << 2.0 << 3.5;
        QTest::newRow("pow") << QStringLiteral("pow") << 2.0 << 10.0 << 1024.0;
        QTest::newRow("min") << QStringLiteral("min") << 3.0 << -2.0 << -2.0;
        QTest::newRow("max") << QStringLiteral("max") << 3.0 << -2.0 << 3.0;
    }
    void glue()
    {
        QFETCH(QString, op);
        QFETCH(double, a);
        QFETCH(double, b);
        QFETCH(double, result);
        const auto node = makeNode("prim::" + op.toStdString(), {GraphBuilder::of(std::int64_t(a)), GraphBuilder::of(std::int64_t(b))});
        QVERIFY(node.has_value());
        torch::jit::Stack stack{std::int64_t(a), std::int64_t(b)};
        node->kernel(stack);
        QCOMPARE(stack.size(), std::size_t(1));
        QCOMPARE(stack[0].toScalar().toDouble(), result);
        torch::jit::Stack doubles{a, b};
        node->kernel(doubles);
        QCOMPARE(doubles[0].toScalar().toDouble(), result);
    }

    void argumentsAreConvertedAndChecked()
    {
        // An int for a float, one int for a pair, a plain list for Tensor?[], names out of order.
        const auto softplus = makeNode("aten::leaky_relu", {Argument::of(ValueId(0)), GraphBuilder::of(1)});
        QVERIFY(softplus && softplus->arguments[1].constant.toScalar().toDouble() == 1);
        const auto conv = makeNode("aten::conv2d", {Argument::of(ValueId(0)), Argument::of(ValueId(1))},
                                   {{"padding", GraphBuilder::of(2)}, {"stride", GraphBuilder::ints({3, 3})}});
        QVERIFY(conv.has_value());
        QCOMPARE(conv->arguments.size(), std::size_t(7));
        QCOMPARE(conv->arguments[3].constant.toIntVector(), (std::vector<std::int64_t>{3, 3}));
        QCOMPARE(conv->arguments[4].constant.toIntVector(), (std::vector<std::int64_t>{2, 2}));
        const auto dropout = makeNode("aten::dropout", {Argument::of(ValueId(0)), GraphBuilder::of(1), GraphBuilder::of(1)});
        QVERIFY(dropout && dropout->arguments[1].constant.isDouble() && dropout->arguments[2].constant.isBool());
        QCOMPARE(dropout->trainingArgument, 2);
        const auto nobody = makeNode("aten::no_such_thing", {});
        QVERIFY(!nobody && nobody.error().kind == ErrorKind::Unsupported);
        const auto missing = makeNode("aten::linear", {Argument::of(ValueId(0))});
        QVERIFY(!missing && missing.error().message.find("weight") != std::string::npos);
        QVERIFY(!makeNode("aten::relu", {Argument::of(ValueId(0)), GraphBuilder::of(1)}));
        QVERIFY(!makeNode("aten::relu", {Argument::of(ValueId(0))}, {{"slope", GraphBuilder::of(1)}}));
        const auto text = makeNode("aten::leaky_relu", {Argument::of(ValueId(0)), GraphBuilder::of(std::string("steep"))});
        QVERIFY(!text && text.error().message.find("negative_slope") != std::string::npos);
    }

    void indexTakesOptionalTensors()
    {
        GraphBuilder b;
        const Argument x = b.input({-1, 4});
        const Argument rows = b.parameter("rows", at::tensor({2, 0}, at::kLong), false);
        b.output(b.node("aten::index.Tensor", {x, Argument::of(std::vector<Argument>{b.none(), rows})}));
        const at::Tensor input = at::randn({3, 4});
        QVERIFY(at::equal(firstOutput(b.graph, input), input.index_select(1, at::tensor({2, 0}, at::kLong))));
    }
};

QTEST_APPLESS_MAIN(TestNormalize)
#include "tst_normalize.moc"
