// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <string>

namespace SQLite {
class Database;
class Exception;
}

namespace bitwright {

/// The columns of a trial without its id, in the order in which they are bound and read.
extern const char *const kTrialColumns;

/// Makes the tables when `create` and the database is empty; then holds it to what a session is: our application id, a
/// schema that we know, no damage.
Status checkSession(SQLite::Database &database, const std::string &path, bool create);

/// Write-ahead mode, and each commit on the disk before it returns.
void setDurable(SQLite::Database &database);

/// One sentence for what SQLite says.
Error storeError(const std::string &path, const SQLite::Exception &exception);

} // namespace bitwright
