// SPDX-License-Identifier: GPL-3.0-or-later
#include "sample_catalog.h"
#include "session/candidates.h"

#include <QtTest/QtTest>

using namespace bitwright;

namespace {

const Catalog kCatalog = test::sampleCatalog();

} // namespace

class TestCandidates : public QObject {
    Q_OBJECT
private slots:
    void everyMethodAtItsWidths()
    {
        QVERIFY((choices(kCatalog, {Role::Weight}, {1, 4}) == std::vector<Choice>{{"uniform", 1}, {"uniform", 4}, {"bwn", 1}}));
        QVERIFY((choices(kCatalog, {Role::Activation}, {1, 4}) == std::vector<Choice>{{"uniform", 1}, {"uniform", 4}, {"pact", 4}}));
        QVERIFY((choices(kCatalog, {Role::Weight, Role::Activation}, {2, 17}) == std::vector<Choice>{{"uniform", 2}}));
        QVERIFY((choices(kCatalog, {Role::Activation}, {4}, {"pact", "bwn"}) == std::vector<Choice>{{"pact", 4}}));
        QVERIFY(choices(kCatalog, {Role::Weight}, {}).empty());
    }

    void specsAreComplete()
    {
        const auto specs = candidateSpecs(kCatalog, Role::Weight, {1});
        QCOMPARE(specs.size(), 2u);
        QCOMPARE(textParam(specs[0].options, "range"), std::string("minmax"));
        QVERIFY(!hasParam(specs[0].options, "scale"));   // optional: the method knows
        QCOMPARE(textParam(specs[1].options, "granularity"), std::string("channel"));
    }

    void assignmentsOverABase()
    {
        ModelConfig base;
        base.foldBatchNorm = true;
        base.defaults.activation = {.method = "pact", .bits = 4};
        base.layers["a"].weight = {.method = "uniform", .bits = 3};
        base.layers["b"].activation = {.method = "uniform", .bits = 8};
        base.layers["b"].prune.mask = Mask::fromKept(std::vector<std::uint8_t>{1, 0});
        const LayerPolicy policy{.firstLast = LayerPolicy::Keep::Float, .shortcuts = LayerPolicy::Keep::Same};
        const auto candidates = networkCandidates(base, kCatalog, {Role::Weight}, {1, 2}, policy);
        QCOMPARE(candidates.size(), 3u);
        ModelConfig wanted = base;
        wanted.policy = policy;
        wanted.layers.erase("a");
        wanted.defaults.weight = {.method = "bwn", .bits = 1};
        QVERIFY(candidates[2].config == wanted);
        QVERIFY(candidates[0].title.ends_with(", 1 bit") && candidates[1].title.ends_with(", 2 bits"));
        const auto both = networkCandidates(base, kCatalog, {Role::Weight, Role::Activation}, {2}, {});
        QCOMPARE(both.size(), 1u);
        QVERIFY((both[0].config.defaults.activation == QuantPatch{.method = "uniform", .bits = 2}));
        QVERIFY(both[0].config.layers.at("b").activation.empty() && !both[0].config.layers.at("b").prune.mask.empty());
    }
};

QTEST_APPLESS_MAIN(TestCandidates)
#include "tst_candidates.moc"
