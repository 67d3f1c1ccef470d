// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/model_config.h"
#include "sample_catalog.h"

#include <QtTest/QtTest>

#include <limits>

#include <nlohmann/json.hpp>

using namespace bitwright;

namespace {

const Catalog kCatalog = test::sampleCatalog();

constexpr const char *kComplete = R"({
  "schema": "bitwright/assignment/1",
  "model": {
    "sha256": "abc",
    "layers": 22
  },
  "network": {
    "fold_batch_norm": true
  },
  "defaults": {
    "weight": {
      "method": "uniform",
      "bits": 4,
      "granularity": "channel"
    },
    "activation": {
      "method": "uniform",
      "bits": 4,
      "symmetric": false
    }
  },
  "layers": {
    "blocks.0.conv1": {
      "weight": {
        "bits": 2,
        "scale": [0.1, 0.25]
      },
      "activation": {
        "method": "pact",
        "bits": 3,
        "alpha": 6.0,
        "rounds": 5
      }
    },
    "fc": {
      "weight": {
        "method": "float"
      }
    }
  }
}
)";

} // namespace

class TestConfigJson : public QObject {
    Q_OBJECT
private slots:
    void readsAndWritesTheSame()
    {
        const auto config = configFromText(kComplete, "text", kCatalog);
        QVERIFY2(config.has_value(), config ? "" : config.error().message.c_str());
        QCOMPARE(config->modelSha, std::string("abc"));
        QCOMPARE(config->modelLayers, 22);
        QVERIFY(config->foldBatchNorm);
        const auto &conv = config->layers.at("blocks.0.conv1");
        QCOMPARE(conv.weight.bits, std::optional<int>(2));
        QCOMPARE(conv.weight.values.at("scale"), (std::vector<double>{0.1, 0.25}));
        QCOMPARE(conv.activation.values.at("alpha"), std::vector<double>{6});
        QCOMPARE(intParam(conv.activation.options, "rounds"), 5);
        QCOMPARE(config->layers.at("fc").weight.method, std::optional<std::string>("float"));
        QCOMPARE(configToText(*config), std::string(kComplete));
        QVERIFY(configFromJson(configToJson(*config), kCatalog).value() == *config);
    }

    void policyComesBack()
    {
        const auto config = configFromText(R"({"policy": {"first_last": "8bit", "shortcut": "float"}})", "text", kCatalog);
        QVERIFY2(config.has_value(), config ? "" : config.error().message.c_str());
        QCOMPARE(int(config->policy.firstLast), int(LayerPolicy::Keep::EightBit));
        QCOMPARE(int(config->policy.shortcuts), int(LayerPolicy::Keep::Float));
        QCOMPARE(configToJson(*config)["policy"].dump(), std::string(R"({"first_last":"8bit","shortcut":"float"})"));
        QVERIFY(configFromText(configToText(*config), "text", kCatalog).value() == *config);
        QVERIFY(!configToJson(ModelConfig{}).contains("policy"));
        const auto half = configFromText(R"({"policy": {"shortcut": "8bit"}})", "text", kCatalog);
        QVERIFY((half->policy == LayerPolicy{.firstLast = LayerPolicy::Keep::Same, .shortcuts = LayerPolicy::Keep::EightBit}));
        QVERIFY(configFromText(R"({"policy": {"shortcut": "same"}})", "text", kCatalog).value() == ModelConfig{});
    }

    void masksComeBack()
    {
        const char *text = R"({"layers": {"a": {"prune": {"method": "nm", "sparsity": 0.75, "m": 8,
                                                          "mask": {"size": 10, "bitmap": "BgI="}}}}})";
        const auto config = configFromText(text, "text", kCatalog);
        QVERIFY2(config.has_value(), config ? "" : config.error().message.c_str());
        const PrunePatch &prune = config->layers.at("a").prune;
        QCOMPARE(prune.mask.kept(), (std::vector<std::uint8_t>{0, 1, 1, 0, 0, 0, 0, 0, 0, 1}));
        QCOMPARE(prune.sparsity, std::optional<double>(0.75));
        QCOMPARE(intParam(prune.options, "m"), std::int64_t(8));
        QVERIFY(configFromJson(configToJson(*config), kCatalog).value() == *config);
    }

    void everyPartMayBeMissing_data()
    {
        QTest::addColumn<QString>("text");
        for (const char *text : {R"({})", R"({"schema": "bitwright/assignment/1"})", R"({"layers": {}})", R"({"layers": {"a": {}}})",
                                 R"({"defaults": {}})", R"({"model": {}})", R"({"network": {}})", R"({"layers": {"a": {"prune": {}}}})"})
            QTest::newRow(text) << QString(QLatin1String(text));
    }
    void everyPartMayBeMissing()
    {
        QFETCH(QString, text);
        const auto config = configFromText(text.toStdString(), "text", kCatalog);
        QVERIFY2(config.has_value(), config ? "" : config.error().message.c_str());
        QVERIFY(config->defaults.empty());
        QVERIFY(!config->foldBatchNorm);
    }

    void nothingIsIgnored_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        const auto row = [](const char *name, const char *text, const char *message) {
            QTest::newRow(name) << QString::fromUtf8(text) << QString::fromUtf8(message);
        };
        row("list", "[]", "c.json, the assignment, [] is not an object; write { … }");
        row("other schema", R"({"schema": "bitwright/assignment/2"})",
            "c.json, the assignment, its schema is \"bitwright/assignment/2\"; this version reads \"bitwright/assignment/1\"");
        row("schema number", R"({"schema": 1})",
            "c.json, the assignment, its schema is 1; this version reads \"bitwright/assignment/1\"");
        row("top key", R"({"layer": {}})",
            "c.json, the assignment, unknown key \"layer\"; it has schema, model, network, policy, defaults, layers");
        row("model key", R"({"model": {"name": 1}})", "c.json, model, unknown key \"name\"; it has sha256, layers");
        row("network key", R"({"network": {"fold": true}})", "c.json, network, unknown key \"fold\"; it has fold_batch_norm");
        row("fold text", R"({"network": {"fold_batch_norm": "yes"}})",
            "c.json, network, \"fold_batch_norm\": \"yes\" is not possible; write true or false");
        row("policy key", R"({"policy": {"last": "float"}})", "c.json, policy, unknown key \"last\"; it has first_last, shortcut");
        row("policy value", R"({"policy": {"shortcut": "4bit"}})",
            "c.json, policy, \"shortcut\": \"4bit\" is not possible; it takes same, 8bit or float");
        row("policy number", R"({"policy": {"first_last": 8}})", "c.json, policy, \"first_last\": 8 is not possible; it takes same, 8bit or float");
        row("policy list", R"({"policy": []})", "c.json, policy, [] is not an object; write { … }");
        row("layer key", R"({"layers": {"a": {"weights": {}}}})",
            "c.json, layer \"a\", unknown key \"weights\"; it has weight, activation, prune");
        row("method", R"({"layers": {"a": {"weight": {"method": "pakt", "bits": 4}}}})",
            "c.json, layer \"a\", weight, there is no method \"pakt\"; choose among float, uniform, bwn");
        row("role", R"({"layers": {"a": {"weight": {"method": "pact", "bits": 4}}}})",
            "c.json, layer \"a\", weight, method \"pact\" does not quantize a layer's weight; choose among float, uniform, bwn");
        row("method number", R"({"defaults": {"weight": {"method": 3}}})",
            "c.json, defaults, weight, \"method\": 3 is not a text; write a method's id");
        row("bits range", R"({"defaults": {"weight": {"method": "uniform", "bits": 17}}})",
            "c.json, defaults, weight, \"bits\": 17 is not possible with method \"uniform\"; it takes 1 to 16");
        row("bits fixed", R"({"defaults": {"weight": {"method": "bwn", "bits": 2}}})",
            "c.json, defaults, weight, \"bits\": 2 is not possible with method \"bwn\"; it takes 1");
        row("bits part", R"({"defaults": {"weight": {"method": "uniform", "bits": 4.5}}})",
            "c.json, defaults, weight, \"bits\": 4.5 is not an integer; write a whole number of bits");
        row("bits huge", R"({"defaults": {"weight": {"bits": 1e30}}})",
            "c.json, defaults, weight, \"bits\": 1e+30 is not an integer; write a whole number of bits");
        row("bits negative", R"({"defaults": {"weight": {"bits": -3}}})",
            "c.json, defaults, weight, \"bits\": -3 is not possible; it takes 1 to 32");
        row("key typo", R"({"layers": {"a": {"weight": {"method": "uniform", "bits": 4, "granularty": "channel"}}}})",
            "c.json, layer \"a\", weight, method \"uniform\" has no key \"granularty\"; did you mean \"granularity\"?");
        row("key by default method", R"({"defaults": {"weight": {"method": "bwn"}}, "layers": {"a": {"weight": {"symmetric": true}}}})",
            "c.json, layer \"a\", weight, method \"bwn\" has no key \"symmetric\"; it has method, bits, granularity, alpha");
        row("option value", R"({"defaults": {"weight": {"method": "uniform", "range": "kl"}}})",
            "c.json, defaults, weight, option \"range\", \"kl\" is not possible; it takes one of minmax, percentile");
        row("value text", R"({"defaults": {"weight": {"method": "uniform", "scale": "big"}}})",
            "c.json, defaults, weight, \"scale\": \"big\" is not possible; it takes a finite number or a list of them");
        row("value empty", R"({"defaults": {"weight": {"method": "uniform", "scale": []}}})",
            "c.json, defaults, weight, \"scale\": [] is not possible; it takes a finite number or a list of them");
        row("no method", R"({"layers": {"a": {"weight": {"scale": 1}}}})",
            "c.json, layer \"a\", weight, the key \"scale\" has no meaning without a method; add \"method\" here or to the defaults");
        row("float key", R"({"layers": {"a": {"weight": {"method": "float", "scale": 1}}}})",
            "c.json, layer \"a\", weight, the method \"float\" has no key \"scale\"; name a method or leave the key out");
        row("float bits", R"({"layers": {"a": {"weight": {"method": "float", "bits": 4}}}})",
            "c.json, layer \"a\", weight, the method \"float\" has no key \"bits\"; name a method or leave the key out");
        row("prune method", R"({"layers": {"a": {"prune": {"method": "hessian", "sparsity": 0.5}}}})",
            "c.json, layer \"a\", prune, there is no method \"hessian\"; choose among none, magnitude, nm");
        row("prune without method", R"({"layers": {"a": {"prune": {"sparsity": 0.5}}}})",
            "c.json, layer \"a\", prune, the key \"method\" is missing; add it here or to the defaults");
        row("prune key", R"({"defaults": {"prune": {"method": "nm", "n": 2}}})",
            "c.json, defaults, prune, method \"nm\" has no key \"n\"; did you mean \"m\"?");
        row("prune share", R"({"layers": {"a": {"prune": {"method": "magnitude", "sparsity": 1}}}})",
            "c.json, layer \"a\", prune, \"sparsity\": 1 is not possible; it takes a share from 0 to below 1");
        row("prune none", R"({"layers": {"a": {"prune": {"method": "none", "sparsity": 0.1}}}})",
            "c.json, layer \"a\", prune, the method \"none\" has no other keys; name a pruner or leave them out");
        row("mask form", R"({"layers": {"a": {"prune": {"method": "magnitude", "mask": [1, 0]}}}})",
            "c.json, layer \"a\", prune, \"mask\" is no {\"size\": …, \"bitmap\": …}; make it with the command `prune`");
        row("mask damaged", R"({"layers": {"a": {"prune": {"method": "magnitude", "mask": {"size": 9, "bitmap": "Bg=="}}}}})",
            "c.json, layer \"a\", prune, the mask is no bitmap of 9 elements in base64; make it again");
        row("mask of all layers", R"({"defaults": {"prune": {"method": "magnitude", "mask": {"size": 8, "bitmap": "Bg=="}}}})",
            "c.json, defaults, prune, method \"magnitude\" has no key \"mask\"; it has method, sparsity");
        row("null layer", R"({"layers": {"a": null}})", "c.json, layer \"a\", null is not an object; write { … }");
        row("null weight", R"({"layers": {"a": {"weight": null}}})", "c.json, layer \"a\", weight, null is not an object; write { … }");
        row("empty name", R"({"layers": {"": {}}})", "c.json, layers, a layer has an empty name; name the layer");
        row("duplicate", R"({"layers": {"a": {}, "a": {}}})",
            "c.json, the key \"a\" stands twice in one object; mend that place");
        row("layers count", R"({"model": {"layers": -1}})", "c.json, model, \"layers\": -1 is not a count; write how many layers there are");
    }
    void nothingIsIgnored()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const auto config = configFromText(text.toStdString(), "c.json", kCatalog);
        QVERIFY(!config.has_value());
        QCOMPARE(QString::fromStdString(config.error().message), message);
    }

    void filesRoundTrip()
    {
        QTemporaryDir folder;
        const std::string path = folder.filePath(QStringLiteral("c.json")).toStdString();
        const auto config = configFromText(kComplete, "text", kCatalog).value();
        QVERIFY(writeConfig(config, path).has_value());
        QVERIFY(readConfig(path, kCatalog).value() == config);

        const auto missing = readConfig(folder.filePath(QStringLiteral("none.json")).toStdString(), kCatalog);
        QVERIFY(missing.error().message.find("none.json, cannot be read (No such file or directory)") != std::string::npos);
        QVERIFY(!writeConfig(config, folder.filePath(QStringLiteral("no/c.json")).toStdString()).has_value());
    }
    void fullDiskKeepsTheError()
    {
        const auto status = writeConfig({}, "/dev/full");
        QVERIFY(!status.has_value());
        QCOMPARE(int(status.error().kind), int(ErrorKind::Io));
    }
    void neverWritesNaN()
    {
        QTemporaryDir folder;
        ModelConfig config;
        config.layers["a"].activation.values["scale"] = {1, std::numeric_limits<double>::infinity()};
        const auto status = writeConfig(config, folder.filePath(QStringLiteral("c.json")).toStdString());
        QVERIFY(!status.has_value());
        QVERIFY(status.error().message.starts_with("layer \"a\", activation, \"scale\" is not finite"));
    }

    /// Any cut of the text and any flipped byte gives an error or an assignment, never a crash.
    void survivesDamage()
    {
        const std::string text = kComplete;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (i + 2 < text.size())   // the last bytes are the closing brace and the line's end
                QVERIFY(!configFromText(text.substr(0, i), "cut", kCatalog).has_value());
            std::string flipped = text;
            for (const int bit : {0, 3, 7}) {
                flipped[i] = char(text[i] ^ (1 << bit));
                (void)configFromText(flipped, "flipped", kCatalog);
            }
        }
    }
};

QTEST_APPLESS_MAIN(TestConfigJson)
#include "tst_config_json.moc"
