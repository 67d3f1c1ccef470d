// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/session_store.h"

#include <QtTest/QtTest>

#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>

#include <sys/wait.h>
#include <unistd.h>

#include <SQLiteCpp/SQLiteCpp.h>

using namespace bitwright;
namespace fs = std::filesystem;

namespace {

TrialRecord sampleTrial(int i = 0)
{
    TrialRecord trial;
    trial.kind = "epoch";
    trial.assignment = R"({"schema": "bitwright/assignment/1"})";
    trial.modelPath = "net.pt2";
    trial.modelSha = "abc";
    trial.data = "sample:test";
    trial.weights = "net_1.pt2";
    trial.metric = "top1";
    trial.value = 0.9217 + i;
    trial.low = 0.91;
    trial.high = 0.93;
    trial.loss = 0.1 + 0.2;
    trial.samples = 10000;
    trial.sizeBytes = std::int64_t(1) << 40;
    trial.bops = 6.49e8;
    trial.seed = std::numeric_limits<std::uint64_t>::max();
    trial.epoch = 3;
    trial.seconds = 1.5;
    trial.versions = "bitwright 0.1.0, libtorch 2.13.0";
    trial.created = "2026-01-02T03:04:05Z";
    return trial;
}

std::unique_ptr<SessionStore> opened(const std::string &path, bool create = true)
{
    auto store = SessionStore::open(path, create);
    if (!store)
        qFatal("%s", store.error().message.c_str());
    return std::move(*store);
}

void execute(const std::string &path, const std::string &sql)
{
    SQLite::Database(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE).exec(sql);
}

void overwrite(const std::string &path, const std::string &bytes, long offset = -1)
{
    std::FILE *file = std::fopen(path.c_str(), offset < 0 ? "wb" : "r+b");
    if (offset > 0)
        std::fseek(file, offset, SEEK_SET);
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
}

/// The child of the kill test: adds trials until it is killed, telling each id once it is acknowledged.
int addTrialsForever(const char *path)
{
    auto store = opened(path);
    for (int i = 0;; ++i) {
        const auto id = store->addTrial(sampleTrial(i));
        if (!id)
            return 1;
        if (const auto told = ::write(STDOUT_FILENO, &*id, sizeof *id); told != ssize_t(sizeof *id))
            return 1;
    }
}

} // namespace

class TestSessionStore : public QObject {
    Q_OBJECT
    QTemporaryDir m_folder;
    std::string at(const char *name) const { return m_folder.filePath(QString::fromUtf8(name)).toStdString(); }

private slots:
    void listsContentsByPrefix()
    {
        auto store = opened(at("contents.bitwright"));
        QVERIFY(store->blobNames("cut ").value().empty());
        for (const char *name : {"cut 2", "fine-tuned 1 of cut 2", "cut 1", "haircut 1", "Cut 3"})
            QVERIFY(store->setBlob(name, {'x', '\0', 'y'}).has_value());
        QCOMPARE(store->blobNames("cut ").value(), (std::vector<std::string>{"cut 1", "cut 2"}));
        QCOMPARE(store->blob("cut 1").value().value(), (std::vector<char>{'x', '\0', 'y'}));
    }

    void keepsTrialsAndValues()
    {
        const std::string path = at("keep ?#%.bitwright");
        TrialRecord trial = sampleTrial();
        {
            auto store = opened(path);
            QCOMPARE(store->path(), path);
            QVERIFY(store->trials().value().empty());
            QCOMPARE(store->addTrial(trial).value(), 1);
            QCOMPARE(store->addTrial(sampleTrial(1)).value(), 2);
            QVERIFY(!store->value("model").value().has_value());
            QVERIFY(store->setValue("model", "a").has_value());
            QVERIFY(store->setValue("model", "net.pt2 ä").has_value());
            QVERIFY(store->setValue("empty", "").has_value());
        }
        QVERIFY(!fs::exists(path + "-wal"));   // checkpointed: one file again
        auto store = opened(path, false);
        trial.id = 1;
        QCOMPARE(store->trials().value().size(), 2u);
        QVERIFY(store->trials().value().front() == trial);
        QCOMPARE(store->value("model").value(), std::optional<std::string>("net.pt2 ä"));
        QCOMPARE(store->value("empty").value(), std::optional<std::string>(""));
    }

    void keepsWhatIsNotANumber()
    {
        auto store = opened(at("nan.bitwright"));
        TrialRecord trial = sampleTrial();
        trial.loss = std::nan("");
        trial.value = std::numeric_limits<double>::infinity();
        QVERIFY(store->addTrial(trial).has_value());
        const auto back = store->trials().value().front();
        QVERIFY(std::isnan(back.loss));
        QVERIFY(std::isinf(back.value));
        QCOMPARE(back.high, 0.93);
    }

    void twoWritersShareAFile()
    {
        auto one = opened(at("two.bitwright"));
        auto two = opened(at("two.bitwright"));
        QCOMPARE(one->addTrial(sampleTrial()).value(), 1);
        QCOMPARE(two->addTrial(sampleTrial()).value(), 2);
        QCOMPARE(one->trials().value().size(), 2u);
        one.reset();
        QCOMPARE(two->addTrial(sampleTrial()).value(), 3);
    }

    void copies()
    {
        const std::string target = at("copy.bitwright");
        auto store = opened(at("original.bitwright"));
        QVERIFY(store->addTrial(sampleTrial()).has_value());
        QVERIFY(store->setValue("k", "v").has_value());
        QVERIFY(store->copyTo(target).has_value());
        QVERIFY(store->addTrial(sampleTrial()).has_value());
        QCOMPARE(opened(target, false)->trials().value().size(), 1u);
        QVERIFY(store->copyTo(target).has_value());   // over an older copy
        {
            auto copy = opened(target, false);
            QCOMPARE(copy->trials().value().size(), 2u);
            QCOMPARE(copy->value("k").value(), std::optional<std::string>("v"));
            QCOMPARE(copy->addTrial(sampleTrial()).value(), 3);
        }
        QVERIFY(!fs::exists(target + "-wal"));

        QVERIFY(!store->copyTo(store->path()).has_value());
        QVERIFY(!store->copyTo(at("no/such/folder.bitwright")).has_value());
        overwrite(at("letter.txt"), std::string(4096, 'a'));
        const auto refused = store->copyTo(at("letter.txt"));
        QVERIFY(!refused.has_value());
        QVERIFY(refused.error().message.find("not a Bitwright session") != std::string::npos);
        QCOMPARE(fs::file_size(at("letter.txt")), 4096u);
    }

    void refusesWhatIsNoSession()
    {
        overwrite(at("text"), "hello, this is no database");
        overwrite(at("long"), std::string(100000, 'x'));
        overwrite(at("blank"), "");
        execute(at("foreign"), "CREATE TABLE song (name TEXT)");
        execute(at("newer"), "PRAGMA application_id = 0x42575254; PRAGMA user_version = 2; CREATE TABLE trial (id INTEGER)");
        const std::vector<std::pair<const char *, const char *>> rows{
            {"missing", "there is no such session; check the path"},
            {"text", "it is not a Bitwright session; choose another file"},
            {"long", "it is not a Bitwright session; choose another file"},
            {"blank", "it is an empty file and holds no session; choose another one"},
            {"foreign", "it is an SQLite database but not a Bitwright session; choose another file"},
            {"newer", "it was written by a newer Bitwright (session format 2, this one reads 1); update Bitwright to open it"},
            {"", "it is a folder; name a session file"},
        };
        for (const auto &[name, message] : rows) {
            const auto store = SessionStore::open(at(name), false);
            QVERIFY2(!store.has_value(), name);
            QCOMPARE(store.error().message, at(name) + ", " + message);
        }
        for (const char *name : {"text", "foreign", "newer", "no/such/folder"})
            QVERIFY2(!SessionStore::open(at(name), true).has_value(), name);
        QVERIFY(!SessionStore::open("", true).has_value());
        QVERIFY(SessionStore::open(at("blank"), true).has_value());
    }

    void damageIsAnErrorNeverACrash()
    {
        const std::string path = at("whole.bitwright");
        {
            auto store = opened(path);
            for (int i = 0; i < 50; ++i)
                QVERIFY(store->addTrial(sampleTrial(i)).has_value());
        }
        const auto size = long(fs::file_size(path));
        const std::string broken = at("broken.bitwright");
        int refused = 0;
        for (long cut = 0; cut < size; cut += 1024) {
            fs::copy_file(path, broken, fs::copy_options::overwrite_existing);
            fs::resize_file(broken, std::uintmax_t(cut));
            const auto store = SessionStore::open(broken, false);
            refused += !store;
            if (store)
                (void)(*store)->trials();
        }
        QVERIFY(refused > 0);
        for (long offset = 100; offset < size; offset += 512) {
            fs::copy_file(path, broken, fs::copy_options::overwrite_existing);
            overwrite(broken, std::string(64, '\xa5'), offset);
            if (const auto store = SessionStore::open(broken, false))
                (void)(*store)->trials();
        }
    }

    void readOnlyPlacesAreReadButNotWritten()
    {
        if (::geteuid() == 0)
            QSKIP("root may write everywhere");
        const fs::path folder = at("locked");
        fs::create_directory(folder);
        const std::string path = (folder / "s.bitwright").string();
        QVERIFY(opened(path)->addTrial(sampleTrial()).has_value());
        fs::permissions(folder, fs::perms::owner_read | fs::perms::owner_exec);
        {
            auto store = opened(path, false);
            QCOMPARE(store->trials().value().size(), 1u);
            QVERIFY(store->addTrial(sampleTrial()).error().message.find("cannot be written") != std::string::npos);
            QVERIFY(!store->setValue("a", "b").has_value());
            QVERIFY(store->copyTo(at("rescued.bitwright")).has_value());
        }
        QVERIFY(!SessionStore::open((folder / "new.bitwright").string(), true).has_value());
        fs::permissions(folder, fs::perms::owner_all);
    }

    /// kill -9 while trials are being added: every acknowledged one is there, and the file is sound.
    void survivesKill9()
    {
        const std::string path = at("killed.bitwright");
        std::int64_t lastKnown = 0;
        for (int round = 0; round < 6; ++round) {
            int channel[2];
            QVERIFY(::pipe(channel) == 0);
            const pid_t child = ::fork();
            if (child == 0) {
                ::dup2(channel[1], STDOUT_FILENO);
                ::execl("/proc/self/exe", "tst_session_store", "--add-trials", path.c_str(), nullptr);
                ::_exit(2);
            }
            ::close(channel[1]);
            std::int64_t id = 0;
            int seen = 0;
            while (seen < 5 + 3 * round && ::read(channel[0], &id, sizeof id) == ssize_t(sizeof id))
                ++seen;
            ::usleep(useconds_t(700 * round));   // somewhere within the next calls
            ::kill(child, SIGKILL);
            while (::read(channel[0], &id, sizeof id) == ssize_t(sizeof id)) {}   // acknowledged before the kill
            ::close(channel[0]);
            int status = 0;
            ::waitpid(child, &status, 0);
            QVERIFY(WIFSIGNALED(status));
            QVERIFY(id > lastKnown);

            auto store = opened(path, false);
            const auto trials = store->trials().value();
            QVERIFY(std::int64_t(trials.size()) >= id);   // at most the call in flight is more
            QVERIFY(std::int64_t(trials.size()) <= id + 1);
            for (std::size_t i = 0; i < trials.size(); ++i)
                QCOMPARE(trials[i].id, std::int64_t(i) + 1);
            lastKnown = trials.back().id;
            QCOMPARE(SQLite::Database(path).execAndGet("PRAGMA integrity_check").getString(), std::string("ok"));
        }
    }
};

int main(int argc, char **argv)
{
    if (argc == 3 && std::strcmp(argv[1], "--add-trials") == 0)
        return addTrialsForever(argv[2]);
    TestSessionStore test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_session_store.moc"
