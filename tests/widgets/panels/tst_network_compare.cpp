// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "models/jobs_model.h"
#include "models/network_compare_model.h"
#include "panels/bit_toggles.h"
#include "panels/network_compare.h"

#include <QAbstractItemModelTester>
#include <QComboBox>
#include <QPushButton>
#include <QSignalSpy>
#include <QSpinBox>
#include <QTableView>
#include <QTreeWidget>
#include <QtTest>

using namespace bitwright;

class TstNetworkCompare : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin does not support).*"))); }
    void candidatesAreMethodsTimesBits();
    void activationsAndPolicyGoIntoEach();
    void layersGiveTheirOwnQuantizersUpAndKeepTheirMasks();
    void trainingTakesTheOtherOptions();
    void obstaclesAreSaid();
    void runsAsAJobThatCanBeCancelled();
    void tableAndTradeoffFill();
    void failedRowSaysWhy();
    void takesAssignmentAndWeights();
    void pointIsKeptWhenReplaced();
    void everyControlHasAName();
};

namespace {

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    NetworkCompare panel{document, controller};
    QAbstractItemModelTester tester{&panel.model(), QAbstractItemModelTester::FailureReportingMode::QtTest};

    explicit Bench(bool automatic = true)
    {
        engine.automatic = true;
        controller.setLive(false);
        QObject::connect(&controller, &EngineController::modelOpened, &document, [this](const auto &model) { document.setModel(model); });
        panel.resize(600, 560);
        panel.show();
        controller.openModel(QStringLiteral("resnet20.pt2"));
        QTRY_VERIFY(document.model());
        controller.openData({"sample:test", "sample:train", "sample:train"});
        QTRY_VERIFY(!controller.isBusy());
        engine.automatic = automatic;
        panel.setMethods({"uniform", "bwn"});
    }
    template <typename T>
    [[nodiscard]] T *named(const QString &name) const
    {
        for (T *each : panel.findChildren<T *>())
            if (each->accessibleName() == name || (qobject_cast<QPushButton *>(each) && qobject_cast<QPushButton *>(each)->text() == name))
                return each;
        return nullptr;
    }
    void choose(const QString &box, const QVariant &data) const
    {
        auto *combo = named<QComboBox>(box);
        combo->setCurrentIndex(combo->findData(data));
    }
};

} // namespace

void TstNetworkCompare::candidatesAreMethodsTimesBits()
{
    Bench bench;
    bench.panel.findChild<BitToggles *>()->setBits({1, 2, 4});
    const auto request = bench.panel.request();
    // bwn has one bit only.
    QCOMPARE(request.candidates.size(), std::size_t(4));
    QCOMPARE(request.candidates[0].title, std::string("Uniform, W1"));
    QCOMPARE(request.candidates[3].title, std::string("Binary weights, W1"));
    QCOMPARE(*request.candidates[1].config.defaults.weight.bits, 2);
    QVERIFY(!request.candidates[1].config.defaults.activation.method);
    QCOMPARE(request.training.epochs, 0);
    for (const auto &candidate : request.candidates)
        QVERIFY(resolve(candidate.config, *bench.document.model(), bench.engine.catalog()));
}

void TstNetworkCompare::activationsAndPolicyGoIntoEach()
{
    Bench bench;
    bench.choose(QStringLiteral("Quantizer of the activations"), QStringLiteral("uniform"));
    bench.choose(QStringLiteral("First and last layer"), int(LayerPolicy::Keep::EightBit));
    bench.choose(QStringLiteral("Shortcuts"), int(LayerPolicy::Keep::Float));
    bench.panel.findChild<BitToggles *>()->setBits({2});
    bench.panel.setMethods({"uniform"});
    auto request = bench.panel.request();
    QCOMPARE(request.candidates.size(), std::size_t(1));
    const ModelConfig &config = request.candidates[0].config;
    QCOMPARE(*config.defaults.activation.bits, 2);   // as the weights
    QCOMPARE(config.policy, (LayerPolicy{LayerPolicy::Keep::EightBit, LayerPolicy::Keep::Float}));
    const auto resolved = resolve(config, *bench.document.model(), bench.engine.catalog());
    QVERIFY(resolved);
    QCOMPARE(resolved->at("stem").weight.bits, 8);
    QCOMPARE(resolved->at("stage1.0.conv1").weight.bits, 2);
    bench.choose(QStringLiteral("Bits of the activations"), 4);
    QCOMPARE(*bench.panel.request().candidates[0].config.defaults.activation.bits, 4);
    QCOMPARE(bench.panel.request().candidates[0].title, std::string("Uniform, W2 A4"));
}

void TstNetworkCompare::layersGiveTheirOwnQuantizersUpAndKeepTheirMasks()
{
    Bench bench;
    std::vector<std::uint8_t> kept(std::size_t(bench.document.layer("stem")->weightCount), 1);
    kept[0] = 0;
    bench.document.setPrunes({{"stem", {"magnitude", 0.1, {}, Mask::fromKept(kept)}}}, QStringLiteral("Prune"));
    bench.document.setBits({"stem"}, Role::Weight, 8);
    bench.panel.setMethods({"bwn"});
    bench.panel.findChild<BitToggles *>()->setBits({1});
    const auto resolved = resolve(bench.panel.request().candidates.at(0).config, *bench.document.model(), bench.engine.catalog());
    QVERIFY(resolved);
    QCOMPARE(resolved->at("stem").weight.method, std::string("bwn"));
    QVERIFY(!resolved->at("stem").prune.mask.empty());
}

void TstNetworkCompare::trainingTakesTheOtherOptions()
{
    Bench bench;
    bench.panel.setTraining([] { return FineTuneOptions{.epochs = 9, .optimizer = "adam", .learningRate = 0.002}; });
    bench.named<QSpinBox>(QStringLiteral("Epochs"))->setValue(3);
    bench.named<QSpinBox>(QStringLiteral("Samples"))->setValue(1000);
    const auto request = bench.panel.request();
    QCOMPARE(request.training.epochs, 3);
    QCOMPARE(request.training.optimizer, std::string("adam"));
    QCOMPARE(request.limit, std::int64_t(1000));
}

void TstNetworkCompare::obstaclesAreSaid()
{
    Bench bench;
    QVERIFY(bench.panel.obstacle().isEmpty());
    QCOMPARE(bench.panel.hintText(), QStringLiteral("2 networks will be measured."));
    auto *tree = bench.panel.findChild<QTreeWidget *>();
    tree->topLevelItem(0)->setCheckState(0, Qt::Checked);
    QCOMPARE(bench.panel.methods().size(), std::size_t(4));
    tree->topLevelItem(0)->setCheckState(0, Qt::Unchecked);
    QVERIFY(bench.panel.methods().empty());
    QVERIFY(!bench.panel.obstacle().isEmpty());
    QCOMPARE(bench.panel.hintText(), bench.panel.obstacle());
    QVERIFY(!bench.named<QPushButton>(QStringLiteral("Compare"))->isEnabled());
    bench.panel.setMethods({"uniform"});
    bench.controller.openData({"sample:test", "", ""});
    QTRY_VERIFY(!bench.controller.isBusy());
    bench.named<QSpinBox>(QStringLiteral("Epochs"))->setValue(1);
    QVERIFY(bench.panel.obstacle().contains(QStringLiteral("training data")));
}

void TstNetworkCompare::runsAsAJobThatCanBeCancelled()
{
    Bench bench(false);
    bench.named<QPushButton>(QStringLiteral("Compare"))->click();
    const auto asked = bench.engine.asked<CompareNetworksRequest>();
    QCOMPARE(asked.size(), std::size_t(1));
    QVERIFY(bench.controller.jobs()->job(asked[0].first));   // visible
    QCOMPARE(bench.controller.networkComparisonJob(), asked[0].first);
    QCOMPARE(asked[0].second.metric, std::string("top1"));
    QVERIFY(!bench.named<QPushButton>(QStringLiteral("Compare"))->isEnabled());
    QCOMPARE(bench.panel.hintText(), QStringLiteral("0 of 2 networks measured."));
    bench.named<QPushButton>(QStringLiteral("Cancel"))->click();
    QCOMPARE(bench.engine.cancelled, std::vector<JobId>{asked[0].first});
    bench.engine.emitFromThread({JobEnded{asked[0].first, JobOutcome::Cancelled, {}, 1}});
    QTRY_VERIFY(bench.named<QPushButton>(QStringLiteral("Compare"))->isEnabled());
}

void TstNetworkCompare::tableAndTradeoffFill()
{
    Bench bench;
    QSignalSpy trials(&bench.controller, &EngineController::trialAdded);
    bench.named<QSpinBox>(QStringLiteral("Epochs"))->setValue(1);
    bench.panel.start();
    QTRY_VERIFY(bench.panel.model().rowCount() == 2 && bench.panel.model().row(1).trained);
    QCOMPARE(trials.size(), 4);   // two networks, before and after
    const auto cell = [&](int row, int column) { return bench.panel.model().index(row, column).data().toString(); };
    QCOMPARE(cell(0, NetworkCompareModel::Method), QStringLiteral("Uniform"));
    QCOMPARE(cell(0, NetworkCompareModel::WeightBits), QStringLiteral("2"));
    QCOMPARE(cell(0, NetworkCompareModel::ActivationBits), QStringLiteral("float"));
    QVERIFY(cell(0, NetworkCompareModel::Calibrated).contains(QStringLiteral("±")));
    QVERIFY(bench.panel.model().row(0).trained->trial.value > bench.panel.model().row(0).calibrated->trial.value);
    QVERIFY(!bench.panel.table().isColumnHidden(NetworkCompareModel::Trained));
}

void TstNetworkCompare::failedRowSaysWhy()
{
    Bench bench;
    bench.panel.setMethods({"refuser", "uniform"});
    bench.panel.start();
    QTRY_VERIFY(bench.panel.model().row(3).calibrated);
    int failed = 0;
    for (int row = 0; row < bench.panel.model().rowCount(); ++row) {
        if (!bench.panel.model().row(row).failed())
            continue;
        ++failed;
        QVERIFY(bench.panel.model().index(row, NetworkCompareModel::Note).data().toString().contains(QStringLiteral("no channels")));
        QVERIFY(!bench.panel.take(row));
    }
    QCOMPARE(failed, 2);
    QVERIFY(bench.document.isFloat());
}

void TstNetworkCompare::takesAssignmentAndWeights()
{
    Bench bench;
    bench.named<QSpinBox>(QStringLiteral("Epochs"))->setValue(1);
    bench.panel.start();
    QTRY_VERIFY(bench.panel.model().row(1).trained);
    const int steps = bench.document.undoStack()->count();
    const QModelIndex first = bench.panel.table().model()->index(0, 0);
    QTest::mouseClick(bench.panel.table().viewport(), Qt::LeftButton, {}, bench.panel.table().visualRect(first).center());
    QTest::mouseDClick(bench.panel.table().viewport(), Qt::LeftButton, {}, bench.panel.table().visualRect(first).center());
    QCOMPARE(bench.document.undoStack()->count(), steps + 1);
    QVERIFY(bench.document.state().weights.starts_with("compared-"));
    QCOMPARE(bench.document.spec("head", Role::Weight)->method, std::string("uniform"));
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.isFloat());
}

void TstNetworkCompare::pointIsKeptWhenReplaced()
{
    Bench bench(false);
    bench.panel.start();
    const auto [job, request] = bench.engine.asked<CompareNetworksRequest>().front();
    bench.controller.compareNetworks(bench.panel.request());
    NetworkCompared late{job, 0, "late", false, {}, request.candidates[0].config, {}, {}};
    late.trial.id = 77;
    QSignalSpy trials(&bench.controller, &EngineController::trialAdded);
    bench.engine.emitFromThread({late});
    QTRY_COMPARE(trials.size(), 1);
    QVERIFY(!bench.panel.model().row(0).calibrated);
}

void TstNetworkCompare::everyControlHasAName()
{
    Bench bench;
    for (const QWidget *widget : bench.panel.findChildren<QWidget *>()) {
        const bool control = qobject_cast<const QComboBox *>(widget) || qobject_cast<const QSpinBox *>(widget) ||
                             qobject_cast<const QTableView *>(widget) || qobject_cast<const QTreeView *>(widget);
        if (control)
            QVERIFY2(!widget->accessibleName().isEmpty(), widget->metaObject()->className());
    }
}

QTEST_MAIN(TstNetworkCompare)
#include "tst_network_compare.moc"
