// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/size_model.h"
#include "sample_networks.h"
#include "simulate/masking.h"
#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

class TestMasking : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void maskedWeightsAreZero();
    void levelsFollowTheSurvivors();
    void structuredMasksSilenceTheChannel_data();
    void structuredMasksSilenceTheChannel();
    void masksAreMadeWhereTheyAreMissing();
    void trainingHoldsTheMask();
    void removedChannelsStayRemoved();
    void unitsAreGoneWhereEveryWriterIsEmpty();
    void sizeCountsTheSmallestEncoding();

private:
    [[nodiscard]] ResolvedConfig pruned(const char *method, double sparsity, int bits) const;

    std::shared_ptr<const Network> m_network;
    std::shared_ptr<const Dataset> m_data;
};

void TestMasking::initTestCase()
{
    m_network = openSample("resnet20.pt2");
    m_data = openSampleData("sample:train,limit=128", "resnet20.pt2");
}

ResolvedConfig TestMasking::pruned(const char *method, double sparsity, int bits) const
{
    ModelConfig config = uniformConfig(bits, 32);
    config.defaults.prune.method = method;
    config.defaults.prune.sparsity = sparsity;
    ResolvedConfig resolved = take(resolve(config, m_network->summary(), methodCatalog()));
    if (const Status filled = fillMasks(resolved, *m_network, config.foldBatchNorm, {}); !filled)
        throw std::runtime_error(filled.error().message);
    return resolved;
}

void TestMasking::maskedWeightsAreZero()
{
    for (const int bits : {32, 3}) {
        const ResolvedConfig config = pruned("magnitude", 0.7, bits);
        const auto simulation = take(Simulation::make(m_network, config, false));
        const Executor &executor = simulation->executor();
        for (const LayerBinding &binding : executor.bindings()) {
            if (binding.info.status != LayerStatus::Quantizable)
                continue;
            const at::Tensor weight = simulation->parameters()[std::size_t(executor.graph().parameterOf(binding.weight))];
            const at::Tensor kept = maskTensor(config.at(binding.info.name).prune.mask, weight);
            QCOMPARE(weight.masked_select(kept.logical_not()).abs().sum().item<double>(), 0.0);
            if (bits == 32)
                QCOMPARE(weight.count_nonzero().item<std::int64_t>(), config.at(binding.info.name).prune.mask.keptCount());
        }
    }
}

// Nine tenths of zeros would drag a least-squares range towards zero.
void TestMasking::levelsFollowTheSurvivors()
{
    ResolvedConfig config = pruned("magnitude", 0.9, 3);
    LayerConfig &layer = config.at("layer3.0.conv1");
    layer.weight.options["granularity"] = std::string("tensor");
    layer.weight.options["range"] = std::string("mse");
    const auto simulation = take(Simulation::make(m_network, config, false));
    const auto binding = m_network->binding("layer3.0.conv1");
    const at::Tensor weight = m_network->executor().bind()[std::size_t(m_network->graph().parameterOf(m_network->executor().bindings()[*binding].weight))];
    const at::Tensor survivors = weight.masked_select(maskTensor(layer.prune.mask, weight));
    auto alone = take(makeQuantizer(layer.weight, {"layer3.0.conv1", Role::Weight, 0, false}));
    QVERIFY(alone->calibrate(survivors));
    QCOMPARE(simulation->quantizer(*binding, Role::Weight)->values().at("scale"), alone->values().at("scale"));
}

void TestMasking::structuredMasksSilenceTheChannel_data()
{
    QTest::addColumn<bool>("folded");
    QTest::newRow("batch norm kept") << false;
    QTest::newRow("batch norm folded") << true;
}

void TestMasking::structuredMasksSilenceTheChannel()
{
    QFETCH(bool, folded);
    ResolvedConfig config = pruned("magnitude", 0, 32);
    for (auto &[name, layer] : config)
        layer.prune = {};
    LayerConfig &layer = config.at("layer2.1.conv1");
    layer.prune = {"l1", 0.5, {}, {}};
    QVERIFY(fillMasks(config, *m_network, folded, {}));
    const auto simulation = take(Simulation::make(m_network, config, folded));
    // What the next layer reads: half of its channels are nothing, whatever beta and the bias were.
    const Executor &executor = simulation->executor();
    at::Tensor seen;
    const Tap look = [&](std::size_t binding, int, const at::Tensor &input, bool) {
        if (executor.bindings()[binding].info.name == "layer2.1.conv2")
            seen = input.clone();
        return input;
    };
    RunOptions options;
    options.tap = &look;
    const at::NoGradGuard noGrad;
    QVERIFY(executor.runBatch(m_data->inputs(0, 8), simulation->parameters(), options));
    const at::Tensor silent = seen.abs().amax({0, 2, 3}).eq(0);
    const at::Tensor gone = emptiedChannels(layer.prune.mask, at::empty({32, 32, 3, 3}), 0);
    QCOMPARE(gone.sum().item<std::int64_t>(), std::int64_t(16));
    QVERIFY(silent.logical_or(gone.logical_not()).all().item<bool>());
}

void TestMasking::masksAreMadeWhereTheyAreMissing()
{
    ModelConfig config = uniformConfig(4, 32);
    config.layers["fc"].prune.method = "magnitude";
    config.layers["fc"].prune.sparsity = 0.25;
    const ResolvedConfig resolved = take(resolve(config, m_network->summary(), methodCatalog()));
    QVERIFY(resolved.at("fc").prune.mask.empty());
    ResolvedConfig filled = resolved;
    QVERIFY(fillMasks(filled, *m_network, false, {}));
    QCOMPARE(filled.at("fc").prune.mask.keptCount(), std::int64_t(480));
    // Simulated as it is or with the mask made before: the same numbers.
    const at::Tensor x = m_data->inputs(0, 4);
    const at::Tensor a = take(take(Simulation::make(m_network, resolved, false))->run(x));
    const at::Tensor b = take(take(Simulation::make(m_network, filled, false))->run(x));
    QVERIFY(at::equal(a, b));
}

void TestMasking::trainingHoldsTheMask()
{
    FineTuneInput input;
    input.network = m_network;
    input.training = m_data;
    input.config = pruned("magnitude", 0.8, 4);
    input.options.epochs = 1;
    input.options.batch = 32;
    input.options.weightDecay = 0.1;
    const auto result = fineTune(input, {}, {});
    QVERIFY2(result.has_value(), result ? "" : result.error().message.c_str());
    bool moved = false;
    for (const auto &[name, layer] : input.config) {
        const at::Tensor weight = result->state->tensors.at(name + ".weight");
        const at::Tensor kept = maskTensor(layer.prune.mask, weight);
        QCOMPARE(weight.masked_select(kept.logical_not()).abs().sum().item<double>(), 0.0);
        moved = moved || !at::equal(weight.masked_select(kept), m_network->parameters(false).at(name + ".weight").masked_select(kept));
        QVERIFY(result->config.at(name).prune.mask == layer.prune.mask);
    }
    QVERIFY(moved);
}

void TestMasking::removedChannelsStayRemoved()
{
    LayerInfo layer;
    layer.weightShape = {3, 4};
    layer.weightCount = 12;
    const auto mask = [](std::vector<std::uint8_t> kept) { return Mask::fromKept(kept); };
    const PruneSpec before{"l1", 0.3, {}, mask({1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1})};
    PruneSpec made{"magnitude", 0.25, {{"channels", false}}, mask({0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1})};
    keepRemovedChannels(made, before, layer);
    QVERIFY(made.mask == mask({0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1}));
    QVERIFY(boolParam(made.options, "channels"));
    // What an element-wise mask happened to empty was never removed as a channel.
    PruneSpec free{"magnitude", 0.25, {{"channels", false}}, mask({0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1})};
    const PruneSpec unchanged = free;
    keepRemovedChannels(free, {"magnitude", 0.3, {{"channels", false}}, before.mask}, layer);
    QVERIFY(free == unchanged);
}

/// ResNet-20: the stem and the second convolutions of the first stage write the same channels.
void TestMasking::unitsAreGoneWhereEveryWriterIsEmpty()
{
    ResolvedConfig config = pruned("l1", 0.5, 32);
    const auto gone = [&] {
        const RemovedUnits removed = emptiedUnits(*m_network, config);
        const auto &groups = m_network->summary().groups;
        for (std::size_t g = 0; g < groups.size(); ++g)
            if (groups[g].part("conv1", true))
                return std::pair(std::ranges::count(removed[g], true), silencedParameters(*m_network, false, config).channels.size());
        return std::pair(std::ptrdiff_t(-1), std::size_t(0));
    };
    QCOMPARE(gone().first, std::ptrdiff_t(8));
    const std::size_t silenced = gone().second;
    config.at("layer1.1.conv2").prune = {};
    QCOMPARE(gone().first, std::ptrdiff_t(0));
    QVERIFY(gone().second < silenced);
}

void TestMasking::sizeCountsTheSmallestEncoding()
{
    const ResolvedConfig dense = pruned("magnitude", 0, 4), sparse = pruned("magnitude", 0.9, 4);
    const ModelCost a = modelCost(m_network->summary(), dense, false), b = modelCost(m_network->summary(), sparse, false);
    QVERIFY(b.sizeBits < a.sizeBits * 0.45);
    QCOMPARE(b.bops, a.bops);   // unless a target skips zeros, they cost what they cost
    QVERIFY(std::abs(b.layers.at("fc").keptShare - 0.1) < 1e-9);
    // All kept: no index is worth its bits.
    QCOMPARE(a.layers.at("fc").weightBits, 640 * 4.0);
}

QTEST_APPLESS_MAIN(TestMasking)
#include "tst_masking.moc"
