// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json_util.h"
#include "base/names.h"
#include "base/text_file.h"

#include <QtTest/QtTest>

#include <filesystem>

#include <nlohmann/json.hpp>

using namespace bitwright;

class TestJsonUtil : public QObject {
    Q_OBJECT
private slots:
    void refusesHostileText_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("part");   // of the message
        const auto row = [](const char *name, QByteArray text, const char *part) {
            QTest::newRow(name) << std::move(text) << QString(QLatin1String(part));
        };
        row("empty", "", "not valid JSON");
        row("cut", "{\"a\": [1, 2", "not valid JSON");
        row("trailing", "{} {}", "not valid JSON at byte 4");
        row("duplicate", "{\"a\": {\"bits\": 1, \"bits\": 2}}", "\"bits\" stands twice");
        row("duplicate by escape", "{\"a\": 1, \"\\u0061\": 2}", "\"a\" stands twice");
        row("huge number", "{\"a\": 1e999}", "out of range");
        row("deep", QByteArray(100000, '['), "nested deeper");
        row("deep and closed", QByteArray(1000, '[') + QByteArray(1000, ']'), "nested deeper");
        row("not UTF-8", "{\"\xff\": 1}", "not valid JSON");
        row("NaN", "{\"a\": NaN}", "not valid JSON");
        row("zero byte", QByteArray("{\"a\": 1}\0", 9), "not valid JSON");
    }
    void refusesHostileText()
    {
        QFETCH(QByteArray, text);
        QFETCH(QString, part);
        const auto parsed = parseJson(std::string_view(text.constData(), std::size_t(text.size())), "a.json");
        QVERIFY(!parsed.has_value());
        QVERIFY2(parsed.error().message.find(part.toStdString()) != std::string::npos, parsed.error().message.c_str());
        QVERIFY(parsed.error().message.starts_with("a.json, "));
        QCOMPARE(int(parsed.error().kind), int(ErrorKind::Parse));
    }
    void sameKeyInDifferentObjectsIsFine()
    {
        QVERIFY(parseJson(R"({"a": {"x": 1}, "b": {"x": 1}, "c": [{"x": 1}, {"x": 2}]})", "text").has_value());
    }

    void printsStably()
    {
        const auto value = nlohmann::json::parse(R"({"b": [0.1, 2, true], "a": {}, "schema": "s", "c": [[1], [2]], "d": {"x": null}})");
        QCOMPARE(prettyJson(value, {"schema"}),
                 std::string("{\n  \"schema\": \"s\",\n  \"a\": {},\n  \"b\": [0.1, 2, true],\n"
                             "  \"c\": [\n    [1],\n    [2]\n  ],\n  \"d\": {\n    \"x\": null\n  }\n}\n"));
        QCOMPARE(nlohmann::json::parse(prettyJson(value)), value);
        QCOMPARE(prettyJson(nlohmann::json("a\xff")), std::string("\"a\xEF\xBF\xBD\"\n"));
    }

    void findsTheNearName()
    {
        QCOMPARE(closestName("symetric", {"signed", "symmetric"}), std::string("symmetric"));
        QCOMPARE(closestName("layer1.conv", {"layer1.conv1", "fc"}), std::string("layer1.conv1"));
        QCOMPARE(closestName("zzz", {"signed", "symmetric"}), std::string());
        QCOMPARE(closestName("", {}), std::string());
    }

    void writesAndReadsFiles()
    {
        QTemporaryDir folder;
        const std::string path = folder.filePath(QStringLiteral("a.json")).toStdString();
        QVERIFY(writeTextFile(path, "one").has_value());
        QVERIFY(writeTextFile(path, "two").has_value());
        QCOMPARE(readTextFile(path, 100).value(), std::string("two"));
        QVERIFY(!readTextFile(path, 2).has_value());
        QCOMPARE(std::distance(std::filesystem::directory_iterator(folder.path().toStdString()), {}), 1);   // no rest left

        const std::string link = folder.filePath(QStringLiteral("link")).toStdString();
        std::filesystem::create_symlink(path, link);
        QVERIFY(writeTextFile(link, "three").has_value());
        QVERIFY(std::filesystem::is_symlink(link));
        QCOMPARE(readTextFile(path, 100).value(), std::string("three"));
    }
    void fileErrorsNameTheFile()
    {
        QTemporaryDir folder;
        const std::string missing = folder.filePath(QStringLiteral("no/such/file")).toStdString();
        for (const auto &error : {readTextFile(missing, 9).error(), writeTextFile(missing, "x").error(),
                                  readTextFile(folder.path().toStdString(), 9).error(),
                                  writeTextFile(folder.path().toStdString(), "x").error()}) {
            QCOMPARE(int(error.kind), int(ErrorKind::Io));
            QVERIFY(error.message.starts_with(folder.path().toStdString()));
        }
    }
    void fullDiskIsAnError()
    {
        if (!std::filesystem::exists("/dev/full"))
            QSKIP("no /dev/full here");
        const auto status = writeTextFile("/dev/full", "x");
        QVERIFY(!status.has_value());
        QVERIFY2(status.error().message.find("No space left") != std::string::npos, status.error().message.c_str());
    }
};

QTEST_APPLESS_MAIN(TestJsonUtil)
#include "tst_json_util.moc"
