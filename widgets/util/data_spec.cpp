// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/data_spec.h"

#include <QCoreApplication>
#include <QFileInfo>
#include <QStringList>

#include <utility>

namespace bitwright {

namespace {

constexpr qint64 kRandomSamples = 256;

QString translate(const char *text)
{
    return QCoreApplication::translate("DataFields", text);
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

QStringList randomOptions(const DataFields &spec)
{
    QStringList options;
    const auto add = [&options](const QString &key, const QString &value) { options << key + QChar(u'=') + value; };
    if (spec.count > 0)
        add(QStringLiteral("count"), QString::number(spec.count));
    if (spec.seed > 0)
        add(QStringLiteral("seed"), QString::number(spec.seed));
    for (const auto &[name, value] : spec.wishes)
        add(name, value);
    if (!spec.mean.isEmpty())
        add(QStringLiteral("mean"), spec.mean);
    if (!spec.std.isEmpty())
        add(QStringLiteral("std"), spec.std);
    if (spec.limit > 0)
        add(QStringLiteral("limit"), QString::number(spec.limit));
    if (spec.first > 0)
        add(QStringLiteral("first"), QString::number(spec.first));
    return options;
}

} // namespace

QString toText(const DataFields &spec)
{
    if (spec.kind.isEmpty())
        return {};
    QString text = spec.kind;
    if (spec.kind == QStringLiteral("random"))
        return text + QChar(u':') + randomOptions(spec).join(QChar(u','));
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

DataFields dataSpecFromText(const QString &text)
{
    DataFields spec;
    const QStringList parts = text.trimmed().split(QChar(u','));
    const qsizetype colon = parts.first().indexOf(QChar(u':'));
    spec.kind = colon < 0 ? parts.first() : parts.first().left(colon);
    spec.path = colon < 0 ? QString() : parts.first().mid(colon + 1);
    const bool random = spec.kind == QStringLiteral("random");
    QStringList options = parts.mid(1);
    if (random && !spec.path.isEmpty())
        options.prepend(std::exchange(spec.path, QString()));
    for (const QString &option : std::as_const(options)) {
        const QString key = option.section(QChar(u'='), 0, 0), value = option.section(QChar(u'='), 1);
        if (random && key == QStringLiteral("count"))
            spec.count = value.toLongLong();
        else if (random && key == QStringLiteral("seed"))
            spec.seed = value.toLongLong();
        else if (key == QStringLiteral("split"))
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
        else if (random)
            spec.wishes.append({key, value});
    }
    return spec;
}

QString inputText(const InputNeed &need)
{
    if (!need.rankKnown)
        return translate("any shape");
    if (need.info.shape.empty())
        return translate("one number");
    const Shape accepted = need.info.acceptedShape();
    QStringList sizes;
    for (std::size_t i = 0; i < accepted.size(); ++i)
        sizes << (int(i) == need.batchAxis ? QStringLiteral("N") : accepted[i] < 0 ? QStringLiteral("?") : QString::number(accepted[i]));
    return sizes.join(QStringLiteral(" × "));
}

QString guessText(const InputNeed &need)
{
    QStringList sizes;
    for (const std::int64_t size : need.guess)
        sizes << QString::number(size);
    return sizes.join(QChar(u'x'));
}

DataFields guessedRandomData(const std::vector<InputNeed> &inputs)
{
    DataFields spec;
    spec.kind = QStringLiteral("random");
    spec.count = kRandomSamples;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const InputNeed &need = inputs[i];
        const QString name = QString::fromStdString(dataNameOf(need.info.name, i));
        const bool guessed = need.isWhole() && (need.high <= 0 || need.rangeGuessed);
        if (need.isNumber() && guessed) {
            spec.wishes.append({name, need.high > 0 ? QString::number(need.low) : QString()});
            continue;
        }
        if (!need.asked.empty() || !need.rankKnown)
            spec.wishes.append({name, guessText(need)});
        if (guessed && need.low > 0)
            spec.wishes.append({name + QStringLiteral(".low"), QString::number(need.low)});
        if (guessed)
            spec.wishes.append({name + QStringLiteral(".high"), need.high > 0 ? QString::number(need.high) : QString()});
    }
    return spec;
}

bool isRandomDataKnown(const std::vector<InputNeed> &inputs)
{
    return !inputs.empty() && guessedRandomData(inputs).wishes.isEmpty();
}

QString dataSpecProblem(const DataFields &spec)
{
    if (spec.kind == QStringLiteral("random")) {
        for (const auto &[name, value] : spec.wishes)
            if (value.isEmpty())
                return name.endsWith(QStringLiteral(".high")) ? translate("Say below which number the values of %1 lie.").arg(name.chopped(5))
                                                              : translate("Say what %1 is: only you can know.").arg(name);
        return {};
    }
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
