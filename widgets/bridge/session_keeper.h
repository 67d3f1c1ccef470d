// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"

#include <QObject>
#include <QThread>
#include <QTimer>

#include <map>
#include <memory>
#include <optional>

class QLockFile;

namespace bitwright {

class SessionStore;

/// What a session file says besides its trials.
struct SessionContent {
    QString modelPath;
    DataSelection data;
    DocumentState state;
    bool closedCleanly = true;
    QString description;   ///< "resnet20, 22 layers quantized, 24 Nov 04:31": one line for a list
};

/// Writes the session as the person goes: model, data, assignment and weights state after every edit, on a thread of its
/// own. Until "save as" the file is a recovery session in a folder of the user's; one that was not closed cleanly is
/// offered at the next start.
class SessionKeeper : public QObject {
    Q_OBJECT
public:
    /// `recoveryFolder` is made when it is needed.
    SessionKeeper(Document &document, EngineController &controller, const QString &recoveryFolder, QObject *parent = nullptr);
    /// Marks the session as closed cleanly.
    ~SessionKeeper() override;

    /// Writes into a fresh recovery session from now on.
    Status startRecovery();
    /// Reads the file and goes on writing into it. The caller opens the model that it names.
    Result<SessionContent> open(const QString &path);
    /// Copies everything to `path` and goes on there.
    Status saveAs(const QString &path);
    [[nodiscard]] QString path() const { return m_path; }
    [[nodiscard]] bool isRecovery() const { return m_recovery; }

    struct Found {
        QString path;
        SessionContent content;
        bool saved = false;   ///< under a name of the person's
    };
    /// Sessions in the recovery folder and of `saved` that nobody has open, newest first; only those with a model.
    /// Clears old ones out of the recovery folder; touches no saved one.
    [[nodiscard]] std::vector<Found> recoverable(const QStringList &saved = {}) const;
    static Result<SessionContent> read(const QString &path, const Catalog &catalog);

    /// Writes what is still waiting; for tests and before "save as".
    void flush();

signals:
    void pathChanged();
    /// The session could not be written; one sentence.
    void failed(const QString &why);

private:
    class Writer;
    void attach(const QString &path, bool recovery);
    void detach(bool cleanly);
    [[nodiscard]] std::optional<SessionContent> readUnused(const QString &path) const;
    void writeLater();
    void writeNow();

    Document &m_document;
    EngineController &m_controller;
    QString m_folder, m_path;
    bool m_recovery = false;
    bool m_waiting = false;   // a session was opened, its network not yet: nothing of the old one goes into it
    std::unique_ptr<QLockFile> m_lock;
    QTimer m_timer;
    QThread m_thread;
    Writer *m_writer;
};

} // namespace bitwright
