// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/measured_trial.h"
#include "sample_catalog.h"

#include <nlohmann/json.hpp>

#include <QtTest/QtTest>

using namespace bitwright;

namespace {

const Catalog kCatalog = test::sampleCatalog();

ModelSummary net()
{
    ModelSummary model;
    model.sha256 = "0123456789abcdef";
    for (const char *name : {"conv1", "conv2"})
        model.layers.push_back(test::convolution(name, 2, 4, 3, 8));
    return model;
}

ModelConfig config(int bits, double scale)
{
    ModelConfig config;
    config.defaults.weight = {"uniform", bits, {}, {}};
    config.layers["conv1"].activation = {"uniform", 8, {}, {{"scale", {scale}}}};
    return config;
}

TrialRecord trialOf(const ModelConfig &config, std::int64_t id, const char *metric = "top1", std::int64_t samples = 100)
{
    TrialRecord trial;
    trial.id = id;
    trial.assignment = configToJson(config).dump();
    trial.modelSha = net().sha256;
    trial.metric = metric;
    trial.samples = samples;
    return trial;
}

std::int64_t found(const std::vector<TrialRecord> &trials, const ModelConfig &config, const std::string &weights = {})
{
    const TrialRecord *trial = measuredTrial(trials, net(), config, weights, kCatalog);
    return trial ? trial->id : 0;
}

} // namespace

class TestMeasuredTrial : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void onlyTheSameAssignment()
    {
        const ModelConfig wanted = config(4, 0.1);
        QCOMPARE(found({trialOf(config(3, 0.1), 1), trialOf(wanted, 2), trialOf(config(4, 0.2), 3)}, wanted), 2);
        QCOMPARE(found({trialOf(config(3, 0.1), 1), trialOf(config(4, 0.2), 3)}, wanted), 0);
        // Said in other words: the default's bits named on each layer.
        ModelConfig spelt = config(4, 0.1);
        spelt.defaults = {};
        spelt.layers["conv1"].weight = spelt.layers["conv2"].weight = {"uniform", 4, {}, {}};
        QCOMPARE(found({trialOf(spelt, 5)}, wanted), 5);
        ModelConfig folded = wanted;
        folded.foldBatchNorm = true;
        QCOMPARE(found({trialOf(folded, 6)}, wanted), 0);
    }

    void onlyOfThisNetworkAndItsWeights()
    {
        const ModelConfig wanted = config(4, 0.1);
        TrialRecord other = trialOf(wanted, 1), trained = trialOf(wanted, 2), broken = trialOf(wanted, 3);
        other.modelSha = "another";
        trained.weights = "epoch 1";
        broken.assignment = "{";
        QCOMPARE(found({other, trained, broken}, wanted), 0);
        QCOMPARE(found({other, trained}, wanted, "epoch 1"), 2);
    }

    void theBestOfSeveral()
    {
        const ModelConfig wanted = config(4, 0.1);
        QCOMPARE(found({trialOf(wanted, 1, "sqnr", 900), trialOf(wanted, 2, "top1", 100), trialOf(wanted, 3, "top1", 50)}, wanted), 2);
        QCOMPARE(found({trialOf(wanted, 4), trialOf(wanted, 5)}, wanted), 5);
    }

    void aMaskThatIsNotDrawnYet()
    {
        ModelConfig wanted = config(4, 0.1);
        setPrune(wanted, "conv1", {"magnitude", 0.5, {}, {}});
        ModelConfig other = wanted;
        other.layers["conv1"].prune.sparsity = 0.25;
        QCOMPARE(found({trialOf(other, 1)}, wanted), 0);
        QCOMPARE(found({trialOf(wanted, 2)}, wanted), 2);
    }

    void rangesAndWhetherTheyAreShared()
    {
        const ModelConfig one = config(4, 0.1);
        const auto resolved = [](const ModelConfig &config) { return *resolve(config, net(), kCatalog); };
        QCOMPARE(rangeCount(resolved(one)), 1);
        QCOMPARE(rangeCount(resolved(withoutRanges(one))), 0);
        QCOMPARE(sharedRanges(resolved(one), resolved(config(3, 0.1 + 1e-9))), 1);
        QCOMPARE(sharedRanges(resolved(one), resolved(config(4, 0.11))), 0);
        QCOMPARE(sharedRanges(resolved(withoutRanges(one)), resolved(withoutRanges(one))), 0);
    }
};

QTEST_APPLESS_MAIN(TestMeasuredTrial)
#include "tst_measured_trial.moc"
