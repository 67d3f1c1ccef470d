// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/session_keeper.h"
#include "fake_engine.h"
#include "store/session_store.h"

#include <QFile>
#include <QRegularExpression>
#include <QTemporaryDir>
#include <QTest>

using namespace bitwright;

namespace {

struct Fixture {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    SessionKeeper keeper;
    explicit Fixture(const QTemporaryDir &folder) : keeper(document, controller, folder.filePath(QStringLiteral("recovery"))) {}
};

} // namespace

class TstSessionKeeper : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral(".*"))); }
    void editsAreWrittenAsTheyCome();
    void aCrashLeavesItsLastState();
    void savingMovesARecoverySession();
    void openingKeepsTheOldNetworkOut();
    void foreignFilesAreErrors();
};

void TstSessionKeeper::editsAreWrittenAsTheyCome()
{
    QTemporaryDir folder;
    Fixture f(folder);
    QVERIFY(f.keeper.startRecovery().has_value());
    QCOMPARE(f.engine.session, f.keeper.path().toStdString());
    f.document.setModel(fakeModel());
    f.document.setBits({"stem"}, Role::Weight, 4);
    QTRY_VERIFY(SessionKeeper::read(f.keeper.path(), f.engine.catalog()).value_or(SessionContent{}).state.config.layers.contains("stem"));
    const auto content = SessionKeeper::read(f.keeper.path(), f.engine.catalog());
    QCOMPARE(content->modelPath, QStringLiteral("models/resnet20.pt2"));
    QCOMPARE(content->state.config, f.document.config());
    QVERIFY(!content->closedCleanly);
}

void TstSessionKeeper::aCrashLeavesItsLastState()
{
    QTemporaryDir folder;
    QString path;
    {
        Fixture first(folder);
        QVERIFY(first.keeper.startRecovery().has_value());
        first.document.setModel(fakeModel());
        first.document.setBits({"head"}, Role::Weight, 2);
        first.keeper.flush();
        path = first.keeper.path();
        QVERIFY(Fixture(folder).keeper.recoverable().empty());   // still in use
        // As a kill leaves it: the file as it is now, under another name and without its lock.
        QVERIFY(QFile::copy(path, path + QStringLiteral(".copy")));
        for (const char *suffix : {"-wal", "-shm"})
            QFile::copy(path + QString::fromLatin1(suffix), folder.filePath(QStringLiteral("recovery/crashed.bitwright")) + QString::fromLatin1(suffix));
        QVERIFY(QFile::rename(path + QStringLiteral(".copy"), folder.filePath(QStringLiteral("recovery/crashed.bitwright"))));
    }
    Fixture second(folder);
    const auto found = second.keeper.recoverable();
    QCOMPARE(found.size(), std::size_t(2));
    const auto crashed = std::ranges::find_if(found, [](const auto &each) { return each.path.endsWith(QStringLiteral("crashed.bitwright")); });
    QVERIFY(crashed != found.end());
    QVERIFY(!crashed->content.closedCleanly);
    QCOMPARE(*crashed->content.state.config.layers.at("head").weight.bits, 2);
    const auto clean = std::ranges::find_if(found, [&](const auto &each) { return each.path == path; });
    QVERIFY(clean != found.end());
    QVERIFY(clean->content.closedCleanly);
}

void TstSessionKeeper::savingMovesARecoverySession()
{
    QTemporaryDir folder;
    Fixture f(folder);
    QVERIFY(f.keeper.startRecovery().has_value());
    const QString recovery = f.keeper.path();
    const QString early = folder.filePath(QStringLiteral("early.bitwright"));
    {
        Fixture other(folder);   // neither file is there yet
        QVERIFY(other.keeper.startRecovery().has_value());
        QVERIFY(other.keeper.saveAs(early).has_value());
        QVERIFY(QFile::exists(early));
    }
    f.document.setModel(fakeModel());
    f.keeper.flush();
    const QString mine = folder.filePath(QStringLiteral("mine.bitwright"));
    QVERIFY(f.keeper.saveAs(mine).has_value());
    QCOMPARE(f.keeper.path(), mine);
    QVERIFY(!f.keeper.isRecovery());
    QVERIFY(!QFile::exists(recovery));
    QCOMPARE(f.engine.session, mine.toStdString());
    f.document.setBits({"stem"}, Role::Weight, 3);
    f.keeper.flush();
    QCOMPARE(SessionKeeper::read(mine, f.engine.catalog())->state.config, f.document.config());
    {
        Fixture other(folder);   // still in use
        QVERIFY(other.keeper.recoverable({mine}).empty());
    }
    // As a kill leaves it: not closed, its lock free.
    const QString killed = folder.filePath(QStringLiteral("killed.bitwright"));
    for (const char *suffix : {"", "-wal", "-shm"})
        QFile::copy(mine + QString::fromLatin1(suffix), killed + QString::fromLatin1(suffix));
    Fixture next(folder);
    const auto found = next.keeper.recoverable({killed, folder.filePath(QStringLiteral("gone.bitwright"))});
    QCOMPARE(found.size(), std::size_t(1));
    QVERIFY(found[0].saved && !found[0].content.closedCleanly);
    QCOMPARE(*found[0].content.state.config.layers.at("stem").weight.bits, 3);
}

void TstSessionKeeper::openingKeepsTheOldNetworkOut()
{
    QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("kept.bitwright"));
    {
        Fixture f(folder);
        f.document.setModel(fakeModel());
        QVERIFY(f.keeper.saveAs(path).has_value());
        f.document.setBits({"stem"}, Role::Weight, 4);
        f.keeper.flush();
    }
    Fixture f(folder);
    auto other = std::make_shared<ModelSummary>(*fakeModel());
    other->path = "other.pt2";
    f.document.setModel(other);
    QVERIFY(f.keeper.open(path).has_value());
    QTest::qWait(300);
    f.keeper.flush();
    QCOMPARE(SessionKeeper::read(path, f.engine.catalog())->modelPath, QStringLiteral("models/resnet20.pt2"));
    f.document.setModel(fakeModel());
    f.document.setBits({"stem"}, Role::Weight, 7);
    f.keeper.flush();
    QCOMPARE(*SessionKeeper::read(path, f.engine.catalog())->state.config.layers.at("stem").weight.bits, 7);
}

void TstSessionKeeper::foreignFilesAreErrors()
{
    QTemporaryDir folder;
    const QString path = folder.filePath(QStringLiteral("no.bitwright"));
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("not a database, but long enough to look like something");
    file.close();
    Fixture f(folder);
    QVERIFY(!f.keeper.open(path).has_value());
    QVERIFY(!f.keeper.open(folder.filePath(QStringLiteral("missing.bitwright"))).has_value());
}

QTEST_GUILESS_MAIN(TstSessionKeeper)
#include "tst_session_keeper.moc"
