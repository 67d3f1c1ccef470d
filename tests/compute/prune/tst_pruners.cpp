// SPDX-License-Identifier: GPL-3.0-or-later
#include "prune/pruner.h"

#include "quant/quantizer.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;

namespace {

/// The eight weights of methods.md.
at::Tensor w8()
{
    return at::tensor({-1.2F, -0.7F, -0.3F, -0.05F, 0.1F, 0.4F, 0.9F, 1.5F});
}

PruneSite siteOf(const at::Tensor &weight, const std::string &layer = "layer")
{
    return {layer, weight, 0, {}};
}

/// The upstream gradient of methods.md.
at::Tensor g8()
{
    return at::tensor({0.1F, 0.2F, 0.3F, 0.4F, 0.5F, 0.6F, 0.7F, 0.8F});
}

/// As if one batch had been run.
SiteEvidence evidence(const at::Tensor &gradient)
{
    const std::int64_t channels = gradient.size(0);
    return {gradient, gradient.abs(), gradient.square(), at::arange(1, channels + 1).to(at::kFloat), at::linspace(0.9, 0.1, channels)};
}

QString text(const Mask &mask)
{
    QString bits;
    for (const std::uint8_t kept : mask.kept())
        bits += kept ? QChar(u'1') : QChar(u'0');
    return bits;
}

QString pruned(const std::string &method, const at::Tensor &weight, double sparsity, const ParamValues &options = {})
{
    const auto masks = pruneMasks(method, options, {{siteOf(weight), sparsity}}, PruneScope::Layer);
    return masks ? text(masks->front()) : QString::fromStdString(masks.error().message);
}

} // namespace

class TestPruners : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void magnitude();
    void tiesGoLowerIndexFirst();
    void layersAndAllTogether();
    void qualityFactor();
    void patterns_data();
    void patterns();
    void randomHasTheExactCount();
    void filters();
    void slimming();
    void geometricMedian();
    void taylor_data();
    void taylor();
    void taylorOfWeights();
    void shareOfZeros();
    void withoutDataAnError();
    void partsOfKernels_data();
    void partsOfKernels();
    void groupsLeaveOutWhatCannotBeCut();
    void groupsRankTheirUnitsTogether();
    void whoCannotBeJudgedFollowsTheGroup();
    void globalStructuredRankingForgetsScale();
    void everyCriterion_data();
    void everyCriterion();
    void impossibleOnesAreErrors();
};

void TestPruners::magnitude()
{
    QCOMPARE(pruned("magnitude", w8(), 0.5), QStringLiteral("11000011"));   // keeps -1.2, -.7, .9, 1.5
    QCOMPARE(pruned("magnitude", w8(), 0), QStringLiteral("11111111"));
    // Pruned twice is pruned once.
    const at::Tensor once = w8() * at::tensor({1.F, 1.F, 0.F, 0.F, 0.F, 0.F, 1.F, 1.F});
    QCOMPARE(pruned("magnitude", once, 0.5), QStringLiteral("11000011"));
    QCOMPARE(pruned("magnitude", w8(), 0.99), QStringLiteral("00000001"));   // one stays
}

void TestPruners::tiesGoLowerIndexFirst()
{
    QCOMPARE(pruned("magnitude", at::ones({6}), 0.5), QStringLiteral("000111"));
    QCOMPARE(pruned("magnitude", at::tensor({1.F, 2.F, -1.F, 1.F, 3.F, -1.F}), 0.5), QStringLiteral("010011"));
}

// methods.md D1: A = [.1,.2,.3,.4], B = [1,2,3,4] at 50 %.
void TestPruners::layersAndAllTogether()
{
    const at::Tensor a = at::tensor({0.1F, 0.2F, 0.3F, 0.4F}), b = at::tensor({1.F, 2.F, 3.F, 4.F});
    const std::vector<PruneTask> tasks{{siteOf(a, "a"), 0.5}, {siteOf(b, "b"), 0.5}};
    const auto apart = pruneMasks("magnitude", {}, tasks, PruneScope::Layer);
    QCOMPARE(text((*apart)[0]), QStringLiteral("0011"));
    QCOMPARE(text((*apart)[1]), QStringLiteral("0011"));
    // Global ranking would empty A; its best one stays all the same, and B pays for it.
    const auto together = pruneMasks("magnitude", {}, tasks, PruneScope::Global);
    QCOMPARE(text((*together)[0]), QStringLiteral("0001"));
    QCOMPARE(text((*together)[1]), QStringLiteral("0111"));
}

void TestPruners::qualityFactor()
{
    // The standard deviation of W8 is 0.806202: a factor of 0.5 cuts below 0.403101.
    QCOMPARE(pruned("quality", w8(), 0.3, {{"quality", 0.5}}), QStringLiteral("11000011"));
    QCOMPARE(pruned("quality", w8(), 0.5), pruned("magnitude", w8(), 0.5));
    // One factor for two layers of unequal spread takes the same share of each.
    const std::vector<PruneTask> tasks{{siteOf(w8(), "a"), 0.5}, {siteOf(w8() * 10, "b"), 0.5}};
    const auto masks = pruneMasks("quality", {}, tasks, PruneScope::Global);
    QCOMPARE(text((*masks)[0]), QStringLiteral("11000011"));
    QCOMPARE(text((*masks)[1]), QStringLiteral("11000011"));
}

void TestPruners::patterns_data()
{
    QTest::addColumn<int>("n");
    QTest::addColumn<int>("m");
    QTest::addColumn<double>("sparsity");
    QTest::addColumn<QString>("mask");
    QTest::newRow("2:4") << 2 << 4 << 0.5 << QStringLiteral("11000011");
    QTest::newRow("1:4") << 1 << 4 << 0.75 << QStringLiteral("10000001");
    QTest::newRow("4:8") << 4 << 8 << 0.5 << QStringLiteral("11000011");
    QTest::newRow("from the sparsity") << 0 << 4 << 0.25 << QStringLiteral("11100111");
    QTest::newRow("a short last group keeps its share") << 1 << 3 << 0.6 << QStringLiteral("10000101");
}

void TestPruners::patterns()
{
    QFETCH(int, n);
    QFETCH(int, m);
    QFETCH(double, sparsity);
    QFETCH(QString, mask);
    ParamValues options{{"m", std::int64_t(m)}};
    if (n > 0)
        options["n"] = std::int64_t(n);
    QCOMPARE(pruned("nm", w8(), sparsity, options), mask);
}

void TestPruners::randomHasTheExactCount()
{
    const at::Tensor weight = at::ones({40, 25});
    const QString first = pruned("random_weight", weight, 0.37);
    QCOMPARE(first.count(QChar(u'1')), 630);
    QCOMPARE(pruned("random_weight", weight, 0.37), first);
    QVERIFY(pruned("random_weight", weight, 0.37, {{"seed", std::int64_t(1)}}) != first);
    const auto other = pruneMasks("random_weight", {}, {{siteOf(weight, "another"), 0.37}}, PruneScope::Layer);
    QVERIFY(text(other->front()) != first);
}

// methods.md D3: W8 as two filters of four have L1 norms 2.25 and 2.9, filter 0 goes.
void TestPruners::filters()
{
    const at::Tensor two = w8().reshape({2, 4});
    QCOMPARE(pruned("l1", two, 0.5), QStringLiteral("00001111"));
    QCOMPARE(pruned("l2", two, 0.5), QStringLiteral("00001111"));
    // The two norms disagree: one large weight against three middling ones.
    const at::Tensor apart = at::tensor({3.F, 0.F, 0.F, 0.F, 1.5F, 1.5F, 1.5F, 0.F}).reshape({2, 4});
    QCOMPARE(pruned("l1", apart, 0.5), QStringLiteral("00001111"));
    QCOMPARE(pruned("l2", apart, 0.5), QStringLiteral("11110000"));
    // Output channels of a transposed convolution are its second dimension.
    const auto transposed = pruneMasks("l1", {}, {{{"up", two, 1, {}}, 0.25}}, PruneScope::Layer);
    QCOMPARE(text(transposed->front()), QStringLiteral("10111011"));   // columns sum to 1.3, 1.1, 1.2, 1.55
}

void TestPruners::slimming()
{
    const PruneSite site{"conv", w8().reshape({4, 2}), 0, at::tensor({0.5F, -0.1F, 0.0F, -2.F})};
    const auto masks = pruneMasks("slimming", {}, {{site, 0.5}}, PruneScope::Layer);
    QCOMPARE(text(masks->front()), QStringLiteral("11000011"));
    const QString why = pruned("slimming", w8().reshape({4, 2}), 0.5);
    QVERIFY2(why.contains(QStringLiteral("no batch norm")), qPrintable(why));
}

void TestPruners::geometricMedian()
{
    // The filters at 0, 1, 2 and 10 on a line have distance sums 13, 11, 11 and 27: those in the middle go.
    const at::Tensor line = at::tensor({0.F, 0.F, 1.F, 0.F, 2.F, 0.F, 10.F, 0.F}).reshape({4, 2});
    QCOMPARE(pruned("median", line, 0.5), QStringLiteral("11000011"));
}

void TestPruners::taylor_data()
{
    QTest::addColumn<QString>("form");
    QTest::addColumn<QList<double>>("scores");
    // methods.md D3: W8 as two filters of four with G8.
    QTest::newRow("signed") << QStringLiteral("signed") << QList<double>{0.37, 2.12};
    QTest::newRow("abs") << QStringLiteral("abs") << QList<double>{0.37, 2.12};
    QTest::newRow("activation") << QStringLiteral("activation") << QList<double>{1, 2};
}

void TestPruners::taylor()
{
    QFETCH(QString, form);
    QFETCH(QList<double>, scores);
    PruneSite site = siteOf(w8().reshape({2, 4}));
    site.evidence = evidence(g8().reshape({2, 4}));
    const auto found = findPruner("taylor")->score(site, {{"form", form.toStdString()}}, 0);
    for (int i = 0; i < 2; ++i)
        QVERIFY(std::abs(found->scores[i].item<double>() - scores[i]) < 1e-6);
    // Gradients of both signs: the sums cancel, the magnitudes do not. w g is .12, -.14, .09, -.02 in the first filter.
    site.evidence = evidence((g8() * at::tensor({-1.F, 1.F, -1.F, 1.F, 1.F, 1.F, 1.F, 1.F})).reshape({2, 4}));
    const double first = findPruner("taylor")->score(site, {{"form", form.toStdString()}}, 0)->scores[0].item<double>();
    QVERIFY(std::abs(first - (form == QStringLiteral("signed") ? 0.05 : scores[0])) < 1e-6);
}

void TestPruners::taylorOfWeights()
{
    // |w g| of W8 and G8: .12, .14, .09, .02, .05, .24, .63, 1.2.
    PruneSite site = siteOf(w8());
    site.evidence = evidence(g8());
    for (const char *form : {"abs", "square"}) {
        const auto masks = pruneMasks("taylor_weight", {{"form", std::string(form)}}, {{site, 0.5}}, PruneScope::Layer);
        QCOMPARE(text(masks->front()), QStringLiteral("01000111"));
    }
    const auto squares = findPruner("taylor_weight")->score(site, {{"form", std::string("square")}}, 0);
    QVERIFY(std::abs(squares->scores[7].item<double>() - 1.44) < 1e-6);
}

// The most zeros go first.
void TestPruners::shareOfZeros()
{
    PruneSite site = siteOf(w8().reshape({4, 2}));
    site.evidence = evidence(g8().reshape({4, 2}));
    site.evidence.zeroShare = at::tensor({0.2F, 0.9F, 0.5F, 0.95F});
    QCOMPARE(text(pruneMasks("apoz", {}, {{site, 0.5}}, PruneScope::Layer)->front()), QStringLiteral("11001100"));
    site.evidence.zeroShare = at::Tensor();
    const auto none = pruneMasks("apoz", {}, {{site, 0.5}}, PruneScope::Layer);
    QVERIFY(!none && none.error().message.find("no ReLU") != std::string::npos);
}

void TestPruners::withoutDataAnError()
{
    for (const PrunerRow &row : prunerRows()) {
        const auto masks = pruneMasks(row.traits.id, {}, {{{"x", w8().reshape({4, 2}), 0, at::ones({4})}, 0.5}}, PruneScope::Layer);
        QCOMPARE(masks.has_value(), !row.traits.needsData);
        QVERIFY(masks || masks.error().message.find("--data") != std::string::npos);
    }
}

void TestPruners::partsOfKernels_data()
{
    QTest::addColumn<QString>("pattern");
    QTest::addColumn<double>("sparsity");
    QTest::addColumn<QString>("mask");
    // Two kernels of 2 x 2, (1 9 / 2 8) and (5 6 / 3 4): by hand.
    QTest::newRow("element") << QStringLiteral("element") << 0.5 << QStringLiteral("01011100");
    QTest::newRow("kernel: means 5 and 4.5") << QStringLiteral("kernel") << 0.5 << QStringLiteral("11110000");
    QTest::newRow("row: means 5, 5, 5.5, 3.5") << QStringLiteral("row") << 0.5 << QStringLiteral("00111100");
    QTest::newRow("column: means 1.5, 8.5, 4, 5") << QStringLiteral("column") << 0.5 << QStringLiteral("01010101");
    QTest::newRow("row, a quarter") << QStringLiteral("row") << 0.25 << QStringLiteral("11111100");
}

void TestPruners::partsOfKernels()
{
    QFETCH(QString, pattern);
    QFETCH(double, sparsity);
    QFETCH(QString, mask);
    const at::Tensor kernels = at::tensor({1.F, 9.F, 2.F, 8.F, 5.F, -6.F, 3.F, 4.F}).reshape({2, 1, 2, 2});
    QCOMPARE(pruned("magnitude", kernels, sparsity, {{"pattern", pattern.toStdString()}}), mask);
    // A linear weight has no kernels: it goes by element.
    QCOMPARE(pruned("magnitude", w8().reshape({2, 4}), 0.5, {{"pattern", pattern.toStdString()}}), QStringLiteral("11000011"));
    const QString both = pruned("quality", kernels, 0.5, {{"pattern", std::string("kernel")}, {"quality", 0.5}});
    QVERIFY2(both.contains(QStringLiteral("leave out the pattern")), qPrintable(both));
}

// A layer without a batch norm stops slimming only where its channels could go.
void TestPruners::groupsLeaveOutWhatCannotBeCut()
{
    ChannelGroup group{{{"conv", true, true, 0, {0, 1, 2, 3}}}, 4, {}}, fixed{{{"fc", true, true, 0, {0, 1}}}, 2, "it is the network's output"};
    const PruneSite conv{"conv", w8().reshape({4, 2}), 0, at::tensor({0.5F, -0.1F, 0.0F, -2.F})};
    const std::vector<ChannelGroup> groups{group, fixed};
    const auto masks = pruneMasks("slimming", {}, {{conv, 0.5}, {siteOf(w8().reshape({2, 4}), "fc"), 0.5}}, PruneScope::Layer, groups);
    QVERIFY2(masks.has_value(), masks ? "" : masks.error().message.c_str());
    QCOMPARE(text((*masks)[0]), QStringLiteral("11000011"));
    QCOMPARE(text((*masks)[1]), QStringLiteral("11111111"));
}

/// methods.md D3: the mean of the members' scores, each divided by its layer's mean. Norms of a are 1, 2, 3, 2 (mean 2), of b
/// 30, 10, 10, 10 (mean 15): units 0.5 + 2, 1 + 2/3, 1.5 + 2/3, 1 + 2/3, so the second and then the fourth go.
void TestPruners::groupsRankTheirUnitsTogether()
{
    const ChannelGroup group{{{"a", true, true, 0, {0, 1, 2, 3}}, {"b", true, true, 0, {0, 1, 2, 3}}}, 4, {}};
    const std::vector<ChannelGroup> groups{group};
    const at::Tensor a = at::tensor({1.F, 2.F, 3.F, 2.F}).reshape({4, 1}), b = at::tensor({30.F, 10.F, 10.F, 10.F}).reshape({4, 1});
    const auto quarter = pruneMasks("l1", {}, {{siteOf(a, "a"), 0.25}, {siteOf(b, "b"), 0.25}}, PruneScope::Layer, groups);
    QCOMPARE(text((*quarter)[0]), QStringLiteral("1011"));
    QCOMPARE(text((*quarter)[1]), QStringLiteral("1011"));
    // Who only follows has a say in the ranking, not in how much goes.
    const auto half = pruneMasks("l1", {}, {{siteOf(a, "a"), 0.5}, {siteOf(b, "b"), 0, true}}, PruneScope::Layer, groups);
    QCOMPARE(text((*half)[1]), QStringLiteral("1010"));
}

void TestPruners::whoCannotBeJudgedFollowsTheGroup()
{
    const ChannelGroup group{{{"conv", true, true, 0, {0, 1, 2, 3}}, {"bare", true, true, 0, {0, 1, 2, 3}}}, 4, {}};
    const std::vector<ChannelGroup> groups{group};
    const PruneSite conv{"conv", w8().reshape({4, 2}), 0, at::tensor({0.5F, -0.1F, 0.2F, -2.F})};
    const auto masks = pruneMasks("slimming", {}, {{conv, 0.25}, {siteOf(w8().reshape({4, 2}), "bare"), 0.25}}, PruneScope::Layer, groups);
    QVERIFY2(masks.has_value(), masks ? "" : masks.error().message.c_str());
    QCOMPARE(text((*masks)[1]), QStringLiteral("11001111"));
    const auto alone = pruneMasks("slimming", {}, {{siteOf(w8().reshape({4, 2}), "bare"), 0.25}}, PruneScope::Layer, groups);
    QVERIFY(!alone && alone.error().message.find("batch norm") != std::string::npos);
}

void TestPruners::globalStructuredRankingForgetsScale()
{
    at::manual_seed(3);
    const at::Tensor a = at::randn({20, 5}), b = at::randn({20, 5});
    const auto plain = pruneMasks("l1", {}, {{siteOf(a, "a"), 0.4}, {siteOf(b, "b"), 0.4}}, PruneScope::Global);
    const auto scaled = pruneMasks("l1", {}, {{siteOf(a * 10, "a"), 0.4}, {siteOf(b, "b"), 0.4}}, PruneScope::Global);
    QVERIFY(*plain == *scaled);
    QCOMPARE((*plain)[0].keptCount() + (*plain)[1].keptCount(), std::int64_t(24 * 5));
    // A layer that matters nowhere keeps a tenth of its channels.
    at::Tensor weak = at::ones({20, 5});
    weak[0].mul_(1000);
    const auto guarded = pruneMasks("l1", {}, {{siteOf(weak, "a"), 0.5}, {siteOf(b, "b"), 0.5}}, PruneScope::Global);
    QCOMPARE((*guarded)[0].keptCount(), std::int64_t(2 * 5));
}

void TestPruners::everyCriterion_data()
{
    QTest::addColumn<QString>("id");
    for (const PrunerRow &row : prunerRows())
        QTest::newRow(row.traits.id.c_str()) << QString::fromStdString(row.traits.id);
}

// What holds for all: the size of the mask, the exact count, whole channels where they are promised, edge cases.
void TestPruners::everyCriterion()
{
    QFETCH(QString, id);
    const std::string method = id.toStdString();
    const PrunerRow &row = *findPruner(method);
    QCOMPARE(methodCatalog().pruner(method)->kind, MethodKind::Pruner);
    QVERIFY(!row.traits.title.empty() && !row.traits.summary.empty() && !row.traits.paper.empty());
    at::manual_seed(5);
    for (const at::Tensor &weight : {at::randn({8, 4, 3, 3}), at::zeros({8, 12}), at::full({8, 4}, 2.F), at::ones({1, 1})}) {
        const std::int64_t channels = weight.size(0);
        const PruneSite site{"x", weight, 0, at::arange(1, channels + 1).to(at::kFloat), evidence(at::randn_like(weight))};
        for (const double sparsity : {0.0, 0.5}) {
            const auto masks = pruneMasks(method, {}, {{site, sparsity}}, PruneScope::Layer);
            QVERIFY2(masks.has_value(), masks ? "" : masks.error().message.c_str());
            const Mask &mask = masks->front();
            QCOMPARE(mask.size(), weight.numel());
            const std::int64_t parts = row.structured ? channels : weight.numel();
            const std::int64_t kept = std::max<std::int64_t>(1, std::int64_t(std::llround((1 - sparsity) * double(parts))));
            QCOMPARE(mask.keptCount(), kept * weight.numel() / parts);
            if (row.structured)
                QCOMPARE(emptiedChannels(mask, weight, 0).sum().item<std::int64_t>(), channels - kept);
        }
    }
}

void TestPruners::impossibleOnesAreErrors()
{
    QVERIFY(pruned("hessian", w8(), 0.5).contains(QStringLiteral("no such pruner")));
    QVERIFY(pruned("magnitude", w8(), 1.0).contains(QStringLiteral("sparsity")));
    QVERIFY(pruned("magnitude", w8(), -0.1).contains(QStringLiteral("sparsity")));
    QVERIFY(pruned("magnitude", at::tensor({1.F, NAN}), 0.5).contains(QStringLiteral("NaN")));
    QVERIFY(pruned("magnitude", w8(), 0.5, {{"quality", 0.5}}).contains(QStringLiteral("quality")));
    QVERIFY(pruned("nm", w8(), 0.5, {{"n", std::int64_t(5)}, {"m", std::int64_t(4)}}).contains(QStringLiteral("5 of 4")));
}

QTEST_APPLESS_MAIN(TestPruners)
#include "tst_pruners.moc"
