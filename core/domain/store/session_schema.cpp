// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/session_schema.h"

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Transaction.h>

#include <sqlite3.h>

namespace bitwright {

const char *const kTrialColumns = "kind, assignment, model_path, model_sha, data, weights, metric, value, low, high, loss, "
                                  "samples, size_bytes, bops, seed, epoch, seconds, versions, created";

namespace {

constexpr int kApplicationId = 0x42575254;   // "BWRT": `file` and we know a session by it
constexpr int kSchemaVersion = 1;

constexpr const char *kTables = R"sql(
CREATE TABLE trial (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, assignment TEXT NOT NULL, model_path TEXT NOT NULL, model_sha TEXT NOT NULL,
    data TEXT NOT NULL, weights TEXT NOT NULL, metric TEXT NOT NULL,
    value REAL, low REAL, high REAL, loss REAL,
    samples INTEGER NOT NULL, size_bytes INTEGER NOT NULL, bops REAL, seed INTEGER NOT NULL, epoch INTEGER NOT NULL,
    seconds REAL, versions TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE value (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blob (name TEXT PRIMARY KEY NOT NULL, content BLOB NOT NULL);
)sql";

int pragma(SQLite::Database &database, const char *name)
{
    return database.execAndGet("PRAGMA " + std::string(name)).getInt();
}

/// A database that nobody has written anything to: what a kill between making the file and making the tables leaves.
bool isBlank(SQLite::Database &database)
{
    return pragma(database, "application_id") == 0 && pragma(database, "user_version") == 0
           && database.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0;
}

void makeTables(SQLite::Database &database)
{
    setDurable(database);
    SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
    if (!isBlank(database))
        return;   // another process was faster
    database.exec(kTables);
    database.exec("PRAGMA application_id = " + std::to_string(kApplicationId));
    database.exec("PRAGMA user_version = " + std::to_string(kSchemaVersion));
    transaction.commit();
}

} // namespace

Status checkSession(SQLite::Database &database, const std::string &path, bool create)
{
    if (isBlank(database)) {
        if (!create)
            return fail(ErrorKind::Parse, path + ", it is an empty file and holds no session; choose another one");
        makeTables(database);
    }
    if (pragma(database, "application_id") != kApplicationId)
        return fail(ErrorKind::Parse, path + ", it is an SQLite database but not a Bitwright session; choose another file");
    const int version = pragma(database, "user_version");
    if (version > kSchemaVersion)
        return fail(ErrorKind::Unsupported, path + ", it was written by a newer Bitwright (session format "
                                                + std::to_string(version) + ", this one reads "
                                                + std::to_string(kSchemaVersion) + "); update Bitwright to open it");
    // Sessions are small; the quick check reads every page once and spares us a surprise in the middle of a run.
    const std::string verdict = database.execAndGet("PRAGMA quick_check(1)").getString();
    if (verdict != "ok")
        return fail(ErrorKind::Parse, path + ", the session is damaged; restore a copy, or recover what is left with "
                                             "`sqlite3 FILE .recover`", verdict);
    return {};
}

void setDurable(SQLite::Database &database)
{
    database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
}

Error storeError(const std::string &path, const SQLite::Exception &exception)
{
    const auto sentence = [&](ErrorKind kind, const std::string &text) { return Error{kind, path + ", " + text, exception.what()}; };
    switch (exception.getErrorCode()) {
    case SQLITE_NOTADB: return sentence(ErrorKind::Parse, "it is not a Bitwright session; choose another file");
    case SQLITE_CORRUPT:
        return sentence(ErrorKind::Parse, "the session is damaged; restore a copy, or recover what is left with "
                                          "`sqlite3 FILE .recover`");
    case SQLITE_FULL: return sentence(ErrorKind::Io, "the disk is full; free some space and save again");
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return sentence(ErrorKind::Io, "another program keeps the session locked; close it there first");
    case SQLITE_READONLY: return sentence(ErrorKind::Io, "the session cannot be written; check the rights of the file and its folder");
    case SQLITE_CANTOPEN: return sentence(ErrorKind::Io, "the session cannot be opened; check the rights of the file and its folder");
    case SQLITE_IOERR: return sentence(ErrorKind::Io, "reading or writing failed; check the disk");
    default: return sentence(ErrorKind::Internal, std::string("SQLite refused: ") + exception.what());
    }
}

} // namespace bitwright
