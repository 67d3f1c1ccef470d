// SPDX-License-Identifier: GPL-3.0-or-later
// Reads again what the mutation harness (tests/mutation) once found: each file is read or refused, never a crash.
#include "probe_reader.h"

#include <QtCore/QDir>
#include <QtCore/QElapsedTimer>
#include <QtTest/QtTest>

using namespace bitwright;

class ReaderCorpus : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void isReadOrRefused_data();
    void isReadOrRefused();
};

void ReaderCorpus::isReadOrRefused_data()
{
    QTest::addColumn<QString>("path");
    const QDir folder(QStringLiteral(BITWRIGHT_TEST_DATA "/compute/frontends/corpus"));
    for (const QFileInfo &file : folder.entryInfoList(QDir::Files, QDir::Name))
        QTest::newRow(qPrintable(file.fileName())) << file.absoluteFilePath();
}

void ReaderCorpus::isReadOrRefused()
{
    QFETCH(QString, path);
    QElapsedTimer timer;
    timer.start();
    // named FORMAT-WHAT
    const Status status = test::probeReader(QFileInfo(path).fileName().section(QLatin1Char('-'), 0, 0).toStdString(), path.toStdString());
    if (!status) {
        QVERIFY(!status.error().message.empty());
        QVERIFY2(status.error().message.find('\n') == std::string::npos, status.error().message.c_str());
    }
    QVERIFY2(timer.elapsed() < 30000, "reading took longer than 30 s");   // on a busy machine; a hang is far beyond
}

QTEST_APPLESS_MAIN(ReaderCorpus)
#include "tst_reader_corpus.moc"
