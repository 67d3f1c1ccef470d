// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/text_file.h"

#include <QtTest/QtTest>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

using namespace bitwright;

namespace fs = std::filesystem;

class TestTextFile : public QObject {
    Q_OBJECT
private slots:
    void init()
    {
        m_folder = std::make_unique<QTemporaryDir>();
        QVERIFY(m_folder->isValid());
        std::signal(SIGPIPE, SIG_IGN);   // as the programs do
    }

    void roundTrip_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::newRow("empty") << QByteArray();
        QTest::newRow("a line") << QByteArray("line\n");
        QTest::newRow("line ends stay") << QByteArray("a\r\nb\rc\n");
        QTest::newRow("UTF-8") << QByteArray("Größe, 大きさ\n");
        QTest::newRow("every byte") << [] {
            QByteArray bytes;
            for (int i = 0; i < 256; ++i)
                bytes.append(char(i));
            return bytes;
        }();
        QTest::newRow("more than a chunk") << QByteArray(200001, 'x');
    }
    void roundTrip()
    {
        QFETCH(QByteArray, text);
        const auto written = writeTextFile(path("file"), text.toStdString());
        QVERIFY2(written.has_value(), written ? "" : written.error().message.c_str());
        QFile file(QString::fromStdString(path("file")));
        QVERIFY(file.open(QIODevice::ReadOnly));
        QCOMPARE(file.readAll(), text);
        const auto read = readTextFile(path("file"), 1 << 20);
        QVERIFY2(read.has_value(), read ? "" : read.error().message.c_str());
        QCOMPARE(*read, text.toStdString());
        QCOMPARE(names(), QStringList{QStringLiteral("file")});
    }

    void limits_data()
    {
        QTest::addColumn<int>("size");
        QTest::addColumn<int>("limit");
        QTest::addColumn<bool>("good");
        QTest::newRow("below") << 99 << 100 << true;
        QTest::newRow("at the limit") << 100 << 100 << true;
        QTest::newRow("one more") << 101 << 100 << false;
        QTest::newRow("nothing of nothing") << 0 << 0 << true;
        QTest::newRow("one of nothing") << 1 << 0 << false;
        QTest::newRow("3 MiB of 2") << (3 << 20) << (2 << 20) << false;
        QTest::newRow("2 MiB of 2") << (2 << 20) << (2 << 20) << true;
    }
    void limits()
    {
        QFETCH(int, size);
        QFETCH(int, limit);
        QFETCH(bool, good);
        QVERIFY(writeTextFile(path("file"), std::string(std::size_t(size), 'x')).has_value());
        const auto text = readTextFile(path("file"), std::uint64_t(limit));
        QCOMPARE(text.has_value(), good);
        if (text)
            QCOMPARE(text->size(), std::size_t(size));
        else
            QVERIFY2(text.error().message.starts_with(path("file") + ", it is larger than "), text.error().message.c_str());
    }

    void endlessFile()
    {
        const auto text = readTextFile("/dev/zero", 1 << 20);
        QVERIFY(!text.has_value());
        QCOMPARE(text.error().message, std::string("/dev/zero, it is larger than 1 MiB; that cannot be the file meant"));
    }

    void readErrors()
    {
        const auto missing = readTextFile(path("missing"), 100);
        QVERIFY(!missing && missing.error().kind == ErrorKind::Io);
        QCOMPARE(missing.error().message, path("missing") + ", cannot be read (No such file or directory); check the path");
        const auto folder = readTextFile(m_folder->path().toStdString(), 100);
        QVERIFY(!folder);
        QCOMPARE(folder.error().message, m_folder->path().toStdString() + ", it is a folder; name a file");
        QVERIFY(!readTextFile("", 100));
        QVERIFY(writeTextFile(path("file"), "x").has_value());
        QVERIFY(!readTextFile(path("file") + "/below", 100));
    }

    void overwrites()
    {
        QVERIFY(writeTextFile(path("file"), "a long old text").has_value());
        QVERIFY(writeTextFile(path("file"), "new").has_value());
        QCOMPARE(*readTextFile(path("file"), 100), std::string("new"));
        fs::create_symlink("file", path("link"));
        QVERIFY(writeTextFile(path("link"), "through the link").has_value());
        QVERIFY(fs::is_symlink(path("link")));
        QCOMPARE(*readTextFile(path("file"), 100), std::string("through the link"));
        QCOMPARE(names(), (QStringList{QStringLiteral("file"), QStringLiteral("link")}));
    }

    void writeErrors()
    {
        const auto nowhere = writeTextFile(path("no/such/file"), "x");
        QVERIFY(!nowhere && nowhere.error().kind == ErrorKind::Io);
        QCOMPARE(nowhere.error().message, path("no/such/file") + ", cannot be written (No such file or directory); check the folder");
        const auto folder = writeTextFile(m_folder->path().toStdString(), "x");
        QVERIFY(!folder);
        QCOMPARE(folder.error().message, m_folder->path().toStdString() + ", it is a folder; name a file");
        QVERIFY(!writeTextFile("", "x"));
        QVERIFY(!writeTextFile(path(std::string(300, 'n')), "x"));
        QVERIFY(!writeTextFile("/proc/version", "x"));
        QCOMPARE(names(), QStringList{});
    }

    void fullDevice()
    {
        const auto full = writeTextFile("/dev/full", "x");
        QVERIFY(!full);
        QCOMPARE(full.error().message,
                 std::string("/dev/full, writing failed (No space left on device); free some space or choose another place"));
        fs::create_symlink("/dev/full", path("link"));
        QVERIFY(!writeTextFile(path("link"), "x"));
        QVERIFY(fs::is_symlink(path("link")));
        QVERIFY(fs::is_character_file("/dev/full"));
        QCOMPARE(names(), QStringList{QStringLiteral("link")});
        QVERIFY(writeTextFile("/dev/null", "x").has_value());
        QVERIFY(fs::is_character_file("/dev/null"));
    }

    void pipeWithReader()
    {
        QCOMPARE(::mkfifo(path("pipe").c_str(), 0600), 0);
        const std::string text(300000, 'x');   // more than a pipe holds
        std::string got;
        std::thread reader([&] {
            const auto read = readTextFile(path("pipe"), 1 << 20);
            got = read ? *read : read.error().message;
        });
        const auto written = writeTextFile(path("pipe"), text);
        reader.join();
        QVERIFY2(written.has_value(), written ? "" : written.error().message.c_str());
        QVERIFY(got == text);
        QVERIFY(fs::is_fifo(path("pipe")));
        QCOMPARE(names(), QStringList{QStringLiteral("pipe")});
    }

    void pipeWhoseReaderGoes()
    {
        QCOMPARE(::mkfifo(path("pipe").c_str(), 0600), 0);
        std::thread reader([&] { ::close(::open(path("pipe").c_str(), O_RDONLY)); });
        const auto written = writeTextFile(path("pipe"), std::string(1 << 20, 'x'));
        reader.join();
        QVERIFY(!written.has_value());
        QCOMPARE(written.error().message, path("pipe") + ", writing failed (Broken pipe); free some space or choose another place");
        QVERIFY(fs::is_fifo(path("pipe")));
        QCOMPARE(names(), QStringList{QStringLiteral("pipe")});
    }

private:
    std::string path(const std::string &name) const { return m_folder->path().toStdString() + "/" + name; }
    QStringList names() const { return QDir(m_folder->path()).entryList(QDir::AllEntries | QDir::System | QDir::Hidden | QDir::NoDotAndDotDot); }
    std::unique_ptr<QTemporaryDir> m_folder;
};

QTEST_APPLESS_MAIN(TestTextFile)
#include "tst_text_file.moc"
