// SPDX-License-Identifier: GPL-3.0-or-later
// The first samples of data that may be opened, and what the network says about them.
#include "engine/job_host.h"

#include "simulate/sample_batches.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr std::int64_t kMostShown = 1 << 16;   // values of one sample
constexpr std::int64_t kTop = 3;

/// Every n-th pixel, or the first values of what is no picture.
at::Tensor thinned(at::Tensor sample, bool picture)
{
    if (picture) {
        for (const std::int64_t axis : {1, 2}) {
            constexpr std::int64_t kSide = 128;
            const std::int64_t step = (sample.size(axis) + kSide - 1) / kSide;
            sample = step > 1 ? sample.slice(axis, 0, std::nullopt, step) : sample;
        }
        return sample;
    }
    if (sample.dim() == 0 || sample.numel() <= kMostShown)
        return sample;
    const at::Tensor flat = sample.reshape({-1});
    return flat.slice(0, 0, std::nullopt, (flat.numel() + kMostShown - 1) / kMostShown);
}

std::vector<float> valuesOf(const at::Tensor &sample)
{
    const at::Tensor plain = sample.to(at::kFloat).contiguous();
    const float *first = plain.const_data_ptr<float>();
    return {first, first + plain.numel()};
}

bool isPicture(const at::Tensor &sample, at::ScalarType type)
{
    constexpr std::int64_t kSmallest = 4;
    return sample.dim() == 3 && (sample.size(0) == 1 || sample.size(0) == 3) && sample.size(1) >= kSmallest && sample.size(2) >= kSmallest &&
           at::isFloatingType(type);
}

InputSamples samplesOf(const InputColumn &column, const std::string &dtype, std::int64_t count)
{
    InputSamples shown;
    shown.name = column.name;
    shown.dtype = dtype;
    shown.shared = column.shared;
    for (std::int64_t i = 0; i < (column.shared ? 1 : count); ++i) {
        const at::Tensor sample = column.shared ? column.values : column.values[i];
        shown.picture = isPicture(sample, column.type);
        const at::Tensor small = thinned(sample, shown.picture);
        shown.shape = sample.sizes().vec();
        shown.shown = small.sizes().vec();
        shown.samples.push_back(valuesOf(small));
    }
    return shown;
}

/// Shares of classes; scores that are shares already stay what they are.
at::Tensor sharesOf(const at::Tensor &scores)
{
    const at::Tensor wide = scores.to(at::kDouble);
    const bool shares = wide.ge(0).all().item<bool>() && (wide.sum() - 1).abs().item<double>() < 1e-3;
    return shares ? wide : at::softmax(wide, 0);
}

SampleAnswer answerOf(const at::Tensor &part, bool scores)
{
    SampleAnswer answer;
    const at::Tensor finite = part.to(at::kDouble).reshape({-1});
    const at::Tensor kept = finite.masked_select(finite.isfinite());
    if (kept.numel() > 0) {
        answer.low = kept.min().item<double>();
        answer.high = kept.max().item<double>();
        answer.mean = kept.mean().item<double>();
    }
    if (scores && kept.numel() == finite.numel()) {
        const auto [shares, classes] = sharesOf(finite).topk(std::min(kTop, finite.numel()));
        for (std::int64_t i = 0; i < shares.numel(); ++i)
            answer.top.emplace_back(classes[i].item<std::int64_t>(), shares[i].item<double>());
    }
    return answer;
}

OutputRange rangeOf(const std::string &name, const c10::IValue &value)
{
    OutputRange range;
    range.name = name;
    if (!value.isTensor())
        return range;
    const at::Tensor flat = value.toTensor().to(at::kDouble).reshape({-1});
    const at::Tensor kept = flat.masked_select(flat.isfinite());
    range.shape = value.toTensor().sizes().vec();
    range.nonFinite = flat.numel() - kept.numel();
    if (kept.numel() > 0) {
        range.low = kept.min().item<double>();
        range.high = kept.max().item<double>();
    }
    return range;
}

/// Runs the network on the samples, batch by batch.
Status addAnswers(DataPreviewReady &event, const Network &network, const Dataset &data, const JobContext &context)
{
    const at::NoGradGuard noGrad;
    const Executor &executor = network.executor();
    const auto parameters = executor.bind();
    RunOptions options;
    options.stop = context.stop;
    const std::int64_t required = requiredBatch(network, data), total = data.size(), batch = required > 0 ? required : total;
    for (std::int64_t first = 0; first < total; first += batch) {
        const std::int64_t count = std::min(batch, total - first);
        BW_ASSIGN(const auto outputs, executor.run(batchArguments(network, data, first, count), parameters, options));
        if (first == 0)
            for (std::size_t i = 0; i < outputs.size(); ++i)
                event.outputs.push_back(rangeOf(i < network.summary().outputs.size() ? network.summary().outputs[i].name : "out" + std::to_string(i), outputs[i]));
        BW_ASSIGN(const at::Tensor scores, outputBySample(network, data, outputs, count));
        const bool classes = scores.dim() == 2 && scores.size(1) > 1 && scores.is_floating_point();
        for (std::int64_t i = 0; i < count; ++i)
            event.answers.push_back(answerOf(scores[i], classes));
    }
    return {};
}

} // namespace

Status JobHost::job(JobId id, const DataPreviewRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session());
    const Network &network = *session->network;
    DataContext opening = dataContext(network);
    opening.decodeImage = m_options.decodeImage;
    opening.job = context;
    opening.most = std::max<std::int64_t>(1, request.samples);
    BW_ASSIGN(const auto data, openData(request.spec, opening));
    return guarded(request.spec, ErrorKind::Numeric, [&]() -> Status {
        DataPreviewReady event;
        event.job = id;
        event.request = request;
        if (data->columns.empty()) {
            const auto &inputs = network.summary().inputs;
            InputColumn column{.name = inputs.empty() ? std::string() : inputs.front().name, .values = data->images, .preprocessing = {}};
            event.inputs.push_back(samplesOf(column, "float32", data->size()));
        }
        for (std::size_t i = 0; i < data->columns.size(); ++i)
            event.inputs.push_back(samplesOf(data->columns[i], network.needs()[i].info.dtype, data->size()));
        if (data->labelled())
            for (std::int64_t i = 0; i < data->size(); ++i)
                event.labels.push_back(data->labels[i].item<std::int64_t>());
        event.classes = data->classes;
        const auto ran = guarded("the network", ErrorKind::Numeric, [&] { return addAnswers(event, network, *data, context); });
        if (context.stopped())
            return cancelled();
        if (!ran) {
            event.problem = ran.error().message;
            event.answers.clear();
        }
        m_emit(std::move(event));
        return {};
    });
}

} // namespace bitwright
