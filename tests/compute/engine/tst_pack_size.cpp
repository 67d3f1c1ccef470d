// SPDX-License-Identifier: GPL-3.0-or-later
// The packed size in the window is what the export writes, byte for byte.
#include "engine/engine.h"

#include <QtTest/QtTest>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>

using namespace bitwright;

class TestPackSize : public QObject {
    Q_OBJECT
    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::optional<JobEnded> m_end;
    std::int64_t m_packed = 0, m_written = 0;

    JobOutcome run(EngineApi &engine, Request request)
    {
        {
            const std::scoped_lock lock(m_mutex);
            m_end.reset();
        }
        engine.submit(std::move(request));
        std::unique_lock lock(m_mutex);
        m_changed.wait_for(lock, std::chrono::seconds(60), [&] { return m_end.has_value(); });
        if (!m_end)
            return JobOutcome::Failed;
        if (m_end->outcome == JobOutcome::Failed)
            qInfo("%s", m_end->error.message.c_str());
        return m_end->outcome;
    }

private Q_SLOTS:
    void equalsTheExport_data()
    {
        QTest::addColumn<QString>("method");
        QTest::addColumn<double>("sparsity");
        QTest::addColumn<bool>("folded");
        QTest::addRow("float") << "" << 0.0 << false;
        QTest::addRow("uniform") << "uniform" << 0.0 << true;
        QTest::addRow("kmeans, pruned") << "kmeans" << 0.9 << false;
        QTest::addRow("float, pruned") << "" << 0.5 << false;
    }
    void equalsTheExport()
    {
        QFETCH(QString, method);
        QFETCH(double, sparsity);
        QFETCH(bool, folded);
        QTemporaryDir folder;
        auto engine = makeEngine({});
        engine->setSink([this](Event event) {
            const std::scoped_lock lock(m_mutex);
            if (const auto *size = std::get_if<PackSizeReady>(&event))
                m_packed = size->bytes;
            else if (const auto *file = std::get_if<ExportReady>(&event))
                m_written = file->bytes;
            else if (const auto *end = std::get_if<JobEnded>(&event))
                m_end = *end;
            m_changed.notify_all();
        });
        const std::string model = qEnvironmentVariable("BITWRIGHT_SOURCE_DIR").toStdString() + "/sample_models/resnet20.pt2";
        QCOMPARE(run(*engine, OpenModelRequest{model}), JobOutcome::Finished);
        ModelConfig config;
        config.foldBatchNorm = folded;
        if (!method.isEmpty()) {
            config.defaults.weight.method = method.toStdString();
            config.defaults.weight.bits = 4;
        }
        if (sparsity > 0) {
            config.defaults.prune.method = "magnitude";
            config.defaults.prune.sparsity = sparsity;
        }
        m_packed = m_written = 0;
        const std::string path = folder.filePath(QStringLiteral("x.pack")).toStdString();
        QCOMPARE(run(*engine, PackSizeRequest{config, ""}), JobOutcome::Finished);
        QCOMPARE(run(*engine, ExportRequest{config, "pack", path, "", false, 0}), JobOutcome::Finished);
        QVERIFY(m_packed > 0);
        QCOMPARE(m_packed, m_written);
        QCOMPARE(std::int64_t(std::filesystem::file_size(path)), m_written);
    }
};

QTEST_GUILESS_MAIN(TestPackSize)
#include "tst_pack_size.moc"
