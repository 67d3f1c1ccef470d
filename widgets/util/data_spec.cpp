// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/data_spec.h"

#include <QCoreApplication>
#include <QFileInfo>
#include <QStringList>

namespace bitwright {

namespace {

QString translate(const char *text)
{
    return QCoreApplication::translate("DataSpec", text);
}

bool isNumberList(const QString &text)
{
    for (const QString &part : text.split(QChar(u'|'))) {
        bool ok = false;
        part.trimmed().toDouble(&ok);
        if (!ok)
            return false;
    }
    return true;
}

} // namespace

QString toText(const DataSpec &spec)
{
    if (spec.kind.isEmpty())
        return {};
    QString text = spec.kind;
    if (spec.kind != QStringLiteral("synthetic"))
        text += QChar(u':') + spec.path;
    const auto add = [&text](const char *key, const QString &value) {
        if (!value.isEmpty())
            text += QChar(u',') + QString::fromLatin1(key) + QChar(u'=') + value;
    };
    if (spec.kind == QStringLiteral("idx"))
        add("split", spec.split);
    if (spec.kind == QStringLiteral("images"))
        add("size", spec.size);
    add("mean", spec.mean);
    add("std", spec.std);
    if (spec.limit > 0)
        add("limit", QString::number(spec.limit));
    if (spec.first > 0)
        add("first", QString::number(spec.first));
    return text;
}

DataSpec dataSpecFromText(const QString &text)
{
    DataSpec spec;
    const QStringList parts = text.trimmed().split(QChar(u','));
    const qsizetype colon = parts.first().indexOf(QChar(u':'));
    spec.kind = colon < 0 ? parts.first() : parts.first().left(colon);
    spec.path = colon < 0 ? QString() : parts.first().mid(colon + 1);
    for (qsizetype i = 1; i < parts.size(); ++i) {
        const QString key = parts[i].section(QChar(u'='), 0, 0), value = parts[i].section(QChar(u'='), 1);
        if (key == QStringLiteral("split"))
            spec.split = value;
        else if (key == QStringLiteral("size"))
            spec.size = value;
        else if (key == QStringLiteral("mean"))
            spec.mean = value;
        else if (key == QStringLiteral("std"))
            spec.std = value;
        else if (key == QStringLiteral("limit"))
            spec.limit = value.toLongLong();
        else if (key == QStringLiteral("first"))
            spec.first = value.toLongLong();
    }
    return spec;
}

QString dataSpecProblem(const DataSpec &spec)
{
    if (spec.kind.isEmpty() || spec.kind == QStringLiteral("synthetic") || spec.kind == QStringLiteral("sample"))
        return {};
    if (spec.path.isEmpty())
        return translate("Choose a file or folder.");
    if (!QFileInfo::exists(spec.path))
        return translate("%1 is not there; choose another path.").arg(spec.path);
    const bool wantsFile = spec.kind == QStringLiteral("npz") || spec.kind == QStringLiteral("npy");
    if (wantsFile != QFileInfo(spec.path).isFile())
        return wantsFile ? translate("%1 is a folder; choose the file.").arg(spec.path)
                         : translate("%1 is a file; choose its folder.").arg(spec.path);
    if ((!spec.mean.isEmpty() && !isNumberList(spec.mean)) || (!spec.std.isEmpty() && !isNumberList(spec.std)))
        return translate("Mean and standard deviation are numbers, one per channel with “|” between.");
    if (spec.kind == QStringLiteral("images") && !spec.size.isEmpty()) {
        const QStringList sides = spec.size.split(QChar(u'x'));
        if (sides.size() != 2 || sides[0].toInt() <= 0 || sides[1].toInt() <= 0)
            return translate("The size is height x width, for example 224x224.");
    }
    return {};
}

} // namespace bitwright
