// SPDX-License-Identifier: GPL-3.0-or-later
// The executor against TorchScript, and what quantization costs in evaluation, training and sweeps.
#include "bench_groups.h"

#include "config/presets.h"
#include "data/dataset.h"
#include "frontends/torchscript_reference.h"
#include "search/sensitivity.h"
#include "search/sweep.h"
#include "simulate/calibration.h"
#include "simulate/evaluator.h"
#include "simulate/surgery.h"
#include "train/training_state.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

namespace bitwright {

namespace {

/// Sets the thread count for one benchmark and puts the old one back.
class Threads {
public:
    explicit Threads(int count) : m_before(at::get_num_threads()) { at::set_num_threads(count); }
    ~Threads() { at::set_num_threads(m_before); }

private:
    int m_before;
};

Result<std::string> samplePath(const std::string &file)
{
    const auto folder = findSamples();
    if (!folder)
        return fail(ErrorKind::Io, "sample_models, the folder was not found; set BITWRIGHT_SAMPLES to it");
    return *folder + '/' + file;
}

Result<std::shared_ptr<const Dataset>> sampleData(const std::string &spec)
{
    DataContext context;
    BW_ASSIGN(context.modelPath, samplePath("resnet20.pt2"));
    context.inputShape = {-1, 1, 28, 28};
    return openData(spec, context);
}

struct Subject {
    std::shared_ptr<const Network> network;
    std::shared_ptr<const Dataset> data;
    ResolvedConfig quantized;   // W4A4, per channel
};

Result<Subject> resnet20(const std::string &spec, bool learned = false)
{
    Subject subject;
    BW_ASSIGN(const std::string path, samplePath("resnet20.pt2"));
    BW_ASSIGN(subject.network, Network::open(path));
    BW_ASSIGN(subject.data, sampleData(spec));
    ModelConfig config;
    for (Role role : {Role::Weight, Role::Activation}) {
        config.defaults.of(role).method = "uniform";
        config.defaults.of(role).bits = 4;
        config.defaults.of(role).options["learned_step"] = learned;
    }
    config.defaults.weight.options["granularity"] = std::string("channel");
    BW_ASSIGN(subject.quantized, resolve(config, subject.network->summary(), methodCatalog()));
    BW_ASSIGN(const auto statistics, collectActivations(*subject.network, false, {}, *subject.data, 128, {}));
    BW_CHECK(fillActivations(subject.quantized, *subject.network, statistics));
    return subject;
}

Result<BenchTimes> executor(std::int64_t batch, bool folded, int rounds)
{
    const Threads threads(1);
    const at::NoGradGuard noGrad;
    BW_ASSIGN(const std::string pt2, samplePath("resnet20.pt2"));
    BW_ASSIGN(const std::string script, samplePath("resnet20.pt"));
    BW_ASSIGN(auto network, Network::open(pt2));
    BW_ASSIGN(auto reference, TorchScriptReference::load(script));
    const at::Tensor x = at::rand({batch, 1, 28, 28});
    BW_CHECK(reference.warmUp({x}, 5));
    const Executor &ours = network->executor(folded);
    const auto parameters = ours.bind(network->parameters(folded));
    return timeInTurns([&] { (void)ours.runBatch(x, parameters); }, [&] { (void)reference.run({x}); }, rounds);
}

Result<BenchTimes> evaluation(const BenchContext &)
{
    const Threads threads(2);
    BW_ASSIGN(const Subject subject, resnet20("sample:test"));
    BW_ASSIGN(auto plain, Simulation::make(subject.network, {}, false));
    BW_ASSIGN(auto quantized, Simulation::make(subject.network, subject.quantized, false));
    Evaluator evaluator(subject.network, subject.data, 0);
    EvaluationOptions options;
    options.incremental = false;
    return timeInTurns([&] { (void)evaluator.evaluate(*quantized, options, {}); },
                       [&] { (void)evaluator.evaluate(*plain, options, {}); }, 5);
}

Result<BenchTimes> trainingStep(const Subject &subject, int rounds)
{
    const Threads threads(1);
    const at::AutoGradMode withGrad(true);
    FineTuneInput quantized;
    quantized.network = subject.network;
    quantized.training = subject.data;
    FineTuneInput plain = quantized;
    quantized.config = subject.quantized;
    BW_ASSIGN(auto quantizedState, TrainingState::make(quantized));
    BW_ASSIGN(auto plainState, TrainingState::make(plain));
    const at::Tensor x = subject.data->inputs(0, 64), labels = subject.data->labels.narrow(0, 0, 64);
    std::int64_t at = 0;
    auto step = [&](TrainingState &state) {
        state.beginStep({0, at++, 2 * rounds, 1, 0});
        if (auto scores = state.forward(x, {}))
            at::cross_entropy_loss(*scores, labels).backward();
        state.step(1e-4);
    };
    return timeInTurns([&] { step(*quantizedState); }, [&] { step(*plainState); }, rounds);
}

Result<BenchTimes> trainingStep(bool learned)
{
    BW_ASSIGN(const Subject subject, resnet20("sample:train,limit=128", learned));
    return trainingStep(subject, 15);
}

/// The assignment of a paper, with its own hooks of a step.
Result<BenchTimes> trainingStep(const Preset &preset)
{
    BW_ASSIGN(Subject subject, resnet20("sample:train,limit=128"));
    BW_ASSIGN(subject.quantized, resolve(withPreset({}, preset), subject.network->summary(), methodCatalog()));
    BW_ASSIGN(const auto statistics, collectActivations(*subject.network, false, {}, *subject.data, 128, {}));
    BW_CHECK(fillActivations(subject.quantized, *subject.network, statistics));
    return trainingStep(subject, 7);
}

Result<BenchTimes> sweepAgainstWhole(const BenchContext &)
{
    const Threads threads(1);
    BW_ASSIGN(const Subject subject, resnet20("sample:test,limit=256"));
    BW_ASSIGN(const auto statistics, collectActivations(*subject.network, false, {}, *subject.data, 128, {}));
    SweepOptions options;
    std::size_t points = 0;
    BenchTimes times;
    {
        Evaluator evaluator(subject.network, subject.data);
        Result<std::vector<SweepResult>> result = std::vector<SweepResult>{};
        times.seconds = timeOnce([&] { result = sweep(evaluator, subject.network, options, statistics, methodCatalog(), {}); });
        if (!result)
            return std::unexpected(result.error());
        points = result->size();
    }
    Evaluator evaluator(subject.network, subject.data, 0);
    BW_ASSIGN(auto quantized, Simulation::make(subject.network, subject.quantized, false));
    EvaluationOptions whole;
    whole.incremental = false;
    times.yardstickSeconds = timeOnce([&] {
        for (std::size_t i = 0; i < points; ++i)
            (void)evaluator.evaluate(*quantized, whole, {});
    });
    return times;
}

/// The pruning sensitivity of every layer beside as many whole evaluations, each with its own masks made as naively.
Result<BenchTimes> sensitivityAgainstWhole(const BenchContext &context, const char *data)
{
    const Threads threads(1);
    BW_ASSIGN(const Subject subject, resnet20(data));
    const SensitivityOptions options;
    BenchTimes times;
    std::vector<SensitivityResult> points;
    {
        Evaluator evaluator(subject.network, subject.data);
        Result<std::vector<SensitivityResult>> result = std::vector<SensitivityResult>{};
        times.seconds = timeOnce([&] { result = sensitivity(evaluator, subject.network, options, {}, context.job); });
        if (!result)
            return std::unexpected(result.error());
        points = std::move(*result);
    }
    Evaluator evaluator(subject.network, subject.data, 0);
    EvaluationOptions whole;
    whole.incremental = false;
    Status failed;
    times.yardstickSeconds = timeOnce([&] {
        for (const SensitivityResult &point : points) {
            const auto measured = [&]() -> Status {
                BW_ASSIGN(const ResolvedConfig resolved, resolve(point.config, subject.network->summary(), methodCatalog()));
                BW_ASSIGN(auto simulation, Simulation::make(subject.network, resolved, false));
                BW_ASSIGN(const Estimate estimate, evaluator.evaluate(*simulation, whole, context.job));
                return estimate.value == point.value ? Status() : fail(ErrorKind::Internal, point.layer + ", the walk measured another value than a whole evaluation");
            }();
            if (!measured) {
                failed = measured;
                return;
            }
        }
    });
    BW_CHECK(failed);
    return times;
}

/// A forward pass of what surgery leaves of ResNet-20 when half of every group's channels go, beside the whole network.
Result<BenchTimes> surgery(std::int64_t batch, int rounds)
{
    const Threads threads(1);
    const at::NoGradGuard noGrad;
    BW_ASSIGN(const std::string path, samplePath("resnet20.pt2"));
    BW_ASSIGN(const auto network, Network::open(path));
    ModelConfig config;
    config.defaults.prune.method = "l1";
    config.defaults.prune.sparsity = 0.5;
    BW_ASSIGN(const CutNetwork cut, cutNetwork(*network, config, {}, path));
    const at::Tensor x = at::rand({batch, 1, 28, 28});
    const auto pass = [&x](const Executor &executor) { return [&executor, parameters = executor.bind(), &x] { (void)executor.runBatch(x, parameters); }; };
    return timeInTurns(pass(cut.network->executor()), pass(network->executor()), rounds);
}

} // namespace

std::vector<BenchRow> engineBenchmarks()
{
    std::vector<BenchRow> rows{
        {"executor-batch1", "TorchScript", 1.05, [](const BenchContext &) { return executor(1, false, 200); }},
        {"executor-batch64", "TorchScript", 1.05, [](const BenchContext &) { return executor(64, false, 25); }},
        {"executor-folded-batch1", "TorchScript", 0.95, [](const BenchContext &) { return executor(1, true, 200); }},
        {"executor-folded-batch64", "TorchScript", 0.95, [](const BenchContext &) { return executor(64, true, 25); }},
        {"evaluate-w4a4", "float evaluation, 2 threads", 1.10, evaluation},
        {"train-step-w4a4", "float step", 1.15, [](const BenchContext &) { return trainingStep(false); }},
        {"train-step-w4a4-lsq", "float step", 1.25, [](const BenchContext &) { return trainingStep(true); }},
        {"sweep", "as many whole evaluations", 0.6, sweepAgainstWhole},
        {"surgery-batch1", "the whole network", 1.0, [](const BenchContext &) { return surgery(1, 100); }},
        {"surgery-batch64", "the whole network", 1.0, [](const BenchContext &) { return surgery(64, 10); }},
        {"pruning-sensitivity-128", "as many whole evaluations, 128 images", 0.6,
         [](const BenchContext &context) { return sensitivityAgainstWhole(context, "sample:test,limit=128"); }},
        {"pruning-sensitivity-2000", "as many whole evaluations, 2,000 images", 0.6,
         [](const BenchContext &context) { return sensitivityAgainstWhole(context, "sample:test,limit=2000"); }},
    };
    for (const Preset &preset : presets())
        rows.push_back({"train-step-" + preset.id, "float step", 1.5, [&preset](const BenchContext &) { return trainingStep(preset); }});
    return rows;
}

} // namespace bitwright
