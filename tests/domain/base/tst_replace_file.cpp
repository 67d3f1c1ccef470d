// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/replace_file.h"

#include <QtTest/QtTest>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace bitwright;

namespace fs = std::filesystem;

namespace {

void put(const std::string &path, const std::string &text)
{
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

std::string textOf(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A writer that does what it should.
auto writing(const std::string &text)
{
    return [text](const std::string &temporary) -> Status {
        put(temporary, text);
        return {};
    };
}

} // namespace

class TestReplaceFile : public QObject {
    Q_OBJECT
private slots:
    void init()
    {
        m_folder = std::make_unique<QTemporaryDir>();
        QVERIFY(m_folder->isValid());
    }

    void makesAFile()
    {
        std::string temporary;
        const auto status = replaceFile(path("new"), [&](const std::string &name) -> Status {
            temporary = name;
            return writing("text")(name);
        });
        QVERIFY2(status.has_value(), status ? "" : status.error().message.c_str());
        QVERIFY(temporary != path("new"));
        QCOMPARE(fs::path(temporary).parent_path(), fs::path(path("new")).parent_path());   // or rename could not do it
        QCOMPARE(textOf(path("new")), std::string("text"));
        QCOMPARE(names(), QStringList{QStringLiteral("new")});
    }

    void replaces()
    {
        put(path("old"), "a longer old text");
        QVERIFY(replaceFile(path("old"), [&](const std::string &temporary) -> Status {
            if (textOf(path("old")) != "a longer old text")   // whoever reads meanwhile sees the old one
                return fail(ErrorKind::Internal, "gone too early");
            return writing("new")(temporary);
        }).has_value());
        QCOMPARE(textOf(path("old")), std::string("new"));
        QCOMPARE(names(), QStringList{QStringLiteral("old")});
    }

    void relativePath()
    {
        const QString before = QDir::currentPath();
        QVERIFY(QDir::setCurrent(m_folder->path()));
        const auto status = replaceFile("plain", writing("text"));
        QDir::setCurrent(before);
        QVERIFY2(status.has_value(), status ? "" : status.error().message.c_str());
        QCOMPARE(textOf(path("plain")), std::string("text"));
    }

    void failures_data()
    {
        QTest::addColumn<bool>("exists");
        QTest::addColumn<bool>("writes");
        QTest::addColumn<bool>("says");
        for (const bool exists : {false, true})
            for (const bool writes : {false, true})
                for (const bool says : {false, true})
                    if (!writes || says)   // what was written and not complained about is a success
                        QTest::addRow("%s, %s, %s", exists ? "old file" : "no file", writes ? "half written" : "nothing written",
                                      says ? "error" : "silent") << exists << writes << says;
    }
    void failures()
    {
        QFETCH(bool, exists);
        QFETCH(bool, writes);
        QFETCH(bool, says);
        if (exists)
            put(path("file"), "old");
        const auto status = replaceFile(path("file"), [&](const std::string &temporary) -> Status {
            if (writes)
                put(temporary, "ha");
            if (says)
                return fail(ErrorKind::Numeric, "the writer's own words", "its detail");
            return {};
        });
        QVERIFY(!status.has_value());
        if (says)
            QCOMPARE(status.error(), (Error{ErrorKind::Numeric, "the writer's own words", "its detail"}));
        else
            QVERIFY2(status.error().message.starts_with(path("file") + ", it cannot be written ("), status.error().message.c_str());
        QCOMPARE(names(), exists ? QStringList{QStringLiteral("file")} : QStringList{});
        if (exists)
            QCOMPARE(textOf(path("file")), std::string("old"));
    }

    void killedMeanwhile()
    {
        put(path("file"), "old");
        const pid_t child = ::fork();
        if (child == 0) {
            (void)replaceFile(path("file"), [](const std::string &temporary) -> Status {
                put(temporary, "ha");
                ::raise(SIGKILL);
                return {};
            });
            ::_exit(0);
        }
        int how = 0;
        QCOMPARE(::waitpid(child, &how, 0), child);
        QVERIFY(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
        QCOMPARE(textOf(path("file")), std::string("old"));
        QVERIFY(replaceFile(path("file"), writing("new")).has_value());   // what it left is in nobody's way
        QCOMPARE(textOf(path("file")), std::string("new"));
    }

    void refused_data()
    {
        QTest::addColumn<QString>("what");
        QTest::addColumn<QString>("says");
        QTest::newRow("folder") << "folder" << "a folder";
        QTest::newRow("link to a folder") << "link to folder" << "a folder";
        QTest::newRow("pipe") << "pipe" << "a pipe";
        QTest::newRow("link to a pipe") << "link to pipe" << "a pipe";
        QTest::newRow("device") << "/dev/full" << "a device";
        QTest::newRow("link to a device") << "link to device" << "a device";
    }
    void refused()
    {
        QFETCH(QString, what);
        QFETCH(QString, says);
        fs::create_directory(path("folder"));
        QCOMPARE(::mkfifo(path("pipe").c_str(), 0600), 0);
        fs::create_directory_symlink("folder", path("link to folder"));
        fs::create_symlink("pipe", path("link to pipe"));
        fs::create_symlink("/dev/full", path("link to device"));
        const QStringList before = names();
        const auto target = what.startsWith(QLatin1Char('/')) ? what.toStdString() : path(what.toStdString());
        const auto kind = fs::symlink_status(target).type();
        bool called = false;
        const auto status = replaceFile(target, [&](const std::string &temporary) -> Status {
            called = true;
            return writing("text")(temporary);
        });
        QVERIFY(!status.has_value() && !called);
        QCOMPARE(status.error().kind, ErrorKind::Io);
        const auto &message = status.error().message;
        QVERIFY2(message.starts_with(target) && message.find(says.toStdString()) != std::string::npos, message.c_str());
        QVERIFY(message.find("; name a file") != std::string::npos);
        QVERIFY(fs::symlink_status(target).type() == kind);
        QCOMPARE(names(), before);
        QVERIFY(fs::is_empty(path("folder")));
    }

    void followsLinks_data()
    {
        QTest::addColumn<QString>("link");
        QTest::newRow("absolute") << "absolute";
        QTest::newRow("relative") << "relative";
        QTest::newRow("to a link") << "chain";
    }
    void followsLinks()
    {
        QFETCH(QString, link);
        fs::create_directory(path("elsewhere"));
        put(path("elsewhere/real"), "old");
        fs::create_symlink(path("elsewhere/real"), path("absolute"));
        fs::create_symlink("elsewhere/real", path("relative"));
        fs::create_symlink("relative", path("chain"));
        const QStringList before = names();
        const auto name = path(link.toStdString());
        const auto refused = replaceFile(name, [](const std::string &) -> Status { return fail(ErrorKind::Io, "no"); });
        QVERIFY(!refused.has_value());
        QCOMPARE(textOf(path("elsewhere/real")), std::string("old"));
        std::string temporary;
        const auto status = replaceFile(name, [&](const std::string &given) -> Status {
            temporary = given;
            return writing("new")(given);
        });
        QVERIFY2(status.has_value(), status ? "" : status.error().message.c_str());
        QVERIFY(fs::is_symlink(name));
        QVERIFY(!fs::is_symlink(path("elsewhere/real")));
        QCOMPARE(textOf(path("elsewhere/real")), std::string("new"));
        // beside what the link names, as the link may lead to another disk
        QCOMPARE(fs::path(temporary).parent_path().filename(), fs::path("elsewhere"));
        QCOMPARE(names(), before);
        QCOMPARE(QDir(m_folder->filePath(QStringLiteral("elsewhere"))).entryList(QDir::Files), QStringList{QStringLiteral("real")});
    }

    void otherNamesOfTheOldFileKeepIt()
    {
        put(path("file"), "old");
        fs::create_hard_link(path("file"), path("copy"));
        QVERIFY(replaceFile(path("file"), writing("new")).has_value());
        QCOMPARE(textOf(path("copy")), std::string("old"));
    }

    void nowhere()
    {
        const auto status = replaceFile(path("no/such/folder/file"), writing("text"));   // the writer does not notice
        QVERIFY(!status.has_value());
        QVERIFY2(status.error().message.starts_with(path("no/such/folder/file")), status.error().message.c_str());
        QVERIFY(!replaceFile("", writing("text")).has_value());
        put(path("file"), "old");
        QVERIFY(!replaceFile(path("file") + "/below", writing("text")).has_value());
        QVERIFY(!replaceFile(path(std::string(300, 'n')), writing("text")).has_value());
        QCOMPARE(textOf(path("file")), std::string("old"));
        QCOMPARE(names(), QStringList{QStringLiteral("file")});
    }

private:
    std::string path(const std::string &name) const { return m_folder->path().toStdString() + "/" + name; }
    QStringList names() const { return QDir(m_folder->path()).entryList(QDir::AllEntries | QDir::System | QDir::Hidden | QDir::NoDotAndDotDot); }
    std::unique_ptr<QTemporaryDir> m_folder;
};

QTEST_APPLESS_MAIN(TestReplaceFile)
#include "tst_replace_file.moc"
