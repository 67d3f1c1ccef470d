// SPDX-License-Identifier: GPL-3.0-or-later
// Every preset resolves on every kind of sample network, and its quantizers can be made.
#include "config/presets.h"
#include "quant/quantizer.h"
#include "sample_networks.h"

#include <QtTest/QtTest>

#include <algorithm>
#include <set>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

constexpr std::size_t kMethods = 24;   // of quantizers; until all are there, presets of the missing ones are skipped

bool isThere(const QuantPatch &patch)
{
    return !patch.method || methodCatalog().quantizer(*patch.method);
}

bool isThere(const Preset &preset)
{
    return isThere(preset.weight) && isThere(preset.activation);
}

} // namespace

class TestPresets : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void resolvesOnEachSample_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<int>("shortcuts");
        QTest::newRow("residual") << QStringLiteral("resnet20.pt2") << 2;
        QTest::newRow("plain") << QStringLiteral("vgg_small.pt2") << 0;
        QTest::newRow("depthwise") << QStringLiteral("mobilenetv2_small.pt2") << 0;
    }
    void resolvesOnEachSample()
    {
        QFETCH(QString, file);
        QFETCH(int, shortcuts);
        const auto network = openSample(file.toStdString());
        const ModelSummary &model = network->summary();
        std::vector<const LayerInfo *> layers;
        for (const LayerInfo &layer : model.layers)
            if (layer.status == LayerStatus::Quantizable)
                layers.push_back(&layer);
        QCOMPARE(std::ranges::count_if(layers, &LayerInfo::shortcut), shortcuts);
        std::size_t skipped = 0;
        for (const Preset &preset : presets()) {
            if (!isThere(preset)) {
                ++skipped;
                continue;
            }
            const auto resolved = resolve(withPreset({}, preset), model, methodCatalog());
            QVERIFY2(resolved.has_value(), (preset.id + ": " + (resolved ? "" : resolved.error().message)).c_str());
            for (const LayerInfo *layer : layers) {
                const bool end = layer == layers.front() || layer == layers.back();
                const auto keep = end && preset.policy.firstLast != LayerPolicy::Keep::Same ? preset.policy.firstLast
                                  : layer->shortcut                                       ? preset.policy.shortcuts
                                                                                          : LayerPolicy::Keep::Same;
                for (const Role role : {Role::Weight, Role::Activation})
                    check(preset, *layer, role, keep, resolved->at(layer->name).of(role));
            }
        }
        if (quantizerRows().size() >= kMethods)
            QCOMPARE(skipped, std::size_t(0));
        QVERIFY(skipped < presets().size());
    }

    void idsAreUniqueAndSayTheWidths()
    {
        std::set<std::string> ids, methods;
        for (const Preset &preset : presets()) {
            QVERIFY2(ids.insert(preset.id).second, preset.id.c_str());
            QCOMPARE(findPreset(preset.id), &preset);
            const auto bits = [](const QuantPatch &patch) { return std::to_string(patch.bits.value_or(32)); };
            const std::string widths = "-" + bits(preset.weight) + "-" + bits(preset.activation);
            QVERIFY2(preset.id.find(widths) != std::string::npos, (preset.id + " and " + widths).c_str());
            QVERIFY(!preset.title.empty() && !preset.paper.empty() && !preset.training.empty());
            for (const QuantPatch *patch : {&preset.weight, &preset.activation})
                if (patch->method)
                    methods.insert(*patch->method);
        }
        QVERIFY(!findPreset("bwn"));
        // The other way round: every method of the catalogue stands in a preset.
        for (const QuantizerRow &row : quantizerRows())
            QVERIFY2(methods.contains(row.traits.id), row.traits.id.c_str());
    }

    void aPresetReplacesQuantizersAndKeepsMasks()
    {
        ModelConfig config;
        config.modelSha = "abc";
        config.foldBatchNorm = true;
        config.defaults.activation = {.method = "uniform", .bits = 8};
        config.defaults.prune = {.method = "magnitude", .sparsity = 0.5};
        config.layers["a"].weight = {.method = "uniform", .bits = 3};
        config.layers["a"].prune.mask = Mask::fromKept(std::vector<std::uint8_t>{1, 0});
        config.layers["b"].activation = {.method = "uniform", .bits = 3};
        const Preset &preset = *findPreset("kmeans-5-32");
        const ModelConfig made = withPreset(config, preset);
        ModelConfig wanted = config;
        wanted.defaults.weight = preset.weight;
        wanted.defaults.activation = {};
        wanted.layers.erase("b");
        wanted.layers["a"].weight = {};
        QVERIFY(made == wanted);
        QVERIFY(withPreset(made, preset) == made);
    }

private:
    static void check(const Preset &preset, const LayerInfo &layer, Role role, LayerPolicy::Keep keep, const QuantSpec &spec)
    {
        const QuantPatch &patch = role == Role::Weight ? preset.weight : preset.activation;
        const std::string where = preset.id + ", " + layer.name + ", " + roleName(role) + ": " + spec.method;
        const bool isFloat = !patch.method || keep == LayerPolicy::Keep::Float;
        QVERIFY2(spec.isFloat() == isFloat, where.c_str());
        if (isFloat)
            return;
        const bool kept = keep == LayerPolicy::Keep::EightBit;
        QVERIFY2(spec.method == (kept ? std::string("uniform") : *patch.method), where.c_str());
        QCOMPARE(spec.bits, kept ? 8 : *patch.bits);
        const auto made = makeQuantizer(spec, {layer.name, role, role == Role::Weight ? layer.channelAxis : 0, layer.nonNegativeInput});
        QVERIFY2(made.has_value(), (where + (made ? "" : made.error().message)).c_str());
    }
};

QTEST_APPLESS_MAIN(TestPresets)
#include "tst_presets.moc"
