// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/document.h"
#include "bridge/engine_controller.h"
#include "fake_engine.h"
#include "panels/export_dialog.h"
#include "report/report_pdf.h"
#include "report/report_text.h"

using namespace bitwright;

namespace {

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    QTemporaryDir folder;
    std::unique_ptr<ExportDialog> dialog;

    explicit Bench(std::vector<ExportFormat> formats = fakeFormats(), bool automatic = true)
    {
        engine.formats = std::move(formats);
        auto model = std::make_shared<ModelSummary>(*fakeModel());
        model->path = folder.filePath(QStringLiteral("net.pt2")).toStdString();
        model->sha256 = "feed";
        write(folder.filePath(QStringLiteral("net.pt2")), "network");
        document.setModel(model);
        engine.automatic = automatic;
        if (automatic)
            controller.openModel(QString::fromStdString(model->path));
        dialog = std::make_unique<ExportDialog>(document, controller);
        dialog->setAttribute(Qt::WA_DeleteOnClose, false);
        dialog->show();
    }
    static void write(const QString &path, const QByteArray &bytes)
    {
        QFile file(path);
        QVERIFY(file.open(QIODevice::WriteOnly));
        file.write(bytes);
    }
    static QByteArray read(const QString &path)
    {
        QFile file(path);
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    }
    [[nodiscard]] QComboBox *format() const { return dialog->findChild<QComboBox *>(); }
    [[nodiscard]] QLineEdit *path() const { return dialog->findChild<QLineEdit *>(); }
    [[nodiscard]] QPushButton *button(const QString &text) const
    {
        for (QPushButton *each : dialog->findChildren<QPushButton *>())
            if (each->text() == text)
                return each;
        return nullptr;
    }
    [[nodiscard]] QString labels() const
    {
        QStringList texts;
        for (const QLabel *label : dialog->findChildren<QLabel *>())
            if (label->isVisible())
                texts << label->text();
        return texts.join(QChar(u'\n'));
    }
    [[nodiscard]] std::size_t asked() const { return engine.asked<ExportRequest>().size(); }
};

/// The objects that a PDF names as pages.
qsizetype pageCount(const QByteArray &pdf)
{
    return pdf.count("/Type /Page\n") + pdf.count("/Type /Page ") + pdf.count("/Type /Page\r");
}

} // namespace

class TstExportDialog : public QObject {
    Q_OBJECT
private slots:
    void showsTheTable()
    {
        std::vector<ExportFormat> formats = fakeFormats();
        formats.insert(formats.begin() + 1, {"mine", "My format", ".mine", {true, false, false, true, 2, 8, true, {8}}, "Made for this test."});
        Bench bench(formats);
        QCOMPARE(bench.format()->count(), int(formats.size()));
        for (std::size_t i = 0; i < formats.size(); ++i) {
            QCOMPARE(bench.format()->itemText(int(i)), QString::fromStdString(formats[i].title));
            bench.format()->setCurrentIndex(int(i));
            QVERIFY(bench.path()->text().endsWith(QString::fromStdString(formats[i].suffix)));
            QVERIFY(bench.labels().contains(QString::fromStdString(formats[i].summary)));
            auto *verify = bench.dialog->findChildren<QCheckBox *>()[0], *pdf = bench.dialog->findChildren<QCheckBox *>()[1];
            QCOMPARE(verify->isVisible(), !formats[i].document);
            QCOMPARE(pdf->isVisible(), formats[i].document);
        }
    }

    void columnsGoBackToTheirWidths()
    {
        Bench bench;
        const auto *table = bench.dialog->findChild<QTableView *>();
        const int names = table->columnWidth(ExportModel::Layer);
        bench.dialog->setDocument();   // the names take the room of what a document does not show
        QTRY_VERIFY(table->columnWidth(ExportModel::Layer) > names);
        QVERIFY(table->isColumnHidden(ExportModel::Encoding));
        bench.dialog->setFormat(QStringLiteral("onnx"));
        QTRY_COMPARE(table->columnWidth(ExportModel::Layer), names);
        QVERIFY(!table->isColumnHidden(ExportModel::Encoding));
        QVERIFY(table->columnWidth(ExportModel::Encoding) > names);
    }

    void saysWhatAFormatCannot()
    {
        std::vector<ExportFormat> formats = fakeFormats();
        formats.push_back({"mine", "My format", ".mine", {true, false, false, true, 2, 4, true, {8}}, "Made for this test."});
        Bench bench(formats);
        bench.document.setBits({"stem", "head"}, std::vector{Role::Weight, Role::Activation}, 5);
        bench.dialog->setFormat(QStringLiteral("onnx"));
        QVERIFY2(bench.labels().contains(QStringLiteral("4 tensors have a width that ONNX lacks")), qPrintable(bench.labels()));
        bench.dialog->setFormat(QStringLiteral("pt2"));
        QVERIFY2(bench.labels().contains(QStringLiteral("float32 on their levels")), qPrintable(bench.labels()));
        QVERIFY(!bench.labels().contains(QStringLiteral("lacks")));
        bench.dialog->setFormat(QStringLiteral("state_dict"));
        QVERIFY2(bench.labels().contains(QStringLiteral("inputs of 2 layers are not quantized")), qPrintable(bench.labels()));
        bench.dialog->setFormat(QStringLiteral("pack"));
        QVERIFY2(bench.labels().contains(QStringLiteral("not the operators")), qPrintable(bench.labels()));
        bench.dialog->setFormat(QStringLiteral("mine"));
        QVERIFY2(bench.labels().contains(QStringLiteral("layer head, weights of 5 bits do not fit My format")), qPrintable(bench.labels()));
    }

    void plansTheEncodingOfEachFormat()
    {
        const auto formats = fakeFormats();
        const auto planned = [&](const char *id, QuantSpec spec) {
            return ExportModel::plannedEncoding(*std::ranges::find(formats, std::string(id), &ExportFormat::id), spec);
        };
        const QuantSpec three{"uniform", 3, {}, {}}, shared{"kmeans", 4, {}, {}};
        QCOMPARE(planned("onnx", three), QStringLiteral("INT4 with Clip"));
        QCOMPARE(planned("onnx", QuantSpec{"uniform", 4, {}, {}}), QStringLiteral("INT4"));
        QCOMPARE(planned("onnx", QuantSpec{"uniform", 5, {}, {}}), QStringLiteral("INT8 with Clip"));
        QCOMPARE(planned("onnx", QuantSpec{"uniform", 12, {}, {}}), QStringLiteral("INT16 with Clip"));
        QCOMPARE(planned("onnx", shared), QStringLiteral("INT4 if evenly spaced, else codebook"));
        QCOMPARE(planned("pack", three), QStringLiteral("codes of 3 bits"));
        QCOMPARE(planned("torchscript", three), QStringLiteral("float32 on 3-bit levels"));
        QCOMPARE(planned("pt2", QuantSpec{}), QStringLiteral("float32"));
    }

    void weightsAloneAreReadNotRun()
    {
        Bench bench;
        for (const bool alone : {true, false}) {
            bench.dialog->setFormat(alone ? QStringLiteral("state_dict") : QStringLiteral("onnx"));
            bench.path()->setText(bench.folder.filePath(alone ? QStringLiteral("w.pth") : QStringLiteral("n.onnx")));
            bench.button(QStringLiteral("Export"))->click();
            QTRY_VERIFY2(bench.labels().contains(QStringLiteral("ONNX Runtime 1.32")), qPrintable(bench.labels()));
            QCOMPARE(bench.labels().contains(QStringLiteral("reads every tensor as it is in the simulation")), alone);
            QCOMPARE(bench.labels().contains(QStringLiteral("of the answers")), !alone);
        }
    }

    void reportMakesAPdfBesideThePage()
    {
        Bench bench;
        TrialRecord trial;
        trial.id = 7;
        trial.metric = "top1";
        bench.controller.setTrials({trial});
        bench.dialog->setDocument();
        QCOMPARE(bench.path()->text(), bench.folder.filePath(QStringLiteral("net-report.html")));
        bench.button(QStringLiteral("Export"))->click();
        const QString pdf = bench.folder.filePath(QStringLiteral("net-report.pdf"));
        QTRY_VERIFY(QFile::exists(pdf));
        const auto requests = bench.engine.asked<ExportRequest>();
        QCOMPARE(requests.size(), std::size_t(1));
        QCOMPARE(requests[0].second.format, std::string("report"));
        QVERIFY(!requests[0].second.verify);
        QCOMPARE(requests[0].second.trials.size(), std::size_t(1));
        QTRY_VERIFY2(bench.labels().contains(QStringLiteral("Written: net-report.html and net-report.pdf.")), qPrintable(bench.labels()));
        QVERIFY(bench.labels().contains(QStringLiteral("Accuracy: top1 0.7400")));
        QVERIFY(bench.read(pdf).startsWith("%PDF-"));
        QVERIFY(bench.button(QStringLiteral("Open"))->isVisible());
        // Its own file may be written again without asking.
        bench.button(QStringLiteral("Export"))->click();
        QTRY_COMPARE(bench.asked(), std::size_t(2));
    }

    void pageAloneWhereNoPdfIsWanted()
    {
        Bench bench;
        bench.dialog->setDocument();
        bench.dialog->findChildren<QCheckBox *>()[1]->setChecked(false);
        bench.button(QStringLiteral("Export"))->click();
        QTRY_VERIFY(bench.labels().contains(QStringLiteral("Written: net-report.html.")));
        QVERIFY(!QFile::exists(bench.folder.filePath(QStringLiteral("net-report.pdf"))));
    }

    void asksBeforeItWritesOverAPdf()
    {
        Bench bench;
        const QString pdf = bench.folder.filePath(QStringLiteral("net-report.pdf"));
        bench.write(pdf, "mine");
        bench.dialog->setDocument();
        bench.button(QStringLiteral("Export"))->click();
        QCOMPARE(bench.asked(), std::size_t(0));
        QVERIFY2(bench.labels().contains(QStringLiteral("net-report.pdf is there already")), qPrintable(bench.labels()));
        QCOMPARE(bench.read(pdf), QByteArray("mine"));
        QVERIFY(bench.button(QStringLiteral("Replace")));
        bench.button(QStringLiteral("Replace"))->click();
        QTRY_VERIFY(bench.read(pdf).startsWith("%PDF-"));
    }

    void neverOverTheOpenNetwork()
    {
        Bench bench;
        const QString network = bench.folder.filePath(QStringLiteral("net.pt2"));
        const QString link = bench.folder.filePath(QStringLiteral("link.pdf"));
        QVERIFY(QFile::link(network, link));
        bench.dialog->setFormat(QStringLiteral("pt2"));
        bench.dialog->setPath(network);
        bench.button(QStringLiteral("Export"))->click();
        QVERIFY2(bench.labels().contains(QStringLiteral("is the network that is open")), qPrintable(bench.labels()));
        bench.dialog->setDocument();
        bench.dialog->setPath(bench.folder.filePath(QStringLiteral("link.html")));   // its PDF would be the link
        bench.button(QStringLiteral("Export"))->click();
        QVERIFY2(bench.labels().contains(QStringLiteral("is the network that is open")), qPrintable(bench.labels()));
        QCOMPARE(bench.asked(), std::size_t(0));
        const Status refused = writeReportPdf(*fakeReport(*fakeModel()), link.toStdString(), network.toStdString());
        QVERIFY(!refused);
        QCOMPARE(bench.read(network), QByteArray("network"));
    }

    void cancelReachesTheJob()
    {
        Bench bench(fakeFormats(), false);
        bench.dialog->setDocument();
        QVERIFY(!bench.button(QStringLiteral("Cancel"))->isVisible());
        bench.button(QStringLiteral("Export"))->click();
        QVERIFY(bench.button(QStringLiteral("Cancel"))->isVisible());
        QVERIFY(!bench.button(QStringLiteral("Export"))->isEnabled());
        QVERIFY(!bench.format()->isEnabled());
        const JobId job = bench.engine.asked<ExportRequest>()[0].first;
        bench.button(QStringLiteral("Cancel"))->click();
        QCOMPARE(bench.engine.cancelled, std::vector<JobId>{job});
        bench.engine.emitEvent(JobEnded{job, JobOutcome::Cancelled, {}, 0.1});
        QTRY_VERIFY(bench.labels().contains(QStringLiteral("Cancelled; nothing was written.")));
        QVERIFY(bench.button(QStringLiteral("Export"))->isEnabled());
    }

    void pdfThatCannotBeWrittenIsSaid()
    {
        Bench bench;
        QVERIFY(QDir(bench.folder.path()).mkdir(QStringLiteral("net-report.pdf")));
        bench.dialog->setDocument();
        bench.button(QStringLiteral("Export"))->click();
        QTRY_VERIFY2(bench.labels().contains(QStringLiteral("The page was written, the PDF was not: ")), qPrintable(bench.labels()));
    }

    void pdfHoldsTheReport()
    {
        const auto content = fakeReport(*fakeModel());
        const auto pdf = reportPdf(*content);
        QVERIFY(pdf);
        QVERIFY(pdf->startsWith("%PDF-") && pdf->trimmed().endsWith("%%EOF"));
        QVERIFY2(pageCount(*pdf) >= 2 && pageCount(*pdf) < 40, qPrintable(QString::number(pageCount(*pdf))));
        QVERIFY(pdf->contains("assignment.json"));
        const QString program = QStandardPaths::findExecutable(QStringLiteral("pdftotext"));
        if (program.isEmpty())
            QSKIP("pdftotext is not installed");
        QTemporaryDir folder;
        Bench::write(folder.filePath(QStringLiteral("r.pdf")), *pdf);
        QProcess process;
        process.start(program, {QStringLiteral("-layout"), folder.filePath(QStringLiteral("r.pdf")), QStringLiteral("-")});
        QVERIFY(process.waitForFinished());
        const QString text = QString::fromUtf8(process.readAllStandardOutput());
        for (const ReportLayer &layer : content->layers)
            QVERIFY2(text.count(QString::fromStdString(layer.name)) >= 2, layer.name.c_str());   // in the table and above its pictures
        for (const ReportColumn &column : reportColumns())
            QVERIFY2(text.contains(QString::fromStdString(column.title)), column.title.c_str());
        for (const QString &words : {QStringLiteral("Accuracy against size"), QStringLiteral("0.7400 (0.7200 to 0.7600)"), QStringLiteral("bitwright-cli export"),
                                     QStringLiteral("bitwright/assignment/1"), QStringLiteral("weight, uniform, 4 bits; 4 levels")})
            QVERIFY2(text.contains(words), qPrintable(words + QStringLiteral(" in\n") + text));
        // No page without words: each has its number, and none has nothing else.
        const QStringList pages = text.split(QChar(u'\f'), Qt::SkipEmptyParts);
        QCOMPARE(pages.size(), pageCount(*pdf));
        for (const QString &page : pages)
            QVERIFY2(page.split(QChar(u'\n'), Qt::SkipEmptyParts).size() > 2, qPrintable(page));
    }

    void pdfBearsOddContents()
    {
        ReportContent content;
        content.file = std::string("\xff<b>\n\x01", 6) + std::string(9000, 'x');
        content.assignment = "not json \xff";
        content.commands = {std::string(5000, 'y')};
        QVERIFY(reportPdf(content));   // no layers, no trials
        ReportLayer layer;
        layer.name = std::string(20000, 'n');
        layer.plots.push_back({Histogram{}, {}, "empty"});
        layer.plots.push_back({Histogram{1, 1, {1}}, {std::numeric_limits<double>::infinity()}, std::string(3000, 'c')});
        layer.plots.push_back({Histogram{-1, 1, {1, 2}}, {0}, "third"});
        content.layers.assign(40, layer);
        const auto pdf = reportPdf(content);
        QVERIFY(pdf);
        QVERIFY(pageCount(*pdf) > 10);
        bool stop = false;
        QVERIFY(reportPdf(content, [&] { return stop; }));
        stop = true;
        const auto stopped = reportPdf(content, [&] { return stop; });
        QVERIFY(!stopped && isCancelled(stopped.error()));
    }
};

QTEST_MAIN(TstExportDialog)
#include "tst_export_dialog.moc"
