// SPDX-License-Identifier: GPL-3.0-or-later
#include "sample_networks.h"
#include "train/batch_norm.h"
#include "train/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

class TestTrainer : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void lossFallsAndAccuracyReturns();
    void reportedIsReproduced();
    void sameSeedSameNumbers();
    void resumeEqualsUninterrupted();
    void checkpointOfAnotherRun();
    void learnedStepMoves();
    void foldedTrains();
    void givenWeightScaleStays();
    void tracesLevelsAndGradients();
    void cancelStops();
    void nonFiniteLossIsNamed();
    void reestimationIsTheMeanOfBatches();

private:
    FineTuneInput input(int weightBits, int activationBits, int epochs, bool learned = false, bool fold = false);
    std::shared_ptr<const Network> m_network;
    std::shared_ptr<const Dataset> m_training, m_test;
    std::unique_ptr<Evaluator> m_evaluator;
};

void TestTrainer::initTestCase()
{
    m_network = openSample("mobilenetv2_small.pt2");
    m_training = openSampleData("sample:train,limit=160", "mobilenetv2_small.pt2");
    m_test = openSampleData("sample:test,limit=64", "mobilenetv2_small.pt2");
    m_evaluator = std::make_unique<Evaluator>(m_network, m_test);
}

FineTuneInput TestTrainer::input(int weightBits, int activationBits, int epochs, bool learned, bool fold)
{
    ModelConfig config = uniformConfig(weightBits, activationBits);
    config.foldBatchNorm = fold;
    if (learned) {
        config.defaults.weight.options["learned_step"] = true;
        config.defaults.activation.options["learned_step"] = true;
    }
    FineTuneInput in;
    in.network = m_network;
    in.config = resolveAndCalibrate(m_network, config, *m_training);
    in.foldBatchNorm = fold;
    in.training = m_training;
    in.evaluation = m_evaluator.get();
    in.options.epochs = epochs;
    in.options.batch = 32;
    in.options.learningRate = 0.01;
    return in;
}

void TestTrainer::lossFallsAndAccuracyReturns()
{
    const FineTuneInput in = input(3, 4, 4);
    const ParameterMap before = m_network->parameters(false);
    const at::Tensor weight = before.at("stem.0.weight").clone();
    auto untouched = take(Simulation::make(m_network, in.config, false));
    const double start = take(m_evaluator->evaluate(*untouched, {}, {})).value;
    const FineTuneResult result = take(fineTune(in, {}, {}));
    QCOMPARE(result.history.size(), 4U);
    QVERIFY(result.history.back().loss < result.history.front().loss);
    QVERIFY2(result.history.back().estimate.value > start + 0.05,
             qPrintable(QString::asprintf("%.3f to %.3f", start, result.history.back().estimate.value)));
    QVERIFY(at::equal(m_network->parameters(false).at("stem.0.weight"), weight));
    QVERIFY(!at::equal(result.state->tensors.at("stem.0.weight"), weight));
}

void TestTrainer::reportedIsReproduced()
{
    for (bool learned : {false, true}) {
        const FineTuneResult result = take(fineTune(input(4, 4, 1, learned), {}, {}));
        auto simulation = take(Simulation::make(m_network, result.config, false, *result.state));
        const Estimate again = take(m_evaluator->evaluate(*simulation, {}, {}));
        QCOMPARE(again.value, result.history.back().estimate.value);
        QCOMPARE(again.loss, result.history.back().estimate.loss);
    }
}

void TestTrainer::sameSeedSameNumbers()
{
    FineTuneInput in = input(4, 4, 1);
    const FineTuneResult a = take(fineTune(in, {}, {})), b = take(fineTune(in, {}, {}));
    QCOMPARE(a.history[0].loss, b.history[0].loss);
    QVERIFY(at::equal(a.state->tensors.at("fc.weight"), b.state->tensors.at("fc.weight")));
    in.options.seed = 1;
    const FineTuneResult c = take(fineTune(in, {}, {}));
    QVERIFY(!at::equal(a.state->tensors.at("fc.weight"), c.state->tensors.at("fc.weight")));
}

void TestTrainer::resumeEqualsUninterrupted()
{
    QTemporaryDir folder;
    for (const char *optimizer : {"sgd", "adam"}) {
        FineTuneInput in = input(4, 4, 2, true);
        in.options.optimizer = optimizer;
        in.options.learningRate = 0.001;
        const FineTuneResult whole = take(fineTune(in, {}, {}));
        in.checkpoint = folder.filePath(QString::fromLatin1(optimizer)).toStdString();
        in.resume = true;
        std::stop_source source;
        JobContext context;
        context.stop = source.get_token();
        FineTuneCallbacks callbacks;
        callbacks.step = [&](const StepReport &step) {
            if (step.epoch == 2 && step.step > 7)
                source.request_stop();
        };
        const auto interrupted = fineTune(in, context, callbacks);
        QVERIFY(!interrupted && isCancelled(interrupted.error()));
        int trained = 0;
        callbacks.step = [&](const StepReport &) { ++trained; };
        const FineTuneResult resumed = take(fineTune(in, {}, callbacks));
        QCOMPARE(trained, 5);   // the second epoch alone
        QCOMPARE(resumed.history.size(), 2U);
        QVERIFY(resumed.history[0].resumed && !resumed.history[1].resumed);
        QCOMPARE(resumed.history[1].loss, whole.history[1].loss);
        QVERIFY(at::equal(resumed.state->tensors.at("fc.weight"), whole.state->tensors.at("fc.weight")));
        QCOMPARE(resumed.config.at("fc").weight.values, whole.config.at("fc").weight.values);
    }
}

void TestTrainer::checkpointOfAnotherRun()
{
    QTemporaryDir folder;
    FineTuneInput in = input(4, 4, 1);
    in.checkpoint = folder.filePath(QStringLiteral("c")).toStdString();
    take(fineTune(in, {}, {}));
    in.resume = true;
    in.options.learningRate = 0.02;
    const auto other = fineTune(in, {}, {});
    QVERIFY(!other);
    QVERIFY(other.error().message.find("another run") != std::string::npos);
    QFile file(QString::fromStdString(in.checkpoint));
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.write("no checkpoint");
    file.close();
    QVERIFY(!fineTune(in, {}, {}));
}

void TestTrainer::learnedStepMoves()
{
    const FineTuneInput in = input(3, 3, 1, true);
    const FineTuneResult result = take(fineTune(in, {}, {}));
    const auto &before = in.config.at("fc").activation.values.at("scale");
    const auto &after = result.config.at("fc").activation.values.at("scale");
    QVERIFY(before != after);
    for (const auto &[name, layer] : result.config)
        for (double scale : layer.weight.values.at("scale"))
            QVERIFY(scale > 0 && std::isfinite(scale));
}

void TestTrainer::foldedTrains()
{
    FineTuneInput in = input(4, 4, 3, false, true);
    in.options.learningRate = 0.002;   // statistics are frozen: larger rates diverge
    const FineTuneResult result = take(fineTune(in, {}, {}));
    QVERIFY(result.history[2].loss < result.history[0].loss);
    // Frozen statistics: the buffers are the file's.
    QVERIFY(at::equal(result.state->tensors.at("stem.1.running_mean"), m_network->parameters(false).at("stem.1.running_mean")));
    auto simulation = take(Simulation::make(m_network, result.config, true, *result.state));
    QCOMPARE(take(m_evaluator->evaluate(*simulation, {}, {})).value, result.history.back().estimate.value);
}

void TestTrainer::givenWeightScaleStays()
{
    FineTuneInput in = input(4, 32, 1);
    take(fillWeights(in.config, m_network, false, {}));
    const auto given = in.config.at("fc").weight.values;
    QCOMPARE(take(fineTune(in, {}, {})).config.at("fc").weight.values, given);
    const FineTuneResult follows = take(fineTune(input(4, 32, 1), {}, {}));
    QVERIFY(follows.config.at("fc").weight.values != given);
}

/// One plain step of gradient descent: what it changed, divided by the rate, is the gradient that was traced.
void TestTrainer::tracesLevelsAndGradients()
{
    for (const bool fold : {false, true}) {
        FineTuneInput in = input(2, 32, 1, false, fold);
        in.config.at("fc").weight = {};
        in.options.batch = 160;
        in.options.learningRate = 0.5;
        in.options.momentum = in.options.weightDecay = 0;
        in.options.schedule = "constant";
        const FineTuneResult result = take(fineTune(in, {}, {}));
        const auto &traces = result.history.back().traces;
        QCOMPARE(traces.size(), in.config.size() - 1);
        QVERIFY(!traces.contains("fc"));
        auto simulation = take(Simulation::make(m_network, result.config, fold, *result.state));
        const Executor &executor = m_network->executor(fold);
        for (std::size_t i = 0; i < executor.bindings().size(); ++i) {
            const std::string &name = executor.bindings()[i].info.name;
            const auto found = traces.find(name);
            if (found == traces.end())
                continue;
            QCOMPARE(found->second.levels, simulation->quantizer(i, Role::Weight)->grid().levels(0));
            const Histogram &gradients = found->second.gradients;
            QCOMPARE(std::int64_t(gradients.total()), executor.bindings()[i].info.weightCount);
            if (fold)   // the gradient is that of the folded weight
                continue;
            const at::Tensor moved = (m_network->parameters(false).at(name + ".weight") - result.state->tensors.at(name + ".weight")) / 0.5;
            const double low = moved.min().item<double>(), high = moved.max().item<double>();
            QVERIFY2(std::abs(gradients.lo - low) < 1e-5 + 1e-3 * std::abs(low), name.c_str());
            QVERIFY2(std::abs(gradients.hi - high) < 1e-5 + 1e-3 * std::abs(high), name.c_str());
        }
    }
}

void TestTrainer::cancelStops()
{
    std::stop_source source;
    JobContext context;
    context.stop = source.get_token();
    int steps = 0;
    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &) {
        if (++steps == 2)
            source.request_stop();
    };
    const auto result = fineTune(input(4, 4, 5), context, callbacks);
    QVERIFY(!result && isCancelled(result.error()));
    QCOMPARE(steps, 2);
}

void TestTrainer::nonFiniteLossIsNamed()
{
    FineTuneInput in = input(4, 32, 1);
    in.options.learningRate = 1e30;
    const auto result = fineTune(in, {}, {});
    QVERIFY(!result);
    QCOMPARE(result.error().kind, ErrorKind::Numeric);
    QVERIFY(result.error().message.find("learning rate") != std::string::npos);
}

void TestTrainer::reestimationIsTheMeanOfBatches()
{
    auto simulation = take(Simulation::make(m_network, {}, false));
    const ParameterMap buffers = take(reestimateBatchNorm(*m_network, *simulation, *m_training, 32, 3, {}));
    // The first batch norm sees the first convolution's output: its mean is that of the rows used.
    const at::Tensor x = m_training->inputs(0, 96);
    const at::Tensor y = at::conv2d(x, m_network->parameters(false).at("stem.0.weight"), {}, 1, 1);
    const double worst = (buffers.at("stem.1.running_mean") - y.mean({0, 2, 3})).abs().max().item<double>();
    QVERIFY2(worst < 1e-4, qPrintable(QString::number(worst)));
    const ParameterMap again = take(reestimateBatchNorm(*m_network, *simulation, *m_training, 32, 3, {}));
    QVERIFY(at::equal(again.at("stem.1.running_var"), buffers.at("stem.1.running_var")));
    QVERIFY(!buffers.contains("stem.1.weight"));
}

QTEST_APPLESS_MAIN(TestTrainer)
#include "tst_trainer.moc"
