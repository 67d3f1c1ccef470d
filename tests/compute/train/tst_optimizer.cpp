// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/augment.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <QtTest/QtTest>

#include <cmath>
#include <set>

using namespace bitwright;

class TestOptimizer : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void sgdWithMomentumAndDecay();
    void adamFirstSteps();
    void stateRestores();
    void schedules();
    void wrongSettings();
    void shuffleIsAPermutation();
    void shiftAndFlipMoves();
    void archiveRoundTrip();
};

namespace {
at::Tensor leaf(std::initializer_list<double> values)
{
    at::Tensor tensor = at::tensor(std::vector<double>(values), at::kFloat);
    tensor.set_requires_grad(true);
    return tensor;
}
void setGradient(at::Tensor &tensor, std::initializer_list<double> values)
{
    tensor.mutable_grad() = at::tensor(std::vector<double>(values), at::kFloat);
}
double at0(const at::Tensor &tensor, int i)
{
    return tensor.detach()[i].item<double>();
}
} // namespace

void TestOptimizer::sgdWithMomentumAndDecay()
{
    FineTuneOptions options;
    options.momentum = 0.9;
    options.weightDecay = 0.1;
    at::Tensor w = leaf({1, -2}), b = leaf({1, -2});
    auto optimizer = std::move(*makeOptimizer(options, {{"w", w, true}, {"b", b, false}}));
    setGradient(w, {0.5, 0.5});
    setGradient(b, {0.5, 0.5});
    optimizer->step(0.1);
    QVERIFY(std::abs(at0(w, 0) - 0.94) < 1e-6);   // 1 - 0.1 (0.5 + 0.1)
    QVERIFY(std::abs(at0(w, 1) + 2.03) < 1e-6);   // -2 - 0.1 (0.5 - 0.2)
    QVERIFY(std::abs(at0(b, 0) - 0.95) < 1e-6);
    QVERIFY(!w.grad().defined());
    setGradient(b, {0, 0});
    optimizer->step(0.1);
    QVERIFY(std::abs(at0(b, 0) - 0.905) < 1e-6);  // momentum 0.45
    QVERIFY(std::abs(at0(w, 0) - 0.94) < 1e-6);   // no gradient, no step
}

void TestOptimizer::adamFirstSteps()
{
    FineTuneOptions options;
    options.optimizer = "adam";
    options.weightDecay = 0;
    at::Tensor w = leaf({1});
    auto optimizer = std::move(*makeOptimizer(options, {{"w", w, true}}));
    setGradient(w, {0.3});
    optimizer->step(0.01);
    QVERIFY(std::abs(at0(w, 0) - 0.99) < 1e-6);   // the first step is the rate, whatever the gradient
    setGradient(w, {-0.1});
    optimizer->step(0.01);
    // m = .9*.03+.1*(-.1) = .017, v = .999*9e-5+.001*.01 = 9.991e-5; corrected .0894737, .0499800
    QVERIFY(std::abs(at0(w, 0) - (0.99 - 0.01 * 0.08947368 / std::sqrt(0.04997999))) < 1e-6);
}

void TestOptimizer::stateRestores()
{
    for (const char *kind : {"sgd", "adam"}) {
        FineTuneOptions options;
        options.optimizer = kind;
        at::Tensor a = leaf({1, 2}), b = leaf({1, 2});
        auto first = std::move(*makeOptimizer(options, {{"w", a, true}}));
        setGradient(a, {1, -1});
        first->step(0.1);
        auto second = std::move(*makeOptimizer(options, {{"w", b, true}}));
        second->restore(first->state());
        { at::NoGradGuard noGrad; b.copy_(a); }
        setGradient(a, {0.2, 0.1});
        setGradient(b, {0.2, 0.1});
        first->step(0.1);
        second->step(0.1);
        QVERIFY(at::equal(a, b));
    }
}

void TestOptimizer::schedules()
{
    FineTuneOptions options;
    options.learningRate = 1;
    options.schedule = "cosine";
    QVERIFY(std::abs(learningRate(options, 0, 100) - 1) < 1e-12);
    QVERIFY(std::abs(learningRate(options, 50, 100) - 0.5) < 1e-12);
    QVERIFY(learningRate(options, 99, 100) < 0.001);
    options.schedule = "step";
    QCOMPARE(learningRate(options, 49, 100), 1.0);
    QCOMPARE(learningRate(options, 50, 100), 0.1);
    QCOMPARE(learningRate(options, 75, 100), 0.01);
    options.schedule = "constant";
    QCOMPARE(learningRate(options, 99, 100), 1.0);
}

void TestOptimizer::wrongSettings()
{
    FineTuneOptions options;
    QVERIFY(checkOptions(options));
    options.learningRate = std::nan("");
    QVERIFY(!checkOptions(options));
    options = {};
    options.schedule = "zigzag";
    QVERIFY(!checkOptions(options));
    options = {};
    options.epochs = 0;
    QVERIFY(!checkOptions(options));
    options = {};
    options.optimizer = "lion";
    QVERIFY(!makeOptimizer(options, {}));
}

void TestOptimizer::shuffleIsAPermutation()
{
    const auto order = shuffled(1000, 7, 3);
    QCOMPARE(std::set<std::int64_t>(order.begin(), order.end()).size(), 1000U);
    QVERIFY(order == shuffled(1000, 7, 3));
    QVERIFY(order != shuffled(1000, 7, 4));
    QVERIFY(order != shuffled(1000, 8, 3));
}

void TestOptimizer::shiftAndFlipMoves()
{
    Preprocessing preprocessing{1, {0.5}, {0.25}};
    const at::Tensor batch = at::rand({32, 2, 6, 5});
    std::mt19937_64 random(1), again(1);
    const at::Tensor moved = shiftAndFlip(batch, preprocessing, 2, true, random);
    QCOMPARE(moved.sizes(), batch.sizes());
    QVERIFY(at::equal(moved, shiftAndFlip(batch, preprocessing, 2, true, again)));
    // What comes in is a raw zero: (0 - 0.5) / 0.25. Everything else is a pixel of the same image and channel.
    bool padded = false, changed = false;
    for (std::int64_t n = 0; n < 32; ++n) {
        changed = changed || !at::equal(moved[n], batch[n]);
        const at::Tensor isPad = moved[n].eq(-2.0);
        padded = padded || isPad.any().item<bool>();
        const at::Tensor inside = moved[n][0].masked_select(isPad[0].logical_not());
        QVERIFY(at::isin(inside, batch[n][0]).all().item<bool>());
    }
    QVERIFY(padded && changed);
    std::mt19937_64 none(1);
    QVERIFY(at::equal(shiftAndFlip(batch, preprocessing, 0, false, none), batch));
}

void TestOptimizer::archiveRoundTrip()
{
    TensorArchive archive;
    archive.tensors["a.weight"] = at::rand({3, 2});
    archive.tensors["count"] = at::tensor({5}, at::kLong);
    archive.text = "{\"x\": 1}";
    const auto bytes = packTensors(archive);
    QVERIFY(bytes);
    const auto read = unpackTensors(*bytes, "test");
    QVERIFY(read);
    QCOMPARE(read->text, archive.text);
    QVERIFY(at::equal(read->tensors.at("a.weight"), archive.tensors.at("a.weight")));
    QVERIFY(at::equal(read->tensors.at("count"), archive.tensors.at("count")));
    for (std::size_t size = 0; size < bytes->size(); size += 97)
        QVERIFY(!unpackTensors(std::vector<char>(bytes->begin(), bytes->begin() + std::ptrdiff_t(size)), "cut"));
}

QTEST_APPLESS_MAIN(TestOptimizer)
#include "tst_optimizer.moc"
