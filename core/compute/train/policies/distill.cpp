// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/sample_batches.h"
#include "train/policies/policies.h"
#include "train/training_state.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstdio>

namespace bitwright {

at::Tensor distillationLoss(const at::Tensor &scores, const at::Tensor &teacher, double temperature)
{
    if (scores.dim() == 2 && scores.size(1) == 1)   // one number a sample is no choice between classes
        return (scores - teacher.detach()).square().mean() * 0.5;
    const at::Tensor student = at::log_softmax(scores / temperature, 1);
    const at::Tensor wanted = at::log_softmax(teacher.detach() / temperature, 1);
    return (wanted.exp() * (wanted - student)).sum(1).mean() * (temperature * temperature);
}

namespace {

std::string shapeText(const at::Tensor &tensor)
{
    std::string text;
    for (const std::int64_t size : tensor.sizes())
        text += (text.empty() ? "" : "x") + std::to_string(size);
    return text;
}

/// A layer whose inputs both networks are compared at.
struct Hint {
    std::string layer;
    std::size_t student = 0, teacher = 0;   ///< bindings
};

/// Hinton 2015, with a hint on features as in FitNets (Romero 2015). The teacher runs in evaluation mode and without
/// gradient on tensors of its own, so a step changes nothing of it.
class Distillation final : public TrainingPolicy {
public:
    Distillation(const ParamValues &options, const FineTuneInput &input)
        : m_teacher(input.teacher ? input.teacher : input.network), m_temperature(realParam(options, "temperature", 1)),
          m_weight(input.training->labelled() ? realParam(options, "weight") : 1), m_hint(realParam(options, "hint")),
          m_hintLayers(intParam(options, "hint_layers", 1)), m_data(*input.training)
    {
    }

    Status beginRun(TrainingState &state, const RunPlan &plan, const JobContext &context) override
    {
        const Executor &executor = m_teacher->executor();
        m_parameters = executor.bind();
        m_watch.assign(executor.bindings().size(), false);
        m_tap = [this](std::size_t binding, int, const at::Tensor &x, bool) {
            if (m_watch[binding])
                m_features[binding] = x;
            return x;
        };
        if (m_hint > 0)
            BW_CHECK(chooseHints(state));
        // Without augmentation each sample always looks the same: its answer is asked for once. In the order of the data,
        // so that a resumed run holds the same numbers.
        if (m_hint == 0 && !plan.input.options.shift && !plan.input.options.flip)
            return answerAll(*plan.input.training, plan.batch, context);
        return {};
    }

    Status beginEpoch(TrainingState &, int) override
    {
        m_sum = m_hintSum = m_steps = 0;
        return {};
    }

    double labelWeight() const override { return 1 - m_weight; }

    Result<at::Tensor> extraLoss(TrainingState &state, const StepBatch &batch, const JobContext &context) override
    {
        at::Tensor wanted;
        if (m_answers.defined()) {
            wanted = m_answers.index_select(0, batch.rows);
        } else {
            BW_ASSIGN(wanted, answer(batch.inputs, batch.rows.numel(), m_data, context));
        }
        if (wanted.dim() < 2 || wanted.sizes() != batch.scores.sizes()) {
            return fail(ErrorKind::Invalid, m_teacher->summary().path + ", as a teacher it answers " + shapeText(wanted) + " where the network answers " +
                                                shapeText(batch.scores) + "; give a teacher of the same task");
        }
        const at::Tensor soft = distillationLoss(batch.scores, wanted, m_temperature);
        m_last = soft.item<double>();
        m_sum += m_last;
        ++m_steps;
        at::Tensor loss = soft * m_weight;
        if (m_hint > 0) {
            BW_ASSIGN(const at::Tensor hint, hintLoss(state));
            m_hintSum += hint.item<double>();
            loss = loss + hint * m_hint;
        }
        return loss;
    }

    std::string doing() const override
    {
        char text[48];
        std::snprintf(text, sizeof text, "distillation loss %.4f", m_last);
        return m_steps > 0 ? text : "";
    }

    std::map<std::string, double> numbers() const override
    {
        if (m_steps == 0)
            return {};
        std::map<std::string, double> found{{"distillation_loss", m_sum / m_steps}};
        if (m_hint > 0)
            found["hint_loss"] = m_hintSum / m_steps;
        return found;
    }

private:
    Result<at::Tensor> answer(const std::vector<c10::IValue> &inputs, std::int64_t samples, const Dataset &data, const JobContext &context)
    {
        const at::NoGradGuard noGrad;
        m_features.clear();
        RunOptions run;
        run.tap = &m_tap;
        run.inPlace = m_hint == 0;   // features must stay as they were seen
        run.stop = context.stop;
        BW_ASSIGN(const at::Tensor scores, asked(inputs, samples, data, run));
        if (!scores.isfinite().all().item<bool>())
            return fail(ErrorKind::Numeric, m_teacher->summary().path + ", as a teacher it answers NaN or infinity; choose another teacher");
        return scores;
    }

    Result<at::Tensor> asked(const std::vector<c10::IValue> &inputs, std::int64_t samples, const Dataset &data, const RunOptions &run)
    {
        if (data.columns.empty())
            return m_teacher->executor().runBatch(inputs.front().toTensor(), m_parameters, run);
        BW_ASSIGN(const auto outputs, m_teacher->executor().run(inputs, m_parameters, run));
        return outputBySample(*m_teacher, data, outputs, samples);
    }

    Status answerAll(const Dataset &data, std::int64_t batch, const JobContext &context)
    {
        std::vector<at::Tensor> parts;
        for (std::int64_t first = 0; first < data.size(); first += batch) {
            if (context.stopped())
                return cancelled();
            context.breathe();
            const std::int64_t count = std::min(batch, data.size() - first);
            BW_ASSIGN(at::Tensor scores, answer(data.arguments(first, count), count, data, context));
            parts.push_back(std::move(scores));
            context.progress("asking the teacher", first + count, data.size());
        }
        m_answers = at::cat(parts, 0);
        return {};
    }

    Status chooseHints(TrainingState &state)
    {
        const auto &own = state.network().executor(state.folded()).bindings();
        std::vector<std::size_t> watched;
        for (std::size_t i = own.size(); i > 0 && std::int64_t(m_hints.size()) < m_hintLayers; --i) {
            const LayerBinding &layer = own[i - 1];
            if (!layer.info.inputQuantizable())
                continue;
            const auto binding = m_teacher->binding(layer.info.name);
            if (!binding) {
                return fail(ErrorKind::Invalid, "recipe distill, " + m_teacher->summary().path + " has no layer " + layer.info.name +
                                                    " for the hint; set hint to 0 with a teacher of another make");
            }
            m_hints.push_back({layer.info.name, i - 1, *binding});
            m_watch[*binding] = true;
            watched.push_back(i - 1);
        }
        state.watchInputs(watched);
        return {};
    }

    /// Half the mean square of the differences, over values and layers.
    Result<at::Tensor> hintLoss(TrainingState &state)
    {
        at::Tensor sum;
        for (const Hint &hint : m_hints) {
            const auto own = state.watched().find(hint.student);
            const auto wanted = m_features.find(hint.teacher);
            if (own == state.watched().end() || wanted == m_features.end())
                return fail(ErrorKind::Internal, "layer " + hint.layer + ", its input was not seen; set hint to 0");
            if (own->second.sizes() != wanted->second.sizes()) {
                return fail(ErrorKind::Invalid, "layer " + hint.layer + ", its input is " + shapeText(own->second) + " but the teacher's is " +
                                                    shapeText(wanted->second) + " and a hint compares them; set hint to 0");
            }
            const at::Tensor term = (own->second - wanted->second).square().mean() * (0.5 / double(m_hints.size()));
            sum = sum.defined() ? sum + term : term;
        }
        return sum;
    }

    std::shared_ptr<const Network> m_teacher;
    double m_temperature, m_weight, m_hint;
    std::int64_t m_hintLayers;
    const Dataset &m_data;
    std::vector<at::Tensor> m_parameters;
    std::vector<bool> m_watch;          ///< by binding of the teacher
    std::map<std::size_t, at::Tensor> m_features;
    Tap m_tap;
    std::vector<Hint> m_hints;
    at::Tensor m_answers;               ///< of the whole training data, where it can be kept
    double m_sum = 0, m_hintSum = 0, m_last = 0;
    int m_steps = 0;
};

} // namespace

PolicyRow distillRow()
{
    return {"distill", [](const ParamValues &options, const FineTuneInput &input) -> Result<std::unique_ptr<TrainingPolicy>> {
                return std::make_unique<Distillation>(options, input);
            }};
}

} // namespace bitwright
