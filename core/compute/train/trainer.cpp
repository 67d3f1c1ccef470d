// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/trainer.h"

#include "tensor/guarded.h"
#include "train/augment.h"
#include "train/batch_norm.h"
#include "train/training_state.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>

namespace bitwright {

namespace {

constexpr std::int64_t kReestimationBatches = 100;
constexpr int kShiftPixels = 2;

class Trainer {
public:
    Trainer(const FineTuneInput &input, const JobContext &context, const FineTuneCallbacks &callbacks)
        : m_input(input), m_options(input.options), m_context(context), m_callbacks(callbacks)
    {
        m_batch = input.network->graph().fixedBatch > 0 ? input.network->graph().fixedBatch : input.options.batch;
        m_batch = std::min(m_batch, std::max<std::int64_t>(1, input.training->size()));
        m_stepsPerEpoch = input.training->size() / m_batch;
    }

    Result<FineTuneResult> run();

private:
    Status check() const;
    Status resume();
    Result<double> trainEpoch(int epoch);
    Result<double> trainStep(int epoch, std::int64_t step, const at::Tensor &index);
    Status finishEpoch(int epoch, double loss);
    Status evaluate(EpochReport &report);
    Status writeCheckpoint() const;
    [[nodiscard]] std::string fingerprint() const;

    const FineTuneInput &m_input;
    const FineTuneOptions &m_options;
    const JobContext &m_context;
    const FineTuneCallbacks &m_callbacks;
    std::unique_ptr<TrainingState> m_state;
    std::int64_t m_batch = 1, m_stepsPerEpoch = 0;
    int m_firstEpoch = 1;
    FineTuneResult m_result;
};

Status Trainer::check() const
{
    BW_CHECK(checkOptions(m_options));
    if (!m_input.training->labelled())
        return fail(ErrorKind::Invalid, "training data, it has no labels; give data with labels");
    if (m_input.network->graph().inputs.size() != 1)
        return fail(ErrorKind::Unsupported, "network, fine-tuning needs a network with one input");
    if (m_stepsPerEpoch == 0)
        return fail(ErrorKind::Invalid, "training data, it is smaller than one batch; use a smaller batch or more data");
    return {};
}

/// What has to be the same for a checkpoint to go on.
std::string Trainer::fingerprint() const
{
    nlohmann::json print{{"model", m_input.network->summary().sha256}, {"epochs", m_options.epochs}, {"batch", m_batch},
                         {"optimizer", m_options.optimizer}, {"lr", m_options.learningRate}, {"seed", m_options.seed},
                         {"schedule", m_options.schedule}, {"fold", m_input.foldBatchNorm}};
    for (const auto &[name, layer] : m_input.config)
        print["layers"][name] = specKey(layer.weight) + specKey(layer.activation);
    return std::to_string(std::hash<std::string>{}(print.dump()));
}

Status Trainer::resume()
{
    if (m_input.checkpoint.empty() || !m_input.resume || !std::filesystem::exists(m_input.checkpoint))
        return {};
    BW_ASSIGN(const TensorArchive archive, readArchive(m_input.checkpoint));
    const auto text = nlohmann::json::parse(archive.text, nullptr, false);
    if (!text.is_object() || text.value("fingerprint", "") != fingerprint()) {
        return fail(ErrorKind::Invalid, m_input.checkpoint + ", it belongs to another run (network, assignment or options differ); "
                                            "leave out resume or give the same options");
    }
    BW_CHECK(m_state->restore(archive, m_input.checkpoint));
    for (const auto &row : text.value("history", nlohmann::json::array())) {
        EpochReport report;
        report.epoch = row.value("epoch", 0);
        report.loss = row.value("loss", 0.0);
        report.evaluated = row.value("evaluated", false);
        report.estimate.value = row.value("value", 0.0);
        report.estimate.low = row.value("low", 0.0);
        report.estimate.high = row.value("high", 0.0);
        report.estimate.samples = row.value("samples", std::int64_t(0));
        report.estimate.final = true;
        report.resumed = true;
        report.config = m_state->evaluationConfig();
        m_result.history.push_back(report);
    }
    m_firstEpoch = int(m_result.history.size()) + 1;
    return {};
}

Status Trainer::writeCheckpoint() const
{
    if (m_input.checkpoint.empty())
        return {};
    TensorArchive archive = m_state->save();
    nlohmann::json history = nlohmann::json::array();
    for (const EpochReport &report : m_result.history) {
        history.push_back({{"epoch", report.epoch}, {"loss", report.loss}, {"evaluated", report.evaluated},
                           {"value", report.estimate.value}, {"low", report.estimate.low}, {"high", report.estimate.high},
                           {"samples", report.estimate.samples}});
    }
    archive.text = nlohmann::json{{"schema", "bitwright/checkpoint/1"}, {"fingerprint", fingerprint()}, {"history", history}}.dump();
    return writeArchive(archive, m_input.checkpoint);
}

Result<double> Trainer::trainStep(int epoch, std::int64_t step, const at::Tensor &index)
{
    const std::int64_t globalStep = (epoch - 1) * m_stepsPerEpoch + step;
    const std::int64_t totalSteps = m_options.epochs * m_stepsPerEpoch;
    const double rate = learningRate(m_options, globalStep, totalSteps);
    std::seed_seq sequence{std::uint32_t(m_options.seed), std::uint32_t(m_options.seed >> 32), std::uint32_t(globalStep), 0xa7U};
    std::mt19937_64 random(sequence);
    at::Tensor batch = m_input.training->inputs(index);
    batch = shiftAndFlip(batch, m_input.training->preprocessing, m_options.shift ? kShiftPixels : 0, m_options.flip, random);
    const at::Tensor labels = m_input.training->labels.index_select(0, index);
    at::manual_seed(random());   // dropout

    BW_ASSIGN(const at::Tensor scores, m_state->forward(batch, m_context.stop));
    if (scores.dim() == 2 && (labels.min().item<std::int64_t>() < 0 || labels.max().item<std::int64_t>() >= scores.size(1)))
        return fail(ErrorKind::Invalid, m_input.training->spec + ", its labels go up to " + std::to_string(labels.max().item<std::int64_t>()) +
                                            " but the network has " + std::to_string(scores.size(1)) + " classes; use data of this task");
    const at::Tensor loss = at::cross_entropy_loss(scores, labels, {}, at::Reduction::Mean, -100, m_options.labelSmoothing);
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
        return fail(ErrorKind::Numeric, "fine-tuning, the loss is no longer a finite number at step " + std::to_string(globalStep + 1) +
                                            "; lower the learning rate");
    }
    if (m_context.stopped())
        return cancelled();
    loss.backward();
    if (m_context.stopped())
        return cancelled();
    m_state->step(rate);
    if (m_callbacks.step) {
        const double accuracy = scores.dim() == 2 ? scores.argmax(1).eq(labels).to(at::kFloat).mean().item<double>() : 0;
        m_callbacks.step({globalStep + 1, totalSteps, epoch, value, accuracy, rate});
    }
    m_context.progress("fine-tuning", globalStep + 1, totalSteps);
    return value;
}

Result<double> Trainer::trainEpoch(int epoch)
{
    at::AutoGradMode withGrad(true);
    const auto order = shuffled(m_input.training->size(), m_options.seed, epoch);
    const at::Tensor indices = at::tensor(order, at::kLong);
    double sum = 0;
    for (std::int64_t step = 0; step < m_stepsPerEpoch; ++step) {
        if (m_context.stopped())
            return cancelled();
        m_context.breathe();
        BW_ASSIGN(const double loss, trainStep(epoch, step, indices.narrow(0, step * m_batch, m_batch)));
        sum += loss;
    }
    return sum / double(m_stepsPerEpoch);
}

Status Trainer::evaluate(EpochReport &report)
{
    auto state = std::make_shared<WeightsState>();
    // The name keys caches: no two states may share one.
    state->name = "epoch " + std::to_string(report.epoch) + " @" + std::to_string(reinterpret_cast<std::uintptr_t>(state.get()));
    state->tensors = m_state->snapshot();
    ResolvedConfig config = m_state->evaluationConfig();
    BW_ASSIGN(auto simulation, Simulation::make(m_input.network, config, m_input.foldBatchNorm, *state));
    const bool last = report.epoch == m_options.epochs;
    if (last && m_options.reestimateBatchNorm && !m_input.foldBatchNorm) {
        BW_ASSIGN(const ParameterMap buffers,
                  reestimateBatchNorm(*m_input.network, *simulation, *m_input.training, m_batch, kReestimationBatches, m_context));
        m_state->setBuffers(buffers);
        state->tensors = m_state->snapshot();
        BW_ASSIGN(simulation, Simulation::make(m_input.network, config, m_input.foldBatchNorm, *state));
    }
    if (m_input.evaluation) {
        EvaluationOptions options;
        options.metric = m_input.metric;
        options.limit = m_input.evaluationLimit;
        options.incremental = false;
        BW_ASSIGN(report.estimate, m_input.evaluation->evaluate(*simulation, options, m_context));
        report.evaluated = true;
    }
    report.config = simulation->configWithValues();
    report.state = state;
    return {};
}

Status Trainer::finishEpoch(int epoch, double loss)
{
    EpochReport report;
    report.epoch = epoch;
    report.loss = loss;
    BW_CHECK(evaluate(report));
    m_result.state = report.state;
    m_result.config = report.config;
    if (!m_result.history.empty())
        m_result.history.back().state.reset();   // one copy of the weights at a time; the caller keeps what it wants
    m_result.history.push_back(report);
    BW_CHECK(writeCheckpoint());
    if (m_callbacks.epoch)
        m_callbacks.epoch(report);
    return {};
}

Result<FineTuneResult> Trainer::run()
{
    BW_CHECK(check());
    BW_ASSIGN(m_state, TrainingState::make(m_input));
    BW_CHECK(resume());
    for (int epoch = m_firstEpoch; epoch <= m_options.epochs; ++epoch) {
        BW_ASSIGN(const double loss, trainEpoch(epoch));
        BW_CHECK(finishEpoch(epoch, loss));
    }
    if (!m_result.state) {
        // Resumed behind the last epoch: nothing to train, but the state is asked for.
        EpochReport &last = m_result.history.back();
        auto state = std::make_shared<WeightsState>();
        state->name = "resumed @" + std::to_string(reinterpret_cast<std::uintptr_t>(state.get()));
        state->tensors = m_state->snapshot();
        BW_ASSIGN(auto simulation, Simulation::make(m_input.network, m_state->evaluationConfig(), m_input.foldBatchNorm, *state));
        last.config = simulation->configWithValues();
        last.state = state;
        m_result.state = state;
        m_result.config = last.config;
    }
    return std::move(m_result);
}

} // namespace

Result<FineTuneResult> fineTune(const FineTuneInput &input, const JobContext &context, const FineTuneCallbacks &callbacks)
{
    return guarded("fine-tuning", ErrorKind::Internal,
                   [&]() -> Result<FineTuneResult> { return Trainer(input, context, callbacks).run(); });
}

} // namespace bitwright
