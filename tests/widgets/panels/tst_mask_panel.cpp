// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "models/channel_list_model.h"
#include "panels/mask_panel.h"
#include "panels/real_edit.h"
#include "plots/mask_picture.h"
#include "plots/threshold_plot.h"

#include <QAbstractItemModelTester>
#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QPushButton>
#include <QSignalSpy>
#include <QTableView>
#include <QtTest>

using namespace bitwright;

class TstMaskPanel : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral(".*"))); }
    void asksOnlyWhileSeen();
    void thresholdPrunesAsItMoves();
    void shareIsExact();
    void clicksTurnUnitsOver_data();
    void clicksTurnUnitsOver();
    void rubberBandAndShift();
    void channelTakesItsGroupAlong();
    void channelsStayAwayUnderAThreshold();
    void whatCannotGoIsRefused();
    void lastChannelIsRefused();
    void listRemovesAndKeeps();
    void sizesMarkTheSmallest();
    void hoverShowsWhatGoesWithIt();
    void importanceComesFromTheCriterion();
    void signIsAColouring();
    void keysReachThePicture();
    void doubleClickChangesNothing();
    void otherWeightsAreAskedFor();
    void everyControlHasAName();
};

namespace {

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    MaskPanel panel{document, controller};

    explicit Bench(const char *layer = "stage1.0.conv1", bool shown = true)
    {
        engine.automatic = true;
        controller.setLive(false);
        QObject::connect(&controller, &EngineController::modelOpened, &document, [this](const auto &model) { document.setModel(model); });
        panel.resize(700, 640);
        if (shown)
            panel.show();
        controller.openModel(QStringLiteral("resnet20.pt2"));
        QTRY_VERIFY(document.model());
        document.setSelection({layer}, layer);
        if (shown)
            QTRY_VERIFY(panel.isReady() && !controller.isBusy());
    }
    [[nodiscard]] std::int64_t kept(const char *layer) const
    {
        const Mask mask = document.mask(layer);
        return mask.empty() ? document.layer(layer)->weightCount : mask.keptCount();
    }
    [[nodiscard]] bool rowKept(const char *layer, std::int64_t row) const
    {
        const LayerInfo *info = document.layer(layer);
        const Mask mask = document.mask(layer);
        for (std::int64_t i = 0; i < info->weightCount / info->channels(); ++i)
            if (mask.empty() || mask.keeps(row * (info->weightCount / info->channels()) + i))
                return true;
        return false;
    }
    void setUnit(MaskUnit unit)
    {
        for (QComboBox *box : panel.findChildren<QComboBox *>())
            if (box->accessibleName() == QStringLiteral("What a click acts on"))
                box->setCurrentIndex(box->findData(int(unit)));
    }
    [[nodiscard]] QPoint pixel(std::int64_t row, std::int64_t column, std::int64_t y = 0, std::int64_t x = 0) const
    {
        return panel.picture().pixelRect({row, column, y, x}).center().toPoint();
    }
    void click(QPoint at, Qt::KeyboardModifiers modifiers = Qt::NoModifier) { QTest::mouseClick(&panel.picture(), Qt::LeftButton, modifiers, at); }
    [[nodiscard]] QPushButton *button(const QString &name) const
    {
        for (QPushButton *each : panel.findChildren<QPushButton *>())
            if (each->accessibleName() == name)
                return each;
        return nullptr;
    }
    void choose(std::initializer_list<int> rows) const
    {
        panel.channels().clearSelection();
        for (const int row : rows)
            panel.channels().selectionModel()->select(panel.channels().model()->index(row, 0), QItemSelectionModel::Select | QItemSelectionModel::Rows);
    }
};

} // namespace

void TstMaskPanel::asksOnlyWhileSeen()
{
    Bench bench("stem", false);
    QVERIFY(bench.engine.asked<WeightRequest>().empty());
    bench.panel.show();
    QTRY_VERIFY(bench.panel.isReady());
    QCOMPARE(bench.engine.asked<WeightRequest>().size(), std::size_t(1));
    QCOMPARE(bench.engine.asked<WeightRequest>().front().second.layer, std::string("stem"));
    bench.document.setSelection({"extra.embedding"});
    QVERIFY(!bench.panel.isReady());
    QVERIFY(bench.panel.picture().accessibleDescription().contains(QStringLiteral("an embedding is a table")));
}

void TstMaskPanel::thresholdPrunesAsItMoves()
{
    Bench bench;
    ThresholdPlot &plot = bench.panel.threshold();
    const auto at = [&](double magnitude) { return QPoint(int(plot.pixelOf(magnitude)), plot.height() / 2); };
    QTest::mousePress(&plot, Qt::LeftButton, Qt::NoModifier, at(0.1));
    const std::int64_t first = bench.kept("stage1.0.conv1");
    QVERIFY(first < 2304);
    QTest::mouseMove(&plot, at(0.2));
    QTest::mouseMove(&plot, at(0.3));
    const std::int64_t second = bench.kept("stage1.0.conv1");
    QVERIFY(second < first);
    QTest::mouseRelease(&plot, Qt::LeftButton, Qt::NoModifier, at(0.3));
    QCOMPARE(bench.document.undoStack()->count(), 1);
    const PruneSpec spec = bench.document.pruneSpec("stage1.0.conv1");
    QCOMPARE(spec.method, std::string("magnitude"));
    QCOMPARE(spec.sparsity, 1 - double(spec.mask.keptCount()) / 2304);
    // Everything below the threshold and nothing else.
    const auto values = FakeEngine::weight(0, {}, *bench.document.layer("stage1.0.conv1")).values;
    for (std::size_t i = 0; i < values->size(); ++i)
        QCOMPARE(spec.mask.keeps(std::int64_t(i)), !(std::abs((*values)[i]) < float(plot.threshold())));
    QCOMPARE(bench.panel.picture().kept(), spec.mask.kept());
    // Back to the left end: what the threshold emptied comes back, and the mask is gone.
    QTest::mouseDClick(&plot, Qt::LeftButton, Qt::NoModifier, at(0.3));
    QCOMPARE(bench.kept("stage1.0.conv1"), std::int64_t(2304));
    bench.document.undoStack()->undo();
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.isFloat());
    QVERIFY(std::ranges::count(bench.panel.picture().kept(), 1) == 2304);
    QCOMPARE(bench.panel.threshold().threshold(), 0.0);
}

void TstMaskPanel::shareIsExact()
{
    Bench bench;
    auto *share = bench.panel.findChild<QDoubleSpinBox *>();
    share->setValue(50);
    QCOMPARE(bench.kept("stage1.0.conv1"), std::int64_t(1152));
    QCOMPARE(bench.document.undoStack()->count(), 1);
    QVERIFY(bench.panel.keptText().contains(QStringLiteral("50.0")));
    const double threshold = bench.panel.threshold().threshold();
    QVERIFY(threshold > 0);
    // The quality factor is the same threshold in standard deviations.
    const auto boxes = bench.panel.findChildren<RealEdit *>();
    const auto quality = std::ranges::find(boxes, QStringLiteral("Quality factor"), &QWidget::accessibleName);
    QVERIFY((*quality)->value() > 0 && (*quality)->value() < 3);
    share->setValue(0);
    QVERIFY(bench.document.isFloat());
}

void TstMaskPanel::clicksTurnUnitsOver_data()
{
    QTest::addColumn<int>("unit");
    QTest::addColumn<int>("pruned");
    QTest::newRow("weight") << int(MaskUnit::Weight) << 1;
    QTest::newRow("kernel") << int(MaskUnit::Kernel) << 9;
    QTest::newRow("input") << int(MaskUnit::Column) << 16 * 9;
    QTest::newRow("filter") << int(MaskUnit::Filter) << 16 * 9;
    QTest::newRow("channel") << int(MaskUnit::Channel) << 16 * 9;
}

void TstMaskPanel::clicksTurnUnitsOver()
{
    QFETCH(int, unit);
    QFETCH(int, pruned);
    Bench bench;
    bench.setUnit(MaskUnit(unit));
    bench.click(bench.pixel(5, 3, 1, 1));
    QCOMPARE(2304 - bench.kept("stage1.0.conv1"), std::int64_t(pruned));
    QVERIFY(!bench.document.mask("stage1.0.conv1").keeps((5 * 16 + 3) * 9 + 4));
    QVERIFY(bench.panel.picture().tipAt(bench.pixel(5, 3, 1, 1)).contains(QStringLiteral("pruned")));
    QCOMPARE(bench.document.undoStack()->count(), 1);
    bench.click(bench.pixel(5, 3, 1, 1));
    QVERIFY(bench.document.isFloat());
    QCOMPARE(bench.document.undoStack()->count(), 2);
}

void TstMaskPanel::rubberBandAndShift()
{
    Bench bench;
    bench.setUnit(MaskUnit::Kernel);
    MaskPicture &picture = bench.panel.picture();
    QTest::mousePress(&picture, Qt::LeftButton, Qt::NoModifier, bench.pixel(1, 2, 1, 1));
    QTest::mouseMove(&picture, bench.pixel(2, 3));
    QTest::mouseMove(&picture, bench.pixel(3, 4, 1, 1));
    QTest::mouseRelease(&picture, Qt::LeftButton, Qt::NoModifier, bench.pixel(3, 4, 1, 1));
    QCOMPARE(2304 - bench.kept("stage1.0.conv1"), std::int64_t(9 * 9));   // 3 by 3 kernels
    QCOMPARE(bench.document.undoStack()->count(), 1);
    bench.document.undoStack()->undo();
    bench.setUnit(MaskUnit::Weight);
    bench.click(bench.pixel(0, 0, 0, 0));
    bench.click(bench.pixel(0, 1, 1, 0), Qt::ShiftModifier);   // two rows of four
    QCOMPARE(2304 - bench.kept("stage1.0.conv1"), std::int64_t(8));
}

void TstMaskPanel::channelTakesItsGroupAlong()
{
    Bench bench("stage1.0.conv2");
    const double before = bench.document.cost().sizeBits;
    bench.click(bench.pixel(5, 3));
    for (const char *layer : {"stem", "stage1.0.conv2", "stage1.1.conv2", "stage1.2.conv2"}) {
        QVERIFY2(!bench.rowKept(layer, 5), layer);
        QVERIFY2(bench.rowKept(layer, 4), layer);
        QCOMPARE(bench.document.pruneSpec(layer).method, std::string("magnitude"));
        QVERIFY(boolParam(bench.document.pruneSpec(layer).options, "channels"));
    }
    QCOMPARE(bench.document.prunedLayers().size(), std::size_t(4));
    QCOMPARE(bench.document.undoStack()->count(), 1);
    QVERIFY(bench.document.cost().sizeBits < before);
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.isFloat());
}

void TstMaskPanel::channelsStayAwayUnderAThreshold()
{
    Bench bench;
    auto *share = bench.panel.findChild<QDoubleSpinBox *>();
    share->setValue(30);
    bench.click(bench.pixel(15, 3));   // the strongest channel
    QVERIFY(!bench.rowKept("stage1.0.conv1", 15));
    share->setValue(60);
    QVERIFY(!bench.rowKept("stage1.0.conv1", 15));
    QVERIFY(boolParam(bench.document.pruneSpec("stage1.0.conv1").options, "channels"));
    QTest::keyClick(&bench.panel.threshold(), Qt::Key_Home);
    QVERIFY(!bench.rowKept("stage1.0.conv1", 15));
    QCOMPARE(bench.kept("stage1.0.conv1"), std::int64_t(15 * 144));
    bench.button(QStringLiteral("Clear mask"))->click();
    QVERIFY(bench.document.isFloat());
}

void TstMaskPanel::whatCannotGoIsRefused()
{
    Bench bench("head");
    bench.click(bench.pixel(5, 3));
    QVERIFY(bench.document.isFloat());
    QVERIFY(bench.panel.noteText().contains(QStringLiteral("head writes the network's output")));
    bench.setUnit(MaskUnit::Weight);   // single weights may go
    bench.click(bench.pixel(5, 3));
    QCOMPARE(bench.kept("head"), std::int64_t(639));
}

void TstMaskPanel::lastChannelIsRefused()
{
    Bench bench;
    bench.panel.channels().selectAll();
    bench.button(QStringLiteral("Remove"))->click();
    QVERIFY(bench.document.isFloat());
    QVERIFY2(bench.panel.noteText().contains(QStringLiteral("keep at least one channel")), qPrintable(bench.panel.noteText()));
    bench.setUnit(MaskUnit::Filter);
    MaskPicture &picture = bench.panel.picture();
    QTest::mousePress(&picture, Qt::LeftButton, Qt::NoModifier, bench.pixel(0, 0));
    QTest::mouseMove(&picture, bench.pixel(9, 1));
    QTest::mouseMove(&picture, bench.pixel(15, 1));
    QTest::mouseRelease(&picture, Qt::LeftButton, Qt::NoModifier, bench.pixel(15, 1));
    QVERIFY(bench.document.isFloat());
    QVERIFY(bench.panel.noteText().contains(QStringLiteral("keep at least one weight")));
}

void TstMaskPanel::listRemovesAndKeeps()
{
    Bench bench;
    QTableView &list = bench.panel.channels();
    const QAbstractItemModelTester tester(list.model(), QAbstractItemModelTester::FailureReportingMode::QtTest);
    QCOMPARE(list.model()->rowCount(), 16);
    list.sortByColumn(ChannelListModel::Importance, Qt::DescendingOrder);   // channel 15 is the widest
    QCOMPARE(list.model()->index(0, 0).data().toString(), QStringLiteral("15"));
    bench.choose({0, 1});
    QTest::keyClick(&list, Qt::Key_Delete);
    QVERIFY(!bench.rowKept("stage1.0.conv1", 15) && !bench.rowKept("stage1.0.conv1", 14) && bench.rowKept("stage1.0.conv1", 13));
    QCOMPARE(list.model()->index(0, 0).data(Qt::CheckStateRole).toInt(), int(Qt::Unchecked));
    QCOMPARE(list.model()->index(0, 2).data().toString().left(1), QStringLiteral("0"));
    list.model()->setData(list.model()->index(0, 0), Qt::Checked, Qt::CheckStateRole);
    QVERIFY(bench.rowKept("stage1.0.conv1", 15));
    bench.button(QStringLiteral("Invert"))->click();
    QCOMPARE(list.selectionModel()->selectedRows().size(), 14);
    bench.choose({1});
    bench.button(QStringLiteral("Keep"))->click();
    QVERIFY(bench.document.isFloat());
}

void TstMaskPanel::sizesMarkTheSmallest()
{
    Bench bench;
    auto *share = bench.panel.findChild<QDoubleSpinBox *>();
    share->setValue(50);
    // 2304 weights of 32 bits: dense 9216 B; bitmap 2304 / 8 + 1152 * 4 = 4896 B.
    QVERIFY2(bench.panel.sizesText().contains(QStringLiteral("<b>✓ Bitmap")), qPrintable(bench.panel.sizesText()));
    QVERIFY(bench.panel.sizesText().contains(QStringLiteral("9.22")));
    QVERIFY(bench.panel.sizesText().contains(QStringLiteral("4.9")));
    share->setValue(99);
    QVERIFY2(!bench.panel.sizesText().contains(QStringLiteral("✓ Bitmap")), qPrintable(bench.panel.sizesText()));
}

void TstMaskPanel::hoverShowsWhatGoesWithIt()
{
    Bench bench("stage1.0.conv2");
    QTest::mouseMove(&bench.panel.picture(), bench.pixel(5, 3));
    // With the stem's and those of the two other second convolutions; read by three first ones and the next stage's.
    QTRY_COMPARE(bench.panel.noteText(), QStringLiteral("Channel 5 goes with channel 5 of stem and 2 more; 4 layers read it"));
    QVERIFY(bench.panel.channels().model()->index(5, 0).data(ChannelListModel::MarkedRole).toBool());
    QVERIFY(!bench.panel.channels().model()->index(4, 0).data(ChannelListModel::MarkedRole).toBool());
    bench.document.setSelection({"head"});
    QTRY_VERIFY(bench.panel.isReady());
    bench.choose({3});
    QVERIFY(bench.panel.noteText().startsWith(QStringLiteral("Channel 3 cannot be removed: head writes")));
}

void TstMaskPanel::importanceComesFromTheCriterion()
{
    Bench bench;
    for (QComboBox *box : bench.panel.findChildren<QComboBox *>())
        if (box->accessibleName() == QStringLiteral("Colour"))
            box->setCurrentIndex(box->findData(QStringLiteral("l1")));
    QTRY_COMPARE(bench.engine.asked<WeightRequest>().back().second.criterion, std::string("l1"));
    QTRY_COMPARE(bench.panel.channels().model()->headerData(1, Qt::Horizontal).toString(), QStringLiteral("Filter L1 norm"));
    QCOMPARE(bench.panel.channels().model()->index(3, 1).data().toString(), QStringLiteral("0.5"));
    QVERIFY(bench.panel.picture().tipAt(bench.pixel(2, 2)).contains(QStringLiteral("importance 0.5")));
}

void TstMaskPanel::signIsAColouring()
{
    Bench bench;
    for (QComboBox *box : bench.panel.findChildren<QComboBox *>()) {
        if (box->accessibleName() != QStringLiteral("Colour"))
            continue;
        QTest::keyClick(box, Qt::Key_Down);
        QCOMPARE(box->currentText(), QStringLiteral("Sign"));
    }
    QCOMPARE(bench.panel.picture().colouring(), MaskColouring::Sign);
    QCOMPARE(bench.engine.asked<WeightRequest>().size(), std::size_t(1));   // the values are here already
}

void TstMaskPanel::keysReachThePicture()
{
    Bench bench;
    bench.setUnit(MaskUnit::Kernel);
    MaskPicture &picture = bench.panel.picture();
    for (const int key : {Qt::Key_Down, Qt::Key_Down, Qt::Key_Right, Qt::Key_Return})   // the first one puts the cursor on 0, 0
        QTest::keyClick(&picture, Qt::Key(key));
    QCOMPARE(bench.kept("stage1.0.conv1"), std::int64_t(2304 - 9));
    QVERIFY(!bench.document.mask("stage1.0.conv1").keeps((1 * 16 + 1) * 9));
    QTest::keyClick(&picture, Qt::Key_Plus);
    QVERIFY(picture.zoom() > 1);
    QTest::keyClick(&picture, Qt::Key_Home);
    QCOMPARE(picture.zoom(), 1.0);
}

void TstMaskPanel::doubleClickChangesNothing()
{
    Bench bench;
    const QPoint at = bench.pixel(5, 3);
    bench.click(at);
    QTest::mouseDClick(&bench.panel.picture(), Qt::LeftButton, Qt::NoModifier, at);
    QVERIFY(bench.document.isFloat());
}

void TstMaskPanel::otherWeightsAreAskedFor()
{
    Bench bench;
    const auto before = bench.engine.asked<WeightRequest>().size();
    bench.document.setFoldBatchNorm(true);
    QTRY_COMPARE(bench.engine.asked<WeightRequest>().size(), before + 1);
    QVERIFY(bench.engine.asked<WeightRequest>().back().second.foldBatchNorm);
    QTRY_VERIFY(bench.panel.isReady());
}

void TstMaskPanel::everyControlHasAName()
{
    Bench bench;
    for (const QWidget *widget : bench.panel.findChildren<QWidget *>()) {
        const bool control = qobject_cast<const QPushButton *>(widget) || qobject_cast<const QComboBox *>(widget) || qobject_cast<const QLineEdit *>(widget) ||
                             qobject_cast<const QTableView *>(widget) || qobject_cast<const QCheckBox *>(widget) || qobject_cast<const MaskPicture *>(widget);
        if (control && widget->objectName() != QStringLiteral("qt_spinbox_lineedit"))
            QVERIFY2(!widget->accessibleName().isEmpty(), widget->metaObject()->className());
    }
}

QTEST_MAIN(TstMaskPanel)
#include "tst_mask_panel.moc"
