// SPDX-License-Identifier: GPL-3.0-or-later
#include "store/session_store.h"

#include "store/session_schema.h"

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Statement.h>
#include <SQLiteCpp/Transaction.h>

#include <filesystem>
#include <limits>
#include <system_error>

#include <unistd.h>

namespace bitwright {

namespace fs = std::filesystem;

struct SessionStore::Private {
    std::string path;
    bool readOnly = false;
    std::unique_ptr<SQLite::Database> database;
};

namespace {

constexpr int kBusyMs = 10000;

bool writable(const fs::path &path)
{
    return ::access(path.c_str(), W_OK) == 0;
}

fs::path folderOf(const std::string &path)
{
    const fs::path folder = fs::path(path).parent_path();
    return folder.empty() ? fs::path(".") : folder;
}

/// SQLite's URI form of a path: what would end the path part is escaped.
std::string uri(const std::string &path, const char *query)
{
    std::string escaped;
    for (const char c : fs::absolute(path).string()) {
        if (c == '%' || c == '?' || c == '#')
            escaped += c == '%' ? "%25" : c == '?' ? "%3f" : "%23";
        else
            escaped += c;
    }
    return "file:" + escaped + "?" + query;
}

/// Write-ahead mode needs two more files in the folder. Where they cannot be made, the file is read as it stands; a
/// write-ahead log that lies there already is read with it.
std::unique_ptr<SQLite::Database> openReadOnly(const std::string &path)
{
    std::error_code code;
    const auto logSize = fs::file_size(path + "-wal", code);
    const bool pending = !code && logSize > 0;
    return std::make_unique<SQLite::Database>(uri(path, pending ? "mode=ro" : "immutable=1"),
                                              SQLite::OPEN_READONLY | SQLite::OPEN_URI);
}

std::unique_ptr<SQLite::Database> openWritable(const std::string &path, bool create)
{
    auto database = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READWRITE | (create ? SQLite::OPEN_CREATE : 0));
    database->setBusyTimeout(kBusyMs);
    return database;
}

/// Runs `body` and turns SQLite's exceptions into one sentence about the file.
template <typename Body>
auto guardedStore(const std::string &path, const Body &body) -> decltype(body())
{
    try {
        return body();
    } catch (const SQLite::Exception &error) {
        return std::unexpected(storeError(path, error));
    } catch (const std::exception &error) {
        return fail(ErrorKind::Io, path + ", the session cannot be used; check the file and its folder", error.what());
    }
}

void bindTrial(SQLite::Statement &insert, const TrialRecord &trial)
{
    int i = 0;
    insert.bind(++i, trial.kind);
    insert.bind(++i, trial.assignment);
    insert.bind(++i, trial.modelPath);
    insert.bind(++i, trial.modelSha);
    insert.bind(++i, trial.data);
    insert.bind(++i, trial.weights);
    insert.bind(++i, trial.metric);
    // SQLite stores NaN as NULL, which is what the reader makes NaN of again.
    insert.bind(++i, trial.value);
    insert.bind(++i, trial.low);
    insert.bind(++i, trial.high);
    insert.bind(++i, trial.loss);
    insert.bind(++i, trial.samples);
    insert.bind(++i, trial.sizeBytes);
    insert.bind(++i, trial.bops);
    insert.bind(++i, std::int64_t(trial.seed));   // the same 64 bits; SQLite has no unsigned type
    insert.bind(++i, trial.epoch);
    insert.bind(++i, trial.seconds);
    insert.bind(++i, trial.versions);
    insert.bind(++i, trial.created);
}

TrialRecord readTrial(SQLite::Statement &row)
{
    int i = 0;
    const auto text = [&] { return row.getColumn(i++).getString(); };
    const auto integer = [&] { return std::int64_t(row.getColumn(i++).getInt64()); };
    const auto real = [&] {
        const SQLite::Column column = row.getColumn(i++);
        return column.isNull() ? std::numeric_limits<double>::quiet_NaN() : column.getDouble();
    };
    TrialRecord trial;
    trial.id = integer();
    trial.kind = text();
    trial.assignment = text();
    trial.modelPath = text();
    trial.modelSha = text();
    trial.data = text();
    trial.weights = text();
    trial.metric = text();
    trial.value = real();
    trial.low = real();
    trial.high = real();
    trial.loss = real();
    trial.samples = integer();
    trial.sizeBytes = integer();
    trial.bops = real();
    trial.seed = std::uint64_t(integer());
    trial.epoch = integer();
    trial.seconds = real();
    trial.versions = text();
    trial.created = text();
    return trial;
}

Status refuseReadOnly(const std::string &path)
{
    return fail(ErrorKind::Io, path + ", the session is in a place that cannot be written; save it elsewhere first");
}

/// What can be said about the path before SQLite sees it.
Status checkPath(const std::string &path, bool create)
{
    std::error_code code;
    if (path.empty())
        return fail(ErrorKind::Invalid, "the session's path is empty; name a file");
    if (fs::is_directory(path, code))
        return fail(ErrorKind::Io, path + ", it is a folder; name a session file");
    if (!fs::exists(path, code) && !create)
        return fail(ErrorKind::Io, path + ", there is no such session; check the path");
    if (!fs::is_directory(folderOf(path), code))
        return fail(ErrorKind::Io, path + ", its folder does not exist; make it first");
    if (!fs::exists(path, code) && !writable(folderOf(path)))
        return fail(ErrorKind::Io, path + ", its folder cannot be written; choose another place");
    return {};
}

} // namespace

SessionStore::SessionStore(std::unique_ptr<Private> p) : d(std::move(p)) {}

SessionStore::~SessionStore()
{
    if (d->readOnly)
        return;
    // One file is left when nobody else has the session open; if somebody has, theirs is the last checkpoint.
    d->database->setBusyTimeout(0);
    d->database->tryExec("PRAGMA wal_checkpoint(TRUNCATE)");
}

Result<std::unique_ptr<SessionStore>> SessionStore::open(const std::string &path, bool create)
{
    BW_CHECK(checkPath(path, create));
    return guardedStore(path, [&]() -> Result<std::unique_ptr<SessionStore>> {
        auto p = std::make_unique<Private>();
        p->path = path;
        p->readOnly = fs::exists(path) && (!writable(path) || !writable(folderOf(path)));
        p->database = p->readOnly ? openReadOnly(path) : openWritable(path, create);
        BW_CHECK(checkSession(*p->database, path, create && !p->readOnly));
        if (!p->readOnly)
            setDurable(*p->database);
        return std::unique_ptr<SessionStore>(new SessionStore(std::move(p)));
    });
}

Result<std::int64_t> SessionStore::addTrial(const TrialRecord &trial)
{
    if (d->readOnly)
        BW_CHECK(refuseReadOnly(d->path));
    return guardedStore(d->path, [&]() -> Result<std::int64_t> {
        SQLite::Statement insert(*d->database, "INSERT INTO trial (" + std::string(kTrialColumns)
                                                   + ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
        bindTrial(insert, trial);
        insert.exec();   // a statement alone is a transaction
        return d->database->getLastInsertRowid();
    });
}

Result<std::vector<TrialRecord>> SessionStore::trials() const
{
    return guardedStore(d->path, [&]() -> Result<std::vector<TrialRecord>> {
        SQLite::Statement row(*d->database, "SELECT id, " + std::string(kTrialColumns) + " FROM trial ORDER BY id");
        std::vector<TrialRecord> all;
        while (row.executeStep())
            all.push_back(readTrial(row));
        return all;
    });
}

Status SessionStore::setValue(const std::string &key, const std::string &value)
{
    if (d->readOnly)
        return refuseReadOnly(d->path);
    return guardedStore(d->path, [&]() -> Status {
        SQLite::Statement upsert(*d->database, "INSERT INTO value (key, value) VALUES (?1, ?2) "
                                               "ON CONFLICT (key) DO UPDATE SET value = ?2 WHERE value <> ?2");
        upsert.bind(1, key);
        upsert.bind(2, value);
        upsert.exec();
        return {};
    });
}

Result<std::optional<std::string>> SessionStore::value(const std::string &key) const
{
    return guardedStore(d->path, [&]() -> Result<std::optional<std::string>> {
        SQLite::Statement query(*d->database, "SELECT value FROM value WHERE key = ?");
        query.bind(1, key);
        if (!query.executeStep())
            return std::optional<std::string>();
        return std::optional<std::string>(query.getColumn(0).getString());
    });
}

Status SessionStore::setBlob(const std::string &name, const std::vector<char> &content)
{
    if (d->readOnly)
        return refuseReadOnly(d->path);
    return guardedStore(d->path, [&]() -> Status {
        SQLite::Statement upsert(*d->database, "INSERT INTO blob (name, content) VALUES (?1, ?2) "
                                               "ON CONFLICT (name) DO UPDATE SET content = ?2");
        upsert.bind(1, name);
        upsert.bindNoCopy(2, content.data(), int(content.size()));
        upsert.exec();
        return {};
    });
}

Result<std::optional<std::vector<char>>> SessionStore::blob(const std::string &name) const
{
    return guardedStore(d->path, [&]() -> Result<std::optional<std::vector<char>>> {
        SQLite::Statement query(*d->database, "SELECT content FROM blob WHERE name = ?");
        query.bind(1, name);
        if (!query.executeStep())
            return std::optional<std::vector<char>>();
        const SQLite::Column column = query.getColumn(0);
        const auto *bytes = static_cast<const char *>(column.getBlob());
        return std::optional(std::vector<char>(bytes, bytes + column.getBytes()));
    });
}

Result<std::vector<std::string>> SessionStore::blobNames(const std::string &prefix) const
{
    return guardedStore(d->path, [&]() -> Result<std::vector<std::string>> {
        SQLite::Statement query(*d->database, "SELECT name FROM blob WHERE substr(name, 1, ?1) = ?2 ORDER BY name");
        query.bind(1, int(prefix.size()));
        query.bind(2, prefix);
        std::vector<std::string> names;
        while (query.executeStep())
            names.push_back(query.getColumn(0).getString());
        return names;
    });
}

Status SessionStore::copyTo(const std::string &path) const
{
    BW_CHECK(checkPath(path, true));
    std::error_code code;
    if (fs::equivalent(path, d->path, code))
        return fail(ErrorKind::Invalid, path + ", it is the session itself; choose another name");
    return guardedStore(path, [&]() -> Status {
        // Only a session may be written over: the target is opened as one, which refuses other people's files. SQLite
        // then copies in one transaction, so that a crash leaves the old content.
        auto target = openWritable(path, true);
        BW_CHECK(checkSession(*target, path, true));
        SQLite::Backup backup(*target, *d->database);
        backup.executeStep(-1);
        return {};
    });
}

const std::string &SessionStore::path() const
{
    return d->path;
}

} // namespace bitwright
