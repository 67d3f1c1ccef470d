// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/provisional_grid.h"

#include "plot_fixture.h"

using namespace bitwright;
using namespace bitwright::fixture;

namespace {

/// The shared vector W8 of the methods reference: extremes -1.2 and 1.5.
SiteKnowledge w8()
{
    SiteKnowledge site;
    site.moments.count = 8;
    site.moments.min = -1.2;
    site.moments.max = 1.5;
    site.moments.sumSquares = 5.2525;
    site.moments.sum = 0.65;
    site.histogram = {-1.2, 1.5, std::vector<std::uint64_t>(2700), 0, 0, 0};
    for (const double x : {-1.2, -0.7, -0.3, -0.05, 0.1, 0.4, 0.9, 1.5})
        site.histogram.counts[std::min(std::size_t((x + 1.2) / 2.7 * 2700), std::size_t(2699))] += 1;
    return site;
}

QuantSpec uniform(int bits, bool symmetric, bool isSigned = true)
{
    return {"uniform", bits, {{"symmetric", symmetric}, {"signed", isSigned}}, {}};
}

} // namespace

class TestProvisionalGrid : public QObject {
    Q_OBJECT
private slots:
    void matchesTheReference_data();
    void matchesTheReference();
    void usesGivenValues();
    void codebookIsItsLevels();
    void learnedClipIsItsGrid();
    void floatHasNone();
    void perChannelHasOneGroupEach();
    void searchedRangeIsNeverWorse();
    void errorOfW8();
    void clipping_data();
    void clipping();
    void clippingOneChannel();
    void clippingAllChannels();
};

void TestProvisionalGrid::matchesTheReference_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<bool>("symmetric");
    QTest::addColumn<double>("scale");
    QTest::addColumn<int>("zero");
    QTest::newRow("asym 2") << 2 << false << 0.9 << 1;
    QTest::newRow("asym 3") << 3 << false << 0.385714 << 3;
    QTest::newRow("asym 4") << 4 << false << 0.18 << 7;
    QTest::newRow("asym 8") << 8 << false << 0.0105882 << 113;
    QTest::newRow("sym 2") << 2 << true << 1.5 << 0;
    QTest::newRow("sym 3") << 3 << true << 0.5 << 0;
    QTest::newRow("sym 4") << 4 << true << 0.214286 << 0;
    QTest::newRow("sym 8") << 8 << true << 0.0118110 << 0;
}

void TestProvisionalGrid::matchesTheReference()
{
    QFETCH(int, bits);
    QFETCH(bool, symmetric);
    QFETCH(double, scale);
    QFETCH(int, zero);
    const QuantGrid grid = provisionalGrid(uniform(bits, symmetric), w8());
    QCOMPARE(grid.groups.size(), std::size_t(1));
    QVERIFY(std::abs(grid.groups[0].scale - scale) < 1e-6);
    QCOMPARE(int(grid.groups[0].zeroPoint), zero);
    QCOMPARE(grid.levelCount(), std::size_t((1 << bits) - (symmetric ? 1 : 0)));
}

void TestProvisionalGrid::usesGivenValues()
{
    QuantSpec spec = uniform(4, false);
    spec.values = {{"scale", {0.25}}, {"zero_point", {3}}};
    const QuantGrid grid = provisionalGrid(spec, {});
    QCOMPARE(grid.groups[0].scale, 0.25);
    QCOMPARE(gridRange(grid, 0), (PlotRange{-0.75, 3.0}));
}

void TestProvisionalGrid::codebookIsItsLevels()
{
    const QuantGrid grid = provisionalGrid({"kmeans", 2, {}, {{"codebook", {0.5, -1, 0, 2}}}}, w8());
    QVERIFY(!grid.uniform);
    QCOMPARE(grid.levels(), (std::vector<double>{-1, 0, 0.5, 2}));
    QCOMPARE(grid.thresholds(), (std::vector<double>{-0.5, 0.25, 1.25}));
    QCOMPARE(grid.quantize(0, 0.3), 0.5);
    QVERIFY(provisionalGrid({"kmeans", 2, {}, {}}, w8()).empty());
}

void TestProvisionalGrid::learnedClipIsItsGrid()
{
    const QuantGrid grid = provisionalGrid({"pact", 2, {{"variant", std::string("pact")}}, {{"alpha", {6}}}}, w8());
    QVERIFY(grid.uniform);
    QCOMPARE(grid.levels(), (std::vector<double>{0, 2, 4, 6}));
    QVERIFY(provisionalGrid({"pact", 2, {{"variant", std::string("two_sided")}}, {{"alpha", {6}}}}, w8()).empty());
}

void TestProvisionalGrid::floatHasNone()
{
    QVERIFY(provisionalGrid({}, w8()).empty());
    QVERIFY(provisionalGrid({"kmeans", 4, {}, {}}, w8()).empty());
    QVERIFY(provisionalGrid(uniform(4, true), {}).empty());
}

void TestProvisionalGrid::perChannelHasOneGroupEach()
{
    SiteKnowledge site = w8();
    site.channels.resize(2);
    site.channels[0].min = -0.7;
    site.channels[0].max = 0.35;
    site.channels[1].min = -1.2;
    site.channels[1].max = 1.5;
    QuantSpec spec = uniform(4, true);
    spec.options["granularity"] = std::string("channel");
    const QuantGrid grid = provisionalGrid(spec, site);
    QCOMPARE(grid.groups.size(), std::size_t(2));
    QCOMPARE(grid.groups[0].scale, 0.1);
}

void TestProvisionalGrid::searchedRangeIsNeverWorse()
{
    SiteKnowledge site;
    site.histogram = bellHistogram();
    site.moments = momentsOf(site.histogram);
    QuantSpec plain = uniform(3, true), searched = plain;
    searched.options["range"] = std::string("mse");
    const double before = provisionalError(site.histogram, provisionalGrid(plain, site), 0).mse;
    const double after = provisionalError(site.histogram, provisionalGrid(searched, site), 0).mse;
    QVERIFY(after < before);
}

void TestProvisionalGrid::errorOfW8()
{
    const SiteKnowledge site = w8();
    const ProvisionalError error = provisionalError(site.histogram, provisionalGrid(uniform(3, true), site), 0);
    QVERIFY2(std::abs(error.mse - 0.0190625) < 2e-3, qPrintable(QString::number(error.mse)));
    QCOMPARE(error.clippedShare, 0.0);
    // Codes -2 -1 -1 0 0 1 2 3: six of seven levels.
    QVERIFY(std::abs(error.emptyLevelShare - 1.0 / 7) < 1e-9);
}

void TestProvisionalGrid::clipping_data()
{
    QTest::addColumn<bool>("symmetric");
    QTest::addColumn<bool>("isSigned");
    QTest::addColumn<bool>("high");
    QTest::addColumn<double>("position");
    QTest::addColumn<double>("lower");
    QTest::addColumn<double>("upper");
    QTest::newRow("symmetric, high") << true << true << true << 0.7 << -0.7 << 0.7;
    QTest::newRow("symmetric, low") << true << true << false << -0.35 << -0.35 << 0.35;
    QTest::newRow("unsigned, high") << true << false << true << 0.75 << 0.0 << 0.75;
    QTest::newRow("asymmetric, high") << false << false << true << 0.3 << -1.2 << 0.3;
    QTest::newRow("asymmetric, low") << false << false << false << -0.5 << -0.5 << 1.5;
    QTest::newRow("asymmetric, low beyond zero") << false << false << false << 0.4 << 0.0 << 1.5;
}

void TestProvisionalGrid::clipping()
{
    QFETCH(bool, symmetric);
    QFETCH(bool, isSigned);
    QFETCH(bool, high);
    QFETCH(double, position);
    QFETCH(double, lower);
    QFETCH(double, upper);
    QuantSpec spec = uniform(4, symmetric, isSigned);
    const QuantGrid before = provisionalGrid(spec, w8());
    spec.values = valuesForClip(uniformForm(spec, Role::Weight), before, high ? ClipSide::High : ClipSide::Low, position, std::nullopt);
    QCOMPARE(spec.values.contains("zero_point"), !symmetric);
    const QuantGrid after = provisionalGrid(spec, w8());
    const PlotRange range = gridRange(after, 0);
    // An asymmetric grid is nudged so that zero is a level: half a step either way.
    const double slack = symmetric ? 1e-6 : after.groups[0].scale;
    QVERIFY2(std::abs(range.lower - lower) <= slack, qPrintable(QString::number(range.lower)));
    QVERIFY2(std::abs(range.upper - upper) <= slack, qPrintable(QString::number(range.upper)));
}

void TestProvisionalGrid::clippingOneChannel()
{
    QuantGrid grid{true, -7, 7, true, {{0.1, 0, {}, {}}, {0.2, 0, {}, {}}}, 0};
    const auto values = valuesForClip(uniformForm(uniform(4, true), Role::Weight), grid, ClipSide::High, 0.7, std::size_t(1));
    QCOMPARE(values.at("scale").size(), std::size_t(2));
    QCOMPARE(values.at("scale")[0], 0.1);
    QVERIFY(std::abs(values.at("scale")[1] - 0.1) < 1e-12);
}

void TestProvisionalGrid::clippingAllChannels()
{
    QuantGrid grid{true, -7, 7, true, {{0.1, 0, {}, {}}, {0.2, 0, {}, {}}, {0.4, 0, {}, {}}}, 0};
    // The widest channel reaches 2.8; halving that halves all.
    const auto values = valuesForClip(uniformForm(uniform(4, true), Role::Weight), grid, ClipSide::High, 1.4, std::nullopt);
    QVERIFY(std::abs(values.at("scale")[0] - 0.05) < 1e-12);
    QVERIFY(std::abs(values.at("scale")[2] - 0.2) < 1e-12);
}

QTEST_MAIN(TestProvisionalGrid)
#include "tst_provisional_grid.moc"
