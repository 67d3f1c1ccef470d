// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"

#include "../plots/plot_fixture.h"
#include "panels/tradeoff_panel.h"
#include "util/theme.h"

#include <nlohmann/json.hpp>

using namespace bitwright;
using namespace bitwright::fixture;

class TestTradeoffPanel : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { applyTheme(*qApp, Theme::Light); }
    void init() { failOnAnyWarning(); }
    void costMovesWithTheEdit();
    void estimateBecomesThePresentPoint();
    void restoresATrial();
    void looks();

private:
    struct Workbench {
        FakeEngine engine;
        Document document{engine.catalog()};
        EngineController controller{engine, document};
        LayerNames all;

        explicit Workbench(bool live)
        {
            engine.automatic = true;
            QObject::connect(&controller, &EngineController::modelOpened, &document,
                             [this](const auto &model) { document.setModel(model); });
            controller.setLive(live);
            controller.openModel(QStringLiteral("resnet20.pt2"));
            QTRY_VERIFY(document.model());
            controller.openData({"sample:test", "sample:train", ""});
            QTRY_VERIFY(controller.results().data);
            for (const auto &[name, layer] : document.resolved())
                all.push_back(name);
        }
        TrialRecord measured(int bits, double value, const char *kind = "evaluation")
        {
            ModelConfig config;
            for (const std::string &name : all)
                setSpec(config, name, Role::Weight, {"uniform", bits, completed(), {}});
            TrialRecord trial;
            trial.id = ++m_id;
            trial.kind = kind;
            trial.metric = controller.metric();
            trial.assignment = configToJson(config).dump();
            trial.value = value;
            trial.low = value - 0.01;
            trial.high = value + 0.008;
            trial.samples = 2000;
            const auto cost = modelCost(*document.model(), *resolve(config, *document.model(), document.catalog()), false);
            trial.sizeBytes = cost.sizeBytes();
            trial.bops = cost.bops;
            return trial;
        }

    private:
        [[nodiscard]] ParamValues completed() const
        {
            return *completeParams(document.catalog().quantizer("uniform")->options, {}, "uniform");
        }
        std::int64_t m_id = 0;
    };
};

void TestTradeoffPanel::costMovesWithTheEdit()
{
    Workbench bench(false);
    TradeoffPanel panel(bench.document, bench.controller);
    const QString before = panel.summaryText();
    QVERIFY2(before.contains(QStringLiteral("1.0")), qPrintable(before));
    bench.document.setBits(bench.all, Role::Weight, 4);
    QVERIFY2(panel.summaryText() != before && panel.summaryText().contains(QStringLiteral("not measured yet")),
             qPrintable(panel.summaryText()));
}

void TestTradeoffPanel::estimateBecomesThePresentPoint()
{
    Workbench bench(true);
    TradeoffPanel panel(bench.document, bench.controller);
    bench.document.setBits(bench.all, Role::Weight, 4);
    QTRY_VERIFY2(panel.summaryText().contains(QStringLiteral("against float")), qPrintable(panel.summaryText()));
    QVERIFY(panel.plot().accessibleDescription().contains(QStringLiteral("float 93.12")));
    QVERIFY(!panel.plot().points().empty());
}

void TestTradeoffPanel::restoresATrial()
{
    Workbench bench(false);
    bench.controller.setTrials({bench.measured(8, 0.92), bench.measured(4, 0.90), bench.measured(2, 0.7)});
    TradeoffPanel panel(bench.document, bench.controller);
    QCOMPARE(panel.plot().points().size(), std::size_t(3));
    QCOMPARE(panel.plot().points()[1].cost[2], 4.0);
    QVERIFY(panel.plot().points()[1].details.contains(QStringLiteral("4 bit")));
    panel.restoreTrial(3);
    QCOMPARE(bench.document.spec("stem", Role::Weight)->bits, 2);
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.isFloat());
}

void TestTradeoffPanel::looks()
{
    for (const Theme theme : {Theme::Light, Theme::Dark}) {
        applyTheme(*qApp, theme);
        Workbench bench(false);
        bench.controller.setTrials({bench.measured(8, 0.928), bench.measured(6, 0.925), bench.measured(4, 0.90),
                                    bench.measured(3, 0.84), bench.measured(2, 0.61), bench.measured(4, 0.921, "epoch"),
                                    bench.measured(3, 0.91, "epoch")});
        bench.document.setBits(bench.all, Role::Weight, 4);
        bench.controller.evaluate();
        TradeoffPanel panel(bench.document, bench.controller);
        QTRY_VERIFY(bench.controller.results().estimate);
        panel.resize(350, 400);
        panel.show();
        QVERIFY(QTest::qWaitForWindowExposed(&panel));
        QTest::qWait(50);
        saveShot(panel, theme == Theme::Dark ? QStringLiteral("tpanel_dark") : QStringLiteral("tpanel_light"));
    }
}

QTEST_MAIN(TestTradeoffPanel)
#include "tst_tradeoff_panel.moc"
