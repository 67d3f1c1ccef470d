// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/calibrators/calibrators.h"
#include "quant/quantizer.h"

#include <QtTest/QtTest>

#include <set>

using namespace bitwright;

class TestQuantizerRegistry : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void everyFileHasItsRow()
    {
        const QString source = qEnvironmentVariable("BITWRIGHT_SOURCE_DIR");
        if (source.isEmpty())
            QSKIP("BITWRIGHT_SOURCE_DIR is not set");
        const auto files = [&](const char *folder) {
            return QDir(source + QLatin1String("/core/compute/quant/") + QLatin1String(folder)).entryList({QStringLiteral("*.cpp")}).size();
        };
        QCOMPARE(std::size_t(files("methods")), quantizerRows().size());
        QCOMPARE(std::size_t(files("calibrators")) - 1, calibratorRows().size());   // less the table itself
    }

    void rows()
    {
        std::set<std::string> ids;
        for (const QuantizerRow &row : quantizerRows()) {
            const MethodTraits &t = row.traits;
            QVERIFY2(ids.insert(t.id).second, t.id.c_str());
            QVERIFY2(row.make && !t.title.empty() && !t.paper.empty() && !t.summary.empty() && t.year > 1980, t.id.c_str());
            QVERIFY2(t.kind == MethodKind::Quantizer && !t.roles.empty(), t.id.c_str());
            QVERIFY2(t.minimumBits >= 1 && t.maximumBits >= t.minimumBits && t.maximumBits <= 16, t.id.c_str());
            std::set<std::string> names(t.values.begin(), t.values.end());
            for (const ParamSpec &option : t.options) {
                QVERIFY2(names.insert(option.name).second, option.name.c_str());
                QVERIFY2(!option.help.empty(), option.name.c_str());
                QVERIFY2(option.optional || checkParam(option, option.fallback).has_value(), option.name.c_str());
            }
            QCOMPARE(methodCatalog().quantizer(t.id)->title, t.title);
        }
        QVERIFY(methodCatalog().quantizer("float") == nullptr);
    }
};

QTEST_APPLESS_MAIN(TestQuantizerRegistry)
#include "tst_quantizer_registry.moc"
