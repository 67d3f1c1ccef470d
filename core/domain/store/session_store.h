// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "trial/trial_record.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// The session file: one SQLite database in write-ahead mode. Every call is a transaction; kill -9 at any moment loses
/// at most the call in flight. One object per thread; several may have the same file open.
class SessionStore {
public:
    /// Opens or, with `create`, makes the file. Errors: not a session, newer schema, folder not writable.
    static Result<std::unique_ptr<SessionStore>> open(const std::string &path, bool create);
    ~SessionStore();

    /// Adds a trial and returns its id.
    Result<std::int64_t> addTrial(const TrialRecord &trial);
    Result<std::vector<TrialRecord>> trials() const;
    /// Named values of the session (the present assignment, the model's path, the data, the layout).
    Status setValue(const std::string &key, const std::string &value);
    Result<std::optional<std::string>> value(const std::string &key) const;
    /// Named bytes of the session: the trained weights that its trials name.
    Status setBlob(const std::string &name, const std::vector<char> &content);
    Result<std::optional<std::vector<char>>> blob(const std::string &name) const;
    /// Names of the contents that begin with this, in alphabetical order.
    Result<std::vector<std::string>> blobNames(const std::string &prefix) const;
    /// Copies the whole session to another file by SQLite's backup interface ("save as").
    Status copyTo(const std::string &path) const;
    [[nodiscard]] const std::string &path() const;

private:
    struct Private;
    explicit SessionStore(std::unique_ptr<Private> p);
    std::unique_ptr<Private> d;
};

} // namespace bitwright
