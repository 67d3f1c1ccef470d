// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/session_keeper.h"

#include "store/session_store.h"
#include "util/format.h"

#include <nlohmann/json.hpp>

#include <QDateTime>
#include <QDir>
#include <QFileInfo>
#include <QLocale>
#include <QLockFile>
#include <QMap>

#include <algorithm>

namespace bitwright {

namespace {

constexpr int kAutosaveMs = 250;
constexpr int kKeptRecoveries = 5;

constexpr const char *kModel = "model";
constexpr const char *kEvaluation = "data.evaluation";
constexpr const char *kCalibration = "data.calibration";
constexpr const char *kTraining = "data.training";
constexpr const char *kAssignment = "assignment";
constexpr const char *kWeights = "weights";
constexpr const char *kClean = "closed_cleanly";

std::string valueOr(const SessionStore &store, const char *key)
{
    const auto value = store.value(key);
    return value && *value ? **value : std::string();
}

QString lockOf(const QString &path)
{
    return path + QStringLiteral(".lock");
}

void removeSession(const QString &path)
{
    for (const char *suffix : {"", "-wal", "-shm", ".lock"})
        QFile::remove(path + QString::fromLatin1(suffix));
}

} // namespace

/// Lives on the keeper's thread and owns the connection there.
class SessionKeeper::Writer : public QObject {
public:
    explicit Writer(SessionKeeper &keeper) : m_keeper(keeper) {}

    void attach(const QString &path)
    {
        m_store.reset();
        if (path.isEmpty())
            return;
        auto store = SessionStore::open(path.toStdString(), true);
        if (store)
            m_store = std::move(*store);
        else
            tell(store.error());
    }

    void write(const QMap<QByteArray, QByteArray> &values)
    {
        if (!m_store)
            return;
        for (auto it = values.begin(); it != values.end(); ++it) {
            if (m_written.value(it.key()) == it.value() && m_written.contains(it.key()))
                continue;
            if (auto done = m_store->setValue(it.key().toStdString(), it.value().toStdString()); !done) {
                tell(done.error());
                return;
            }
            m_written[it.key()] = it.value();
        }
    }

    void close()
    {
        m_store.reset();
        m_written.clear();
    }

    [[nodiscard]] Status copyTo(const std::string &path) const
    {
        return m_store ? m_store->copyTo(path) : fail(ErrorKind::Internal, "no session is open; nothing to save");
    }

private:
    void tell(const Error &error)
    {
        QMetaObject::invokeMethod(&m_keeper, [keeper = &m_keeper, why = toQString(error.message)] { emit keeper->failed(why); });
    }

    SessionKeeper &m_keeper;
    std::unique_ptr<SessionStore> m_store;
    QMap<QByteArray, QByteArray> m_written;
};

SessionKeeper::SessionKeeper(Document &document, EngineController &controller, const QString &recoveryFolder, QObject *parent)
    : QObject(parent), m_document(document), m_controller(controller), m_folder(recoveryFolder), m_writer(new Writer(*this))
{
    m_writer->moveToThread(&m_thread);
    m_thread.setObjectName(QStringLiteral("session"));
    m_thread.start();
    m_timer.setSingleShot(true);
    m_timer.setInterval(kAutosaveMs);
    connect(&m_timer, &QTimer::timeout, this, &SessionKeeper::writeNow);
    connect(&document, &Document::changed, this, &SessionKeeper::writeLater);
    connect(&document, &Document::modelChanged, this, [this] {
        m_waiting = false;
        writeLater();
    });
    connect(&controller, &EngineController::dataOpened, this, &SessionKeeper::writeLater);
}

SessionKeeper::~SessionKeeper()
{
    detach(true);
    m_thread.quit();
    m_thread.wait();
    delete m_writer;
}

Status SessionKeeper::startRecovery()
{
    if (!QDir().mkpath(m_folder))
        return fail(ErrorKind::Io, m_folder.toStdString() + ", the folder cannot be made; the session is not saved as you go");
    const QString name = QDateTime::currentDateTime().toString(QStringLiteral("yyyyMMdd-HHmmss-zzz"));
    attach(m_folder + QChar(u'/') + name + QStringLiteral(".bitwright"), true);
    return {};
}

Result<SessionContent> SessionKeeper::read(const QString &path, const Catalog &catalog)
{
    BW_ASSIGN(const auto store, SessionStore::open(path.toStdString(), false));
    SessionContent content;
    content.modelPath = toQString(valueOr(*store, kModel));
    content.data = {valueOr(*store, kEvaluation), valueOr(*store, kCalibration), valueOr(*store, kTraining)};
    content.state.weights = valueOr(*store, kWeights);
    content.closedCleanly = valueOr(*store, kClean) != "0";
    if (const std::string text = valueOr(*store, kAssignment); !text.empty()) {
        const auto json = nlohmann::json::parse(text, nullptr, false);
        if (json.is_discarded())
            return fail(ErrorKind::Parse, path.toStdString() + ", the assignment in it is not JSON; open another session");
        BW_ASSIGN(content.state.config, configFromJson(json, catalog));
    }
    std::size_t quantized = 0;
    for (const auto &[name, patch] : content.state.config.layers)
        quantized += (patch.weight.method.value_or(kFloatMethod) != kFloatMethod) || (patch.activation.method.value_or(kFloatMethod) != kFloatMethod);
    content.description = tr("%1, %2 quantized, %3")
                              .arg(QFileInfo(content.modelPath).fileName(), counted(qint64(quantized), tr("%1 layer"), tr("%1 layers")),
                                   QLocale().toString(QFileInfo(path).lastModified(), QStringLiteral("d MMM hh:mm")));
    return content;
}

Result<SessionContent> SessionKeeper::open(const QString &path)
{
    BW_ASSIGN(auto content, read(path, m_document.catalog()));
    attach(path, QFileInfo(path).absolutePath() == QFileInfo(m_folder).absoluteFilePath());
    m_waiting = true;
    return content;
}

void SessionKeeper::attach(const QString &path, bool recovery)
{
    detach(true);
    m_path = path;
    m_recovery = recovery;
    m_lock = std::make_unique<QLockFile>(lockOf(path));
    m_lock->setStaleLockTime(0);
    (void)m_lock->tryLock(0);   // somebody else's lock keeps them from being offered ours; SQLite itself serialises writes
    QMetaObject::invokeMethod(m_writer, [writer = m_writer, path] { writer->attach(path); });
    m_controller.setSession(path);
    writeLater();
    emit pathChanged();
}

void SessionKeeper::detach(bool cleanly)
{
    if (m_path.isEmpty())
        return;
    if (m_timer.isActive())
        writeNow();
    m_timer.stop();
    QMetaObject::invokeMethod(m_writer, [writer = m_writer, cleanly] {
        writer->write({{kClean, cleanly ? "1" : "0"}});
        writer->close();
    }, Qt::BlockingQueuedConnection);
    m_lock.reset();
    m_path.clear();
}

void SessionKeeper::writeLater()
{
    if (!m_path.isEmpty() && !m_timer.isActive())
        m_timer.start();
}

void SessionKeeper::writeNow()
{
    // A network that is only being opened must not wipe what the session says about its own.
    if (!m_document.model() || m_waiting)
        return;
    const DataSelection &data = m_controller.data();
    const QMap<QByteArray, QByteArray> values{
        {kModel, QByteArray::fromStdString(m_document.model()->path)},
        {kEvaluation, QByteArray::fromStdString(data.evaluation)},
        {kCalibration, QByteArray::fromStdString(data.calibration)},
        {kTraining, QByteArray::fromStdString(data.training)},
        {kAssignment, QByteArray::fromStdString(configToJson(m_document.config()).dump())},
        {kWeights, QByteArray::fromStdString(m_document.state().weights)},
        {kClean, "0"}};
    QMetaObject::invokeMethod(m_writer, [writer = m_writer, values] { writer->write(values); });
}

void SessionKeeper::flush()
{
    m_timer.stop();
    writeNow();
    QMetaObject::invokeMethod(m_writer, [] {}, Qt::BlockingQueuedConnection);
}

Status SessionKeeper::saveAs(const QString &path)
{
    if (m_path.isEmpty()) {
        attach(path, false);
        return {};
    }
    if (QFileInfo(path).absoluteFilePath() == QFileInfo(m_path).absoluteFilePath())
        return {};
    flush();
    Status copied;
    QMetaObject::invokeMethod(m_writer, [&] { copied = m_writer->copyTo(path.toStdString()); }, Qt::BlockingQueuedConnection);
    if (!copied)
        return copied;
    const QString old = m_path;
    const bool recovery = m_recovery;
    attach(path, false);
    if (recovery)   // it lives on under its new name
        removeSession(old);
    return {};
}

/// Nothing where another window works in it, or where it cannot be read: then it is left alone.
std::optional<SessionContent> SessionKeeper::readUnused(const QString &path) const
{
    QLockFile lock(lockOf(path));
    lock.setStaleLockTime(0);
    if (path == m_path || !lock.tryLock(0))
        return std::nullopt;
    auto content = read(path, m_document.catalog());
    return content ? std::optional(std::move(*content)) : std::nullopt;
}

std::vector<SessionKeeper::Found> SessionKeeper::recoverable(const QStringList &saved) const
{
    std::vector<Found> found;
    const QFileInfoList files = QDir(m_folder).entryInfoList({QStringLiteral("*.bitwright")}, QDir::Files, QDir::Time);
    for (const QFileInfo &file : files) {
        const QString path = file.absoluteFilePath();
        auto content = readUnused(path);
        if (!content)
            continue;
        if (content->modelPath.isEmpty() || int(found.size()) >= kKeptRecoveries)
            removeSession(path);
        else
            found.push_back({path, std::move(*content), false});
    }
    for (const QString &path : saved)
        if (QFile::exists(path))
            if (auto content = readUnused(path); content && !content->modelPath.isEmpty())
                found.push_back({path, std::move(*content), true});
    std::ranges::stable_sort(found, std::ranges::greater{}, [](const Found &each) { return QFileInfo(each.path).lastModified(); });
    return found;
}

} // namespace bitwright
