// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/layer_policy.h"
#include "sample_catalog.h"

#include <QtTest/QtTest>

using namespace bitwright;

namespace {

const Catalog kCatalog = test::sampleCatalog();

/// Three quantizable layers and one that is not.
ModelSummary smallNet()
{
    ModelSummary model;
    model.sha256 = "0123456789abcdef";
    for (const char *name : {"conv1", "conv2", "fc"})
        model.layers.push_back(test::convolution(name, 2, 4, 3, 8));
    LayerInfo embedding;
    embedding.name = "embedding";
    embedding.status = LayerStatus::Unsupported;
    embedding.reason = "an embedding is looked up, not multiplied";
    model.layers.push_back(embedding);
    return model;
}

/// conv1, conv2 (a shortcut), conv3, embedding, fc.
ModelSummary netWithShortcut()
{
    ModelSummary model = smallNet();
    model.layers[1].shortcut = true;
    model.layers.insert(model.layers.begin() + 2, test::convolution("conv3", 2, 4, 3, 8));
    std::swap(model.layers[3], model.layers[4]);   // the last quantizable layer is not the last of the list either way
    return model;
}

ModelConfig parsed(const char *text)
{
    const auto config = configFromText(text, "text", kCatalog);
    if (!config)
        qFatal("%s", config.error().message.c_str());
    return *config;
}

} // namespace

class TestConfigResolve : public QObject {
    Q_OBJECT
private slots:
    void defaultsMergeKeyByKey()
    {
        const auto config = parsed(R"({"defaults": {"weight": {"method": "uniform", "bits": 4, "granularity": "channel"}},
                                       "layers": {"conv1": {"weight": {"bits": 2}}, "fc": {"weight": {"method": "float"}}}})");
        const auto resolved = resolve(config, smallNet(), kCatalog);
        QVERIFY2(resolved.has_value(), resolved ? "" : resolved.error().message.c_str());
        QCOMPARE(resolved->size(), 3u);   // the embedding is no part of it
        const QuantSpec &conv1 = resolved->at("conv1").weight;
        QCOMPARE(conv1.method, std::string("uniform"));
        QCOMPARE(conv1.bits, 2);
        QCOMPARE(textParam(conv1.options, "granularity"), std::string("channel"));
        QCOMPARE(textParam(conv1.options, "range"), std::string("minmax"));   // the method's own default
        QVERIFY(!hasParam(conv1.options, "scale"));                           // optional stays out
        QCOMPARE(resolved->at("conv2").weight.bits, 4);
        QVERIFY(resolved->at("fc").weight == QuantSpec{});
        QVERIFY(resolved->at("conv2").activation.isFloat());
    }

    void pruningMergesKeyByKey()
    {
        const auto config = parsed(R"({"defaults": {"prune": {"method": "nm", "sparsity": 0.5, "m": 8}},
                                       "layers": {"conv1": {"prune": {"sparsity": 0.25}}, "conv2": {"prune": {"method": "magnitude"}},
                                                  "fc": {"prune": {"method": "none"}}, "embedding": {"prune": {"method": "none"}}}})");
        const auto resolved = resolve(config, smallNet(), kCatalog);
        QVERIFY2(resolved.has_value(), resolved ? "" : resolved.error().message.c_str());
        QCOMPARE(resolved->at("conv1").prune.method, std::string("nm"));
        QCOMPARE(resolved->at("conv1").prune.sparsity, 0.25);
        QCOMPARE(intParam(resolved->at("conv1").prune.options, "m"), std::int64_t(8));
        QCOMPARE(resolved->at("conv2").prune.method, std::string("magnitude"));
        QCOMPARE(resolved->at("conv2").prune.sparsity, 0.5);
        QVERIFY(resolved->at("conv2").prune.options.empty());   // the other method's stay behind
        QVERIFY(resolved->at("fc").prune.isNone());
    }

    void masksMustFitTheLayer()
    {
        ModelConfig config;
        setPrune(config, "conv1", {"magnitude", 0.5, {}, Mask::fromKept(std::vector<std::uint8_t>(72, 1))});
        QVERIFY(resolve(config, smallNet(), kCatalog).has_value());
        const auto same = resolve(config, smallNet(), kCatalog)->at("conv1").prune;
        QVERIFY(same.mask == config.layers.at("conv1").prune.mask);
        setPrune(config, "conv1", {"magnitude", 0.5, {}, Mask::fromKept(std::vector<std::uint8_t>(71, 1))});
        const auto wrong = resolve(config, smallNet(), kCatalog);
        QVERIFY(!wrong.has_value());
        QCOMPARE(wrong.error().message, std::string("layer \"conv1\", prune, the mask is for 71 weights and the layer has 72; prune this network again"));
        const auto other = resolve(parsed(R"({"layers": {"embedding": {"prune": {"method": "magnitude", "sparsity": 0.5}}}})"), smallNet(), kCatalog);
        QVERIFY(!other.has_value());
        QVERIFY(other.error().message.find("cannot be pruned") != std::string::npos);
    }

    void aMaskIsAChangeOfTheWeight()
    {
        ModelConfig before, after;
        setPrune(after, "conv1", {"magnitude", 0.5, {}, Mask::fromKept(std::vector<std::uint8_t>(72, 1))});
        const ConfigDiff changed = diff(before, after, smallNet(), kCatalog);
        QCOMPARE(changed.layers.size(), std::size_t(1));
        QVERIFY(changed.layers.at("conv1").weight && !changed.layers.at("conv1").activation);
    }

    void anotherMethodDropsWhatItDoesNotHave()
    {
        const auto config = parsed(R"({"defaults": {"weight": {"method": "uniform", "bits": 1, "granularity": "tensor",
                                                               "symmetric": false, "scale": 0.5}},
                                       "layers": {"conv1": {"weight": {"method": "bwn"}}}})");
        const auto conv1 = resolveLayer(config, "conv1", kCatalog).value().weight;
        QCOMPARE(conv1.method, std::string("bwn"));
        QCOMPARE(textParam(conv1.options, "granularity"), std::string("tensor"));   // both have it
        QVERIFY(!hasParam(conv1.options, "symmetric"));
        QVERIFY(conv1.values.empty());
        QCOMPARE(resolveLayer(config, "conv2", kCatalog).value().weight.values.at("scale"), std::vector<double>{0.5});
    }

    void fixedBitsNeedNotBeSaid()
    {
        const auto config = parsed(R"({"layers": {"conv1": {"weight": {"method": "bwn"}}}})");
        QCOMPARE(resolveLayer(config, "conv1", kCatalog).value().weight.bits, 1);
    }

    void errorsNameLayerAndKey_data()
    {
        QTest::addColumn<QString>("text");
        QTest::addColumn<QString>("message");
        const auto row = [](const char *name, const char *text, const char *message) {
            QTest::newRow(name) << QString::fromUtf8(text) << QString::fromUtf8(message);
        };
        row("unknown layer", R"({"layers": {"conv": {"weight": {"method": "uniform", "bits": 4}}}})",
            "layer \"conv\", the network has no such layer; did you mean \"conv1\"?");
        row("unknown layer, empty entry", R"({"layers": {"stem": {}}})",
            "layer \"stem\", the network has no such layer; `inspect` lists its layers");
        row("no bits", R"({"layers": {"conv1": {"weight": {"method": "uniform"}}}})",
            "layer \"conv1\", weight, the key \"bits\" is missing; add it beside the method");
        row("no method", R"({"defaults": {"activation": {"bits": 4}}})",
            "layer \"conv1\", activation, the key \"method\" is missing; add it here or to the defaults");
        row("default bits do not fit", R"({"defaults": {"weight": {"method": "uniform", "bits": 8}},
                                           "layers": {"fc": {"weight": {"method": "bwn"}}}})",
            "layer \"fc\", weight, \"bits\": 8 is not possible with method \"bwn\"; it takes 1");
        row("unsupported layer", R"({"layers": {"embedding": {"weight": {"method": "uniform", "bits": 4}}}})",
            "layer \"embedding\", weight, this layer cannot be quantized (an embedding is looked up, not multiplied); leave it out");
    }
    void errorsNameLayerAndKey()
    {
        QFETCH(QString, text);
        QFETCH(QString, message);
        const auto resolved = resolve(parsed(text.toUtf8().constData()), smallNet(), kCatalog);
        QVERIFY(!resolved.has_value());
        QCOMPARE(QString::fromStdString(resolved.error().message), message);
    }
    void floatEntryOfAnUnsupportedLayerIsFine()
    {
        QVERIFY(resolve(parsed(R"({"layers": {"embedding": {"weight": {"method": "float"}}}})"), smallNet(), kCatalog).has_value());
    }

    /// Edits that never were JSON are held to the same rules.
    void checksEditedConfigs()
    {
        ModelConfig config;
        QuantPatch &patch = config.layers["conv1"].weight;
        patch.method = "uniform";
        patch.bits = 4;
        patch.options["nonsense"] = true;
        QVERIFY(resolve(config, smallNet(), kCatalog).error().message.find("no key \"nonsense\"") != std::string::npos);
        patch.options.clear();
        patch.values["scale"] = {};
        QVERIFY(resolve(config, smallNet(), kCatalog).error().message.find("\"scale\" is empty") != std::string::npos);
        patch.values.clear();
        patch.bits = 0;
        QVERIFY(!resolve(config, smallNet(), kCatalog).has_value());
        config.layers["conv1"].weight = {.method = "float", .bits = 8};
        QVERIFY(!resolve(config, smallNet(), kCatalog).has_value());
    }

    void setSpecResolvesToItself()
    {
        ModelConfig config = parsed(R"({"defaults": {"weight": {"method": "uniform", "bits": 4, "symmetric": false}}})");
        QuantSpec spec = resolveLayer(config, "conv1", kCatalog).value().weight;
        spec.bits = 3;
        spec.options["symmetric"] = true;
        spec.values["scale"] = {0.125};
        setSpec(config, "conv1", Role::Weight, spec);
        QVERIFY(resolveLayer(config, "conv1", kCatalog).value().weight == spec);
        setSpec(config, "conv1", Role::Weight, QuantSpec{});
        QVERIFY(resolveLayer(config, "conv1", kCatalog).value().weight.isFloat());
        QVERIFY(configFromText(configToText(config), "text", kCatalog).value() == config);
    }

    void policyActsWhereTheDefaultsWould_data()
    {
        QTest::addColumn<QString>("policy");
        QTest::addColumn<QStringList>("weights");       // of conv1, conv2, conv3, fc
        QTest::addColumn<QStringList>("activations");
        const QString w = QStringLiteral("bwn 1"), a = QStringLiteral("pact 4"), f = QStringLiteral("float 32"), e = QStringLiteral("uniform 8");
        const auto row = [](const char *policy, const QStringList &weights, const QStringList &activations) {
            QTest::newRow(policy) << QString::fromUtf8(policy) << weights << activations;
        };
        row(R"({})", {w, w, w, w}, {a, a, a, a});
        row(R"({"first_last": "float"})", {f, w, w, f}, {f, a, a, f});
        row(R"({"first_last": "8bit"})", {e, w, w, e}, {e, a, a, e});
        row(R"({"shortcut": "float"})", {w, f, w, w}, {a, f, a, a});
        row(R"({"first_last": "8bit", "shortcut": "float"})", {e, f, w, e}, {e, f, a, e});
    }
    void policyActsWhereTheDefaultsWould()
    {
        QFETCH(QString, policy);
        QFETCH(QStringList, weights);
        QFETCH(QStringList, activations);
        const std::string text = R"({"defaults": {"weight": {"method": "bwn", "granularity": "tensor"}, "activation": {"method": "pact", "bits": 4}},
                                     "policy": )" + policy.toStdString() + "}";
        const auto config = parsed(text.c_str());
        const auto resolved = resolve(config, netWithShortcut(), kCatalog);
        QVERIFY2(resolved.has_value(), resolved ? "" : resolved.error().message.c_str());
        int i = 0;
        for (const char *name : {"conv1", "conv2", "conv3", "fc"}) {
            const auto said = [](const QuantSpec &spec) { return QString::fromStdString(spec.method + ' ' + std::to_string(spec.bits)); };
            QCOMPARE(said(resolved->at(name).weight), weights[i]);
            QCOMPARE(said(resolved->at(name).activation), activations[i++]);
            if (resolved->at(name).weight.method == "uniform")   // complete, by the method's own defaults
                QCOMPARE(textParam(resolved->at(name).weight.options, "granularity"), std::string("tensor"));
        }
        const LayerInfo &fc = *netWithShortcut().layer("fc");
        QVERIFY(resolveLayer(config, fc, netWithShortcut(), kCatalog).value() == resolved->at("fc"));
    }

    /// A shortcut that is also the first layer follows the rule for the first, as long as there is one.
    void firstAndLastGoBeforeShortcuts()
    {
        ModelSummary model = netWithShortcut();
        model.layers[0].shortcut = true;
        ModelConfig config = parsed(R"({"defaults": {"weight": {"method": "bwn"}}, "policy": {"first_last": "8bit", "shortcut": "float"}})");
        QCOMPARE(resolve(config, model, kCatalog)->at("conv1").weight.bits, 8);
        config.policy.firstLast = LayerPolicy::Keep::Same;
        QVERIFY(resolve(config, model, kCatalog)->at("conv1").weight.isFloat());
    }

    void policyLeavesAloneWhatIsNamedOrFloat()
    {
        const auto config = parsed(R"({"defaults": {"weight": {"method": "uniform", "bits": 2}, "prune": {"method": "magnitude", "sparsity": 0.5}},
                                       "policy": {"first_last": "8bit", "shortcut": "8bit"},
                                       "layers": {"conv1": {"weight": {"method": "bwn", "bits": 1}}, "fc": {"weight": {"bits": 6}}}})");
        const auto resolved = resolve(config, netWithShortcut(), kCatalog);
        QVERIFY2(resolved.has_value(), resolved ? "" : resolved.error().message.c_str());
        QCOMPARE(resolved->at("conv1").weight.method, std::string("bwn"));   // the policy counts for each role by itself
        QVERIFY(resolved->at("conv1").activation.isFloat());                 // inputs are float by default: no 8 bits for them
        QCOMPARE(resolved->at("conv2").weight.bits, 8);
        QCOMPARE(resolved->at("fc").weight.bits, 6);                         // over the policy's eight, key by key
        QCOMPARE(resolved->at("conv2").prune.method, std::string("magnitude"));
        ModelConfig floated = config;
        floated.policy.firstLast = LayerPolicy::Keep::Float;
        const auto refused = resolve(floated, netWithShortcut(), kCatalog);
        QVERIFY(!refused.has_value());
        QVERIFY(refused.error().message.find("layer \"fc\", weight, the method \"float\" has no key \"bits\"") != std::string::npos);
    }

    void aPolicyIsAChangeOfTheLayersItMoves()
    {
        const ModelSummary model = netWithShortcut();
        const auto before = parsed(R"({"defaults": {"weight": {"method": "uniform", "bits": 4}}})");
        ModelConfig after = before;
        after.policy = {.firstLast = LayerPolicy::Keep::Float, .shortcuts = LayerPolicy::Keep::EightBit};
        const auto changed = diff(before, after, model, kCatalog);
        QCOMPARE(changed.layers.size(), 3u);
        for (const char *name : {"conv1", "conv2", "fc"})
            QVERIFY((changed.layers.at(name) == ConfigDiff::Change{.weight = true, .activation = false}));
    }

    /// Calibration writes own entries; a policy that is set afterwards has to get past them.
    void setPolicyActsOnCalibratedLayers()
    {
        const ModelSummary model = netWithShortcut();
        ModelConfig config = parsed(R"({"defaults": {"activation": {"method": "pact", "bits": 4}},
                                        "layers": {"conv1": {"activation": {"method": "pact", "bits": 4, "alpha": 1}},
                                                   "conv3": {"activation": {"method": "pact", "bits": 4, "alpha": 1}}}})");
        setPrune(config, "conv1", {"magnitude", 0.5, {}, {}});
        setPolicy(config, {.firstLast = LayerPolicy::Keep::Float, .shortcuts = LayerPolicy::Keep::Same}, model);
        const auto resolved = resolve(config, model, kCatalog);
        QVERIFY(resolved->at("conv1").activation.isFloat() && resolved->at("fc").activation.isFloat());
        QCOMPARE(resolved->at("conv1").prune.method, std::string("magnitude"));
        QCOMPARE(resolved->at("conv3").activation.values.at("alpha"), std::vector<double>{1});
    }

    void mismatchIsAWarning()
    {
        ModelConfig config;
        QCOMPARE(modelMismatch(config, smallNet()), std::string());
        config.modelSha = smallNet().sha256;
        QCOMPARE(modelMismatch(config, smallNet()), std::string());
        config.modelSha = "fedcba9876543210";
        QVERIFY(modelMismatch(config, smallNet()).starts_with("the assignment was made for another file (sha256 fedcba987654…"));
        QVERIFY(resolve(config, smallNet(), kCatalog).has_value());
    }

    void diffNamesWhatChanged()
    {
        const auto model = smallNet();
        const auto before = parsed(R"({"defaults": {"weight": {"method": "uniform", "bits": 4}}})");
        QVERIFY(diff(before, before, model, kCatalog).empty());

        auto after = before;
        after.layers["conv2"].weight.bits = 2;
        after.layers["fc"].activation = {.method = "pact", .bits = 4};
        auto changed = diff(before, after, model, kCatalog);
        QCOMPARE(changed.layers.size(), 2u);
        QVERIFY((changed.layers.at("conv2") == ConfigDiff::Change{.weight = true, .activation = false}));
        QVERIFY((changed.layers.at("fc") == ConfigDiff::Change{.weight = false, .activation = true}));
        QVERIFY(!changed.network);

        // Said otherwise, but the same: no change.
        after = before;
        setSpec(after, "conv1", Role::Weight, resolveLayer(before, "conv1", kCatalog).value().weight);
        QVERIFY(diff(before, after, model, kCatalog).empty());

        after = before;
        after.defaults.weight.bits = 8;
        QCOMPARE(diff(before, after, model, kCatalog).layers.size(), 3u);
        after = before;
        after.foldBatchNorm = true;
        changed = diff(before, after, model, kCatalog);
        QVERIFY(changed.network && changed.layers.empty() && !changed.empty());
        after = before;
        after.layers["conv1"].weight.bits = 99;   // invalid: all of the layer counts as changed
        QVERIFY((diff(before, after, model, kCatalog).layers.at("conv1") == ConfigDiff::Change{.weight = true, .activation = true}));
    }
};

QTEST_APPLESS_MAIN(TestConfigResolve)
#include "tst_config_resolve.moc"
