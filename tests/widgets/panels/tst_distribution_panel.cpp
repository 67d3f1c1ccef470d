// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"

#include "../plots/plot_fixture.h"
#include "panels/distribution_panel.h"
#include "panels/param_form.h"
#include "plots/channel_strip.h"
#include "plots/curve_plot.h"
#include "plots/histogram_plot.h"
#include "util/theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QSignalSpy>
#include <QSpinBox>

using namespace bitwright;
using namespace bitwright::fixture;

namespace {

/// A document with the fake network open, its data and statistics known, and every layer at four bits.
struct Workbench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};

    explicit Workbench(bool previews = true)
    {
        engine.automatic = true;
        QObject::connect(&controller, &EngineController::modelOpened, &document,
                         [this](const auto &model) { document.setModel(model); });
        controller.setLive(previews);
        controller.openModel(QStringLiteral("resnet20.pt2"));
        QTRY_VERIFY(document.model());
        controller.openData({"sample:test", "sample:train", ""});
        QTRY_VERIFY(controller.results().data);
        controller.collectStatistics();
        QTRY_VERIFY(controller.results().statisticsOf("head", Role::Activation));
        LayerNames all;
        for (const auto &[name, layer] : document.resolved())
            all.push_back(name);
        document.setBits(all, Role::Weight, 4);
        document.setBits(all, Role::Activation, 4);
        document.setSelection({"stage2.1.conv1"});
        document.undoStack()->clear();
    }
};

void show(QWidget &widget, QSize size = {600, 600})
{
    widget.resize(size);
    widget.show();
    QVERIFY(QTest::qWaitForWindowExposed(&widget));
}

} // namespace

class TestDistributionPanel : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { applyTheme(*qApp, Theme::Light); }
    void init() { failOnAnyWarning(); }
    void saysWhatIsMissing();
    void showsTheLayer();
    void levelsFollowBitsInTheSameCall();
    void previewReplacesTheProvisionalGrid();
    void dragIsOneUndoStep();
    void dragOfAnInputKeepsItsZeroPoint();
    void levelOfACodebookIsDraggedInOneStep();
    void onlyUniformHasClipHandles();
    void learnedClipIsDragged();
    void gradientsOfTheLastEpoch();
    void boxesEditTheRange();
    void automaticOptions();
    void formEditsOptions();
    void channelChoice();
    void nanIsShown();
    void everyControlHasAName();
    void looks();
};

void TestDistributionPanel::saysWhatIsMissing()
{
    FakeEngine engine;
    Document document(engine.catalog());
    EngineController controller(engine, document);
    DistributionPanel panel(document, controller);
    QVERIFY(panel.histogram().accessibleDescription().contains(QStringLiteral("Open a network")));
    document.setModel(fakeModel());
    QVERIFY(panel.histogram().accessibleDescription().contains(QStringLiteral("Select a layer")));
    document.setSelection({"stem"});
    panel.setRole(Role::Activation);
    QVERIFY(panel.histogram().accessibleDescription().contains(QStringLiteral("Open data")));
}

void TestDistributionPanel::showsTheLayer()
{
    Workbench bench;
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    QTRY_VERIFY(!panel.histogram().overlay().isProvisional());
    QCOMPARE(panel.histogram().overlay().grid().levelCount(), std::size_t(15));
    QVERIFY(panel.statisticsText().contains(QStringLiteral("SQNR")));
    QVERIFY(!panel.errorCurve().data(0).x.empty());
    QCOMPARE(panel.errorCurve().marker(), std::optional(4.0));
    panel.setRole(Role::Activation);
    QTRY_COMPARE(panel.histogram().overlay().grid().levelCount(), std::size_t(16));
    QVERIFY(!panel.channelStrip().isVisible());
}

void TestDistributionPanel::levelsFollowBitsInTheSameCall()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    for (const int bits : {2, 8, 3, 16}) {
        bench.document.setBits({"stage2.1.conv1"}, Role::Weight, bits);
        // Nothing ran between: no event loop, no engine.
        QVERIFY(panel.histogram().overlay().isProvisional());
        const auto levels = panel.histogram().overlay().grid().levelCount();
        QVERIFY(levels == (std::size_t(1) << bits) || levels == (std::size_t(1) << bits) - 1);
        QVERIFY(panel.statisticsText().contains(QStringLiteral("≈")));
    }
    bench.document.setMethod({"stage2.1.conv1"}, Role::Weight, kFloatMethod);
    QVERIFY(panel.histogram().overlay().empty());
}

void TestDistributionPanel::previewReplacesTheProvisionalGrid()
{
    Workbench bench;
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    bench.document.setBits({"stage2.1.conv1"}, Role::Weight, 3);
    QVERIFY(panel.histogram().overlay().isProvisional());
    QTRY_VERIFY(!panel.histogram().overlay().isProvisional());
    QCOMPARE(panel.histogram().overlay().grid().levelCount(), std::size_t(7));
}

void TestDistributionPanel::dragIsOneUndoStep()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    HistogramPlot &plot = panel.histogram();
    plot.replotNow();
    const PlotRange before = plot.overlay().clip();
    const double y = plot.plotRect().center().y();
    drag(plot.canvas(), {plot.toPixel(before.upper, 0).x(), y}, {plot.toPixel(before.upper * 0.6, 0).x(), y});
    const PlotRange after = plot.overlay().clip();
    QVERIFY2(std::abs(after.upper - before.upper * 0.6) < before.upper * 0.1, qPrintable(QString::number(after.upper)));
    QCOMPARE(bench.document.undoStack()->count(), 1);
    bench.document.undoStack()->undo();
    QVERIFY(std::abs(plot.overlay().clip().upper - before.upper) < 1e-9);
}

// Inputs are asymmetric where nothing is said: a scale alone would be refused by the engine.
void TestDistributionPanel::dragOfAnInputKeepsItsZeroPoint()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    panel.setRole(Role::Activation);
    HistogramPlot &plot = panel.histogram();
    plot.replotNow();
    const PlotRange before = plot.overlay().clip();
    const double y = plot.plotRect().center().y();
    drag(plot.canvas(), {plot.toPixel(before.upper, 0).x(), y}, {plot.toPixel(before.upper * 0.6, 0).x(), y});
    const QuantSpec *spec = bench.document.spec("stage2.1.conv1", Role::Activation);
    QCOMPARE(spec->values.at("zero_point"), std::vector<double>{0});
    QVERIFY(std::abs(spec->values.at("scale")[0] * 15 - before.upper * 0.6) < before.upper * 0.1);
}

void TestDistributionPanel::automaticOptions()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    auto *symmetric = qobject_cast<QComboBox *>(panel.form().field("symmetric"));
    QVERIFY(symmetric);
    QCOMPARE(symmetric->currentText(), QStringLiteral("automatic"));
    const auto choose = [&](const QString &text) {
        symmetric->setCurrentIndex(symmetric->findText(text));
        emit symmetric->activated(symmetric->currentIndex());
    };
    choose(QStringLiteral("no"));
    QCOMPARE(boolParam(bench.document.spec("stage2.1.conv1", Role::Weight)->options, "symmetric", true), false);
    choose(QStringLiteral("automatic"));
    QVERIFY(!hasParam(bench.document.spec("stage2.1.conv1", Role::Weight)->options, "symmetric"));
    QCOMPARE(symmetric->currentText(), QStringLiteral("automatic"));
}

void TestDistributionPanel::levelOfACodebookIsDraggedInOneStep()
{
    Workbench bench;
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    bench.document.setMethod({"stage2.1.conv1"}, Role::Weight, "kmeans");
    QTRY_VERIFY(!panel.histogram().overlay().empty() && !panel.histogram().overlay().isProvisional());
    QVERIFY(panel.histogram().overlay().isFree());
    QVERIFY(!panel.histogram().overlay().hasHandle(ClipSide::High));
    const std::vector<double> before = panel.histogram().overlay().grid().levels();
    const int steps = bench.document.undoStack()->count();
    emit panel.histogram().levelDragged(3, before[3] + 0.1 * (before[4] - before[3]), false);
    // In the same call, before any preview.
    QCOMPARE(panel.histogram().overlay().grid().levels()[3], before[3] + 0.1 * (before[4] - before[3]));
    QVERIFY(panel.histogram().overlay().isProvisional());
    emit panel.histogram().levelDragged(3, before[4] + 1, true);   // no further than its neighbour
    const std::vector<double> codebook = bench.document.spec("stage2.1.conv1", Role::Weight)->values.at("codebook");
    QCOMPARE(codebook.size(), before.size());
    QCOMPARE(codebook[3], before[4]);
    QCOMPARE(codebook[2], before[2]);
    QCOMPARE(bench.document.undoStack()->count(), steps + 1);
    QVERIFY(bench.document.undoStack()->undoText().startsWith(QStringLiteral("Levels of")));
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.spec("stage2.1.conv1", Role::Weight)->values.empty());
}

void TestDistributionPanel::onlyUniformHasClipHandles()
{
    Workbench bench;
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    QTRY_VERIFY(panel.histogram().overlay().hasHandle(ClipSide::High));
    QVERIFY(!panel.histogram().overlay().isFree());
    bench.document.setBits({"stage2.1.conv1"}, Role::Weight, 1);
    // The fake answers with a uniform grid, yet this method has no clip that could be set.
    bench.document.setMethod({"stage2.1.conv1"}, Role::Weight, "bwn");
    QTRY_VERIFY(!panel.histogram().overlay().empty() && !panel.histogram().overlay().isProvisional());
    QVERIFY(!panel.histogram().overlay().hasHandle(ClipSide::High) && !panel.histogram().overlay().hasHandle(ClipSide::Low));
}

void TestDistributionPanel::learnedClipIsDragged()
{
    Workbench bench;
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    panel.setRole(Role::Activation);
    bench.document.setMethod({"stage2.1.conv1"}, Role::Activation, "pact");
    QTRY_VERIFY(!panel.histogram().overlay().empty() && !panel.histogram().overlay().isProvisional());
    QVERIFY(panel.histogram().overlay().hasHandle(ClipSide::High) && !panel.histogram().overlay().hasHandle(ClipSide::Low));
    const int steps = bench.document.undoStack()->count();
    emit panel.histogram().clipDragged(ClipSide::High, 0.9, false);
    emit panel.histogram().clipDragged(ClipSide::High, 0.75, false);
    QCOMPARE(panel.histogram().overlay().clip().upper, double(float(15) * float(0.75 / 15)));   // before any preview
    QVERIFY(panel.histogram().overlay().hasHandle(ClipSide::High));
    emit panel.histogram().clipDragged(ClipSide::High, 0.75, true);
    QCOMPARE(bench.document.undoStack()->count(), steps + 1);
    QCOMPARE(bench.document.spec("stage2.1.conv1", Role::Activation)->values.at("alpha"), std::vector<double>{0.75});
    // The two-sided variant has no such handle.
    bench.document.setOption({"stage2.1.conv1"}, Role::Activation, "variant", ParamValue(std::string("two_sided")));
    QVERIFY(!panel.histogram().overlay().hasHandle(ClipSide::High));
}

void TestDistributionPanel::gradientsOfTheLastEpoch()
{
    Workbench bench;
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    QCheckBox *box = nullptr;
    for (QCheckBox *each : panel.findChildren<QCheckBox *>())
        if (each->text() == QStringLiteral("Gradients"))
            box = each;
    QVERIFY(box && !box->isVisible());
    bench.controller.fineTune({.epochs = 2});
    QTRY_COMPARE(bench.controller.results().trainingEpochs.size(), std::size_t(2));
    QVERIFY(box->isVisible());
    box->setChecked(true);
    const auto &trace = bench.controller.results().trainingEpochs.back().traces.at("stage2.1.conv1");
    QCOMPARE(panel.histogram().histogram(), trace.gradients);
    QVERIFY(panel.histogram().overlay().empty());
    QVERIFY(panel.statisticsText().contains(QStringLiteral("epoch 2")));
    panel.setRole(Role::Activation);
    QVERIFY(!box->isVisible());
    QVERIFY(panel.histogram().histogram() != trace.gradients);
    panel.setRole(Role::Weight);
    QCOMPARE(panel.histogram().histogram(), trace.gradients);
    box->setChecked(false);
    QVERIFY(panel.histogram().histogram() != trace.gradients);
    QTRY_VERIFY(!panel.histogram().overlay().empty());
}

void TestDistributionPanel::boxesEditTheRange()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    bench.document.setOption({"stage2.1.conv1"}, Role::Weight, "symmetric", ParamValue(true));
    bench.document.setOption({"stage2.1.conv1"}, Role::Weight, "granularity", ParamValue(std::string("tensor")));
    const auto boxes = panel.findChildren<QLineEdit *>();
    const auto box = [&](const char *name) {
        return *std::ranges::find_if(boxes, [&](QLineEdit *e) { return e->accessibleName() == QLatin1String(name); });
    };
    box("Scale")->setFocus();
    box("Scale")->selectAll();
    QTest::keyClicks(box("Scale"), QStringLiteral("0.05"));
    QTest::keyClick(box("Scale"), Qt::Key_Return);
    QCOMPARE(bench.document.spec("stage2.1.conv1", Role::Weight)->values.at("scale"), std::vector<double>{0.05});
    box("Clip to")->setFocus();
    box("Clip to")->selectAll();
    QTest::keyClicks(box("Clip to"), QStringLiteral("0.7"));
    QTest::keyClick(box("Clip to"), Qt::Key_Return);
    QVERIFY(std::abs(bench.document.spec("stage2.1.conv1", Role::Weight)->values.at("scale")[0] - 0.1) < 1e-9);
    QVERIFY(std::abs(panel.histogram().overlay().clip().upper - 0.7) < 1e-6);
}

void TestDistributionPanel::formEditsOptions()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    auto *range = qobject_cast<QComboBox *>(panel.form().field("range"));
    QVERIFY(range);
    QVERIFY(!panel.form().field("percentile")->isEnabled());
    range->setCurrentIndex(range->findData(QStringLiteral("percentile")));
    emit range->activated(range->currentIndex());
    const QuantSpec *spec = bench.document.spec("stage2.1.conv1", Role::Weight);
    QCOMPARE(textParam(spec->options, "range"), std::string("percentile"));
    QVERIFY(panel.form().field("percentile")->isEnabled());
    auto *line = qobject_cast<QLineEdit *>(panel.form().field("percentile"));
    line->setFocus();
    line->selectAll();
    QTest::keyClicks(line, QStringLiteral("99"));
    QTest::keyClick(line, Qt::Key_Return);
    QCOMPARE(realParam(bench.document.spec("stage2.1.conv1", Role::Weight)->options, "percentile"), 99.0);
}

void TestDistributionPanel::channelChoice()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    show(panel);
    bench.document.setOption({"stage2.1.conv1"}, Role::Weight, "granularity", ParamValue(std::string("channel")));
    QCOMPARE(panel.histogram().overlay().grid().groups.size(), std::size_t(32));
    panel.channelStrip().replotNow();
    QTest::mouseClick(panel.channelStrip().canvas(), Qt::LeftButton, {},
                      panel.channelStrip().toPixel(3, 0).toPoint());
    QCOMPARE(panel.channel(), 3);
    QCOMPARE(panel.histogram().overlay().group(), std::size_t(3));
    QCOMPARE(bench.controller.previewChannel(), 3);
    panel.setChannel(-1);
    QCOMPARE(panel.channelStrip().selected(), -1);
}

void TestDistributionPanel::nanIsShown()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    StatisticsReady event = FakeEngine::statistics(1, *bench.document.layer("stage2.1.conv1"), Role::Weight);
    QVERIFY(!panel.statisticsText().contains(QStringLiteral("NaN")));
    event.moments.nanCount = 3;
    bench.engine.automatic = false;
    event.job = bench.controller.collectStatistics();
    bench.engine.emitFromThread({event});
    QTRY_VERIFY(panel.statisticsText().contains(QStringLiteral("NaN")));
}

void TestDistributionPanel::everyControlHasAName()
{
    Workbench bench(false);
    DistributionPanel panel(bench.document, bench.controller);
    for (const QWidget *widget : panel.findChildren<QWidget *>()) {
        // The list that a combo box pops up belongs to Qt.
        if (widget->window() != &panel || widget->focusPolicy() == Qt::NoFocus || qobject_cast<const QAbstractButton *>(widget)
            || widget->objectName().startsWith(u"qt_"))
            continue;
        QVERIFY2(!widget->accessibleName().isEmpty(), widget->metaObject()->className());
    }
}

void TestDistributionPanel::looks()
{
    Workbench bench;
    for (const Theme theme : {Theme::Light, Theme::Dark}) {
        applyTheme(*qApp, theme);
        const QString end = theme == Theme::Dark ? QStringLiteral("_dark") : QStringLiteral("_light");
        DistributionPanel panel(bench.document, bench.controller);
        show(panel, {600, 590});
        QTRY_VERIFY(!panel.histogram().overlay().isProvisional());
        panel.histogram().resetView();
        QTest::qWait(60);
        saveShot(panel, QStringLiteral("panel_w") + end);
        panel.setRole(Role::Activation);
        QTRY_VERIFY(!panel.histogram().overlay().isProvisional());
        QTest::qWait(60);
        saveShot(panel, QStringLiteral("panel_a") + end);
    }
}

QTEST_MAIN(TestDistributionPanel)
#include "tst_distribution_panel.moc"
