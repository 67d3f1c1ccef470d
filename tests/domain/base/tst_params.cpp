// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/params.h"

#include <QtTest/QtTest>

#include <cmath>

#include <nlohmann/json.hpp>

using namespace bitwright;

namespace {

const std::vector<ParamSpec> kSpecs = {
    {.name = "symmetric", .type = ParamType::Bool, .fallback = true},
    {.name = "rounds", .type = ParamType::Int, .fallback = std::int64_t(10), .minimum = 0, .maximum = 100},
    {.name = "ratio", .type = ParamType::Real, .fallback = 0.8, .minimum = 0.1, .maximum = 1},
    {.name = "range", .type = ParamType::Choice, .fallback = std::string("minmax"), .choices = {"minmax", "mse"}},
    {.name = "basis", .type = ParamType::RealList, .fallback = std::vector<double>{}, .optional = true},
};

const ParamSpec &spec(const std::string &name)
{
    for (const auto &s : kSpecs)
        if (s.name == name)
            return s;
    qFatal("no such spec");
}

} // namespace

class TestParams : public QObject {
    Q_OBJECT
private slots:
    void parsesText_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("json");   // empty: refused
        const auto row = [](const char *name, const char *text, const char *json) {
            QTest::addRow("%s=%s", name, text) << QString(QLatin1String(name)) << QString(QLatin1String(text)) << QString(QLatin1String(json));
        };
        row("symmetric", "true", "true");
        row("symmetric", "false", "false");
        row("symmetric", "1", "");
        row("symmetric", "", "");
        row("rounds", "7", "7");
        row("rounds", "+7", "7");
        row("rounds", "100", "100");
        row("rounds", "101", "");
        row("rounds", "-1", "");
        row("rounds", "7.5", "");
        row("rounds", "7x", "");
        row("rounds", "99999999999999999999", "");
        row("ratio", "0.5", "0.5");
        row("ratio", "1", "1.0");
        row("ratio", "nan", "");
        row("ratio", "inf", "");
        row("ratio", "1e999", "");
        row("ratio", "0,5", "");
        row("range", "mse", "\"mse\"");
        row("range", "MSE", "");
        row("basis", "1|0.5|-2", "[1.0,0.5,-2.0]");
        row("basis", "3", "[3.0]");
        row("basis", "", "[]");
        row("basis", "1||2", "");
        row("basis", "1|nan", "");
    }
    void parsesText()
    {
        QFETCH(QString, name);
        QFETCH(QString, text);
        QFETCH(QString, json);
        const auto value = parseParam(spec(name.toStdString()), text.toStdString());
        QCOMPARE(value.has_value(), !json.isEmpty());
        if (value)
            QCOMPARE(QString::fromStdString(paramToJson(*value).dump()), json);
        else
            QVERIFY2(value.error().message.find(name.toStdString()) != std::string::npos,
                     value.error().message.c_str());
    }

    void readsJson_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("json");
        QTest::addColumn<bool>("good");
        const auto row = [](const char *name, const char *json, bool good) {
            QTest::addRow("%s=%s", name, json) << QString(QLatin1String(name)) << QString(QLatin1String(json)) << good;
        };
        row("symmetric", "true", true);
        row("symmetric", "1", false);
        row("symmetric", "\"true\"", false);
        row("symmetric", "null", false);
        row("rounds", "4", true);
        row("rounds", "4.0", true);
        row("rounds", "4.5", false);
        row("rounds", "18446744073709551615", false);
        row("rounds", "true", false);
        row("ratio", "1", true);
        row("ratio", "0.05", false);
        row("ratio", "\"0.5\"", false);
        row("range", "\"mse\"", true);
        row("range", "\"kl\"", false);
        row("range", "3", false);
        row("basis", "[1, 2.5]", true);
        row("basis", "2", true);
        row("basis", "[1, \"2\"]", false);
        row("basis", "[[1]]", false);
        row("basis", "{}", false);
    }
    void readsJson()
    {
        QFETCH(QString, name);
        QFETCH(QString, json);
        QFETCH(bool, good);
        QCOMPARE(paramFromJson(spec(name.toStdString()), nlohmann::json::parse(json.toStdString())).has_value(), good);
    }

    void completesWithDefaults()
    {
        const auto complete = completeParams(kSpecs, {{"ratio", std::int64_t(1)}, {"rounds", std::int64_t(3)}}, "method \"m\"");
        QVERIFY(complete.has_value());
        QCOMPARE(complete->size(), 4u);   // basis is optional and stays out
        QCOMPARE(realParam(*complete, "ratio"), 1.0);
        QVERIFY(std::holds_alternative<double>(complete->at("ratio")));
        QCOMPARE(intParam(*complete, "rounds"), 3);
        QCOMPARE(boolParam(*complete, "symmetric"), true);
        QCOMPARE(textParam(*complete, "range"), std::string("minmax"));
        QVERIFY(!hasParam(*complete, "basis"));
    }

    void namesWhatIsWrong()
    {
        const auto typo = completeParams(kSpecs, {{"symetric", true}}, "method \"m\"");
        QVERIFY(!typo.has_value());
        QCOMPARE(typo.error().message, std::string("method \"m\", no option \"symetric\"; did you mean \"symmetric\"?"));
        const auto range = completeParams(kSpecs, {{"ratio", 2.0}}, "method \"m\"");
        QCOMPARE(range.error().message,
                 std::string("method \"m\", option \"ratio\", 2.0 is not possible; it takes a number from 0.1 to 1"));
        QVERIFY(!completeParams(kSpecs, {{"ratio", std::nan("")}}, "m").has_value());
        QCOMPARE(completeParams({}, {{"x", 1.0}}, "m").error().message, std::string("m, no option \"x\"; it has no options"));
    }

    void fallsBackOnTheWrongType()
    {
        const ParamValues values{{"a", std::string("text")}};
        QCOMPARE(realParam(values, "a", 2.5), 2.5);
        QCOMPARE(intParam(values, "a", 4), 4);
        QCOMPARE(boolParam(values, "a", true), true);
        QCOMPARE(textParam(values, "b", "none"), std::string("none"));
    }
};

QTEST_APPLESS_MAIN(TestParams)
#include "tst_params.moc"
