// SPDX-License-Identifier: GPL-3.0-or-later
#include <QtTest/QtTest>

#include <QDirIterator>
#include <QRegularExpression>

/// The arrows of docs/architecture.md, held by reading the `#include` lines, and a few things that no file may call.

namespace {

/// From the bottom up: a room may include itself and those before it.
const QStringList kDomainRooms{QStringLiteral("base"), QStringLiteral("stats"), QStringLiteral("grid"),
                               QStringLiteral("catalog"), QStringLiteral("network"), QStringLiteral("config"),
                               QStringLiteral("cost"), QStringLiteral("trial"), QStringLiteral("store"),
                               QStringLiteral("session"), QStringLiteral("report")};
const QStringList kComputeRooms{QStringLiteral("tensor"), QStringLiteral("graph"), QStringLiteral("frontends"),
                                QStringLiteral("data"), QStringLiteral("prune"), QStringLiteral("quant"),
                                QStringLiteral("simulate"), QStringLiteral("train"), QStringLiteral("search"),
                                QStringLiteral("exporters"), QStringLiteral("engine")};

bool isQt(const QString &header)
{
    static const QRegularExpression qt(QStringLiteral("^(Q[A-Z]|Qt|qt|qcustomplot|ui_|private/q)"));
    return qt.match(header).hasMatch();
}

bool isTorch(const QString &header)
{
    static const QRegularExpression torch(QStringLiteral("^(torch|ATen|c10|caffe2)/"));
    return torch.match(header).hasMatch();
}

/// The text without its comments, so that prose may speak of what code may not do.
QString codeOf(QString text)
{
    static const QRegularExpression block(QStringLiteral("/\\*.*?\\*/"), QRegularExpression::DotMatchesEverythingOption);
    static const QRegularExpression line(QStringLiteral("//[^\n]*"));
    return text.remove(block).remove(line);
}

QString includeFault(const QString &path, const QString &header)
{
    const QString place = path.section(QLatin1Char('/'), 0, 1);
    const QString room = path.section(QLatin1Char('/'), 2, 2);
    const QString included = header.section(QLatin1Char('/'), 0, 0);
    const bool domain = place == QLatin1String("core/domain");
    const bool compute = place == QLatin1String("core/compute");
    const bool widgets = path.startsWith(QLatin1String("widgets/"));
    const bool ofCompute = header.contains(QLatin1Char('/')) && kComputeRooms.contains(included);

    if (header.contains(QLatin1String("..")))
        return QStringLiteral("names its way with ..");
    if ((domain || compute || path.startsWith(QLatin1String("app/cli/"))) && isQt(header))
        return QStringLiteral("no Qt here");
    if ((domain || widgets) && isTorch(header))
        return QStringLiteral("no LibTorch here");
    if ((domain || widgets) && ofCompute)
        return QStringLiteral("a compute room is out of sight here");
    if (path.endsWith(QLatin1String(".h")) && (header == QLatin1String("torch/torch.h") || header == QLatin1String("torch/script.h")))
        return QStringLiteral("too wide for a header");
    if (header == QLatin1String("torch/torch.h"))
        return QStringLiteral("include the narrow header");
    if (header.contains(QLatin1String("qcustomplot")) && !path.startsWith(QLatin1String("widgets/plots/")))
        return QStringLiteral("only plots/ sees QCustomPlot");
    if (header.startsWith(QLatin1String("spdlog/")) && path != QLatin1String("core/domain/base/log.cpp"))
        return QStringLiteral("log through base/log.h");
    if (domain && kDomainRooms.indexOf(included) > kDomainRooms.indexOf(room))
        return QStringLiteral("a later room");
    if (compute && ofCompute && kComputeRooms.indexOf(included) > kComputeRooms.indexOf(room))
        return QStringLiteral("a later room");
    return {};
}

/// Every rule that the file breaks, as "path: what".
QStringList faults(const QString &path, const QString &text)
{
    QStringList found;
    const auto report = [&](const QString &what) { found << path + QStringLiteral(": ") + what; };
    if (!text.startsWith(QLatin1String("// SPDX-License-Identifier: GPL-3.0-or-later\n")))
        report(QStringLiteral("its first line is not the licence"));
    const QString code = codeOf(text);
    static const QRegularExpression include(QStringLiteral("^\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"]"),
                                            QRegularExpression::MultilineOption);
    bool qt = false, torch = false;
    for (auto it = include.globalMatch(code); it.hasNext();) {
        const QString header = it.next().captured(1);
        qt = qt || isQt(header);
        torch = torch || isTorch(header);
        if (const QString fault = includeFault(path, header); !fault.isEmpty())
            report(header + QStringLiteral(", ") + fault);
    }
    if (qt && torch)
        report(QStringLiteral("Qt and LibTorch in one file"));
    static const QRegularExpression forbidden(
        QStringLiteral("\\binstance\\s*\\(\\s*\\)|\\bprocessEvents\\b|\\bQEventLoop\\b|\\bInferenceMode\\b"));
    for (auto it = forbidden.globalMatch(code); it.hasNext();)
        report(it.next().captured(0) + QStringLiteral(" is not used in this tree"));
    return found;
}

QString readText(const QString &path)
{
    QFile file(path);
    if (!file.open(QIODevice::ReadOnly))
        return {};
    return QString::fromUtf8(file.readAll());
}

} // namespace

class TestLayering : public QObject {
    Q_OBJECT
private slots:
    void knowsWrongArrows_data()
    {
        QTest::addColumn<QString>("path");
        QTest::addColumn<QString>("code");
        QTest::addColumn<int>("count");
        const auto row = [](const char *path, const char *code, int count) {
            QTest::addRow("%s %s", path, code) << QString::fromUtf8(path) << QString::fromUtf8(code) << count;
        };
        row("core/domain/base/a.h", "#include <QString>", 1);
        row("core/domain/base/a.h", "#include <QtCore/QString>", 1);
        row("core/domain/base/a.h", "#include <ATen/core/Tensor.h>", 1);
        row("core/domain/base/a.h", "#include \"config/model_config.h\"", 1);
        row("core/domain/config/a.h", "#include \"base/result.h\"", 0);
        row("core/domain/config/a.h", "#include \"graph/graph.h\"", 1);
        row("core/domain/config/a.h", "#include <queue>", 0);
        row("core/domain/base/b.cpp", "#include <spdlog/spdlog.h>", 1);
        row("core/domain/base/log.cpp", "#include <spdlog/spdlog.h>", 0);
        row("core/compute/quant/a.cpp", "#include \"tensor/guarded.h\"", 0);
        row("core/compute/quant/a.cpp", "#include \"engine/engine.h\"", 1);
        row("core/compute/quant/a.cpp", "#include <torch/torch.h>", 1);
        row("core/compute/frontends/a.cpp", "#include <torch/script.h>", 0);
        row("core/compute/frontends/a.h", "#include <torch/script.h>", 1);
        row("core/compute/engine/a.cpp", "#  include <QObject>", 1);
        row("widgets/panels/a.cpp", "#include \"engine/engine.h\"", 1);
        row("widgets/panels/a.cpp", "#include <qcustomplot.h>", 1);
        row("widgets/plots/a.cpp", "#include <qcustomplot.h>", 0);
        row("widgets/panels/a.cpp", "#include \"config/model_config.h\"", 0);
        row("app/gui/main.cpp", "#include <QApplication>\n#include \"engine/engine.h\"", 0);
        row("app/gui/main.cpp", "#include <QApplication>\n#include <ATen/Parallel.h>", 1);
        row("app/cli/main.cpp", "#include <QCoreApplication>", 1);
        row("widgets/a.cpp", "QCoreApplication::processEvents();", 1);
        row("widgets/a.cpp", "// never processEvents here", 0);
        row("widgets/a.cpp", "/* no\n QEventLoop */", 0);
        row("core/a.cpp", "Settings::instance().value();", 1);
        row("core/compute/graph/a.cpp", "c10::InferenceMode guard;", 1);
        row("core/compute/graph/a.cpp", "#include \"../quant/quantizer.h\"", 1);
    }
    void knowsWrongArrows()
    {
        QFETCH(QString, path);
        QFETCH(QString, code);
        QFETCH(int, count);
        const auto found = faults(path, QStringLiteral("// SPDX-License-Identifier: GPL-3.0-or-later\n") + code);
        QVERIFY2(found.size() == count, qPrintable(found.join(QLatin1Char('\n'))));
    }
    void asksForTheLicenceLine()
    {
        QCOMPARE(faults(QStringLiteral("core/a.h"), QStringLiteral("#pragma once\n")).size(), 1);
    }

    void treeKeepsTheRules()
    {
        const QDir root(QStringLiteral(BITWRIGHT_TEST_DATA "/.."));
        QStringList found;
        int files = 0;
        for (const char *folder : {"core", "widgets", "app", "benchmarks"}) {
            QDirIterator it(root.filePath(QString::fromUtf8(folder)), {QStringLiteral("*.h"), QStringLiteral("*.cpp")},
                            QDir::Files, QDirIterator::Subdirectories);
            while (it.hasNext()) {
                const QString path = it.next();
                found += faults(root.relativeFilePath(path), readText(path));
                ++files;
            }
        }
        QVERIFY2(files > 50, "the tree was not found");
        QVERIFY2(found.isEmpty(), qPrintable(found.join(QLatin1Char('\n'))));
    }

    /// A room without a place in the order above would be held to nothing.
    void everyRoomHasItsPlace()
    {
        const QDir root(QStringLiteral(BITWRIGHT_TEST_DATA "/.."));
        for (const auto &[folder, known] : {std::pair{"core/domain", kDomainRooms}, {"core/compute", kComputeRooms}})
            for (const QString &room : QDir(root.filePath(QString::fromUtf8(folder))).entryList(QDir::Dirs | QDir::NoDotAndDotDot))
                QVERIFY2(known.contains(room), qPrintable(room));
    }
};

QTEST_APPLESS_MAIN(TestLayering)
#include "tst_layering.moc"
