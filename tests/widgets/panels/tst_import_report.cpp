// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/import_report_dialog.h"

#include <QClipboard>

using namespace bitwright;

class TestImportReport : public QObject {
    Q_OBJECT

    static ModelSummary model(const char *format)
    {
        ModelSummary summary;
        summary.format = format;
        summary.layers.resize(2);
        summary.layers[0].name = "conv";
        summary.layers[0].op = "conv2d";
        summary.layers[0].status = LayerStatus::Quantizable;
        summary.layers[1].name = "norm";
        summary.layers[1].op = "batch_norm";
        summary.layers[1].reason = "stays float";
        return summary;
    }

private slots:
    void layersWithReasons()
    {
        auto *dialog = new ImportReportDialog(model("pt2"));
        const auto *table = dialog->findChild<QTableWidget *>();
        QCOMPARE(table->rowCount(), 2);
        QCOMPARE(table->item(0, 2)->text(), QStringLiteral("quantizable"));
        QCOMPARE(table->item(1, 3)->text(), QStringLiteral("stays float"));
        QVERIFY(missingToRun(model("pt2")).isEmpty());
        delete dialog;
    }
    void obstaclesOnTop()
    {
        ModelSummary summary = model("onnx");
        summary.obstacles = {"node a, the operator Foo is not known here", "node b, the operator <b>Bar</b> is not known here"};
        QVERIFY(missingToRun(summary).contains(QStringLiteral("Foo")));
        auto *dialog = new ImportReportDialog(summary);
        QVERIFY2(dialog->text().contains(QStringLiteral("Foo")) && dialog->text().contains(QStringLiteral("<b>Bar</b>")), qPrintable(dialog->text()));
        delete dialog;
    }
    void weightsSayWhatIsMissingAndCopy()
    {
        auto *dialog = new ImportReportDialog(model("safetensors"));
        for (QPushButton *button : dialog->findChildren<QPushButton *>())
            if (button->text().contains(QStringLiteral("Copy")))
                button->click();
        const QString copied = QGuiApplication::clipboard()->text();
        QVERIFY2(copied.startsWith(missingToRun(model("safetensors"))) && copied.contains(QStringLiteral("norm\tbatch_norm\tfloat\tstays float")),
                 qPrintable(copied));
        delete dialog;
    }
};

QTEST_MAIN(TestImportReport)
#include "tst_import_report.moc"
