// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph_builder.h"
#include "simulate/input_needs.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

using Inputs = std::vector<TensorInfo>;

class TestInputNeeds : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void whereSamplesAreCounted_data();
    void whereSamplesAreCounted();
    void usualSizes_data();
    void usualSizes();
    void rowsOfAnEmbedding();
    void smallestTableWins();
    void oneHotByComparison();
    void namesAreGuesses();
    void torchscriptWithoutShape();
};

namespace {

std::vector<InputNeed> needsOf(const Inputs &inputs)
{
    GraphBuilder b;
    for (const TensorInfo &info : inputs)
        b.input(info.shape, info.name, info.dtype);
    if (!inputs.empty() && !inputs[0].shape.empty() && inputs[0].shape[0] > 0)
        b.graph.fixedBatch = inputs[0].shape[0];
    return inputNeeds(b.graph);
}

/// "0" or "1" for the axis, "shared", "whole" for a pass per sample.
QString axes(const std::vector<InputNeed> &needs)
{
    QStringList list;
    for (const InputNeed &need : needs)
        list << (need.batchAxis >= 0 ? QString::number(need.batchAxis) : need.shared ? QStringLiteral("shared") : QStringLiteral("whole"));
    return list.join(QLatin1Char(' '));
}

} // namespace

void TestInputNeeds::whereSamplesAreCounted_data()
{
    QTest::addColumn<Inputs>("inputs");
    QTest::addColumn<QString>("expected");
    QTest::addColumn<int>("fixed");
    QTest::newRow("pictures") << Inputs{{"x", {-1, 3, 32, 32}, "float32"}} << "0" << 0;
    QTest::newRow("pictures, one at a time") << Inputs{{"x", {1, 3, -1, -1}, "float32"}} << "0" << 1;
    QTest::newRow("a state in layers") << Inputs{{"x", {-1, 576}, "float32"}, {"state", {2, -1, 128}, "float32"}, {"sr", {}, "int64"}} << "0 1 shared" << 0;
    QTest::newRow("the same for a batch of one") << Inputs{{"x", {1, 576}, "float32"}, {"state", {2, 1, 128}, "float32"}} << "0 1" << 1;
    QTest::newRow("the state first") << Inputs{{"state", {2, -1, 128}, "float32"}, {"x", {-1, 576}, "float32"}} << "1 0" << 0;
    QTest::newRow("one state for all") << Inputs{{"x", {-1, 576}, "float32"}, {"h", {1, 1, 128}, "float32"}} << "0 shared" << 0;
    QTest::newRow("time first") << Inputs{{"x", {35, -1, 64}, "float32"}} << "1" << 0;
    QTest::newRow("ids and masks") << Inputs{{"ids", {-1, -1}, "int64"}, {"mask", {-1, -1}, "int64"}} << "0 0" << 0;
    QTest::newRow("lengths beside frames") << Inputs{{"x", {-1, -1, 80}, "float32"}, {"lengths", {-1}, "int64"}} << "0 0" << 0;
    QTest::newRow("a vector") << Inputs{{"x", {16000}, "float32"}} << "whole" << 1;
    QTest::newRow("a vector of any length") << Inputs{{"x", {-1}, "float32"}} << "whole" << 1;
    QTest::newRow("a number of the program") << Inputs{{"x", {-1, 4}, "float32"}, {"n", {}, "int"}} << "0 shared" << 0;
    QTest::newRow("a video") << Inputs{{"x", {-1, 3, 16, 112, 112}, "float32"}} << "0" << 0;
}

void TestInputNeeds::whereSamplesAreCounted()
{
    QFETCH(const Inputs, inputs);
    QFETCH(const QString, expected);
    QFETCH(const int, fixed);
    GraphBuilder b;
    for (const TensorInfo &info : inputs)
        b.input(info.shape, info.name, info.dtype);
    if (!inputs[0].shape.empty() && inputs[0].shape[0] > 0)
        b.graph.fixedBatch = inputs[0].shape[0];   // as the readers set it
    const auto needs = inputNeeds(b.graph);
    QCOMPARE(axes(needs), expected);
    QCOMPARE(fixedBatch(b.graph, needs), std::int64_t(fixed));
}

void TestInputNeeds::usualSizes_data()
{
    QTest::addColumn<Shape>("shape");
    QTest::addColumn<QString>("dtype");
    QTest::addColumn<Shape>("guess");
    QTest::addColumn<Shape>("asked");
    QTest::newRow("known") << Shape{-1, 3, 32, 32} << "float32" << Shape{1, 3, 32, 32} << Shape{};
    QTest::newRow("picture") << Shape{-1, 3, -1, -1} << "float32" << Shape{1, 3, 224, 224} << Shape{2, 3};
    QTest::newRow("picture, channels last") << Shape{-1, -1, -1, 3} << "float32" << Shape{1, 224, 224, 3} << Shape{1, 2};
    QTest::newRow("line of text") << Shape{-1, 3, 48, -1} << "float32" << Shape{1, 3, 48, 320} << Shape{3};
    QTest::newRow("sound") << Shape{-1, -1} << "float32" << Shape{1, 16000} << Shape{1};
    QTest::newRow("frames") << Shape{-1, -1, 80} << "float32" << Shape{1, 128, 80} << Shape{1};
    QTest::newRow("ids") << Shape{-1, -1} << "int64" << Shape{1, 128} << Shape{1};
    QTest::newRow("video") << Shape{-1, 3, -1, -1, -1} << "float32" << Shape{1, 3, 16, 112, 112} << Shape{2, 3, 4};
}

void TestInputNeeds::usualSizes()
{
    QFETCH(const Shape, shape);
    QFETCH(const QString, dtype);
    const auto needs = needsOf({{"x", shape, dtype.toStdString()}});
    QTEST(needs[0].guess, "guess");
    QTEST(Shape(needs[0].asked.begin(), needs[0].asked.end()), "asked");
}

void TestInputNeeds::rowsOfAnEmbedding()
{
    GraphBuilder b;
    const auto ids = b.input({-1, 7}, "ids", "int64");
    const auto table = b.parameter("words.weight", at::zeros({30, 4}));
    const auto flat = b.node("aten::reshape", {ids, b.ints({-1})}, "flat");
    b.output(b.node("aten::embedding", {table, flat}, "look"));
    const auto needs = inputNeeds(b.graph);
    QCOMPARE(needs[0].low, 0);
    QCOMPARE(needs[0].high, 30);
    QVERIFY(!needs[0].rangeGuessed);
    QCOMPARE(needs[0].rangeFrom, std::string("words.weight has 30 rows"));
}

void TestInputNeeds::smallestTableWins()
{
    GraphBuilder b;
    const auto ids = b.input({-1, 7}, "ids", "int64");
    b.output(b.node("aten::embedding", {b.parameter("a", at::zeros({30, 4})), ids}, "first"));
    b.output(b.node("aten::index_select", {b.parameter("b", at::zeros({4, 12})), b.of(std::int64_t(1)), b.node("aten::flatten.using_ints", {ids, b.of(std::int64_t(0)), b.of(std::int64_t(-1))})}, "second"));
    QCOMPARE(inputNeeds(b.graph)[0].high, 12);
}

void TestInputNeeds::oneHotByComparison()
{
    GraphBuilder b;
    const auto ids = b.input({-1, 7}, "bytes", "int32");
    const auto one = b.node("aten::unsqueeze", {ids, b.of(std::int64_t(-1))}, "wide");
    b.output(b.node("aten::eq.Tensor", {one, b.parameter("all", at::arange(257, at::kInt))}, "hot"));
    QCOMPARE(inputNeeds(b.graph)[0].high, 257);
}

void TestInputNeeds::namesAreGuesses()
{
    const auto needs = needsOf({{"ids", {-1, 5}, "int64"}, {"attention_mask", {-1, 5}, "int64"}, {"sr", {}, "int64"}, {"flag", {-1}, "bool"}});
    QCOMPARE(needs[0].high, 0);   // only a person knows
    QCOMPARE(needs[1].low, 1);
    QCOMPARE(needs[1].high, 2);
    QVERIFY(needs[1].rangeGuessed);
    QCOMPARE(needs[2].low, 16000);
    QVERIFY(needs[2].rangeGuessed && needs[2].shared && needs[2].isNumber());
    QVERIFY(needs[3].isFlag() && !needs[3].isWhole());
}

void TestInputNeeds::torchscriptWithoutShape()
{
    GraphBuilder b;
    b.graph.format = "torchscript";
    b.input({}, "x", "float32");
    const auto needs = inputNeeds(b.graph);
    QVERIFY(!needs[0].rankKnown);
    QCOMPARE(needs[0].batchAxis, 0);
}

QTEST_GUILESS_MAIN(TestInputNeeds)
#include "tst_input_needs.moc"
