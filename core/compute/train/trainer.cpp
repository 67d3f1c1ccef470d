// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/trainer.h"

#include "config/stored_spec.h"
#include "cost/size_model.h"
#include "simulate/sample_batches.h"
#include "tensor/guarded.h"
#include "train/augment.h"
#include "train/batch_norm.h"
#include "train/policies/policies.h"
#include "train/training_state.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <limits>

namespace bitwright {

namespace {

constexpr std::int64_t kReestimationBatches = 100;
constexpr int kShiftPixels = 2;
constexpr std::size_t kMostLevels = 256;

std::string policyPrefix(std::size_t index)
{
    return "policy/" + std::to_string(index) + '/';
}

/// The levels that the epoch is evaluated with, beside what was noted of the gradients. Of a grid too fine to be drawn, the
/// lowest and the highest.
std::map<std::string, WeightTrace> weightTraces(const Simulation &simulation, const std::map<std::string, Histogram> &gradients)
{
    std::map<std::string, WeightTrace> traces;
    const auto &bindings = simulation.executor().bindings();
    for (std::size_t i = 0; i < bindings.size(); ++i) {
        const Quantizer *quantizer = simulation.quantizer(i, Role::Weight);
        if (!quantizer || !quantizer->calibrated())
            continue;
        const QuantGrid grid = quantizer->grid();
        WeightTrace &trace = traces[bindings[i].info.name];
        if (const std::size_t count = grid.levelCount(0); count <= kMostLevels)
            trace.levels = grid.levels(0);
        else
            trace.levels = {grid.level(0, 0), grid.level(0, count - 1)};
        if (const auto found = gradients.find(bindings[i].info.name); found != gradients.end())
            trace.gradients = found->second;
    }
    return traces;
}

class Trainer {
public:
    Trainer(const FineTuneInput &input, const JobContext &context, const FineTuneCallbacks &callbacks)
        : m_input(input), m_options(input.options), m_context(context), m_callbacks(callbacks)
    {
        const std::int64_t required = requiredBatch(*input.network, *input.training);
        m_batch = required > 0 ? required : input.options.batch;
        m_batch = std::min(m_batch, std::max<std::int64_t>(1, input.training->size()));
        m_stepsPerEpoch = input.training->size() / m_batch;
    }

    Result<FineTuneResult> run();

private:
    Status check() const;
    Status resume();
    Result<double> trainEpoch(int epoch);
    Result<double> trainStep(int epoch, std::int64_t step, const at::Tensor &index);
    Result<at::Tensor> loss(const StepBatch &batch, const at::Tensor &labels);
    Status descend(const at::Tensor &loss, double rate);
    Status beginPolicies();
    [[nodiscard]] std::string doing() const;
    Status finishEpoch(int epoch, double loss);
    Status evaluate(EpochReport &report);
    Status writeCheckpoint() const;
    [[nodiscard]] std::string fingerprint() const;

    const FineTuneInput &m_input;
    const FineTuneOptions &m_options;
    const JobContext &m_context;
    const FineTuneCallbacks &m_callbacks;
    std::unique_ptr<TrainingState> m_state;
    std::vector<std::unique_ptr<TrainingPolicy>> m_policies;
    double m_labelWeight = 1;
    std::int64_t m_batch = 1, m_stepsPerEpoch = 0;
    int m_firstEpoch = 1;
    FineTuneResult m_result;
};

Status Trainer::check() const
{
    BW_CHECK(checkOptions(m_options));
    if (!m_input.training->labelled() && m_labelWeight > 0)
        return fail(ErrorKind::Invalid, "training data, it has no labels; give data with labels or add the recipe distill");
    if (const std::size_t given = std::max<std::size_t>(1, m_input.training->columns.size()); given != m_input.network->graph().inputs.size())
        return fail(ErrorKind::Unsupported, m_input.network->summary().path + ", it has " + std::to_string(m_input.network->graph().inputs.size()) +
                                                " inputs, the training data brings " + std::to_string(given) + "; open data made for it");
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
        print["layers"][name] = specKey(layer.weight) + specKey(layer.activation) + layer.prune.mask.bitmap();
    for (const RecipeChoice &recipe : m_options.recipes) {
        nlohmann::json options = nlohmann::json::object();
        for (const auto &[name, value] : recipe.options)
            options[name] = paramToJson(value);
        print["recipes"].push_back({{"id", recipe.id}, {"options", options}});
    }
    if (m_input.teacher)
        print["teacher"] = m_input.teacher->summary().sha256;
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
    for (std::size_t i = 0; i < m_policies.size(); ++i) {
        ParameterMap saved;
        const std::string prefix = policyPrefix(i);
        for (const auto &[name, tensor] : archive.tensors) {
            if (name.starts_with(prefix))
                saved[name.substr(prefix.size())] = tensor;
        }
        BW_CHECK(m_policies[i]->restore(*m_state, saved));
    }
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
        report.sizeBytes = row.value("size_bytes", std::int64_t(0));
        report.numbers = row.value("numbers", std::map<std::string, double>());
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
                           {"samples", report.estimate.samples}, {"size_bytes", report.sizeBytes}, {"numbers", report.numbers}});
    }
    for (std::size_t i = 0; i < m_policies.size(); ++i) {
        for (const auto &[name, tensor] : m_policies[i]->save())
            archive.tensors[policyPrefix(i) + name] = tensor;
    }
    archive.text = nlohmann::json{{"schema", "bitwright/checkpoint/1"}, {"fingerprint", fingerprint()}, {"history", history}}.dump();
    return writeArchive(archive, m_input.checkpoint);
}

/// The loss on the labels as far as the policies leave it, and what they add.
Result<at::Tensor> Trainer::loss(const StepBatch &batch, const at::Tensor &labels)
{
    at::Tensor sum;
    if (m_labelWeight > 0) {
        const at::Tensor &scores = batch.scores;
        if (scores.dim() == 2 && (labels.min().item<std::int64_t>() < 0 || labels.max().item<std::int64_t>() >= scores.size(1)))
            return fail(ErrorKind::Invalid, m_input.training->spec + ", its labels go up to " + std::to_string(labels.max().item<std::int64_t>()) +
                                                " but the network has " + std::to_string(scores.size(1)) + " classes; use data of this task");
        sum = at::cross_entropy_loss(scores, labels, {}, at::Reduction::Mean, -100, m_options.labelSmoothing);
        if (m_labelWeight != 1)
            sum = sum * m_labelWeight;
    }
    for (const auto &policy : m_policies) {
        BW_ASSIGN(const at::Tensor extra, policy->extraLoss(*m_state, batch, m_context));
        if (extra.defined())
            sum = sum.defined() ? sum + extra : extra;
    }
    return sum;
}

Status Trainer::descend(const at::Tensor &loss, double rate)
{
    loss.backward();
    if (m_context.stopped())
        return cancelled();
    for (const auto &policy : m_policies)
        BW_CHECK(policy->beforeStep(*m_state));
    m_state->step(rate);
    for (const auto &policy : m_policies)
        BW_CHECK(policy->afterStep(*m_state));
    return {};
}

std::string Trainer::doing() const
{
    std::string text;
    for (const auto &policy : m_policies) {
        const std::string one = policy->doing();
        text += (text.empty() || one.empty() ? "" : "; ") + one;
    }
    return text;
}

Result<double> Trainer::trainStep(int epoch, std::int64_t step, const at::Tensor &index)
{
    const std::int64_t globalStep = (epoch - 1) * m_stepsPerEpoch + step;
    const std::int64_t totalSteps = m_options.epochs * m_stepsPerEpoch;
    const double rate = learningRate(m_options, globalStep, totalSteps);
    std::seed_seq sequence{std::uint32_t(m_options.seed), std::uint32_t(m_options.seed >> 32), std::uint32_t(globalStep), 0xa7U};
    std::mt19937_64 random(sequence);
    for (const auto &policy : m_policies)
        BW_CHECK(policy->beginStep(*m_state, globalStep));
    StepBatch batch{index, m_input.training->arguments(index), {}};
    if (batch.inputs.size() == 1)   // pictures; of several inputs nobody knows which belong together
        batch.inputs[0] = shiftAndFlip(batch.inputs[0].toTensor(), m_input.training->preprocessing, m_options.shift ? kShiftPixels : 0, m_options.flip, random);
    const at::Tensor labels = m_input.training->labelled() ? m_input.training->labels.index_select(0, index) : at::Tensor();
    at::manual_seed(random());   // dropout
    m_state->traceGradients(step + 1 == m_stepsPerEpoch);
    m_state->beginStep({m_options.seed, globalStep, totalSteps, epoch, 0});

    BW_ASSIGN(batch.scores, m_state->forward(batch.inputs, index.numel(), m_context.stop));
    BW_ASSIGN(const at::Tensor loss, this->loss(batch, labels));
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
        return fail(ErrorKind::Numeric, "fine-tuning, the loss is no longer a finite number at step " + std::to_string(globalStep + 1) +
                                            "; lower the learning rate");
    }
    if (m_context.stopped())
        return cancelled();
    BW_CHECK(descend(loss, rate));
    if (m_callbacks.step) {
        double accuracy = labels.defined() ? 0 : std::numeric_limits<double>::quiet_NaN();
        if (labels.defined() && batch.scores.dim() == 2)
            accuracy = batch.scores.argmax(1).eq(labels).to(at::kFloat).mean().item<double>();
        m_callbacks.step({globalStep + 1, totalSteps, epoch, value, accuracy, rate, doing()});
    }
    m_context.progress("fine-tuning", globalStep + 1, totalSteps);
    return value;
}

Result<double> Trainer::trainEpoch(int epoch)
{
    at::AutoGradMode withGrad(true);
    for (const auto &policy : m_policies)
        BW_CHECK(policy->beginEpoch(*m_state, epoch));
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
    for (const auto &policy : m_policies)
        BW_CHECK(policy->endEpoch(*m_state, epoch));
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
    report.traces = weightTraces(*simulation, m_state->tracedGradients());
    report.config = simulation->configWithValues();
    report.sizeBytes = modelCost(afterTraining(m_input.network->summary()), report.config, m_input.foldBatchNorm).sizeBytes();
    report.state = state;
    return {};
}

Status Trainer::finishEpoch(int epoch, double loss)
{
    EpochReport report;
    report.epoch = epoch;
    report.loss = loss;
    for (const auto &policy : m_policies)
        report.numbers.merge(policy->numbers());
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

Status Trainer::beginPolicies()
{
    const RunPlan plan{m_input, m_batch, m_stepsPerEpoch, m_options.epochs * m_stepsPerEpoch};
    for (const auto &policy : m_policies)
        BW_CHECK(policy->beginRun(*m_state, plan, m_context));
    m_state->holdMasks();
    return {};
}

Result<FineTuneResult> Trainer::run()
{
    BW_ASSIGN(m_policies, makePolicies(m_input));
    for (const auto &policy : m_policies)
        m_labelWeight *= policy->labelWeight();
    BW_CHECK(check());
    BW_ASSIGN(m_state, TrainingState::make(m_input));
    BW_CHECK(beginPolicies());
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
