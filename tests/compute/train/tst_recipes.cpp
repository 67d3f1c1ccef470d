// SPDX-License-Identifier: GPL-3.0-or-later
#include "catalog/recipes.h"
#include "graph_builder.h"
#include "prune/pruner.h"
#include "sample_networks.h"
#include "train/optimizer.h"
#include "train/policies/policies.h"
#include "train/trainer.h"
#include "train/training_state.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

class TestRecipes : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void tableHoldsTheFactories();
    void clashesNameBoth_data();
    void clashesNameBoth();
    void wrongChoicesAreErrors_data();
    void wrongChoicesAreErrors();

    void hintonLoss_data();
    void hintonLoss();
    void hintonLossLimits();
    void teacherStaysAsItWas();
    void teacherFollowsItsFile();
    void noLabelsNeedATeacher();
    void keptAnswersAreTheSame();
    void hintPullsFeatures();
    void hintOfAnotherShapeIsNamed();

    void cubicCurve_data();
    void cubicCurve();
    void roundsPruneTheSamePart();
    void gradualReachesItsGoal_data();
    void gradualReachesItsGoal();
    void gradualBeginsWithTheMasks();
    void maskedLayersOnly();
    void heldMasksKeepMomentumZero_data();
    void heldMasksKeepMomentumZero();
    void regrowthBringsBack();
    void alternateStepsUp();

    void slimmingOracle();
    void slimmingShrinksScales();

    void everyRecipeTrainsQuantized_data();
    void everyRecipeTrainsQuantized();
    void resumeEqualsUninterrupted_data();
    void resumeEqualsUninterrupted();
    void recipeIsPartOfTheFingerprint();

private:
    FineTuneInput input(std::vector<RecipeChoice> recipes, int epochs = 1, int weightBits = 32, int activationBits = 32);
    std::shared_ptr<const Network> m_network;
    std::shared_ptr<const Dataset> m_data;
    std::unique_ptr<Evaluator> m_evaluator;
};

namespace {

constexpr int kSamples = 64, kBatch = 8;

/// conv 2 -> 4, batch norm, ReLU, flatten, linear 64 -> 3.
std::shared_ptr<const Network> twoLayers(std::uint64_t seed, std::int64_t width = 4)
{
    at::manual_seed(seed);
    GraphBuilder b;
    const auto x = b.input({-1, 2, 4, 4});
    const auto w = b.parameter("conv.weight", at::randn({width, 2, 3, 3}) * 0.3);
    auto y = b.node("aten::conv2d", {x, w, b.none(), b.ints({1, 1}), b.ints({1, 1}), b.ints({1, 1}), b.of(std::int64_t(1))}, "conv");
    y = b.batchNorm(y, "bn", width);
    y = b.node("aten::relu", {y}, "relu");
    y = b.node("aten::flatten.using_ints", {y, b.of(std::int64_t(1)), b.of(std::int64_t(-1))}, "flatten");
    const auto v = b.parameter("fc.weight", at::randn({3, width * 16}) * 0.1);
    b.output(b.node("aten::linear", {y, v, b.parameter("fc.bias", at::zeros({3}))}, "fc"));
    return Network::make(b.graph, "two layers");
}

std::shared_ptr<const Dataset> data(bool labelled = true)
{
    auto made = std::make_shared<Dataset>();
    at::manual_seed(5);
    made->images = at::randn({kSamples, 2, 4, 4});
    made->spec = "test";
    if (labelled)
        made->labels = at::randint(3, {kSamples}, at::kLong);
    return made;
}

at::Tensor row(std::initializer_list<double> values)
{
    return at::tensor(std::vector<double>(values), at::kDouble).unsqueeze(0);
}

double prunedShare(const ResolvedConfig &config, const std::string &layer)
{
    const Mask &mask = config.at(layer).prune.mask;
    return mask.empty() ? 0 : 1 - double(mask.keptCount()) / double(mask.size());
}

} // namespace

void TestRecipes::initTestCase()
{
    quietProcess();
    m_network = twoLayers(1);
    m_data = data();
    m_evaluator = std::make_unique<Evaluator>(m_network, m_data);
}

FineTuneInput TestRecipes::input(std::vector<RecipeChoice> recipes, int epochs, int weightBits, int activationBits)
{
    FineTuneInput in;
    in.network = m_network;
    in.config = resolveAndCalibrate(m_network, uniformConfig(weightBits, activationBits), *m_data);
    in.training = m_data;
    in.evaluation = m_evaluator.get();
    in.options.epochs = epochs;
    in.options.batch = kBatch;
    in.options.learningRate = 0.05;
    in.options.shift = in.options.flip = false;
    in.options.recipes = std::move(recipes);
    return in;
}

void TestRecipes::tableHoldsTheFactories()
{
    std::vector<std::string> traits, rows;
    for (const MethodTraits &method : methodCatalog().methods()) {
        if (method.kind != MethodKind::Recipe)
            continue;
        traits.push_back(method.id);
        QVERIFY2(!method.title.empty() && !method.summary.empty() && !method.paper.empty(), method.id.c_str());
        for (const ParamSpec &option : method.options) {
            QVERIFY2(!option.help.empty(), option.name.c_str());
            QVERIFY2(option.optional || checkParam(option, option.fallback), option.name.c_str());
        }
    }
    for (const PolicyRow &each : policyRows())
        rows.push_back(each.id);
    QCOMPARE(rows, traits);
    QCOMPARE(rows, (std::vector<std::string>{"distill", "gradual", "alternate", "slimming"}));
    const ParamSpec *criterion = methodCatalog().recipe("gradual")->option("criterion");
    for (const PrunerRow &pruner : prunerRows())
        QCOMPARE(std::ranges::count(criterion->choices, pruner.traits.id), pruner.traits.needsData ? 0 : 1);
}

void TestRecipes::clashesNameBoth_data()
{
    QTest::addColumn<QStringList>("ids");
    QTest::addColumn<bool>("clash");
    QTest::newRow("two that own the masks") << QStringList{QStringLiteral("alternate"), QStringLiteral("gradual")} << true;
    QTest::newRow("with one between") << QStringList{QStringLiteral("gradual"), QStringLiteral("distill"), QStringLiteral("alternate")} << true;
    QTest::newRow("one twice") << QStringList{QStringLiteral("distill"), QStringLiteral("distill")} << true;
    QTest::newRow("the others compose") << QStringList{QStringLiteral("distill"), QStringLiteral("gradual"), QStringLiteral("slimming")} << false;
}

void TestRecipes::clashesNameBoth()
{
    QFETCH(const QStringList, ids);
    QFETCH(const bool, clash);
    std::vector<RecipeChoice> recipes;
    for (const QString &id : ids)
        recipes.push_back({id.toStdString()});
    const FineTuneInput in = input(recipes);
    const auto made = makePolicies(in);
    QCOMPARE(!made, clash);
    if (clash) {
        QVERIFY(made.error().message.find(ids.front().toStdString()) != std::string::npos);
        QVERIFY(made.error().message.find(ids.back().toStdString()) != std::string::npos);
    }
}

void TestRecipes::wrongChoicesAreErrors_data()
{
    QTest::addColumn<QString>("id");
    QTest::addColumn<QString>("option");
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("names");
    QTest::newRow("recipe") << "destill" << "" << 0.0 << "destill";
    QTest::newRow("option") << "distill" << "temprature" << 4.0 << "temperature";
    QTest::newRow("range") << "distill" << "temperature" << -1.0 << "temperature";
    QTest::newRow("ends before it begins") << "gradual" << "begin" << 0.9 << "begins";
    QTest::newRow("more rounds than steps") << "alternate" << "rounds" << 900.0 << "rounds";
    QTest::newRow("no masks") << "gradual" << "layers" << 0.0 << "masked";
}

void TestRecipes::wrongChoicesAreErrors()
{
    QFETCH(const QString, id);
    QFETCH(const QString, option);
    QFETCH(const double, value);
    QFETCH(const QString, names);
    RecipeChoice choice{id.toStdString()};
    if (option == QStringLiteral("layers"))
        choice.options["layers"] = std::string("masked");
    else if (option == QStringLiteral("rounds"))
        choice.options["rounds"] = std::int64_t(value);
    else if (!option.isEmpty())
        choice.options[option.toStdString()] = value;
    const auto result = fineTune(input({choice}), {}, {});
    QVERIFY(!result);
    QVERIFY2(result.error().message.find(names.toStdString()) != std::string::npos, result.error().message.c_str());
}

// methods.md E, oracles: z_s = [1, 2, .5], z_t = [2, 1, .1].
void TestRecipes::hintonLoss_data()
{
    QTest::addColumn<double>("temperature");
    QTest::addColumn<double>("loss");
    QTest::addColumn<QVector<double>>("gradient");
    QTest::newRow("T = 1") << 1.0 << .424481 << QVector<double>{-.427777, .386099, .041678};
    QTest::newRow("T = 4") << 4.0 << .384160 << QVector<double>{-.402975, .324370, .078605};
    // For T to infinity (centred z_s - centred z_t) / C.
    QTest::newRow("T = 1e4") << 1e4 << -1.0 << QVector<double>{-.377778, .288889, .088889};
}

void TestRecipes::hintonLoss()
{
    QFETCH(const double, temperature);
    QFETCH(const double, loss);
    QFETCH(const QVector<double>, gradient);
    at::Tensor student = row({1, 2, .5});
    student.set_requires_grad(true);
    const at::Tensor found = distillationLoss(student, row({2, 1, .1}), temperature);
    if (loss >= 0)
        QVERIFY2(std::abs(found.item<double>() - loss) < 1e-6, qPrintable(QString::number(found.item<double>(), 'g', 9)));
    found.backward();
    for (int i = 0; i < 3; ++i) {
        const double got = student.grad()[0][i].item<double>();
        QVERIFY2(std::abs(got - gradient[i]) < (temperature > 100 ? 1e-4 : 1e-6), qPrintable(QString::number(got, 'g', 9)));
    }
}

void TestRecipes::hintonLossLimits()
{
    at::Tensor student = row({1, 2, .5});
    const double hard = at::cross_entropy_loss(student, at::tensor({0}, at::kLong)).item<double>();
    QVERIFY(std::abs(hard - 1.464369) < 1e-6);
    const double soft = distillationLoss(student, row({2, 1, .1}), 4).item<double>();
    QVERIFY(std::abs(.9 * soft + .1 * hard - .492181) < 1e-6);
    student.set_requires_grad(true);
    const at::Tensor shifted = distillationLoss(student, row({8, 9, 7.5}), 4);   // z_s + 7
    QVERIFY(std::abs(shifted.item<double>()) < 1e-12);
    shifted.backward();
    QVERIFY(student.grad().abs().max().item<double>() < 1e-12);
    // Pixels: the mean over them, not the sum.
    const at::Tensor map = row({1, 2, .5}).view({1, 3, 1, 1}).expand({2, 3, 4, 4}), wanted = row({2, 1, .1}).view({1, 3, 1, 1}).expand({2, 3, 4, 4});
    QVERIFY(std::abs(distillationLoss(map, wanted, 1).item<double>() - .424481) < 1e-6);
}

void TestRecipes::teacherStaysAsItWas()
{
    FineTuneInput in = input({{"distill", {{"hint", 0.5}}}});
    in.teacher = twoLayers(2);
    in.options.flip = true;   // no kept answers: it runs at each step
    std::map<std::string, at::Tensor> before;
    for (const auto &[name, tensor] : in.teacher->parameters(false))
        before[name] = tensor.clone();
    const FineTuneResult result = take(fineTune(in, {}, {}));
    for (const auto &[name, tensor] : in.teacher->parameters(false)) {
        QVERIFY2(at::equal(tensor, before.at(name)), name.c_str());
        QVERIFY2(!tensor.requires_grad() && !tensor.grad().defined(), name.c_str());
    }
    QVERIFY(result.history[0].numbers.at("distillation_loss") > 0);
    QVERIFY(result.history[0].numbers.at("hint_loss") > 0);
}

void TestRecipes::teacherFollowsItsFile()
{
    // Under weight 1 the labels do not count: the loss falls towards the teacher's answers.
    FineTuneInput in = input({{"distill", {{"weight", 1.0}}}}, 6);
    in.teacher = twoLayers(2);
    const FineTuneResult far = take(fineTune(in, {}, {}));
    QVERIFY(far.history.back().numbers.at("distillation_loss") < 0.5 * far.history.front().numbers.at("distillation_loss"));
    in.teacher = nullptr;   // itself: nearly nothing to learn but what batch statistics change
    QVERIFY(take(fineTune(in, {}, {})).history.front().numbers.at("distillation_loss") < far.history.front().numbers.at("distillation_loss"));
    in.teacher = Network::make([] {
        GraphBuilder b;
        const auto x = b.input({-1, 2, 4, 4});
        const auto flat = b.node("aten::flatten.using_ints", {x, b.of(std::int64_t(1)), b.of(std::int64_t(-1))}, "flatten");
        b.output(b.node("aten::linear", {flat, b.parameter("fc.weight", at::randn({5, 32})), b.none()}, "fc"));
        return b.graph;
    }(), "five classes");
    const auto wrong = fineTune(in, {}, {});
    QVERIFY(!wrong);
    QVERIFY2(wrong.error().message.find("8x5") != std::string::npos && wrong.error().message.find("8x3") != std::string::npos,
             wrong.error().message.c_str());
}

void TestRecipes::noLabelsNeedATeacher()
{
    FineTuneInput in = input({{"distill"}}, 2, 4);
    in.training = data(false);
    std::vector<StepReport> steps;
    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &step) { steps.push_back(step); };
    const FineTuneResult result = take(fineTune(in, {}, callbacks));
    QVERIFY(std::isnan(steps.front().accuracy));
    // a = 1: the whole loss is the teacher's.
    QVERIFY(std::abs(result.history[0].loss - result.history[0].numbers.at("distillation_loss")) < 1e-6);
    in.options.recipes.clear();
    const auto without = fineTune(in, {}, {});
    QVERIFY(!without && without.error().message.find("distill") != std::string::npos);
}

void TestRecipes::keptAnswersAreTheSame()
{
    // A hint keeps the teacher running, of no weight it changes nothing else.
    FineTuneInput in = input({{"distill"}}, 2);
    in.teacher = twoLayers(2);
    const FineTuneResult kept = take(fineTune(in, {}, {}));
    in.options.recipes[0].options["hint"] = 1e-12;
    const FineTuneResult asked = take(fineTune(in, {}, {}));
    QVERIFY(std::abs(kept.history[1].numbers.at("distillation_loss") - asked.history[1].numbers.at("distillation_loss")) < 1e-6);
    QVERIFY(at::allclose(kept.state->tensors.at("fc.weight"), asked.state->tensors.at("fc.weight"), 1e-4, 1e-6));
}

void TestRecipes::hintPullsFeatures()
{
    FineTuneInput in = input({{"distill", {{"hint", 1.0}, {"weight", 0.0}}}}, 6);
    in.teacher = twoLayers(2);
    const FineTuneResult strong = take(fineTune(in, {}, {}));
    in.options.recipes[0].options["hint"] = 1e-9;
    const FineTuneResult weak = take(fineTune(in, {}, {}));
    QVERIFY(strong.history.back().numbers.at("hint_loss") < 0.8 * weak.history.back().numbers.at("hint_loss"));
}

void TestRecipes::hintOfAnotherShapeIsNamed()
{
    FineTuneInput in = input({{"distill", {{"hint", 1.0}}}});
    in.teacher = twoLayers(2, 6);
    const auto result = fineTune(in, {}, {});
    QVERIFY(!result);
    QVERIFY2(result.error().message.find("fc") != std::string::npos && result.error().message.find("8x64") != std::string::npos &&
                 result.error().message.find("8x96") != std::string::npos, result.error().message.c_str());
}

// methods.md D2, oracle: 0 -> .9 at 0, 25, 50, 75, 100 %.
void TestRecipes::cubicCurve_data()
{
    QTest::addColumn<double>("progress");
    QTest::addColumn<double>("share");
    QTest::newRow("start") << 0.0 << 0.0;
    QTest::newRow("quarter") << 0.25 << .5203125;
    QTest::newRow("half") << 0.5 << .7875;
    QTest::newRow("three quarters") << 0.75 << .8859375;
    QTest::newRow("end") << 1.0 << .9;
    QTest::newRow("after") << 1.5 << .9;
    QTest::newRow("before") << -1.0 << 0.0;
}

void TestRecipes::cubicCurve()
{
    QFETCH(const double, progress);
    QFETCH(const double, share);
    QVERIFY(std::abs(cubicSparsity(0, 0.9, progress) - share) < 1e-12);
    QVERIFY(cubicSparsity(0.3, 0.9, progress) >= cubicSparsity(0.3, 0.9, progress - 0.1));
}

void TestRecipes::roundsPruneTheSamePart()
{
    // From 1 to .25 in two rounds: half of what is left each.
    QVERIFY(std::abs(roundSparsity(0, 0.75, 1, 2) - 0.5) < 1e-12);
    QVERIFY(std::abs(roundSparsity(0, 0.75, 2, 2) - 0.75) < 1e-12);
    QVERIFY(std::abs(roundSparsity(0.5, 0.75, 1, 1) - 0.75) < 1e-12);
}

void TestRecipes::gradualReachesItsGoal_data()
{
    QTest::addColumn<QString>("criterion");
    QTest::addColumn<QString>("scope");
    QTest::addColumn<bool>("regrow");
    QTest::addColumn<double>("conv");   // pruned share of the convolution in the end, < 0: not said
    QTest::newRow("layer") << "magnitude" << "layer" << false << 0.75;
    QTest::newRow("layer, regrow") << "magnitude" << "layer" << true << 0.75;
    QTest::newRow("global") << "magnitude" << "global" << false << -1.0;
    QTest::newRow("channels") << "l1" << "layer" << false << 0.75;
    QTest::newRow("channels, regrow") << "l1" << "layer" << true << 0.75;
}

void TestRecipes::gradualReachesItsGoal()
{
    QFETCH(const QString, criterion);
    QFETCH(const QString, scope);
    QFETCH(const bool, regrow);
    QFETCH(const double, conv);
    const FineTuneInput in = input({{"gradual", {{"criterion", criterion.toStdString()}, {"scope", scope.toStdString()}, {"regrow", regrow},
                                                 {"final", 0.75}, {"every", std::int64_t(3)}}}}, 3, 4, 4);
    std::vector<std::string> doing;
    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &step) { doing.push_back(step.recipes); };
    const FineTuneResult result = take(fineTune(in, {}, callbacks));
    QVERIFY2(doing.front().find("pruned 0 %, goal") == 0, doing.front().c_str());
    if (conv >= 0)
        QVERIFY2(std::abs(prunedShare(result.config, "conv") - conv) < 0.01, qPrintable(QString::number(prunedShare(result.config, "conv"))));
    if (criterion == QStringLiteral("magnitude"))
        QVERIFY(std::abs(result.history.back().numbers.at("sparsity") - 0.75) < 0.01);
    double last = 0;
    for (const EpochReport &epoch : result.history) {
        QVERIFY(epoch.numbers.at("sparsity") >= last);
        last = epoch.numbers.at("sparsity");
    }
    QVERIFY(result.history.back().sizeBytes < result.history.front().sizeBytes || last == 0);
    QCOMPARE(result.config.at("conv").prune.method, criterion.toStdString());
    // MODEL2 with C2 gives what training reported, and MODEL2 holds the zeros.
    auto simulation = take(Simulation::make(m_network, result.config, false, *result.state));
    QCOMPARE(take(m_evaluator->evaluate(*simulation, {}, {})).loss, result.history.back().estimate.loss);
    const at::Tensor weight = result.state->tensors.at("conv.weight");
    QVERIFY(weight.masked_select(maskTensor(result.config.at("conv").prune.mask, weight).logical_not()).abs().sum().item<double>() == 0);
}

void TestRecipes::gradualBeginsWithTheMasks()
{
    FineTuneInput in = input({{"gradual", {{"final", 0.5}, {"begin", 0.5}, {"end", 1.0}, {"every", std::int64_t(1)}}}});
    in.config["conv"].prune = {"magnitude", 0.25, {}, {}};
    std::vector<std::string> doing;
    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &step) { doing.push_back(step.recipes); };
    const FineTuneResult result = take(fineTune(in, {}, callbacks));
    QCOMPARE(prunedShare(result.config, "conv"), 0.5);
    // (72 x .25 + 192 x 0) / 264 = 6.8 %
    QCOMPARE(QString::fromStdString(doing.front()), QStringLiteral("pruned 7 %, goal 50 %"));
    QCOMPARE(QString::fromStdString(doing.back()), QStringLiteral("pruned 50 %, goal 50 %"));
    // A layer that had lost more stays.
    in.config["conv"].prune.sparsity = 0.75;
    QCOMPARE(prunedShare(take(fineTune(in, {}, {})).config, "conv"), 0.75);
}

void TestRecipes::maskedLayersOnly()
{
    FineTuneInput in = input({{"gradual", {{"final", 0.5}, {"layers", std::string("masked")}}}});
    in.config["conv"].prune = {"magnitude", 0.25, {}, {}};
    const FineTuneResult result = take(fineTune(in, {}, {}));
    QCOMPARE(prunedShare(result.config, "conv"), 0.5);
    QVERIFY(result.config.at("fc").prune.isNone());
}

void TestRecipes::heldMasksKeepMomentumZero_data()
{
    QTest::addColumn<QString>("optimizer");
    QTest::newRow("sgd") << "sgd";
    QTest::newRow("adam") << "adam";
}

void TestRecipes::heldMasksKeepMomentumZero()
{
    QFETCH(const QString, optimizer);
    FineTuneInput in = input({});
    in.options.optimizer = optimizer.toStdString();
    const auto state = take(TrainingState::make(in));
    state->holdMasks();
    const auto step = [&] {
        at::AutoGradMode withGrad(true);
        const at::Tensor scores = take(state->forward(m_data->inputs(0, kBatch), {}));
        at::cross_entropy_loss(scores, m_data->labels.narrow(0, 0, kBatch)).backward();
    };
    step();
    state->step(0.05);   // dense: momentum everywhere
    std::vector<std::uint8_t> kept(72, 1);
    std::fill_n(kept.begin(), 30, 0);
    take(state->setPruning({{"conv", {"magnitude", 0.4, {}, Mask::fromKept(kept)}}}));
    const auto prunedSum = [&](const at::Tensor &tensor) { return tensor.detach().reshape({-1}).narrow(0, 0, 30).abs().sum().item<double>(); };
    for (int i = 0; i < 3; ++i) {
        step();
        QCOMPARE(prunedSum(state->variable("conv.weight").grad()), 0.0);
        QVERIFY(state->variable("conv.weight").grad().abs().sum().item<double>() > 0);
        state->step(0.05);
        QCOMPARE(prunedSum(state->variable("conv.weight")), 0.0);
        int seen = 0;
        for (const auto &[name, tensor] : state->save().tensors) {
            if (name.starts_with("optimizer/") && name.ends_with("conv.weight")) {
                QCOMPARE(prunedSum(tensor), 0.0);
                QVERIFY(tensor.abs().sum().item<double>() > 0);
                ++seen;
            }
        }
        QCOMPARE(seen, optimizer == QStringLiteral("sgd") ? 1 : 2);
    }
}

void TestRecipes::regrowthBringsBack()
{
    FineTuneInput in = input({});
    const auto state = take(TrainingState::make(in));
    state->letRegrow(true);
    state->holdMasks();
    std::vector<std::uint8_t> kept(72, 1);
    std::fill_n(kept.begin(), 36, 0);
    take(state->setPruning({{"conv", {"magnitude", 0.5, {}, Mask::fromKept(kept)}}}));
    const at::Tensor before = state->variable("conv.weight").detach().clone();
    const at::Tensor alive = before.reshape({-1}).narrow(0, 0, 36);
    QVERIFY(alive.abs().sum().item<double>() > 0);
    at::AutoGradMode withGrad(true);
    const at::Tensor scores = take(state->forward(m_data->inputs(0, kBatch), {}));
    // The network sees zeros: it answers as one whose weights are held there.
    FineTuneInput held = in;
    held.config["conv"].prune = {"magnitude", 0.5, {}, Mask::fromKept(kept)};
    const auto same = take(TrainingState::make(held));
    same->holdMasks();
    QVERIFY(at::equal(scores, take(same->forward(m_data->inputs(0, kBatch), {}))));
    at::cross_entropy_loss(scores, m_data->labels.narrow(0, 0, kBatch)).backward();
    QVERIFY(state->variable("conv.weight").grad().reshape({-1}).narrow(0, 0, 36).abs().sum().item<double>() > 0);
    state->step(0.05);
    QVERIFY(!at::equal(state->variable("conv.weight").detach(), before));
    QCOMPARE(state->snapshot().at("conv.weight").reshape({-1}).narrow(0, 0, 36).abs().sum().item<double>(), 0.0);
    // What grew past the others is kept by the next mask.
    { at::NoGradGuard noGrad; state->variable("conv.weight").view({-1}).narrow(0, 0, 36).fill_(100); }
    const auto tasks = take(pruneTasks(*m_network, false, state->weights(), "magnitude", {{"conv", 0.5}}, 0));
    const auto masks = take(pruneMasks("magnitude", {}, tasks, PruneScope::Layer));
    QVERIFY(masks.front().keeps(0) && masks.front().keeps(35) && !masks.front().keeps(36));
}

void TestRecipes::alternateStepsUp()
{
    const FineTuneInput in = input({{"alternate", {{"final", 0.75}, {"rounds", std::int64_t(2)}}}}, 2);
    std::vector<std::string> doing;
    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &step) { doing.push_back(step.recipes); };
    const FineTuneResult result = take(fineTune(in, {}, callbacks));
    QCOMPARE(result.history[0].numbers.at("sparsity"), 0.5);
    QCOMPARE(result.history[1].numbers.at("sparsity"), 0.75);
    QCOMPARE(QString::fromStdString(doing[7]), QStringLiteral("round 1 of 2, pruned 50 %, goal 75 %"));
    QCOMPARE(QString::fromStdString(doing[8]), QStringLiteral("round 2 of 2, pruned 75 %, goal 75 %"));
}

// methods.md D5, oracle: zero loss gradient, s = .1, gamma = [1, -2, 0], lr 1 -> [.9, -1.9, 0].
void TestRecipes::slimmingOracle()
{
    FineTuneOptions options;
    options.momentum = 0;
    at::Tensor gamma = at::tensor({1.0, -2.0, 0.0}, at::kFloat);
    gamma.set_requires_grad(true);
    const auto optimizer = take(makeOptimizer(options, {{"gamma", gamma, false}}));
    gamma.mutable_grad() = at::zeros({3});
    addScalePenalty(gamma, 0.1);
    optimizer->step(1);
    QVERIFY(at::allclose(gamma.detach(), at::tensor({0.9, -1.9, 0.0}, at::kFloat)));
    addScalePenalty(gamma, 0.1);   // no gradient, nothing to add to
    QVERIFY(!gamma.grad().defined());
}

void TestRecipes::slimmingShrinksScales()
{
    FineTuneInput in = input({}, 2);
    const at::Tensor plain = take(fineTune(in, {}, {})).state->tensors.at("bn.weight");
    in.options.recipes = {{"slimming", {{"strength", 0.05}}}};
    const FineTuneResult slim = take(fineTune(in, {}, {}));
    QVERIFY(slim.state->tensors.at("bn.weight").abs().sum().item<double>() < plain.abs().sum().item<double>());
    QVERIFY(std::abs(slim.history.back().numbers.at("mean_scale") - slim.state->tensors.at("bn.weight").abs().mean().item<double>()) < 1e-6);
    in.foldBatchNorm = true;
    const auto folded = fineTune(in, {}, {});
    QVERIFY(!folded && folded.error().message.find("fold_batch_norm") != std::string::npos);
}

void TestRecipes::everyRecipeTrainsQuantized_data()
{
    QTest::addColumn<QString>("id");
    QTest::addColumn<int>("bits");
    for (const PolicyRow &each : policyRows())
        for (const int bits : {2, 4, 32})
            QTest::addRow("%s %d", each.id.c_str(), bits) << QString::fromStdString(each.id) << bits;
}

void TestRecipes::everyRecipeTrainsQuantized()
{
    QFETCH(const QString, id);
    QFETCH(const int, bits);
    const FineTuneInput in = input({{id.toStdString()}}, 1, bits, bits);
    const FineTuneResult result = take(fineTune(in, {}, {}));
    QVERIFY(std::isfinite(result.history.back().loss));
    QVERIFY(!result.history.back().numbers.empty());
    auto simulation = take(Simulation::make(m_network, result.config, false, *result.state));
    QCOMPARE(take(m_evaluator->evaluate(*simulation, {}, {})).loss, result.history.back().estimate.loss);
    const FineTuneResult again = take(fineTune(in, {}, {}));
    QVERIFY(at::equal(again.state->tensors.at("conv.weight"), result.state->tensors.at("conv.weight")));
}

void TestRecipes::resumeEqualsUninterrupted_data()
{
    QTest::addColumn<QString>("id");
    QTest::addColumn<bool>("regrow");
    for (const PolicyRow &each : policyRows())
        QTest::newRow(each.id.c_str()) << QString::fromStdString(each.id) << false;
    QTest::newRow("gradual, regrow") << "gradual" << true;
}

void TestRecipes::resumeEqualsUninterrupted()
{
    QFETCH(const QString, id);
    QFETCH(const bool, regrow);
    QTemporaryDir folder;
    RecipeChoice choice{id.toStdString()};
    if (regrow)
        choice.options["regrow"] = true;
    if (id == QStringLiteral("gradual"))
        choice.options["every"] = std::int64_t(3);
    FineTuneInput in = input({choice}, 3, 4, 4);
    const FineTuneResult whole = take(fineTune(in, {}, {}));
    in.checkpoint = folder.filePath(QStringLiteral("c")).toStdString();
    in.resume = true;
    std::stop_source source;
    JobContext context;
    context.stop = source.get_token();
    FineTuneCallbacks callbacks;
    callbacks.step = [&](const StepReport &step) {
        if (step.epoch == 2 && step.step > 11)
            source.request_stop();
    };
    QVERIFY(!fineTune(in, context, callbacks));
    const FineTuneResult resumed = take(fineTune(in, {}, {}));
    QVERIFY(resumed.history[0].resumed && !resumed.history[1].resumed);
    for (int i = 0; i < 3; ++i) {
        QCOMPARE(resumed.history[i].loss, whole.history[i].loss);
        QCOMPARE(resumed.history[i].sizeBytes, whole.history[i].sizeBytes);
        QVERIFY(resumed.history[i].numbers == whole.history[i].numbers);
    }
    for (const auto &[name, tensor] : whole.state->tensors)
        QVERIFY2(at::equal(tensor, resumed.state->tensors.at(name)), name.c_str());
    QVERIFY(resumed.config == whole.config);
}

void TestRecipes::recipeIsPartOfTheFingerprint()
{
    QTemporaryDir folder;
    FineTuneInput in = input({{"distill"}});
    in.checkpoint = folder.filePath(QStringLiteral("c")).toStdString();
    take(fineTune(in, {}, {}));
    in.resume = true;
    take(fineTune(in, {}, {}));
    in.options.recipes[0].options["temperature"] = 2.0;
    const auto other = fineTune(in, {}, {});
    QVERIFY(!other && other.error().message.find("another run") != std::string::npos);
    in.options.recipes.clear();
    QVERIFY(!fineTune(in, {}, {}));
}

QTEST_APPLESS_MAIN(TestRecipes)
#include "tst_recipes.moc"
