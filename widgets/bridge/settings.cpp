// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/settings.h"

#include <QFileInfo>
#include <QStandardPaths>

namespace bitwright {

namespace {

constexpr qsizetype kRecent = 10;

QString userFile()
{
    return QStandardPaths::writableLocation(QStandardPaths::AppConfigLocation) + QStringLiteral("/settings.ini");
}

} // namespace

Settings::Settings(const QString &path, QObject *parent)
    : QObject(parent), m_settings(path.isEmpty() ? userFile() : path, QSettings::IniFormat)
{
}

Theme Settings::theme() const
{
    const QString name = m_settings.value(QLatin1String(kTheme)).toString();
    return name == QStringLiteral("light") ? Theme::Light : name == QStringLiteral("dark") ? Theme::Dark : Theme::System;
}

void Settings::setTheme(Theme theme)
{
    m_settings.setValue(QLatin1String(kTheme), theme == Theme::Light  ? QStringLiteral("light")
                                               : theme == Theme::Dark ? QStringLiteral("dark")
                                                                      : QStringLiteral("system"));
}

void Settings::add(const char *key, const QString &path)
{
    const QString absolute = QFileInfo(path).absoluteFilePath();
    QStringList paths = list(key);
    paths.removeAll(absolute);
    paths.prepend(absolute);
    m_settings.setValue(QLatin1String(key), QStringList(paths.mid(0, kRecent)));
    emit recentChanged();
}

} // namespace bitwright
