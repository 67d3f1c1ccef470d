// SPDX-License-Identifier: GPL-3.0-or-later
// Another program writes to the network's file while it is open.
#include "engine/engine.h"
#include "sample_networks.h"

#include <QtCore/QFile>
#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

#include <condition_variable>
#include <mutex>
#include <variant>
#include <vector>

using namespace bitwright;
using namespace bitwright::testing;

class TestChangedFile : public QObject {
    Q_OBJECT

    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::vector<JobEnded> m_ended;

    JobEnded ask(EngineApi &engine, Request request)
    {
        const JobId job = engine.submit(std::move(request));
        std::unique_lock lock(m_mutex);
        const auto found = [&] { return std::ranges::find(m_ended, job, &JobEnded::job); };
        if (!m_changed.wait_for(lock, std::chrono::seconds(60), [&] { return found() != m_ended.end(); }))
            return {job, JobOutcome::Cancelled, {ErrorKind::Internal, "timeout", {}}, 0};
        return *found();
    }

private Q_SLOTS:
    void saysItAndOpensAgain_data()
    {
        QTest::addColumn<bool>("shorten");
        QTest::newRow("shortened") << true;
        QTest::newRow("written again") << false;
    }
    void saysItAndOpensAgain()
    {
        QFETCH(bool, shorten);
        m_ended.clear();   // another engine counts its jobs from 1 again
        QTemporaryDir folder;
        const QString path = folder.filePath(QStringLiteral("model.pt2"));
        const QString source = QString::fromStdString(samplePath("resnet20.pt2"));
        QVERIFY(QFile::copy(source, path));
        QVERIFY(QFile::setPermissions(path, QFile::ReadOwner | QFile::WriteOwner));
        const auto engine = makeEngine({.threads = 1, .decodeImage = {}});
        engine->setSink([this](Event event) {
            const std::scoped_lock lock(m_mutex);
            if (const auto *ended = std::get_if<JobEnded>(&event))
                m_ended.push_back(*ended);
            m_changed.notify_all();
        });
        const OpenModelRequest open{path.toStdString()};
        QCOMPARE(ask(*engine, open).outcome, JobOutcome::Finished);
        WeightRequest request;
        request.layer = "layer3.2.conv2";
        QCOMPARE(ask(*engine, request).outcome, JobOutcome::Finished);
        QTest::qSleep(20);   // the clock of the file system ticks
        if (shorten) {
            QVERIFY(QFile::resize(path, 100));
        } else {
            QFile original(source), file(path);
            QVERIFY(original.open(QIODevice::ReadOnly) && file.open(QIODevice::WriteOnly));
            file.write(original.readAll());
        }
        const JobEnded ended = ask(*engine, request);
        QCOMPARE(ended.outcome, JobOutcome::Failed);
        QVERIFY2(ended.error.message.starts_with(path.toStdString()) && ended.error.message.find("open it again") != std::string::npos,
                 ended.error.message.c_str());
        const JobEnded again = ask(*engine, open);
        QCOMPARE(again.outcome, shorten ? JobOutcome::Failed : JobOutcome::Finished);
        if (!shorten)
            QCOMPARE(ask(*engine, request).outcome, JobOutcome::Finished);
        engine->setSink({});
    }
};

QTEST_APPLESS_MAIN(TestChangedFile)
#include "tst_changed_file.moc"
