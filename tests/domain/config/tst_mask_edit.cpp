// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/mask_edit.h"
#include "sample_catalog.h"

#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;

using Bytes = std::vector<std::uint8_t>;

class TestMaskEdit : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void layouts_data();
    void layouts();
    void regions();
    void leastCuts_data();
    void leastCuts();
    void thresholdsAndShares();
    void channelsTakenAwayStayAway();
    void whatAThresholdEmptiedComesBack();
    void specs_data();
    void specs();
};

namespace {

/// 3 output channels, 2 inputs, no kernel.
const WeightLayout kSmall{3, 2, 1, 1, 2, 1};

Catalog catalogWith(bool channelsOption)
{
    MethodTraits magnitude, l1;
    magnitude.id = std::string("magnitude");
    l1.id = std::string("l1");
    magnitude.kind = l1.kind = MethodKind::Pruner;
    l1.structured = true;
    if (channelsOption)
        magnitude.options = {{.name = "channels", .type = ParamType::Bool, .fallback = false}};
    return Catalog({magnitude, l1});
}

} // namespace

void TestMaskEdit::layouts_data()
{
    QTest::addColumn<Shape>("shape");
    QTest::addColumn<int>("axis");
    QTest::addColumn<WeightLayout>("layout");
    QTest::newRow("linear") << Shape{10, 64} << 0 << WeightLayout{10, 64, 1, 1, 64, 1};
    QTest::newRow("convolution") << Shape{16, 3, 5, 7} << 0 << WeightLayout{16, 3, 5, 7, 105, 35};
    QTest::newRow("transposed") << Shape{16, 8, 2, 2} << 1 << WeightLayout{8, 16, 2, 2, 4, 32};
    QTest::newRow("one dimension") << Shape{4, 2, 9} << 0 << WeightLayout{4, 2, 1, 9, 18, 9};
    QTest::newRow("volume") << Shape{4, 2, 3, 3, 3} << 0 << WeightLayout{4, 2, 9, 3, 54, 27};
    QTest::newRow("no matrix") << Shape{4} << 0 << WeightLayout{};
}

void TestMaskEdit::layouts()
{
    QFETCH(Shape, shape);
    QFETCH(int, axis);
    QFETCH(WeightLayout, layout);
    QCOMPARE(weightLayout(shape, axis), layout);
}

void TestMaskEdit::regions()
{
    const WeightLayout layout = weightLayout({2, 2, 2, 2}, 0);
    Bytes kept(16, 1);
    setRegion(kept, layout, {0, 0, 0, 0, 1, 1, 0, 0}, false);   // one cell
    QCOMPARE(kept, (Bytes{1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}));
    setRegion(kept, layout, columnsRegion(layout, 1, 1), false);
    QCOMPARE(kept, (Bytes{1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0}));
    QCOMPARE(keptByRow(kept, layout), (std::vector<std::int64_t>{3, 4}));
    setRegion(kept, layout, rowsRegion(layout, 0, 0), true);
    // From the lower right of kernel (0, 0) to the upper left of kernel (1, 1).
    setRegion(kept, layout, {0, 1, 0, 1, 1, 0, 1, 0}, false);
    QCOMPARE(kept, (Bytes{1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0}));
    const WeightLayout transposed = weightLayout({2, 2, 1, 1}, 1);
    QCOMPARE(keptByRow(Bytes{1, 0, 1, 0}, transposed), (std::vector<std::int64_t>{2, 0}));
}

void TestMaskEdit::leastCuts_data()
{
    QTest::addColumn<int>("count");
    QTest::addColumn<float>("value");
    QTest::addColumn<int>("ties");
    QTest::newRow("none") << 0 << -INFINITY << 0;
    QTest::newRow("one") << 1 << 0.0F << 1;
    QTest::newRow("one of two equals") << 2 << 0.5F << 1;
    QTest::newRow("both equals") << 3 << 0.5F << 2;
    QTest::newRow("all that are numbers") << 9 << 3.0F << 1;
}

void TestMaskEdit::leastCuts()
{
    QFETCH(int, count);
    QFETCH(float, value);
    QFETCH(int, ties);
    const std::vector<float> values{-0.5F, 2, NAN, 0, 0.5F, 0.25F, -3};
    const LeastCut cut = leastCut(values, Bytes{0, 0, 0, 0, 0, 1, 0}, count);
    QCOMPARE(cut.value, value);
    QCOMPARE(cut.ties, std::int64_t(ties));
}

void TestMaskEdit::thresholdsAndShares()
{
    const std::vector<float> values{-0.5F, 2, NAN, 0, 0.5F, -3};
    QCOMPARE(keptAbove(values, {}, 0), (Bytes{1, 1, 1, 1, 1, 1}));
    QCOMPARE(keptAbove(values, {}, 0.5), (Bytes{1, 1, 1, 0, 1, 1}));
    QCOMPARE(keptAbove(values, Bytes{0, 1, 0, 0, 0, 0}, 0.6), (Bytes{0, 0, 1, 0, 0, 1}));
    QCOMPARE(keptAbove(std::vector<float>{1, -4, 2}, {}, 9), (Bytes{0, 1, 0}));   // never empty
    QCOMPARE(keptAtShare(values, {}, 0.33), (Bytes{0, 1, 1, 0, 1, 1}));   // ties go to the lower index
    QCOMPARE(keptAtShare(values, Bytes{0, 0, 0, 0, 0, 1}, 0.5), (Bytes{0, 1, 1, 0, 1, 0}));
    QCOMPARE(keptAtShare(std::vector<float>{1, -4, 2}, {}, 1), (Bytes{0, 1, 0}));
    // The threshold that is shown for a share prunes what the share did, where there are no ties.
    const std::vector<float> distinct{0.1F, 0.2F, 0.3F, 0.4F};
    QCOMPARE(keptAbove(distinct, {}, leastCut(distinct, {}, 2).threshold()), (Bytes{0, 0, 1, 1}));
}

void TestMaskEdit::channelsTakenAwayStayAway()
{
    // Threshold 0.15 took 0.1; then the middle channel was clicked away, whose least is below that, too.
    const std::vector<float> values{0.1F, 0.9F, 0.05F, 0.8F, 0.7F, 0.6F};
    const Bytes kept{0, 1, 0, 0, 1, 1};
    QCOMPARE(heldByHand(values, kept, kSmall, true), (Bytes{0, 0, 1, 1, 0, 0}));
    // A single cell that was clicked away counts where the mask is one of magnitudes.
    const Bytes oneCell{0, 1, 1, 1, 1, 0};
    QCOMPARE(heldByHand(values, oneCell, kSmall, false), (Bytes{0, 0, 0, 0, 0, 0}));
    QCOMPARE(heldByHand(values, oneCell, kSmall, true), (Bytes{0, 0, 0, 0, 0, 1}));
}

void TestMaskEdit::whatAThresholdEmptiedComesBack()
{
    const std::vector<float> values{0.1F, 0.2F, 0.05F, 0.8F, 0.3F, 0.6F};
    const Bytes kept = keptAbove(values, {}, 0.25);
    QCOMPARE(kept, (Bytes{0, 0, 0, 1, 1, 1}));
    QCOMPARE(heldByHand(values, kept, kSmall, true), (Bytes{0, 0, 0, 0, 0, 0}));
    // Without any threshold an emptied channel can only have been taken by hand.
    QCOMPARE(heldByHand(values, Bytes{0, 0, 1, 1, 1, 1}, kSmall, true), (Bytes{1, 1, 0, 0, 0, 0}));
}

void TestMaskEdit::specs_data()
{
    QTest::addColumn<QString>("before");
    QTest::addColumn<Bytes>("kept");
    QTest::addColumn<int>("edit");
    QTest::addColumn<bool>("option");
    QTest::addColumn<QString>("method");
    QTest::addColumn<bool>("channels");
    const Bytes cells{0, 1, 1, 1, 1, 1}, channel{0, 0, 1, 1, 1, 1}, mixed{0, 0, 1, 0, 1, 1};
    const int threshold = int(HandEdit::Threshold), parts = int(HandEdit::Parts), channels = int(HandEdit::Channels);
    QTest::newRow("all kept") << "magnitude" << Bytes(6, 1) << parts << true << "" << false;
    QTest::newRow("threshold") << "" << cells << threshold << true << "magnitude" << false;
    QTest::newRow("cells of a channel criterion") << "l1" << cells << parts << true << "magnitude" << true;   // its channels stay gone
    QTest::newRow("channel of a channel criterion") << "l1" << channel << channels << true << "l1" << false;
    QTest::newRow("channel of nothing") << "" << channel << channels << true << "magnitude" << true;
    QTest::newRow("channel of a threshold") << "magnitude" << mixed << channels << true << "magnitude" << true;
    QTest::newRow("channel, no such option") << "" << channel << channels << false << "l1" << false;
    QTest::newRow("mixed, no such option") << "magnitude" << mixed << channels << false << "magnitude" << false;
}

void TestMaskEdit::specs()
{
    QFETCH(QString, before);
    QFETCH(Bytes, kept);
    QFETCH(int, edit);
    QFETCH(bool, option);
    QFETCH(QString, method);
    QFETCH(bool, channels);
    const auto spec = handMadeSpec({.method = before.toStdString()}, Mask::fromKept(kept), kSmall, HandEdit(edit), catalogWith(option));
    QVERIFY(spec.has_value());
    QCOMPARE(QString::fromStdString(spec->method), method);
    QCOMPARE(boolParam(spec->options, "channels"), channels);
    QCOMPARE(spec->isNone(), method.isEmpty());
    if (!method.isEmpty())
        QCOMPARE(spec->sparsity, double(std::ranges::count(kept, 0)) / 6);
}

QTEST_APPLESS_MAIN(TestMaskEdit)
#include "tst_mask_edit.moc"
