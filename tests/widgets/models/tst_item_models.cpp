// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/engine_controller.h"
#include "delegates/layer_delegates.h"
#include "delegates/levels_delegate.h"
#include "fake_engine.h"
#include "models/compare_model.h"
#include "models/jobs_model.h"
#include "models/layer_table_model.h"
#include "models/log_model.h"
#include "models/trials_model.h"

#include <QAbstractItemModelTester>
#include <QImage>
#include <QPainter>
#include <QRegularExpression>
#include <QSignalSpy>
#include <QTest>

using namespace bitwright;

namespace {

using M = LayerTableModel;
constexpr auto kFatal = QAbstractItemModelTester::FailureReportingMode::Fatal;

struct Fixture {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    M model{document, controller};
    QAbstractItemModelTester tester{&model, kFatal};

    Fixture()
    {
        engine.automatic = true;
        document.setModel(fakeModel());
    }
    QString text(const std::string &layer, int column) const { return model.index(model.rowOf(layer), column).data().toString(); }
};

} // namespace

class TstItemModels : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral(".*"))); }
    void layersShowWhatTheyAre();
    void layersAreEditedInPlace();
    void anEditedRowOfTheSelectionEditsAll();
    void onlyTheEditedRowIsTold();
    void layersAreFilteredAndSorted();
    void layersThatCannotBeQuantizedSayWhy();
    void keptLayersSayWhy();
    void levelsArePainted();
    void sensitivityIsDrawnPerLayer();
    void sensitivityIsPainted();
    void jobsGoThroughTheirStates();
    void jobsKnowTheirTimeLeft();
    void logForgetsTheOldest();
    void trialsFollowTheController();
};

void TstItemModels::layersShowWhatTheyAre()
{
    Fixture f;
    QCOMPARE(f.model.rowCount(), 21);
    QCOMPARE(f.text("stage2.0.conv1", M::Operator), QStringLiteral("conv2d"));
    QCOMPARE(f.text("stage2.0.conv1", M::WeightShape), QStringLiteral("32 × 16 × 3 × 3"));
    QCOMPARE(f.text("stem", M::Parameters), QStringLiteral("144"));
    QCOMPARE(f.text("stem", M::WeightBits), QStringLiteral("32"));
    QCOMPARE(f.text("stem", M::WeightMethod), QStringLiteral("float"));
    // 640 weights and 10 biases at 32 bits
    QCOMPARE(f.text("head", M::SizeNow), QStringLiteral("2.60"));
    QCOMPARE(f.model.index(f.model.rowOf("stem"), M::Parameters).data(M::SortRole).toLongLong(), 144);
}

void TstItemModels::layersAreEditedInPlace()
{
    Fixture f;
    const QModelIndex bits = f.model.index(f.model.rowOf("head"), M::WeightBits);
    QVERIFY(bits.flags() & Qt::ItemIsEditable);
    QVERIFY(f.model.setData(bits, 4));
    QCOMPARE(f.text("head", M::WeightBits), QStringLiteral("4"));
    QCOMPARE(f.text("head", M::WeightMethod), QStringLiteral("uniform"));
    QVERIFY(f.text("head", M::SizeNow) != f.text("head", M::SizeBefore));
    QVERIFY(f.model.setData(bits.siblingAtColumn(M::WeightMethod), QStringLiteral("bwn")));
    QCOMPARE(f.text("head", M::WeightBits), QStringLiteral("1"));
    QVERIFY(!(bits.siblingAtColumn(M::Name).flags() & Qt::ItemIsEditable));
    QCOMPARE(bits.siblingAtColumn(M::ActivationMethod).data(M::MethodsRole).toStringList(),
             (QStringList{QStringLiteral("float"), QStringLiteral("uniform"), QStringLiteral("refuser"), QStringLiteral("pact")}));
}

void TstItemModels::anEditedRowOfTheSelectionEditsAll()
{
    Fixture f;
    f.document.setSelection({"stem", "head"});
    f.model.setData(f.model.index(f.model.rowOf("head"), M::ActivationBits), 6);
    QCOMPARE(f.text("stem", M::ActivationBits), QStringLiteral("6"));
    QCOMPARE(f.document.undoStack()->count(), 1);
    f.model.setData(f.model.index(f.model.rowOf("stage1.0.conv1"), M::ActivationBits), 5);
    QCOMPARE(f.text("stem", M::ActivationBits), QStringLiteral("6"));
}

void TstItemModels::onlyTheEditedRowIsTold()
{
    Fixture f;
    QSignalSpy changed(&f.model, &QAbstractItemModel::dataChanged);
    f.document.setBits({"head"}, Role::Weight, 8);
    QCOMPARE(changed.size(), 1);
    QCOMPARE(changed[0][0].toModelIndex().row(), f.model.rowOf("head"));
    QCOMPARE(changed[0][1].toModelIndex().row(), f.model.rowOf("head"));
}

void TstItemModels::layersAreFilteredAndSorted()
{
    Fixture f;
    LayerFilterModel filtered;
    QAbstractItemModelTester tester(&filtered, kFatal);
    filtered.setSourceModel(&f.model);
    filtered.setFilterText(QStringLiteral("STAGE2"));
    QCOMPARE(filtered.rowCount(), 6);
    filtered.setFilterText(QStringLiteral("linear"));
    QCOMPARE(filtered.rowCount(), 1);
    filtered.setFilterText({});
    filtered.setOnlyQuantizable(true);
    QCOMPARE(filtered.rowCount(), 20);
    filtered.sort(M::Parameters, Qt::DescendingOrder);
    QCOMPARE(filtered.index(19, M::Name).data().toString(), QStringLiteral("stem"));
    filtered.sort(M::Name, Qt::AscendingOrder);
    QCOMPARE(filtered.index(0, M::Name).data().toString(), QStringLiteral("stem"));
    f.document.setBits({"head"}, Role::Weight, 8);
    filtered.setFilterText(QStringLiteral("uniform"));
    QCOMPARE(filtered.rowCount(), 1);
}

void TstItemModels::layersThatCannotBeQuantizedSayWhy()
{
    Fixture f;
    const QModelIndex bits = f.model.index(f.model.rowOf("extra.embedding"), M::WeightBits);
    QVERIFY(!(bits.flags() & Qt::ItemIsEditable));
    QVERIFY(!f.model.setData(bits, 4));
    QVERIFY(bits.data(Qt::ToolTipRole).toString().contains(QStringLiteral("an embedding is a table")));
    QVERIFY(bits.data(Qt::ForegroundRole).isValid());
}

void TstItemModels::keptLayersSayWhy()
{
    Fixture f;
    f.document.setBits({"stem", "stage1.0.conv1"}, Role::Weight, 2);
    f.document.setPolicy({.firstLast = LayerPolicy::Keep::EightBit, .shortcuts = LayerPolicy::Keep::Same});
    const QModelIndex stem = f.model.index(f.model.rowOf("stem"), M::WeightBits);
    const QModelIndex inner = f.model.index(f.model.rowOf("stage1.0.conv1"), M::WeightBits);
    QVERIFY(stem.data(M::KeptRole).toBool());
    QVERIFY(stem.data(Qt::ToolTipRole).toString().contains(QStringLiteral("Kept at 8 bit: the first or the last layer")));
    QVERIFY(!inner.data(M::KeptRole).toBool());
    QVERIFY(!inner.data(Qt::ToolTipRole).toString().contains(QStringLiteral("Kept")));
    QVERIFY(!f.model.index(f.model.rowOf("stem"), M::ActivationBits).data(M::KeptRole).toBool());
}

void TstItemModels::levelsArePainted()
{
    const Catalog catalog = fakeCatalog();
    CompareModel model(catalog);
    const QuantSpec spec{"kmeans", 1, {{"init", std::string("linear")}}, {}};
    model.setSpecs({spec}, true);
    model.setAxis(-1, 1, {});
    const auto darkColumns = [&] {
        QImage image(110, 20, QImage::Format_RGB32);
        image.fill(Qt::white);
        QPainter painter(&image);
        QStyleOptionViewItem option;
        option.rect = image.rect();
        option.palette = QPalette(Qt::white);
        option.palette.setColor(QPalette::Base, Qt::white);
        option.palette.setColor(QPalette::Text, Qt::black);
        LevelsDelegate().paint(&painter, option, model.index(0, CompareModel::Levels));
        painter.end();
        QList<int> columns;
        for (int x = 0; x < image.width(); ++x)
            if (qGray(image.pixel(x, 8)) < 160)
                columns << x;
        return columns;
    };
    QVERIFY(darkColumns().isEmpty());
    CompareReady result;
    result.grid.uniform = false;
    result.grid.groups = {{.levels = {-0.5, 0.5}, .thresholds = {0}}};
    model.setResult(spec, result);
    // The axis has a margin of 5: 100 pixels for -1 to 1.
    const QList<int> columns = darkColumns();
    QVERIFY(std::abs(columns.first() - 30) <= 1 && std::abs(columns.last() - 80) <= 1);
    QVERIFY(columns.size() <= 6);
}

void TstItemModels::sensitivityIsDrawnPerLayer()
{
    Fixture f;
    QCOMPARE(f.text("stem", M::Sensitivity), QStringLiteral("–"));
    QVERIFY(f.model.index(0, M::Sensitivity).data(M::CurveRole).value<QList<QPointF>>().isEmpty());
    QSignalSpy told(&f.model, &QAbstractItemModel::dataChanged);
    f.controller.measureSensitivity({.sparsities = {0.2, 0.3, 0.5, 0.9}});
    // The fake's first layer loses .2 points up to 30 % and .6 per share beyond: 0, 0, 12 and 36 points.
    QTRY_COMPARE(f.text("stem", M::Sensitivity), QStringLiteral("30\u202F%"));
    const auto index = f.model.index(f.model.rowOf("stem"), M::Sensitivity);
    const auto curve = index.data(M::CurveRole).value<QList<QPointF>>();
    QCOMPARE(curve.size(), 4);
    QCOMPARE(curve[2], QPointF(0.5, 0.93 - 0.6 * 0.2));
    QVERIFY2(index.data(Qt::ToolTipRole).toString().contains(QStringLiteral("magnitude")), qPrintable(index.data(Qt::ToolTipRole).toString()));
    QCOMPARE(index.data(Qt::ToolTipRole).toString().count(QChar(u'\n')), 4);
    QCOMPARE(index.data(M::SortRole).toDouble(), 0.3);
    QVERIFY(told.count() > 0);
    for (const auto &change : told)   // nothing but its column
        QCOMPARE(change[0].toModelIndex().column(), int(M::Sensitivity));
}

// The curve of a layer that bears little falls: high at the left, low at the right.
void TstItemModels::sensitivityIsPainted()
{
    Fixture f;
    f.controller.measureSensitivity({.sparsities = {0.1, 0.3, 0.5, 0.7, 0.9}});
    const auto index = f.model.index(f.model.rowOf("stem"), M::Sensitivity);
    QTRY_COMPARE(index.data(M::CurveRole).value<QList<QPointF>>().size(), 5);
    QImage image(120, 30, QImage::Format_RGB32);
    image.fill(Qt::white);
    QStyleOptionViewItem option;
    option.rect = image.rect();
    option.palette.setColor(QPalette::Highlight, Qt::blue);
    QPainter painter(&image);
    CurveDelegate().paint(&painter, option, index);
    painter.end();
    const auto heightAt = [&](int x) {
        for (int y = 0; y < image.height(); ++y)
            if (const QColor colour = image.pixelColor(x, y); colour.blue() > colour.red() + 60)
                return image.height() - y;
        return -1;
    };
    QCOMPARE(heightAt(2), -1);
    QVERIFY2(heightAt(20) > heightAt(100) + 5 && heightAt(100) > 0, qPrintable(QStringLiteral("%1, %2").arg(heightAt(20)).arg(heightAt(100))));
}

void TstItemModels::jobsGoThroughTheirStates()
{
    JobsModel model;
    QAbstractItemModelTester tester(&model, kFatal);
    model.add(1, QStringLiteral("Evaluate"));
    model.add(2, QStringLiteral("Fine-tune"));
    QCOMPARE(model.job(1)->state, JobState::Waiting);
    QCOMPARE(model.foremost()->id, JobId(2));
    model.setStarted(1);
    QCOMPARE(model.foremost()->id, JobId(1));
    model.setPaused(1, true);
    QCOMPARE(model.index(1, JobsModel::State).data().toString(), QStringLiteral("Paused"));
    model.setEnded({1, JobOutcome::Failed, {ErrorKind::Io, "x.pt2, no such file; check the path", {}}, 2});
    QCOMPARE(model.index(1, 0).data(JobsModel::ErrorRole).toString(), QStringLiteral("x.pt2, no such file; check the path"));
    model.setProgress({1, {"late", 1, 2}, 1});   // after its end
    QCOMPARE(model.job(1)->state, JobState::Failed);
    QCOMPARE(model.activeCount(), 1);
    model.clearFinished();
    QCOMPARE(model.rowCount(), 1);
    for (JobId id = 10; id < 150; ++id) {
        model.add(id, QStringLiteral("Evaluate"));
        model.setEnded({id, JobOutcome::Finished, {}, 1});
    }
    QVERIFY(model.rowCount() <= 101);
}

void TstItemModels::jobsKnowTheirTimeLeft()
{
    JobsModel model;
    model.add(1, QStringLiteral("Evaluate"));
    QCOMPARE(model.job(1)->timeLeft(), -1.0);
    model.setProgress({1, {"images", 500, 2000}, 10});
    QCOMPARE(model.job(1)->fraction(), 0.25);
    QCOMPARE(model.job(1)->timeLeft(), 30.0);
    QCOMPARE(model.index(0, JobsModel::Time).data().toString(), QStringLiteral("30 s left"));
}

void TstItemModels::logForgetsTheOldest()
{
    LogModel model;
    QAbstractItemModelTester tester(&model, kFatal);
    QSignalSpy errors(&model, &LogModel::errorLogged);
    for (int i = 0; i < 2010; ++i)
        model.add({0, i == 5 ? LogMessage::Level::Error : LogMessage::Level::Info, std::to_string(i), "stem"});
    QCOMPARE(model.rowCount(), 2000);
    QCOMPARE(model.index(0, LogModel::Message).data().toString(), QStringLiteral("10"));
    QCOMPARE(model.index(0, 0).data(LogModel::LayerRole).toString(), QStringLiteral("stem"));
    QCOMPARE(errors.size(), 1);
}

void TstItemModels::trialsFollowTheController()
{
    Fixture f;
    TrialsModel model(f.controller);
    QAbstractItemModelTester tester(&model, kFatal);
    TrialRecord trial;
    trial.id = 7;
    trial.kind = "epoch";
    trial.epoch = 2;
    trial.metric = "top1";
    trial.value = 0.9142;
    trial.sizeBytes = 1234567;
    f.controller.setTrials({trial});
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.index(0, TrialsModel::Kind).data().toString(), QStringLiteral("epoch 2"));
    QCOMPARE(model.index(0, TrialsModel::Value).data().toString(), QStringLiteral("91.42\u202F%"));
    QCOMPARE(model.index(0, TrialsModel::Size).data().toString(), QStringLiteral("1.23\u202FMB"));
    f.controller.evaluate();
    QTRY_COMPARE(model.rowCount(), 2);
}

QTEST_MAIN(TstItemModels)
#include "tst_item_models.moc"
