// SPDX-License-Identifier: GPL-3.0-or-later
// A network that its file quantizes already: what table, distribution, report and menus make of it.
#include "fake_engine.h"

#include "../plots/plot_fixture.h"
#include "models/layer_table_model.h"
#include "panels/distribution_panel.h"
#include "plots/histogram_plot.h"
#include "window/actions.h"
#include "window/import_report_dialog.h"

#include <QComboBox>
#include <QMainWindow>
#include <QMenu>
#include <QSignalSpy>

using namespace bitwright;
using namespace bitwright::fixture;

namespace {

using M = LayerTableModel;

/// The stem has uint8 weights and inputs, the second layer uint8 weights per channel, the head lies in codes.
std::shared_ptr<const ModelSummary> quantizedModel()
{
    auto model = std::make_shared<ModelSummary>(*fakeModel());
    LayerInfo &stem = model->layers[0], &second = model->layers[1], &head = *std::ranges::find(model->layers, std::string("head"), &LayerInfo::name);
    stem.storedWeight = StoredQuantization{8, false, -1, 0, {0.004}, {128}};
    stem.storedInput = StoredQuantization{8, false, -1, 0, {0.02}, {10}};
    second.storedWeight = StoredQuantization{8, false, 0, 0, std::vector<double>(16, 0.003), std::vector<std::int64_t>(16, 128)};
    second.storedWeight->scale[3] = 0.005;
    head.status = LayerStatus::Float;
    head.op = "QGemm";
    head.reason = "its weight has 8 bits already";
    head.storedWeight = StoredQuantization{8, true, -1, 0, {0.01}, {0}};
    head.storedInput = StoredQuantization{8, false, -1, 0, {}, {}};
    return model;
}

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    M model{document, controller};

    Bench()
    {
        engine.automatic = true;
        document.setModel(quantizedModel());
    }
    QString text(const char *layer, int column, int role = Qt::DisplayRole) const { return model.index(model.rowOf(layer), column).data(role).toString(); }
    void know(const char *layer, Role role) { engine.emitEvent(FakeEngine::statistics(0, *document.layer(layer), role)); }
};

} // namespace

class TestStoredView : public QObject {
    Q_OBJECT
private slots:
    void init() { failOnAnyWarning(); }
    void tableSaysWhatTheFileHas();
    void levelsOfTheFileAreDrawn();
    void reportSaysIt();
    void takenOverAsOneStep();
    void menuOffersIt();
};

void TestStoredView::tableSaysWhatTheFileHas()
{
    Bench bench;
    const std::string second = bench.document.model()->layers[1].name;
    QCOMPARE(bench.text("stem", M::WeightMethod), QStringLiteral("uint8 (file)"));
    QCOMPARE(bench.text(second.c_str(), M::WeightMethod), QStringLiteral("uint8 per channel (file)"));
    QCOMPARE(bench.text("stem", M::WeightBits), QStringLiteral("8 file"));
    QCOMPARE(bench.text("stem", M::ActivationBits), QStringLiteral("8 file"));
    QCOMPARE(bench.text(second.c_str(), M::ActivationBits), QStringLiteral("32"));
    QCOMPARE(bench.text("head", M::WeightMethod), QStringLiteral("int8 (file)"));
    QCOMPARE(bench.text("head", M::ActivationMethod), QStringLiteral("uint8, scale found at run time (file)"));
    QVERIFY(bench.text("head", M::Name, Qt::ToolTipRole).contains(QStringLiteral("8 bits already")));
    QVERIFY(bench.text("head", M::Name, Qt::ToolTipRole).contains(QStringLiteral("weight int8")));
    QVERIFY(bench.text("stem", M::WeightBits, Qt::ToolTipRole).contains(QStringLiteral("works on the values that these codes stand for")));
    QCOMPARE(bench.model.index(0, M::WeightBits).data(M::SortRole).toInt(), 8);
    // 144 weights of 8 bits and one scale; the batch norm that folding could take stays float.
    QCOMPARE(bench.document.cost().layers.at("stem").weightBits, 144 * 8.0);
    bench.document.setBits({"stem"}, Role::Weight, 4);
    QCOMPARE(bench.text("stem", M::WeightBits), QStringLiteral("4"));
    QVERIFY(bench.text("stem", M::WeightBits, Qt::ToolTipRole).startsWith(QStringLiteral("Quantized over the file's uint8")));
    QCOMPARE(bench.document.cost().layers.at("stem").weightBits, 144 * 4.0);
}

void TestStoredView::levelsOfTheFileAreDrawn()
{
    Bench bench;
    DistributionPanel panel(bench.document, bench.controller);
    panel.resize(600, 600);
    panel.show();
    const std::string second = bench.document.model()->layers[1].name;
    for (const char *layer : {"stem", second.c_str(), "head"})
        for (const Role role : {Role::Weight, Role::Activation})
            bench.know(layer, role);
    QTRY_VERIFY(bench.controller.results().statisticsOf("head", Role::Activation));
    bench.document.setSelection({"stem"});
    const auto grid = [&]() -> const QuantGrid & { return panel.histogram().overlay().grid(); };
    QCOMPARE(grid().levelCount(), std::size_t(256));
    QCOMPARE(grid().level(0, 0), double(-128 * 0.004F));
    QVERIFY(!panel.histogram().overlay().isProvisional());
    QVERIFY2(panel.statisticsText().contains(QStringLiteral("file:")), qPrintable(panel.statisticsText()));
    const auto boxes = panel.findChildren<QComboBox *>();
    const auto method = std::ranges::find(boxes, QStringLiteral("Method"), &QComboBox::accessibleName);
    QVERIFY(method != boxes.end());
    QCOMPARE((*method)->currentText(), QStringLiteral("as in the file"));
    panel.setRole(Role::Activation);
    QCOMPARE(grid().level(0, 0), double(-10 * 0.02F));
    panel.setRole(Role::Weight);
    bench.document.setSelection({second});
    QCOMPARE(grid().groups.size(), std::size_t(16));
    // Codes can be looked at too, and not be edited.
    bench.document.setSelection({"head"});
    QCOMPARE(grid().levelCount(), std::size_t(256));
    QCOMPARE(grid().level(0, 255), double(127 * 0.01F));
    // A quantizer of its own is drawn in their place.
    bench.document.setSelection({"stem"});
    bench.document.setBits({"stem"}, Role::Weight, 2);
    QTRY_COMPARE(grid().levelCount(), std::size_t(3));
    QVERIFY2(panel.statisticsText().contains(QStringLiteral("over")), qPrintable(panel.statisticsText()));
    bench.document.setBits({"stem"}, Role::Weight, 0);
    QCOMPARE(grid().levelCount(), std::size_t(256));
}

void TestStoredView::reportSaysIt()
{
    const auto model = quantizedModel();
    auto *dialog = new ImportReportDialog(*model);
    QVERIFY2(dialog->text().contains(QStringLiteral("stem\tconv2d\tquantizable\tin the file: weight uint8, input uint8")), qPrintable(dialog->text()));
    QVERIFY2(dialog->text().contains(QStringLiteral("its weight has 8 bits already; in the file: weight int8, input uint8, scale found at run time")), qPrintable(dialog->text()));
    delete dialog;
}

void TestStoredView::takenOverAsOneStep()
{
    Bench bench;
    QVERIFY(bench.document.hasStored());
    const std::string second = bench.document.model()->layers[1].name;
    bench.document.takeStored({"stem"});
    const QuantSpec *weight = bench.document.spec("stem", Role::Weight);
    QCOMPARE(weight->method, std::string("uniform"));
    QCOMPARE(weight->bits, 8);
    QCOMPARE(weight->values.at("zero_point").front(), 128.0);
    QCOMPARE(bench.document.spec("stem", Role::Activation)->values.at("scale").front(), 0.02);
    QVERIFY(bench.document.spec(second, Role::Weight)->isFloat());
    QCOMPARE(bench.document.undoStack()->count(), 1);
    // Without a choice of layers all that can be.
    bench.document.takeStored({});
    QCOMPARE(bench.document.spec(second, Role::Weight)->values.at("scale").size(), std::size_t(16));
    bench.document.undoStack()->undo();
    bench.document.undoStack()->undo();
    QVERIFY(bench.document.isFloat());
    QSignalSpy refused(&bench.document, &Document::refused);
    bench.document.setModel(fakeModel());
    QVERIFY(!bench.document.hasStored());
    bench.document.takeStored({});
    QCOMPARE(refused.count(), 1);
    QVERIFY(bench.document.isFloat());
}

void TestStoredView::menuOffersIt()
{
    Bench bench;
    QMainWindow window;
    Actions actions(bench.document, bench.controller, window);
    QVERIFY(actions.takeStored->isEnabled());
    QVERIFY(actions.forLayers().contains(actions.takeStored));
    actions.takeStored->trigger();
    QCOMPARE(bench.document.spec("stem", Role::Weight)->bits, 8);
    bench.document.setModel(fakeModel());
    QVERIFY(!actions.takeStored->isEnabled());
}

QTEST_MAIN(TestStoredView)
#include "tst_stored_view.moc"
