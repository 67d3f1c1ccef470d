// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "config/stored_spec.h"
#include "format.h"
#include "inputs.h"

#include "base/replace_file.h"
#include "catalog/options_text.h"
#include "catalog/recipes.h"
#include "config/uniform_form.h"
#include "cost/size_model.h"
#include "engine/trials.h"
#include "engine/write_trained.h"
#include "quant/quantizer.h"
#include "simulate/calibration.h"
#include "train/trainer.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <filesystem>
#include <map>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string model, data, evaluation, config, preset, output, configOutput, session, checkpoint;
    std::vector<std::string> recipes;
    bool resume = false, noAugmentation = false, noReestimation = false;
    FineTuneOptions training;
};

/// `ID` or `ID:option=value,option=value`.
Result<RecipeChoice> recipeFromText(const std::string &text)
{
    const auto colon = text.find(':');
    RecipeChoice choice{text.substr(0, colon)};
    const MethodTraits *recipe = methodCatalog().recipe(choice.id);
    if (!recipe)
        return fail(ErrorKind::Invalid, "--recipe " + choice.id + ", there is no such recipe; `methods` lists them");
    std::map<std::string, std::string> named;
    for (std::size_t at = colon; at != std::string::npos;) {
        const auto comma = text.find(',', at + 1);
        const std::string pair = text.substr(at + 1, comma == std::string::npos ? comma : comma - at - 1);
        const auto equals = pair.find('=');
        if (equals == std::string::npos || equals == 0)
            return fail(ErrorKind::Invalid, "--recipe " + text + ", \"" + pair + "\" is no option; write ID:option=value,option=value");
        if (!named.emplace(pair.substr(0, equals), pair.substr(equals + 1)).second)
            return fail(ErrorKind::Invalid, "--recipe " + text + ", the option " + pair.substr(0, equals) + " was given before; give it once");
        at = comma;
    }
    BW_ASSIGN(const ParamValues given, optionsFromText(*recipe, named));
    BW_ASSIGN(choice.options, completeParams(recipe->options, given, "recipe " + choice.id));
    return choice;
}

/// "  sparsity 0.4312  distillation_loss 0.2100".
std::string numbersText(const EpochReport &epoch)
{
    std::string text;
    for (const auto &[name, value] : epoch.numbers)
        text += "  " + name + " " + fixed(value, 4);
    return text;
}

/// One run of the command: what the callbacks add to and what is written at the end.
class FineTuning {
public:
    FineTuning(const Options &options, Console &console) : m_options(options), m_console(console) {}
    Result<Output> run();

private:
    [[nodiscard]] std::string checkpoint() const
    {
        return m_options.checkpoint.empty() ? m_options.output + ".checkpoint" : m_options.checkpoint;
    }
    Status prepare();
    Status prepareRecipes();
    void onStep(const StepReport &step);
    void onEpoch(const EpochReport &epoch);
    Status write(const WeightsState &state, const ResolvedConfig &config);
    [[nodiscard]] Output output(const FineTuneResult &result) const;

    const Options &m_options;
    Console &m_console;
    std::shared_ptr<const Network> m_network, m_teacher;
    std::vector<RecipeChoice> m_recipes;
    std::shared_ptr<const Dataset> m_training, m_evaluation;
    std::unique_ptr<SessionStore> m_session;
    std::unique_ptr<Evaluator> m_evaluator;
    Assignment m_assignment;
    Metric m_metric = Metric::Top1;
    std::vector<EpochReport> m_history;
    Status m_stored;
};

Status FineTuning::prepareRecipes()
{
    std::vector<std::string> ids;
    for (const std::string &text : m_options.recipes) {
        BW_ASSIGN(RecipeChoice choice, recipeFromText(text));
        ids.push_back(choice.id);
        m_recipes.push_back(std::move(choice));
    }
    if (std::string clash = recipeClash(ids); !clash.empty())
        return fail(ErrorKind::Invalid, std::move(clash));
    if (m_options.training.teacher.empty())
        return {};
    if (std::ranges::none_of(ids, learnsFromTeacher)) {
        m_console.note("--teacher " + m_options.training.teacher + ": the recipe distill joins, with its defaults");
        BW_ASSIGN(RecipeChoice distill, recipeFromText("distill"));
        m_recipes.push_back(std::move(distill));
    }
    BW_ASSIGN(m_teacher, Network::open(m_options.training.teacher, m_console.job()));
    return {};
}

Status FineTuning::prepare()
{
    BW_CHECK(notOver(m_options.model, m_options.output));
    for (const std::string &path : {m_options.output, checkpoint(), m_options.configOutput})
        if (!path.empty())
            BW_CHECK(canReplace(path));
    BW_ASSIGN(m_session, openSession(m_options.session));
    BW_ASSIGN(m_network, Network::open(m_options.model, m_console.job()));
    BW_CHECK(prepareRecipes());
    BW_ASSIGN(m_assignment, readAssignment(*m_network, m_options.config, m_console, m_options.preset));
    BW_ASSIGN(m_training, openDataFor(*m_network, m_options.data, m_console));
    m_evaluation = m_training;
    if (!m_options.evaluation.empty() && m_options.evaluation != m_options.data) {
        BW_ASSIGN(m_evaluation, openDataFor(*m_network, m_options.evaluation, m_console));
    }
    BW_CHECK(calibrateMissing(m_assignment, *m_network, *m_training, m_console));
    m_evaluator = std::make_unique<Evaluator>(m_network, m_evaluation);
    BW_ASSIGN(m_metric, defaultMetric(*m_network, *m_evaluation, m_console.job()));
    return {};
}

void FineTuning::onStep(const StepReport &step)
{
    m_console.job().progress("epoch " + std::to_string(step.epoch) + "  loss " + fixed(step.loss, 4) +
                                 (step.recipes.empty() ? "" : "  " + step.recipes), step.step, step.totalSteps);
}

void FineTuning::onEpoch(const EpochReport &epoch)
{
    m_history.push_back(epoch);
    m_console.note("epoch " + std::to_string(epoch.epoch) + "  loss " + fixed(epoch.loss, 4) +
                   (epoch.evaluated ? "  " + std::string(metricName(m_metric)) + " " +
                                          withInterval(epoch.estimate.value, epoch.estimate.low, epoch.estimate.high) : "") +
                   numbersText(epoch) + (epoch.resumed ? "  (from the checkpoint)" : ""));
    if (!m_session || epoch.resumed || !m_stored)
        return;
    const auto config = withValues(m_assignment.config, epoch.config, true);
    const auto data = m_options.evaluation.empty() ? m_options.data : m_options.evaluation;
    const ModelCost cost = modelCost(afterTraining(m_network->summaryFor(m_evaluation->sampleShape())), epoch.config, m_assignment.config.foldBatchNorm);
    const auto added = m_session->addTrial(makeTrial(m_network->summary(), config, cost, m_metric, epoch.estimate,
                                                     {"epoch", data, m_options.output, m_console.options().seed, epoch.epoch}));
    if (!added)
        m_stored = std::unexpected(added.error());
}

Status FineTuning::write(const WeightsState &state, const ResolvedConfig &config)
{
    BW_CHECK(writeTrained(m_network, state.tensors, m_options.output, m_console.job()));
    BW_CHECK(copySideFile(m_options.model, m_options.output));
    if (m_options.configOutput.empty())
        return {};
    ResolvedConfig spelled = config;
    spellOutSigns(spelled, m_network->summary());
    auto complete = withValues(m_assignment.config, spelled, true);
    if (auto written = Network::open(m_options.output))   // the assignment is the new file's
        complete.modelSha = (*written)->summary().sha256;
    return writeConfig(complete, m_options.configOutput);
}

Output FineTuning::output(const FineTuneResult &result) const
{
    constexpr auto kRight = TextTable::Align::Right;
    TextTable table({{"epoch", kRight}, {"loss", kRight}, {metricName(m_metric)}, {"size", kRight}});
    Output output;
    output.firstKeys = {"metric", "history", "best", "epoch", "loss", "value", "low", "high", "size_bytes"};
    // "best" tells which epoch was; what is written is the state after the last one.
    output.json = {{"metric", metricName(m_metric)}, {"history", json::array()}, {"best", nullptr}, {"model", m_options.output},
                   {"written_epoch", result.history.empty() ? 0 : result.history.back().epoch}};
    const EpochReport *best = nullptr;
    for (const auto &epoch : result.history) {
        json row{{"epoch", epoch.epoch}, {"loss", epoch.loss}, {"value", epoch.estimate.value},
                 {"low", epoch.estimate.low}, {"high", epoch.estimate.high}, {"size_bytes", epoch.sizeBytes}};
        for (const auto &[name, value] : epoch.numbers)
            row[name] = value;
        output.json["history"].push_back(std::move(row));
        table.add({std::to_string(epoch.epoch), fixed(epoch.loss, 4),
                   withInterval(epoch.estimate.value, epoch.estimate.low, epoch.estimate.high), byteSize(double(epoch.sizeBytes))});
        if (best == nullptr || epoch.estimate.value > best->estimate.value)
            best = &epoch;
    }
    if (best != nullptr)
        output.json["best"] = {{"epoch", best->epoch}, {"value", best->estimate.value}, {"size_bytes", best->sizeBytes}};
    output.text = table.text() + "\nwritten, as it was after the last epoch: " + m_options.output +
                  (m_options.configOutput.empty() ? "" : ", " + m_options.configOutput) + "\n";
    return output;
}

Result<Output> FineTuning::run()
{
    BW_CHECK(prepare());
    FineTuneInput input;
    input.network = m_network;
    input.config = m_assignment.resolved;
    input.foldBatchNorm = m_assignment.config.foldBatchNorm;
    input.options = m_options.training;
    input.options.seed = m_console.options().seed;
    input.options.shift = input.options.flip = !m_options.noAugmentation;
    input.options.reestimateBatchNorm = !m_options.noReestimation;
    input.training = m_training;
    input.teacher = m_teacher;
    input.options.recipes = m_recipes;
    input.evaluation = m_evaluator.get();
    input.metric = m_metric;
    input.checkpoint = checkpoint();
    input.resume = m_options.resume;
    if (std::error_code ignored; input.resume && !std::filesystem::exists(input.checkpoint, ignored))
        m_console.warn("warning: " + input.checkpoint + " is not there, the training starts from the beginning");
    FineTuneCallbacks callbacks;
    callbacks.step = [this](const StepReport &step) { onStep(step); };
    callbacks.epoch = [this](const EpochReport &epoch) { onEpoch(epoch); };
    auto context = m_console.job();
    context.report = {};   // the steps say more
    const auto result = fineTune(input, context, callbacks);
    if (!result) {
        if (isCancelled(result.error()) && !m_history.empty())
            BW_CHECK(write(*m_history.back().state, m_history.back().config));
        return std::unexpected(result.error());
    }
    BW_CHECK(m_stored);
    BW_CHECK(write(*result->state, result->config));
    std::error_code ignored;   // a finished run leaves nothing to go on from
    std::filesystem::remove(input.checkpoint, ignored);
    Output made = output(*result);
    noteRandomData(made, *m_evaluation);
    return made;
}

} // namespace

Work declareFinetune(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    auto &training = options->training;
    app.add_option("MODEL", options->model, "Network file")->required();
    addDataOption(app, options->data, "Training data")->required();
    app.add_option("--eval-data", options->evaluation, "Data that each epoch is measured on (default: the training data)");
    app.add_option("--config", options->config, "Assignment to train under");
    addPresetOption(app, options->preset);
    app.add_option("--epochs", training.epochs, "Epochs")->required()->check(CLI::Range(1, 100000));
    app.add_option("-o,--output", options->output, "The trained network, in MODEL's own format")->required();
    app.add_option("--config-out", options->configOutput, "The assignment with all values");
    app.add_option("--recipe", options->recipes, "A training recipe (see methods), ID or ID:option=value,option=value; may be repeated");
    app.add_option("--teacher", training.teacher, "Network that distillation learns from (default: MODEL in float)");
    app.add_option("--optimizer", training.optimizer, "sgd or adam")->check(CLI::IsMember({"sgd", "adam"}))->capture_default_str();
    app.add_option("--lr", training.learningRate, "Learning rate")->check(CLI::NonNegativeNumber)->capture_default_str();
    app.add_option("--schedule", training.schedule, "cosine, step or constant")
        ->check(CLI::IsMember({"cosine", "step", "constant"}))->capture_default_str();
    app.add_option("--batch", training.batch, "Samples a step")->check(CLI::Range(1, 1 << 20))->capture_default_str();
    app.add_option("--momentum", training.momentum, "Momentum of sgd")->check(CLI::Range(0.0, 1.0))->capture_default_str();
    app.add_option("--weight-decay", training.weightDecay, "Weight decay")->check(CLI::NonNegativeNumber)->capture_default_str();
    app.add_option("--label-smoothing", training.labelSmoothing, "Label smoothing")->check(CLI::Range(0.0, 1.0))->capture_default_str();
    app.add_flag("--no-augmentation", options->noAugmentation, "No shifts and flips");
    app.add_flag("--no-reestimation", options->noReestimation, "Leave the batch-norm statistics as training left them");
    app.add_option("--checkpoint", options->checkpoint, "Where each epoch is saved (default: OUTPUT.checkpoint)");
    app.add_flag("--resume", options->resume, "Go on from the checkpoint; without one the training starts from the beginning and says so");
    app.add_option("--session", options->session, "Session file that each epoch is added to");
    app.parse_complete_callback([options] { needsAssignment(options->config, options->preset); });
    return [options](Console &console) { return FineTuning(*options, console).run(); };
}

} // namespace bitwright::cli
