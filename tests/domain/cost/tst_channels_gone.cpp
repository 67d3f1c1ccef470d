// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/channels_gone.h"
#include "cost/size_model.h"

#include <QtTest/QtTest>

using namespace bitwright;

namespace {

/// conv a (4 x 2 x 1 x 1) -> conv b (3 x 4 x 1 x 1), 100 positions: 800 and 1200 MACs. a's outputs are b's inputs.
ModelSummary twoConvolutions()
{
    ModelSummary model;
    const auto conv = [&](const char *name, std::int64_t out, std::int64_t in) {
        LayerInfo layer;
        layer.name = name;
        layer.op = "conv2d";
        layer.weightShape = {out, in, 1, 1};
        layer.weightCount = out * in;
        layer.macs = out * in * 100;
        layer.status = LayerStatus::Quantizable;
        model.layers.push_back(layer);
        model.parameters += layer.weightCount;
    };
    conv("a", 4, 2);
    conv("b", 3, 4);
    model.groups = {{{{"a", true, true, 0, {0, 1, 2, 3}}, {"b", true, false, 1, {0, 1, 2, 3}}}, 4, {}},
                    {{{"b", true, true, 0, {0, 1, 2}}}, 3, "they are the network's outputs"}};
    return model;
}

ResolvedConfig masked(const std::string &layer, std::vector<std::uint8_t> kept, ParamValues options = {})
{
    ResolvedConfig config;
    config[layer].prune = {"l1", 0.5, std::move(options), Mask::fromKept(kept)};
    return config;
}

} // namespace

class TestChannelsGone : public QObject {
    Q_OBJECT
private slots:
    void emptied()
    {
        const LayerInfo a = twoConvolutions().layers[0];
        QCOMPARE(emptiedOutputs(a, {"l1", 0, {}, Mask::fromKept(std::vector<std::uint8_t>{1, 1, 0, 0, 1, 1, 0, 0})}), (std::vector<bool>{false, true, false, true}));
        // A row that single zeros happen to empty is none, unless the option says so.
        const Mask single = Mask::fromKept(std::vector<std::uint8_t>{1, 0, 0, 0, 1, 1, 1, 1});
        QVERIFY(emptiedOutputs(a, {"magnitude", 0, {{"channels", false}}, single}).empty());
        // Cells that a hand took out of a structured mask besides do not matter.
        QCOMPARE(emptiedOutputs(a, {"l1", 0, {}, single}), (std::vector<bool>{false, true, false, false}));
        QVERIFY(emptiedOutputs(a, {"", 0, {}, single}).empty());
        QCOMPARE(emptiedOutputs(a, {"magnitude", 0, {{"channels", true}}, single}), (std::vector<bool>{false, true, false, false}));
        const Mask whole = Mask::fromKept(std::vector<std::uint8_t>{1, 1, 0, 0, 1, 1, 1, 1});
        QVERIFY(emptiedOutputs(a, {"magnitude", 0, {{"channels", false}}, whole}).empty());
        QVERIFY(emptiedOutputs(a, {}).empty());
        // Output channels of a transposed convolution are its second dimension.
        LayerInfo transposed = a;
        transposed.channelAxis = 1;
        transposed.weightShape = {4, 2, 1, 1};
        QCOMPARE(emptiedOutputs(transposed, {"l1", 0, {}, Mask::fromKept(std::vector<std::uint8_t>{1, 0, 1, 0, 1, 0, 1, 0})}), (std::vector<bool>{false, true}));
    }

    // Half of a's channels: 400 of its 800 MACs, and half of b's inputs: 600 of 1200.
    void channelsSaveHereAndBehind()
    {
        const ModelSummary model = twoConvolutions();
        const auto cost = modelCost(model, masked("a", {1, 1, 0, 0, 1, 1, 0, 0}), false);
        QCOMPARE(cost.layers.at("a").bops, 400.0 * 1024);
        QCOMPARE(cost.layers.at("b").bops, 600.0 * 1024);
        QCOMPARE(cost.bops, 1000.0 * 1024);
    }

    // A channel of a group that cannot be cut is not computed, but nobody else saves by it.
    void refusedGroupsSaveOnlyThere()
    {
        ModelSummary model = twoConvolutions();
        QCOMPARE(modelCost(model, masked("b", {1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1}), false).bops, (800 + 800) * 1024.0);
        model.groups[0].refusal = "it is an input";
        QCOMPARE(modelCost(model, masked("a", {1, 1, 0, 0, 1, 1, 0, 0}), false).bops, (400 + 1200) * 1024.0);
    }

    void singleZerosSaveNothing()
    {
        const ModelSummary model = twoConvolutions();
        QCOMPARE(modelCost(model, masked("a", {1, 0, 0, 1, 1, 0, 0, 1}), false).bops, 2000.0 * 1024);
    }

    // Two layers write the same channels: only what both have emptied is gone for the reader.
    void allWritersMustAgree()
    {
        ModelSummary model = twoConvolutions();
        LayerInfo twin = model.layers[0];
        twin.name = "twin";
        model.layers.push_back(twin);
        model.groups[0].parts.push_back({"twin", true, true, 0, {0, 1, 2, 3}});
        ResolvedConfig config = masked("a", {1, 1, 0, 0, 1, 1, 0, 0});
        QCOMPARE(liveMacShares(model, config).count("b"), std::size_t(0));
        config["twin"].prune = {"l1", 0.5, {}, Mask::fromKept(std::vector<std::uint8_t>{1, 1, 0, 0, 1, 1, 1, 1})};
        QCOMPARE(liveMacShares(model, config).at("b"), 0.75);
    }
};

QTEST_APPLESS_MAIN(TestChannelsGone)
#include "tst_channels_gone.moc"
