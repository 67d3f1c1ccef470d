// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "models/compare_model.h"
#include "panels/bit_toggles.h"
#include "panels/compare_panel.h"
#include "panels/method_pages.h"
#include "util/table_text.h"

#include <QAbstractItemModelTester>
#include <QComboBox>
#include <QLabel>
#include <QPushButton>
#include <QSpinBox>
#include <QTableView>
#include <QTextBrowser>
#include <QToolButton>
#include <QTreeView>
#include <QtTest>

using namespace bitwright;

class TstComparePanel : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin does not support).*"))); }
    void asksOnlyWhileSeen();
    void everyMethodAtEveryChosenWidth();
    void rowsAppearAsTheyCome();
    void newestRequestReplacesTheOlder();
    void onlyWhatIsMissingIsAskedAgain();
    void masksAndWeightsMakeAnswersOld();
    void presentIsMarked();
    void presentWithOtherOptionsHasARowOfItsOwn();
    void doubleClickAppliesAsOneStep();
    void refusalIsSaidAndCannotBeApplied();
    void missingNumbersStayAtTheEnd();
    void activationsNeedData();
    void layerThatCannotBeQuantized();
    void failureIsToldInPlace();
    void tableIsCopiedWithNumbers();
    void helpOpensThePage();
    void everyControlHasAName();
};

namespace {

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    ComparePanel panel{document, controller};
    QAbstractItemModelTester tester{&panel.model(), QAbstractItemModelTester::FailureReportingMode::QtTest};
    QAbstractItemModelTester sortedTester{panel.table().model(), QAbstractItemModelTester::FailureReportingMode::QtTest};

    explicit Bench(bool automatic = true, bool shown = true, bool data = false)
    {
        engine.automatic = true;
        controller.setLive(false);
        QObject::connect(&controller, &EngineController::modelOpened, &document, [this](const auto &model) { document.setModel(model); });
        panel.resize(700, 560);
        controller.openModel(QStringLiteral("resnet20.pt2"));
        QTRY_VERIFY(document.model());
        if (data) {
            controller.openData({"sample:test", "sample:train", "sample:train"});
            QTRY_VERIFY(controller.results().statisticsOf("stem", Role::Activation));
        }
        document.setSelection({"stem"});
        QTRY_VERIFY(!controller.isBusy());
        engine.automatic = automatic;
        if (shown) {
            panel.show();
            if (automatic)
                QTRY_VERIFY(complete());
        }
    }
    [[nodiscard]] bool complete() const { return panel.model().rowCount() > 0 && panel.model().missing().empty() && !controller.isBusy(); }
    [[nodiscard]] int rowOf(const std::string &method, int bits) const
    {
        for (int row = 0; row < panel.model().rowCount(); ++row)
            if (panel.model().row(row).spec.method == method && panel.model().row(row).spec.bits == bits)
                return row;
        return -1;
    }
    [[nodiscard]] QModelIndex shownIndex(int row, int column = 0) const
    {
        const auto *sorted = qobject_cast<QSortFilterProxyModel *>(panel.table().model());
        return sorted->mapFromSource(panel.model().index(row, column));
    }
    [[nodiscard]] QString text(int row, int column) const { return panel.model().index(row, column).data().toString(); }
    void doubleClick(int row) const
    {
        const QPoint at = panel.table().visualRect(shownIndex(row)).center();
        QTest::mouseClick(panel.table().viewport(), Qt::LeftButton, {}, at);
        QTest::mouseDClick(panel.table().viewport(), Qt::LeftButton, {}, at);
    }
    [[nodiscard]] std::vector<std::pair<JobId, CompareRequest>> asked() const { return engine.asked<CompareRequest>(); }
};

} // namespace

void TstComparePanel::asksOnlyWhileSeen()
{
    Bench bench(true, false);
    QTest::qWait(120);
    QVERIFY(bench.asked().empty());
    bench.panel.show();
    QTRY_VERIFY(bench.complete());
    QCOMPARE(bench.asked().size(), std::size_t(1));
    QCOMPARE(bench.asked().front().second.layer, std::string("stem"));
    bench.panel.hide();
    bench.document.setSelection({"head"});
    QTest::qWait(120);
    QCOMPARE(bench.asked().size(), std::size_t(1));
    bench.panel.show();
    QTRY_COMPARE(bench.asked().size(), std::size_t(2));
    QCOMPARE(bench.asked().back().second.layer, std::string("head"));
}

void TstComparePanel::everyMethodAtEveryChosenWidth()
{
    Bench bench(true, true, true);
    // 1, 2 and 4 bits: uniform and kmeans have them all, bwn one bit, refuser from two on.
    QCOMPARE(bench.panel.model().rowCount(), 3 + 1 + 3 + 2);
    QVERIFY(bench.rowOf("bwn", 1) >= 0 && bench.rowOf("bwn", 2) < 0 && bench.rowOf("refuser", 1) < 0);
    // One bit of a restricted symmetric grid would be one level: it is asked for with two.
    const QuantSpec &one = bench.panel.model().row(bench.rowOf("uniform", 1)).spec;
    QCOMPARE(one.options.at("symmetric"), ParamValue(false));
    QCOMPARE(one.options.at("granularity"), ParamValue(std::string("channel")));
    bench.panel.setBits({8});
    QTRY_VERIFY(bench.complete());
    QCOMPARE(bench.panel.model().rowCount(), 3);
    bench.panel.setRole(Role::Activation);
    QTRY_VERIFY(bench.complete());
    QCOMPARE(bench.panel.model().rowCount(), 3);
    QCOMPARE(bench.asked().back().second.role, Role::Activation);
    QVERIFY(bench.panel.table().isColumnHidden(CompareModel::Size));   // what is computed is not stored
}

void TstComparePanel::rowsAppearAsTheyCome()
{
    Bench bench(false);
    QTRY_COMPARE(bench.asked().size(), std::size_t(1));
    const auto [job, request] = bench.asked().front();
    QCOMPARE(bench.text(0, CompareModel::Sqnr), QStringLiteral("…"));
    const LayerInfo &stem = *bench.document.layer("stem");
    bench.engine.emitFromThread({FakeEngine::compared(job, request, 1, stem)});
    QTRY_VERIFY(bench.panel.model().row(1).result);
    QVERIFY(!bench.panel.model().row(0).result);
    QVERIFY(bench.text(1, CompareModel::Sqnr) != QStringLiteral("…"));
    QCOMPARE(bench.panel.model().index(1, CompareModel::Levels).data(CompareModel::LevelsRole).value<QList<double>>().size(), 3);
    QCOMPARE(bench.text(1, CompareModel::Note), QStringLiteral("2 bits symmetric has 3 levels"));
    bench.engine.finish(job);
    QTRY_VERIFY(!bench.controller.isBusy());
}

void TstComparePanel::newestRequestReplacesTheOlder()
{
    Bench bench(false);
    QTRY_COMPARE(bench.asked().size(), std::size_t(1));
    const auto [old, request] = bench.asked().front();
    bench.document.setSelection({"head"});
    QTRY_COMPARE(bench.asked().size(), std::size_t(2));
    QVERIFY(std::ranges::find(bench.engine.cancelled, old) != bench.engine.cancelled.end());
    bench.engine.emitFromThread({FakeEngine::compared(old, request, 0, *bench.document.layer("stem"))});
    QTest::qWait(60);
    QVERIFY(!bench.panel.model().row(0).result);
}

void TstComparePanel::onlyWhatIsMissingIsAskedAgain()
{
    Bench bench;
    bench.panel.setBits({1, 2, 4, 8});
    QTRY_VERIFY(bench.complete());
    QCOMPARE(bench.asked().back().second.specs.size(), std::size_t(3));
    for (const QuantSpec &spec : bench.asked().back().second.specs)
        QCOMPARE(spec.bits, 8);
}

void TstComparePanel::masksAndWeightsMakeAnswersOld()
{
    Bench bench;
    const auto before = bench.asked().size();
    const LayerInfo &stem = *bench.document.layer("stem");
    std::vector<std::uint8_t> kept(std::size_t(stem.weightCount), 1);
    kept[0] = 0;
    bench.document.setPrunes({{"stem", {"magnitude", 0.1, {}, Mask::fromKept(kept)}}}, QStringLiteral("Prune"));
    QTRY_COMPARE(bench.asked().size(), before + 1);
    QCOMPARE(bench.asked().back().second.specs.size(), std::size_t(9));
    QCOMPARE(bench.asked().back().second.mask.keptCount(), stem.weightCount - 1);
    QTRY_VERIFY(bench.complete());
    bench.document.setState({bench.document.config(), "weights-1"}, QStringLiteral("Trained"));
    QTRY_COMPARE(bench.asked().size(), before + 2);
    QCOMPARE(bench.asked().back().second.weights, std::string("weights-1"));
    QCOMPARE(bench.asked().back().second.specs.size(), std::size_t(9));
}

void TstComparePanel::presentIsMarked()
{
    Bench bench;
    QCOMPARE(bench.panel.model().present(), -1);
    const auto before = bench.asked().size();
    bench.document.setSpec({"stem"}, Role::Weight, *bench.document.freshSpec("kmeans", Role::Weight, 4));
    QTRY_COMPARE(bench.panel.model().present(), bench.rowOf("kmeans", 4));
    const QModelIndex present = bench.panel.model().index(bench.panel.model().present(), CompareModel::Method);
    QCOMPARE(present.data().toString(), QStringLiteral("● k-means sharing"));
    QCOMPARE(present.data(Qt::AccessibleTextRole).toString(), QStringLiteral("k-means sharing, the present choice"));
    QVERIFY(present.data(CompareModel::PresentRole).toBool());
    QCOMPARE(bench.asked().size(), before);   // its answer was there
    bench.document.undoStack()->undo();
    QTRY_COMPARE(bench.panel.model().present(), -1);
}

void TstComparePanel::presentWithOtherOptionsHasARowOfItsOwn()
{
    Bench bench;
    bench.document.setSpec({"stem"}, Role::Weight, *bench.document.freshSpec("uniform", Role::Weight, 4));
    bench.document.setOption({"stem"}, Role::Weight, "range", ParamValue(std::string("mse")));
    QTRY_COMPARE(bench.panel.model().rowCount(), 10);
    QTRY_VERIFY(bench.complete());
    QCOMPARE(bench.panel.model().present(), 0);
    QCOMPARE(bench.panel.model().row(0).spec.options.at("range"), ParamValue(std::string("mse")));
    QCOMPARE(bench.asked().back().second.specs.size(), std::size_t(1));
}

void TstComparePanel::doubleClickAppliesAsOneStep()
{
    Bench bench;
    bench.document.setSelection({"stem", "head"}, "stem");
    QTRY_VERIFY(bench.complete());
    const int steps = bench.document.undoStack()->count();
    bench.doubleClick(bench.rowOf("kmeans", 2));
    QCOMPARE(bench.document.undoStack()->count(), steps + 1);
    for (const char *layer : {"stem", "head"}) {
        QCOMPARE(bench.document.spec(layer, Role::Weight)->method, std::string("kmeans"));
        QCOMPARE(bench.document.spec(layer, Role::Weight)->bits, 2);
        QVERIFY(bench.document.spec(layer, Role::Weight)->values.empty());
    }
    QVERIFY(bench.document.undoStack()->undoText().contains(QStringLiteral("k-means sharing, 2 bits")));
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.isFloat());
}

void TstComparePanel::refusalIsSaidAndCannotBeApplied()
{
    Bench bench;
    const int row = bench.rowOf("refuser", 4);
    QCOMPARE(bench.text(row, CompareModel::Note), QStringLiteral("refuser, one value only; choose another method"));
    QCOMPARE(bench.text(row, CompareModel::Sqnr), QStringLiteral("–"));
    bench.panel.table().selectRow(bench.shownIndex(row).row());
    QCOMPARE(bench.panel.wordsText(), QStringLiteral("refuser, one value only; choose another method"));
    for (const QPushButton *button : bench.panel.findChildren<QPushButton *>())
        QVERIFY(button->text() != QStringLiteral("Apply") || !button->isEnabled());
    QVERIFY(!bench.panel.apply(row));
    QVERIFY(bench.document.isFloat());
}

void TstComparePanel::missingNumbersStayAtTheEnd()
{
    Bench bench;
    const auto *shown = bench.panel.table().model();
    for (const auto column : {CompareModel::Sqnr, CompareModel::Mse, CompareModel::Entropy, CompareModel::Size}) {
        for (const auto order : {Qt::AscendingOrder, Qt::DescendingOrder}) {
            bench.panel.table().sortByColumn(column, order);
            std::vector<double> numbers;
            for (int row = 0; row < shown->rowCount(); ++row) {
                const QVariant value = shown->index(row, column).data(CompareModel::SortRole);
                QCOMPARE(value.isValid(), row < shown->rowCount() - 2);   // the two of "refuser"
                if (value.isValid())
                    numbers.push_back(value.toDouble());
            }
            if (order == Qt::DescendingOrder)
                std::ranges::reverse(numbers);
            QVERIFY(std::ranges::is_sorted(numbers));
            QVERIFY(numbers.front() < numbers.back());
        }
    }
}

void TstComparePanel::activationsNeedData()
{
    Bench bench;
    bench.panel.setRole(Role::Activation);
    QCOMPARE(bench.panel.model().rowCount(), 0);
    bool told = false;
    for (const QLabel *label : bench.panel.findChildren<QLabel *>())
        told = told || (label->isVisible() && label->text().contains(QStringLiteral("Open data")));
    QVERIFY(told);
    bench.controller.openData({"sample:test", "sample:train", "sample:train"});
    QTRY_VERIFY(bench.complete());
    QCOMPARE(bench.panel.model().index(0, CompareModel::Size).data().toString(), QStringLiteral("–"));
}

void TstComparePanel::layerThatCannotBeQuantized()
{
    Bench bench;
    bench.document.setSelection({"extra.embedding"});
    QTRY_COMPARE(bench.panel.model().rowCount(), 0);
    bool told = false;
    for (const QLabel *label : bench.panel.findChildren<QLabel *>())
        told = told || (label->isVisible() && label->text().contains(QStringLiteral("an embedding is a table")));
    QVERIFY(told);
}

void TstComparePanel::failureIsToldInPlace()
{
    Bench bench(false);
    QTRY_COMPARE(bench.asked().size(), std::size_t(1));
    bench.engine.emitFromThread({JobEnded{bench.asked().front().first, JobOutcome::Failed, {ErrorKind::Invalid, "stem, no such weights; open it again", {}}, 0}});
    bool told = false;
    QTRY_VERIFY([&] {
        for (const QLabel *label : bench.panel.findChildren<QLabel *>())
            told = told || (label->isVisible() && label->text() == QStringLiteral("stem, no such weights; open it again"));
        return told;
    }());
    bench.engine.automatic = true;
    bench.document.setSelection({"head"});
    QTRY_VERIFY(bench.complete());
}

void TstComparePanel::tableIsCopiedWithNumbers()
{
    Bench bench;
    const QString csv = tableAsCsv(bench.panel.table());
    QVERIFY(csv.startsWith(QStringLiteral("Method,Bits,Levels,SQNR,MSE,Entropy,Size,Remark\n")));
    QCOMPARE(csv.count(u'\n'), bench.panel.model().rowCount() + 1);
    QVERIFY(csv.contains(QStringLiteral("Uniform,2,3,")));
}

void TstComparePanel::helpOpensThePage()
{
    Bench bench;
    bench.panel.table().selectRow(bench.shownIndex(bench.rowOf("kmeans", 2)).row());
    for (auto *button : bench.panel.findChildren<QToolButton *>())
        if (button->text() == QStringLiteral("?"))
            button->click();
    auto *pages = bench.panel.findChild<MethodPages *>();
    QVERIFY(pages && pages->isVisible());
    QCOMPARE(pages->page(), QStringLiteral("kmeans"));
    QVERIFY(pages->browser()->toPlainText().contains(QStringLiteral("Deep Compression")));
}

void TstComparePanel::everyControlHasAName()
{
    Bench bench;
    for (const QWidget *widget : bench.panel.findChildren<QWidget *>()) {
        const auto *button = qobject_cast<const QAbstractButton *>(widget);
        const bool control = button || qobject_cast<const QComboBox *>(widget) || qobject_cast<const QSpinBox *>(widget) ||
                             qobject_cast<const QTableView *>(widget) || qobject_cast<const QTreeView *>(widget);
        if (control && !widget->parent()->inherits("QTableView"))   // its corner button is Qt's
            QVERIFY2(!widget->accessibleName().isEmpty() || (button && button->text().size() > 1), widget->metaObject()->className());
    }
}

QTEST_MAIN(TstComparePanel)
#include "tst_compare_panel.moc"
