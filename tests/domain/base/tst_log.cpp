// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/log.h"

#include <QtTest/QtTest>

#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

using namespace bitwright;

class TestLog : public QObject {
    Q_OBJECT
    /// What `body` sends to standard error.
    template <typename Body>
    QByteArray captured(Body body)
    {
        QTemporaryFile file;
        if (!file.open())
            qFatal("no temporary file");
        const int saved = ::dup(STDERR_FILENO);
        ::dup2(file.handle(), STDERR_FILENO);
        body();
        ::dup2(saved, STDERR_FILENO);
        ::close(saved);
        file.seek(0);
        return file.readAll();
    }

private slots:
    void writesLinesToStandardError()
    {
        const QByteArray text = captured([] {
            log::debug("hidden");
            log::info("opened net.pt2");
            log::warning("{} is text, not a format");
            log::setLevel(log::Level::Error);
            log::warning("hidden");
            log::error("broken");
            log::setLevel(log::Level::Info);
        });
        const auto lines = text.trimmed().split('\n');
        QCOMPARE(lines.size(), 3);
        QVERIFY(lines[0].endsWith(" info opened net.pt2"));
        QVERIFY(lines[1].endsWith(" warning {} is text, not a format"));
        QVERIFY(lines[2].endsWith(" error broken"));
    }

    void linesOfThreadsDoNotMix()
    {
        const QByteArray text = captured([] {
            std::vector<std::jthread> threads;
            for (int t = 0; t < 4; ++t)
                threads.emplace_back([] {
                    for (int i = 0; i < 200; ++i)
                        log::info("0123456789");
                });
        });
        const auto lines = text.trimmed().split('\n');
        QCOMPARE(lines.size(), 800);
        for (const auto &line : lines)
            QVERIFY(line.endsWith(" info 0123456789"));
    }
};

QTEST_APPLESS_MAIN(TestLog)
#include "tst_log.moc"
