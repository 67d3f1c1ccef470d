// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/stored_spec.h"
#include "config/uniform_form.h"
#include "cost/size_model.h"
#include "sample_catalog.h"

#include <QtTest/QtTest>

#include <nlohmann/json.hpp>

using namespace bitwright;

namespace {

const StoredQuantization kPerTensor{8, true, -1, 0, {0.5}, {0}};
const StoredQuantization kPerChannel{4, true, 0, 0, {0.5, 0, 0.125}, {0, 0, 0}};
const StoredQuantization kUnsigned{8, false, -1, 0, {0.25}, {128}};
const StoredQuantization kBlocks{4, false, 1, 16, {1, 2, 3, 4, 5, 6}, {8, 8, 8, 8, 8, 8}};

LayerInfo layerWith(const std::optional<StoredQuantization> &weight, const std::optional<StoredQuantization> &input = {})
{
    LayerInfo layer;
    layer.name = "conv";
    layer.op = "linear";
    layer.weightShape = {3, 32};
    layer.weightCount = 96;
    layer.macs = 96;
    layer.status = LayerStatus::Quantizable;
    layer.storedWeight = weight;
    layer.storedInput = input;
    return layer;
}

/// The method `uniform` with the options that say which codes there are.
Catalog signedCatalog()
{
    std::vector<MethodTraits> methods = test::sampleCatalog().methods();
    for (const char *option : {"signed", "full_range"})
        methods.front().options.push_back({.name = option, .type = ParamType::Bool, .fallback = false, .optional = true});
    return Catalog(std::move(methods));
}

ModelSummary modelOf(const LayerInfo &layer)
{
    ModelSummary model;
    model.layers = {layer};
    model.parameters = layer.parameters();
    return model;
}

} // namespace

class TstStoredSpec : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void saysWhatItIs();
    void levelsAreTheFiles();
    void becomesAQuantizer();
    void refusesWhatAQuantizerCannotSay();
    void becomesAnAssignment();
    void sizeIsWhatTheFileStores();
};

void TstStoredSpec::saysWhatItIs()
{
    QCOMPARE(storedText(kPerTensor), std::string("int8"));
    QCOMPARE(storedText(kPerChannel), std::string("int4 per channel"));
    QCOMPARE(storedText(kBlocks), std::string("uint4 in blocks of 16"));
    QCOMPARE(storedText(StoredQuantization{8, false, -1, 0, {}, {}}), std::string("uint8, scale found at run time"));
    QCOMPARE(storedText(layerWith(kPerChannel, kUnsigned)), std::string("in the file: weight int4 per channel, input uint8"));
    QCOMPARE(storedText(layerWith({}, kUnsigned)), std::string("in the file: input uint8"));
    QVERIFY(storedText(layerWith({})).empty());
    const auto one = storedJson(kUnsigned);
    QCOMPARE(one.dump(), std::string(R"({"axis":null,"bits":8,"block":0,"scale":0.25,"scales":1,"signed":false,"zero_point":128})"));
    QCOMPARE(storedJson(kBlocks).dump(), std::string(R"({"axis":1,"bits":4,"block":16,"scales":6,"signed":false})"));
}

void TstStoredSpec::levelsAreTheFiles()
{
    const QuantGrid grid = storedGrid(kPerChannel);
    QCOMPARE(grid.groups.size(), std::size_t(3));
    QCOMPARE(grid.levels(0).front(), -4.0);
    QCOMPARE(grid.levels(0).back(), 3.5);
    QCOMPARE(grid.levels(2).back(), 7 * 0.125);
    QCOMPARE(storedGrid(kUnsigned).levels().front(), -32.0);
    QCOMPARE(storedGrid(kUnsigned).levels().back(), 127 * 0.25);
    QVERIFY(storedGrid({8, true, -1, 0, {}, {}}).empty());
    // A negative scale counts down: code 0 is the highest level.
    const StoredQuantization down{4, false, -1, 0, {-0.5}, {8}};
    QCOMPARE(storedGrid(down).levels().front(), -3.5);
    QCOMPARE(storedGrid(down).levels().back(), 4.0);
    QCOMPARE(compactGrid(down).levels().front(), 4.0);
    QCOMPARE(compactGrid(down).groups[0].zeroPoint, 0);
    // One zero point for all groups is no number beside the codes.
    const QuantGrid compact = compactGrid(kBlocks);
    QCOMPARE(compact.qmin, -8);
    QCOMPARE(compact.qmax, 7);
    QCOMPARE(compact.groups[5].zeroPoint, 0);
    QVERIFY(compact.levels(5) == storedGrid(kBlocks).levels(5));
    QCOMPARE(storedSideBits(kBlocks), 6 * 32.0);
    StoredQuantization uneven = kBlocks;
    uneven.zeroPoint[2] = 7;
    QCOMPARE(compactGrid(uneven).groups[2].zeroPoint, 7);
    QCOMPARE(storedSideBits(uneven), 6 * 64.0);
}

void TstStoredSpec::becomesAQuantizer()
{
    const Catalog catalog = signedCatalog();
    const auto levelsOf = [](const QuantSpec &spec, Role role) {
        const UniformForm form = uniformForm(spec, role);
        return std::pair((double(form.qmin) - spec.values.at("zero_point").front()) * spec.values.at("scale").front(),
                         (double(form.qmax) - spec.values.at("zero_point").front()) * spec.values.at("scale").front());
    };
    const StoredQuantization shifted{8, true, -1, 0, {0.5}, {-28}};
    for (const Role role : {Role::Weight, Role::Activation}) {
        for (const StoredQuantization &stored : {kPerTensor, kUnsigned, shifted, StoredQuantization{8, false, -1, 0, {-2}, {128}}, StoredQuantization{8, true, -1, 0, {-2}, {0}}, StoredQuantization{8, false, -1, 0, {2}, {0}}}) {
            const auto spec = storedSpec(layerWith(stored, stored), role, catalog);
            QVERIFY2(spec, spec ? "" : spec.error().message.c_str());
            QCOMPARE(spec->bits, 8);
            const QuantGrid grid = storedGrid(stored);
            QCOMPARE(levelsOf(*spec, role).first, grid.levels().front());
            QCOMPARE(levelsOf(*spec, role).second, grid.levels().back());
        }
    }
    const auto channels = storedSpec(layerWith(kPerChannel), Role::Weight, catalog);
    QVERIFY(channels);
    QCOMPARE(textParam(channels->options, "granularity"), std::string("channel"));
    QVERIFY((channels->values.at("scale") == std::vector<double>{0.5, 1, 0.125}));   // a channel of zeros has no step
    // The same scale written for each channel is one for the tensor, along whatever dimension.
    const auto same = storedSpec(layerWith({}, StoredQuantization{8, true, 1, 0, {2, 2, 2}, {3, 3, 3}}), Role::Activation, catalog);
    QVERIFY(same);
    QCOMPARE(same->values.at("scale").size(), std::size_t(1));
    QCOMPARE(same->values.at("zero_point").front(), 131.0);
}

void TstStoredSpec::refusesWhatAQuantizerCannotSay()
{
    const Catalog catalog = signedCatalog();
    const auto why = [&](const LayerInfo &layer, Role role) {
        const auto spec = storedSpec(layer, role, catalog);
        return spec ? std::string("taken") : spec.error().message;
    };
    QVERIFY(why(layerWith(kBlocks), Role::Weight).contains("blocks of 16"));
    QVERIFY(why(layerWith(StoredQuantization{8, true, 1, 0, {1, 2}, {0, 0}}), Role::Weight).contains("dimension 1"));
    QVERIFY(why(layerWith({}, kPerChannel), Role::Activation).contains("dimension 0"));
    QVERIFY(why(layerWith({}, StoredQuantization{8, false, -1, 0, {}, {}}), Role::Activation).contains("while the network runs"));
    QVERIFY(why(layerWith({}), Role::Weight).contains("does not quantize it"));
    LayerInfo codes = layerWith(kPerTensor);
    codes.status = LayerStatus::Float;
    codes.reason = "its weight has 8 bits already";
    QVERIFY(why(codes, Role::Weight).contains(codes.reason));
}

void TstStoredSpec::becomesAnAssignment()
{
    const Catalog catalog = signedCatalog();
    ModelSummary model = modelOf(layerWith(kPerChannel, kUnsigned));
    model.sha256 = "abc";
    model.layers.push_back(layerWith(kBlocks));
    model.layers.back().name = "blocks";
    model.layers.push_back(layerWith({}));
    model.layers.back().name = "plain";
    const StoredConfig made = storedConfig(model, catalog);
    QCOMPARE(made.taken, std::size_t(2));
    QCOMPARE(made.left.size(), std::size_t(1));
    QVERIFY(made.left[0].contains("blocks"));
    QCOMPARE(made.config.modelSha, std::string("abc"));
    // What is written is read back the same, and every layer resolves.
    const auto back = configFromText(configToText(made.config), "text", catalog);
    QVERIFY2(back, back ? "" : back.error().message.c_str());
    QVERIFY(*back == made.config);
    const auto resolved = resolve(*back, model, catalog);
    QVERIFY2(resolved, resolved ? "" : resolved.error().message.c_str());
    QCOMPARE(resolved->at("conv").weight.bits, 4);
    QCOMPARE(resolved->at("conv").activation.bits, 8);
    QVERIFY(resolved->at("blocks").weight.isFloat() && resolved->at("plain").weight.isFloat());
}

void TstStoredSpec::sizeIsWhatTheFileStores()
{
    const ModelSummary blocks = modelOf(layerWith(kBlocks, kUnsigned)), plain = modelOf(layerWith({}));
    const ModelCost cost = modelCost(blocks, {}, false);
    QCOMPARE(cost.sizeBits, 96 * 4 + 6 * 32.0);
    QCOMPARE(cost.layers.at("conv").bops, 96 * 4 * 8.0);
    QCOMPARE(modelCost(plain, {}, false).sizeBits, 96 * 32.0);
    // A quantizer of its own takes their place, a float method does not.
    ResolvedConfig config;
    QCOMPARE(modelCost(blocks, {{"conv", {}}}, false).sizeBits, cost.sizeBits);
    config["conv"].weight = {.method = "uniform", .bits = 2, .options = {}, .values = {}};
    QCOMPARE(modelCost(blocks, config, false).sizeBits, 96 * 2 + 32.0);
    // Folding makes another weight.
    ModelSummary normed = blocks;
    normed.layers[0].batchNorm = "bn";
    normed.layers[0].batchNormCount = 6;
    normed.parameters += 6;
    QCOMPARE(modelCost(normed, {}, true).layers.at("conv").weightBits, 96 * 32.0);
    QCOMPARE(modelCost(normed, {}, false).layers.at("conv").weightBits, 96 * 4.0);
    // Codes that a mask leaves out are not counted.
    ResolvedConfig pruned;
    std::vector<std::uint8_t> kept(96, 0);
    kept[5] = 1;
    pruned["conv"].prune.mask = Mask::fromKept(kept);
    QVERIFY(modelCost(blocks, pruned, false).layers.at("conv").weightBits < 40);
}

QTEST_APPLESS_MAIN(TstStoredSpec)
#include "tst_stored_spec.moc"
