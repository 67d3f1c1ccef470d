// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "panels/prune_dialog.h"

#include <QComboBox>
#include <QDoubleSpinBox>
#include <QPushButton>
#include <QSignalSpy>
#include <QSlider>
#include <QtTest>

using namespace bitwright;

class TstPruneDialog : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral(".*"))); }
    void prunesTheSelection();
    void prunesEverythingAndTakesItBack();
    void asksForTheTarget();
    void measuresSensitivityOfItsCriterion();
    void saysWhyItFailed();
    void everyControlHasAName();
};

namespace {

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};

    Bench()
    {
        engine.automatic = true;
        controller.setLive(false);
        QObject::connect(&controller, &EngineController::modelOpened, &document, [this](const auto &model) { document.setModel(model); });
        controller.openModel(QStringLiteral("resnet20.pt2"));
        QTRY_VERIFY(document.model());
        document.setSelection({"head", "stem"}, "head");
    }
};

QPushButton *button(const QDialog &dialog, const QString &text)
{
    const auto all = dialog.findChildren<QPushButton *>();
    const auto found = std::ranges::find_if(all, [&](QPushButton *each) { return each->text().remove(QChar(u'&')) == text; });
    return found == all.end() ? nullptr : *found;
}

} // namespace

void TstPruneDialog::prunesTheSelection()
{
    Bench bench;
    PruneDialog dialog(bench.document, bench.controller);
    dialog.findChild<QSlider *>()->setValue(75);
    QCOMPARE(dialog.findChild<QDoubleSpinBox *>()->value(), 75.0);
    const double before = bench.document.cost().sizeBits;
    button(dialog, QStringLiteral("Prune"))->click();
    QTRY_COMPARE(bench.document.prunedLayers(), (LayerNames{"head", "stem"}));
    const auto asked = bench.engine.asked<PruneRequest>();
    QCOMPARE(asked.back().second.method, std::string("magnitude"));
    QCOMPARE(asked.back().second.sparsity, 0.75);
    QVERIFY(bench.document.cost().sizeBits < before);
    QTRY_VERIFY2(dialog.summaryText().contains(QStringLiteral("25.0")), qPrintable(dialog.summaryText()));
    QCOMPARE(bench.document.undoStack()->count(), 1);
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.isFloat());
    QCOMPARE(bench.document.cost().sizeBits, before);
}

void TstPruneDialog::prunesEverythingAndTakesItBack()
{
    Bench bench;
    PruneDialog dialog(bench.document, bench.controller);
    for (QComboBox *box : dialog.findChildren<QComboBox *>())
        if (box->accessibleName() == QStringLiteral("Layers"))
            box->setCurrentIndex(1);
    QVERIFY(!button(dialog, QStringLiteral("Take masks away"))->isEnabled());
    button(dialog, QStringLiteral("Prune"))->click();
    QTRY_VERIFY(bench.document.prunedLayers().size() > 10);
    button(dialog, QStringLiteral("Take masks away"))->click();
    QVERIFY(bench.document.prunedLayers().empty());
    QVERIFY(bench.document.isFloat());
}

void TstPruneDialog::asksForTheTarget()
{
    Bench bench;
    PruneDialog dialog(bench.document, bench.controller);
    QComboBox *target = nullptr;
    for (QComboBox *box : dialog.findChildren<QComboBox *>())
        if (box->accessibleName() == QStringLiteral("What the share is of"))
            target = box;
    QVERIFY(target);
    button(dialog, QStringLiteral("Prune"))->click();
    QCOMPARE(bench.engine.asked<PruneRequest>().back().second.target, std::string("share"));
    QTRY_VERIFY(button(dialog, QStringLiteral("Prune"))->isEnabled());
    target->setCurrentIndex(2);
    button(dialog, QStringLiteral("Prune"))->click();
    QCOMPARE(bench.engine.asked<PruneRequest>().back().second.target, std::string("bops"));
}

void TstPruneDialog::measuresSensitivityOfItsCriterion()
{
    Bench bench;
    PruneDialog dialog(bench.document, bench.controller);
    QPushButton *measure = button(dialog, QStringLiteral("Measure sensitivity"));
    QVERIFY(!measure->isEnabled());   // without data there is nothing to measure on
    bench.controller.openData({"sample:test", "", ""});
    QTRY_VERIFY(measure->isEnabled());
    measure->click();
    QCOMPARE(bench.engine.asked<SensitivityRequest>().back().second.method, std::string("magnitude"));
    QTRY_VERIFY(bench.controller.results().sensitivity.size() > 10);
}

void TstPruneDialog::saysWhyItFailed()
{
    Bench bench;
    bench.engine.automatic = false;
    PruneDialog dialog(bench.document, bench.controller);
    button(dialog, QStringLiteral("Prune"))->click();
    QVERIFY(!button(dialog, QStringLiteral("Prune"))->isEnabled());
    const JobId job = bench.engine.asked<PruneRequest>().back().first;
    bench.engine.emitEvent(JobEnded{job, JobOutcome::Failed, {ErrorKind::Unsupported, "head, no batch norm follows it; prune it with l1", {}}, 0.1});
    QTRY_COMPARE(dialog.summaryText(), QStringLiteral("head, no batch norm follows it; prune it with l1"));
    QVERIFY(button(dialog, QStringLiteral("Prune"))->isEnabled());
}

void TstPruneDialog::everyControlHasAName()
{
    Bench bench;
    PruneDialog dialog(bench.document, bench.controller);
    for (const QWidget *widget : dialog.findChildren<QWidget *>())
        if (widget->focusPolicy() != Qt::NoFocus && widget->inherits("QAbstractButton") == false && widget->isVisibleTo(&dialog) &&
            (widget->inherits("QComboBox") || widget->inherits("QAbstractSlider") || widget->inherits("QAbstractSpinBox")))
            QVERIFY2(!widget->accessibleName().isEmpty(), widget->metaObject()->className());
}

QTEST_MAIN(TstPruneDialog)
#include "tst_prune_dialog.moc"
