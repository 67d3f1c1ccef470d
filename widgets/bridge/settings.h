// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "util/theme.h"

#include <QByteArray>
#include <QObject>
#include <QSettings>
#include <QStringList>

namespace bitwright {

/// Preferences that outlive a session; every key is declared here once. An empty path is the user's own file.
class Settings : public QObject {
    Q_OBJECT
public:
    explicit Settings(const QString &path = {}, QObject *parent = nullptr);

    [[nodiscard]] Theme theme() const;
    void setTheme(Theme theme);
    [[nodiscard]] QStringList recentModels() const { return list(kModels); }
    void addRecentModel(const QString &path) { add(kModels, path); }
    [[nodiscard]] QStringList recentSessions() const { return list(kSessions); }
    void addRecentSession(const QString &path) { add(kSessions, path); }
    [[nodiscard]] QByteArray geometry() const { return bytes(kGeometry); }
    void setGeometry(const QByteArray &state) { m_settings.setValue(QLatin1String(kGeometry), state); }
    [[nodiscard]] QByteArray layout() const { return bytes(kLayout); }
    void setLayout(const QByteArray &state) { m_settings.setValue(QLatin1String(kLayout), state); }
    [[nodiscard]] QByteArray layersTable() const { return bytes(kLayersTable); }
    void setLayersTable(const QByteArray &state) { m_settings.setValue(QLatin1String(kLayersTable), state); }
    [[nodiscard]] QByteArray training() const { return bytes(kTraining); }
    void setTraining(const QByteArray &options) { m_settings.setValue(QLatin1String(kTraining), options); }

signals:
    void recentChanged();

private:
    static constexpr const char *kTheme = "view/theme", *kModels = "recent/models", *kSessions = "recent/sessions",
                                *kGeometry = "window/geometry", *kLayout = "window/layout",
                                *kLayersTable = "window/layersTable", *kTraining = "training/options";
    [[nodiscard]] QStringList list(const char *key) const { return m_settings.value(QLatin1String(key)).toStringList(); }
    [[nodiscard]] QByteArray bytes(const char *key) const { return m_settings.value(QLatin1String(key)).toByteArray(); }
    void add(const char *key, const QString &path);
    QSettings m_settings;
};

} // namespace bitwright
