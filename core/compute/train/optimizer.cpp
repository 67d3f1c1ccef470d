// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numbers>

namespace bitwright {

namespace {

void holdIn(at::Tensor tensor, const at::Tensor &stays)
{
    if (tensor.defined())
        tensor.mul_(stays);
}

/// SGD with heavy-ball momentum; weight decay is added to the gradient, as PyTorch's does.
class Sgd final : public Optimizer {
public:
    Sgd(const FineTuneOptions &options, std::vector<TrainedTensor> tensors) : m_options(options), m_tensors(std::move(tensors))
    {
        m_momentum.resize(m_tensors.size());
    }

    void step(double rate) override
    {
        at::NoGradGuard noGrad;
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            at::Tensor &tensor = m_tensors[i].tensor;
            at::Tensor gradient = tensor.grad();
            if (!gradient.defined())
                continue;
            const double own = rate * m_tensors[i].rateFactor;
            if (m_tensors[i].decay && m_options.weightDecay > 0)
                gradient.add_(tensor, m_options.weightDecay);
            if (m_options.momentum > 0) {
                if (m_momentum[i].defined())
                    m_momentum[i].mul_(m_options.momentum).add_(gradient);
                else
                    m_momentum[i] = gradient.clone();
                tensor.add_(m_momentum[i], -own);
            } else {
                tensor.add_(gradient, -own);
            }
            tensor.mutable_grad().reset();
        }
    }

    void hold(const std::string &name, const at::Tensor &stays) override
    {
        const at::NoGradGuard noGrad;
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            if (m_tensors[i].name == name) {
                holdIn(m_momentum[i], stays);
                holdIn(m_tensors[i].tensor.grad(), stays);
            }
        }
    }

    std::map<std::string, at::Tensor> state() const override
    {
        std::map<std::string, at::Tensor> saved;
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            if (m_momentum[i].defined())
                saved["momentum/" + m_tensors[i].name] = m_momentum[i];
        }
        return saved;
    }

    void restore(const std::map<std::string, at::Tensor> &saved) override
    {
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            if (auto found = saved.find("momentum/" + m_tensors[i].name); found != saved.end())
                m_momentum[i] = found->second.clone();
        }
    }

private:
    FineTuneOptions m_options;
    std::vector<TrainedTensor> m_tensors;
    std::vector<at::Tensor> m_momentum;
};

/// Adam (Kingma and Ba 2015) with bias correction, beta 0.9 and 0.999, decay added to the gradient.
class Adam final : public Optimizer {
public:
    Adam(const FineTuneOptions &options, std::vector<TrainedTensor> tensors) : m_options(options), m_tensors(std::move(tensors))
    {
        for (const TrainedTensor &entry : m_tensors) {
            m_first.push_back(at::zeros_like(entry.tensor));
            m_second.push_back(at::zeros_like(entry.tensor));
        }
    }

    void step(double rate) override
    {
        at::NoGradGuard noGrad;
        ++m_steps;
        const double correction1 = 1 - std::pow(kBeta1, double(m_steps));
        const double correction2 = std::sqrt(1 - std::pow(kBeta2, double(m_steps)));
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            at::Tensor &tensor = m_tensors[i].tensor;
            at::Tensor gradient = tensor.grad();
            if (!gradient.defined())
                continue;
            const double own = rate * m_tensors[i].rateFactor;
            if (m_tensors[i].decay && m_options.weightDecay > 0)
                gradient.add_(tensor, m_options.weightDecay);
            m_first[i].mul_(kBeta1).add_(gradient, 1 - kBeta1);
            m_second[i].mul_(kBeta2).addcmul_(gradient, gradient, 1 - kBeta2);
            tensor.addcdiv_(m_first[i], m_second[i].sqrt().div_(correction2).add_(1e-8), -own / correction1);
            tensor.mutable_grad().reset();
        }
    }

    void hold(const std::string &name, const at::Tensor &stays) override
    {
        const at::NoGradGuard noGrad;
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            if (m_tensors[i].name == name) {
                holdIn(m_first[i], stays);
                holdIn(m_second[i], stays);
                holdIn(m_tensors[i].tensor.grad(), stays);
            }
        }
    }

    std::map<std::string, at::Tensor> state() const override
    {
        std::map<std::string, at::Tensor> saved{{"steps", at::tensor(m_steps, at::kLong)}};
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            saved["first/" + m_tensors[i].name] = m_first[i];
            saved["second/" + m_tensors[i].name] = m_second[i];
        }
        return saved;
    }

    void restore(const std::map<std::string, at::Tensor> &saved) override
    {
        if (auto steps = saved.find("steps"); steps != saved.end())
            m_steps = steps->second.item<std::int64_t>();
        for (std::size_t i = 0; i < m_tensors.size(); ++i) {
            if (auto found = saved.find("first/" + m_tensors[i].name); found != saved.end())
                m_first[i] = found->second.clone();
            if (auto found = saved.find("second/" + m_tensors[i].name); found != saved.end())
                m_second[i] = found->second.clone();
        }
    }

private:
    static constexpr double kBeta1 = 0.9, kBeta2 = 0.999;
    FineTuneOptions m_options;
    std::vector<TrainedTensor> m_tensors;
    std::vector<at::Tensor> m_first, m_second;
    std::int64_t m_steps = 0;
};

} // namespace

Result<std::unique_ptr<Optimizer>> makeOptimizer(const FineTuneOptions &options, std::vector<TrainedTensor> tensors)
{
    if (options.optimizer == "sgd")
        return std::unique_ptr<Optimizer>(new Sgd(options, std::move(tensors)));
    if (options.optimizer == "adam")
        return std::unique_ptr<Optimizer>(new Adam(options, std::move(tensors)));
    return fail(ErrorKind::Invalid, "optimizer " + options.optimizer + ", no such optimizer; use sgd or adam");
}

double learningRate(const FineTuneOptions &options, std::int64_t step, std::int64_t totalSteps)
{
    const double share = totalSteps > 0 ? double(step) / double(totalSteps) : 0;
    if (options.schedule == "cosine")
        return options.learningRate * 0.5 * (1 + std::cos(std::numbers::pi * share));
    if (options.schedule == "step")
        return options.learningRate * (share < 0.5 ? 1 : share < 0.75 ? 0.1 : 0.01);
    return options.learningRate;
}

Status checkOptions(const FineTuneOptions &options)
{
    auto bad = [](const std::string &what, const std::string &want) {
        return fail(ErrorKind::Invalid, what + ", out of range; give " + want);
    };
    if (options.epochs < 1)
        return bad("epochs", "1 or more");
    if (options.batch < 1)
        return bad("batch", "1 or more");
    if (!(options.learningRate > 0) || !std::isfinite(options.learningRate))
        return bad("learning rate", "a positive number");
    if (!(options.momentum >= 0 && options.momentum < 1))
        return bad("momentum", "a number from 0 to below 1");
    if (!(options.weightDecay >= 0) || !std::isfinite(options.weightDecay))
        return bad("weight decay", "0 or more");
    if (!(options.labelSmoothing >= 0 && options.labelSmoothing < 1))
        return bad("label smoothing", "a number from 0 to below 1");
    if (options.schedule != "cosine" && options.schedule != "step" && options.schedule != "constant")
        return fail(ErrorKind::Invalid, "schedule " + options.schedule + ", no such schedule; use cosine, step or constant");
    return {};
}

} // namespace bitwright
