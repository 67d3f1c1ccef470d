// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/size_model.h"
#include "sample_catalog.h"

#include <QtTest/QtTest>

using namespace bitwright;

namespace {

QuantSpec uniform(int bits, bool symmetric = true, bool perChannel = false)
{
    QuantSpec spec;
    spec.method = "uniform";
    spec.bits = bits;
    spec.options = {{"symmetric", symmetric}, {"granularity", std::string(perChannel ? "channel" : "tensor")}};
    return spec;
}

/// All layers at one spec but the first and the last, which get `ends`.
ResolvedConfig assign(const ModelSummary &model, const LayerConfig &middle, const LayerConfig &ends)
{
    ResolvedConfig config;
    for (const auto &layer : model.layers)
        config[layer.name] = layer.name == "conv1" || layer.name == "fc" ? ends : middle;
    return config;
}

double sideBitsOf(const ModelCost &cost)
{
    double sum = 0;
    for (const auto &[name, layer] : cost.layers)
        sum += layer.sideBits;
    return sum;
}

} // namespace

class TestSizeModel : public QObject {
    Q_OBJECT
private slots:
    /// methods.md I1 counts, by hand: 432 + 6·2304 + (4608 + 5·9216) + (18432 + 5·36864) convolution weights.
    void fixtureIsResNet20()
    {
        const auto model = test::cifarResNet20();
        std::int64_t convolutions = 0, batchNorms = 0, macs = 0;
        for (const auto &layer : model.layers) {
            convolutions += layer.op == "conv2d" ? layer.weightCount : 0;
            batchNorms += layer.batchNormCount;
            macs += layer.macs;
        }
        QCOMPARE(convolutions, 267696);
        QCOMPARE(batchNorms, 1376);
        QCOMPARE(model.parameters, 269722);
        QCOMPARE(macs, 40551040);
        QCOMPARE(floatSizeBytes(model), 1078888);
    }

    void sizesOfResNet20_data()
    {
        QTest::addColumn<int>("bits");
        QTest::addColumn<std::int64_t>("bytes");
        QTest::addColumn<double>("ratio");
        QTest::newRow("1 bit") << 1 << std::int64_t(43240) << 24.95;
        QTest::newRow("2 bits") << 2 << std::int64_t(76648) << 14.08;
        QTest::newRow("3 bits") << 3 << std::int64_t(110056) << 9.80;
        QTest::newRow("4 bits") << 4 << std::int64_t(143464) << 7.52;
        QTest::newRow("8 bits") << 8 << std::int64_t(277096) << 3.89;
    }
    void sizesOfResNet20()
    {
        QFETCH(int, bits);
        QFETCH(std::int64_t, bytes);
        QFETCH(double, ratio);
        const auto model = test::cifarResNet20();
        const auto cost = modelCost(model, assign(model, {.weight = uniform(bits)}, {}), false);
        QCOMPARE(cost.sizeBytes() - std::int64_t(sideBitsOf(cost) / 8), bytes);
        QCOMPARE(sideBitsOf(cost), 18 * 32.0);   // one scale for each of the 18 layers
        QVERIFY(std::abs(1078888.0 / double(bytes) - ratio) < 0.006);
        QCOMPARE(cost.otherBits, 0.0);

        const auto perFilter = modelCost(model, assign(model, {.weight = uniform(bits, true, true)}, {}), false);
        QCOMPARE(perFilter.sizeBytes(), bytes + 2688);
    }
    void floatNetworkIsFourBytesAParameter()
    {
        const auto model = test::cifarResNet20();
        QCOMPARE(modelCost(model, {}, false).sizeBytes(), floatSizeBytes(model));
    }

    /// methods.md I2, in GBOPs.
    void bopsOfResNet20_data()
    {
        QTest::addColumn<int>("middle");
        QTest::addColumn<int>("ends");   // 32: float
        QTest::addColumn<double>("giga");
        QTest::newRow("float") << 32 << 32 << 41.524;
        QTest::newRow("8/8") << 8 << 8 << 2.595;
        QTest::newRow("4/4") << 4 << 4 << 0.649;
        QTest::newRow("2/2, ends float") << 2 << 32 << 0.614;
        QTest::newRow("2/2, ends 8") << 2 << 8 << 0.189;
        QTest::newRow("1/1, ends float") << 1 << 32 << 0.494;
    }
    void bopsOfResNet20()
    {
        QFETCH(int, middle);
        QFETCH(int, ends);
        QFETCH(double, giga);
        const auto spec = [](int bits) {
            return bits == 32 ? LayerConfig{} : LayerConfig{uniform(bits), uniform(bits, false)};
        };
        const auto model = test::cifarResNet20();
        const double bops = modelCost(model, assign(model, spec(middle), spec(ends)), false).bops;
        QVERIFY2(std::abs(bops / 1e9 - giga) < 0.00051, qPrintable(QString::number(bops)));
    }

    void sideInformation()
    {
        QCOMPARE(sideBits(QuantSpec{}, Role::Weight, 64), 0.0);
        QCOMPARE(sideBits(uniform(4), Role::Weight, 1), 32.0);
        QCOMPARE(sideBits(uniform(4, false), Role::Activation, 1), 36.0);
        QCOMPARE(sideBits(uniform(8, true), Role::Weight, 64), 2048.0);
        QCOMPARE(sideBits(uniform(2, false), Role::Weight, 64), 64 * 34.0);
        QuantSpec unsaid;   // the role decides: weights symmetric, activations asymmetric
        unsaid.method = "uniform";
        unsaid.bits = 4;
        QCOMPARE(sideBits(unsaid, Role::Weight, 1), 32.0);
        QCOMPARE(sideBits(unsaid, Role::Activation, 1), 36.0);
        unsaid.options["signed"] = false;   // an option that only symmetric grids have
        QCOMPARE(sideBits(unsaid, Role::Activation, 1), 32.0);
        unsaid.options = {{"learned_step", true}};
        QCOMPARE(sideBits(unsaid, Role::Activation, 1), 32.0);
        QuantSpec codebook;
        codebook.method = "kmeans";
        codebook.bits = 2;
        codebook.values["codebook"] = {-1, 0, 1, 2};
        QCOMPARE(sideBits(codebook, Role::Weight, 1), 128.0);
    }

    // methods.md I1: N 1000, nnz 100, b 4, d 4, no filler: bitmap 1400, relative 800, dense 4000.
    void sparseEncodings()
    {
        std::vector<std::uint8_t> kept(1000, 0);
        for (std::size_t i = 0; i < 1000; i += 10)
            kept[i] = 1;
        const SparseBits bits = sparseBits(Mask::fromKept(kept), 4, 10);
        QCOMPARE(bits.dense, 4000.0);
        QCOMPARE(bits.bitmap, 1400.0);
        QCOMPARE(bits.relative, 800.0);
        QCOMPARE(bits.csr, 100 * (4.0 + 7) + 32 * 11.0);   // 100 columns take 7 bits
        QCOMPARE(bits.least(), 800.0);
    }

    void activationsCostTheirScale()
    {
        const auto model = test::cifarResNet20();
        const auto cost = modelCost(model, assign(model, {.activation = uniform(4, false)}, {}), false);
        QCOMPARE(cost.sizeBits, 32 * 269722.0 + 18 * 36.0);
    }

    void foldingTradesBatchNormForABias()
    {
        const auto model = test::cifarResNet20();
        const auto cost = modelCost(model, {}, true);
        // 1376 batch-norm parameters go, 688 biases come.
        QCOMPARE(cost.sizeBits, 32.0 * (269722 - 1376 + 688));
        QCOMPARE(cost.layers.at("conv1").restBits, 16 * 32.0);
        QCOMPARE(cost.layers.at("fc").restBits, 10 * 32.0);

        auto biased = model;   // a convolution that has a bias of its own already keeps one
        biased.layers.front().biasCount = 16;
        biased.parameters += 16;
        QCOMPARE(modelCost(biased, {}, true).sizeBits, cost.sizeBits);
        QCOMPARE(modelCost(biased, {}, false).sizeBits, 32.0 * (269722 + 16));
    }

    void listedBatchNormIsCountedOnce()
    {
        auto model = test::cifarResNet20();
        LayerInfo norm;   // the layer list shows it as a row of its own
        norm.name = "conv1_bn";
        norm.op = "batch_norm";
        norm.weightShape = {16};
        norm.weightCount = norm.biasCount = 16;
        model.layers.push_back(norm);
        QCOMPARE(modelCost(model, {}, false).sizeBytes(), floatSizeBytes(model));
        QCOMPARE(modelCost(model, {}, true).sizeBits, 32.0 * (269722 - 1376 + 688));
    }

    void restOfTheNetworkIsFloat()
    {
        auto model = test::cifarResNet20();
        model.parameters += 1000;   // an embedding that no layer lists
        const auto cost = modelCost(model, {}, false);
        QCOMPARE(cost.otherBits, 32000.0);
        QCOMPARE(cost.sizeBytes(), 4 * 270722);
    }

    void transposedWeightsGroupAlongTheirOutputs()
    {
        LayerInfo layer = test::convolution("up", 8, 4, 2, 8);
        layer.op = "conv_transpose2d";
        layer.weightShape = {8, 4, 2, 2};
        layer.channelAxis = 1;
        ModelSummary model;
        model.layers = {layer};
        model.parameters = layer.parameters() + layer.batchNormCount;
        const auto cost = modelCost(model, {{"up", {.weight = uniform(4, true, true)}}}, false);
        QCOMPARE(cost.layers.at("up").sideBits, 4 * 32.0);
    }

    void bytesRoundUp()
    {
        ModelCost cost;
        for (const auto &[bits, bytes] : {std::pair{0.0, 0}, {1.0, 1}, {8.0, 1}, {9.0, 2}}) {
            cost.sizeBits = bits;
            QCOMPARE(cost.sizeBytes(), bytes);
        }
    }
};

QTEST_APPLESS_MAIN(TestSizeModel)
#include "tst_size_model.moc"
