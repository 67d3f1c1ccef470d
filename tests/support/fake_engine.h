// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "catalog/recipes.h"
#include "cost/size_model.h"
#include "report/report_content.h"
#include "session/engine_api.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <numbers>
#include <set>
#include <thread>

namespace bitwright {

/// A few methods of different families as far as the window needs them; "refuser" is a made-up one that never works.
inline Catalog fakeCatalog()
{
    const auto choice = [](const char *name, std::vector<std::string> choices, const char *help) {
        ParamSpec spec;
        spec.name = name;
        spec.type = ParamType::Choice;
        spec.fallback = choices.front();
        spec.choices = std::move(choices);
        spec.help = help;
        return spec;
    };
    const auto flag = [](const char *name, bool optional, const char *help) {
        ParamSpec spec;
        spec.name = name;
        spec.type = ParamType::Bool;
        spec.fallback = false;
        spec.optional = optional;
        spec.help = help;
        return spec;
    };
    ParamSpec percentile;
    percentile.name = "percentile";
    percentile.type = ParamType::Real;
    percentile.fallback = 99.9;
    percentile.minimum = 50;
    percentile.maximum = 100;
    percentile.unit = "%";
    percentile.help = "Share of the values that the range keeps.";
    percentile.onlyWith = "range=percentile";
    MethodTraits uniform;
    uniform.id = "uniform";
    uniform.title = "Uniform";
    uniform.paper = "Jacob et al., CVPR 2018; Esser et al., ICLR 2020";
    uniform.year = 2018;
    uniform.roles = {Role::Weight, Role::Activation};
    uniform.minimumBits = 1;
    uniform.maximumBits = 16;
    uniform.options = {flag("symmetric", true, "Zero in the middle and no zero point."),
                       choice("granularity", {"tensor", "channel"}, "One step for the tensor, or one per output channel."),
                       choice("range", {"minmax", "percentile", "mse", "kl", "aciq"}, "How the range is found."), percentile,
                       flag("learned_step", false, "Fine-tuning learns the step (LSQ).")};
    uniform.family = "uniform";
    uniform.values = {"scale", "zero_point"};
    uniform.summary = "Levels at equal distances.";
    MethodTraits binary;
    binary.id = "bwn";
    binary.title = "Binary weights";
    binary.paper = "Rastegari et al., ECCV 2016";
    binary.year = 2016;
    binary.roles = {Role::Weight};
    binary.minimumBits = binary.maximumBits = 1;
    binary.family = "binary";
    binary.values = {"scale"};
    binary.summary = "Plus or minus the mean magnitude.";
    MethodTraits codebook;
    codebook.id = "kmeans";
    codebook.title = "k-means sharing";
    codebook.paper = "Han et al., ICLR 2016";
    codebook.year = 2016;
    codebook.family = "codebook";
    codebook.roles = {Role::Weight};
    codebook.options = {choice("init", {"linear", "density", "random"}, "Where the centroids start.")};
    codebook.values = {"codebook"};
    codebook.summary = "Shared values at the centres of clusters.";
    MethodTraits refuser = codebook;
    refuser.id = "refuser";
    refuser.title = "Refuser";
    refuser.family = "learned";
    refuser.roles = {Role::Weight, Role::Activation};
    refuser.minimumBits = 2;
    refuser.options.clear();
    refuser.values.clear();
    MethodTraits magnitude;
    magnitude.id = "magnitude";
    magnitude.title = "Magnitude";
    magnitude.paper = "Han et al., NeurIPS 2015";
    magnitude.year = 2015;
    magnitude.kind = MethodKind::Pruner;
    magnitude.summary = "The weights closest to zero go.";
    magnitude.options = {flag("channels", false, "A channel of which nothing is left goes with its bias and batch norm.")};
    MethodTraits l1 = magnitude;
    l1.id = "l1";
    l1.title = "Filter L1 norm";
    l1.paper = "Li et al., ICLR 2017";
    l1.year = 2017;
    l1.structured = true;
    l1.summary = "The output channels with the least sum of magnitudes go.";
    l1.options.clear();
    MethodTraits clip;
    clip.id = "pact";
    clip.title = "PACT";
    clip.paper = "Choi et al., 2018";
    clip.year = 2018;
    clip.family = "learned";
    clip.roles = {Role::Activation};
    clip.options = {choice("variant", {"pact", "plus", "two_sided"}, "Which ends are learned.")};
    clip.values = {"alpha", "lower"};
    clip.summary = "A clip that training moves.";
    std::vector<MethodTraits> methods{uniform, binary, codebook, refuser, clip, magnitude, l1};
    for (MethodTraits &recipe : recipeTraits({magnitude.id, l1.id}))
        methods.push_back(std::move(recipe));
    return Catalog(std::move(methods));
}

/// What goes together in fakeModel: in each stage the channels of all second convolutions, which meet in residual adds
/// (the first stage's with the stem); each first convolution by itself; the head's outputs, which cannot be cut.
inline std::vector<ChannelGroup> fakeGroups(const ModelSummary &model)
{
    const auto part = [&](const std::string &name, bool output) {
        const LayerInfo *layer = model.layer(name);
        ChannelGroup::Part made{name, true, output, output ? 0 : 1, {}};
        for (std::int64_t i = 0; i < layer->weightShape[output ? 0 : 1]; ++i)
            made.unit.push_back(std::int32_t(i));
        return made;
    };
    std::vector<ChannelGroup> groups;
    for (int stage = 1; stage <= 3; ++stage) {
        const std::string prefix = "stage" + std::to_string(stage) + ".";
        ChannelGroup chain;
        if (stage == 1)
            chain.parts.push_back(part("stem", true));
        for (int block = 0; block < 3; ++block) {
            const std::string name = prefix + std::to_string(block) + ".conv";
            ChannelGroup inside;
            inside.parts = {part(name + "1", true), {name + "1_bn.weight", false, false, 0, {}}, part(name + "2", false)};
            inside.units = std::int32_t(inside.parts[0].unit.size());
            inside.parts[1].unit = inside.parts[0].unit;
            groups.push_back(inside);
            chain.parts.push_back(part(name + "2", true));
            if (block > 0 || stage == 1)
                chain.parts.push_back(part(name + "1", false));
        }
        chain.parts.push_back(part(stage == 3 ? std::string("head") : "stage" + std::to_string(stage + 1) + ".0.conv1", false));
        chain.units = std::int32_t(chain.parts.back().unit.size());
        groups.push_back(chain);
    }
    ChannelGroup head;
    head.parts = {part("head", true)};
    head.units = 10;
    head.refusal = "head writes the network's output, whose size others rely on";
    groups.push_back(head);
    return groups;
}

/// Like a ResNet-20 on Fashion-MNIST, with one layer that cannot be quantized.
inline std::shared_ptr<const ModelSummary> fakeModel()
{
    auto model = std::make_shared<ModelSummary>();
    model->path = "models/resnet20.pt2";
    model->format = "pt2";
    model->sha256 = "0123456789abcdef";
    model->inputs = {{"x", {-1, 1, 28, 28}, "float32"}};
    model->outputs = {{"logits", {-1, 10}, "float32"}};
    const auto conv = [&](const std::string &name, std::int64_t in, std::int64_t out, std::int64_t side) {
        LayerInfo layer;
        layer.name = name;
        layer.op = "conv2d";
        layer.weightShape = {out, in, 3, 3};
        layer.weightCount = out * in * 9;
        layer.macs = layer.weightCount * side * side;
        layer.status = LayerStatus::Quantizable;
        layer.batchNorm = name + "_bn";
        layer.batchNormCount = 2 * out;
        layer.nonNegativeInput = name != "stem";
        model->layers.push_back(layer);
    };
    conv("stem", 1, 16, 28);
    const std::int64_t widths[] = {16, 32, 64}, sides[] = {28, 14, 7};
    for (int stage = 0; stage < 3; ++stage) {
        for (int block = 0; block < 3; ++block) {
            const std::string prefix = "stage" + std::to_string(stage + 1) + "." + std::to_string(block) + ".conv";
            conv(prefix + "1", block == 0 && stage > 0 ? widths[stage - 1] : widths[stage], widths[stage], sides[stage]);
            conv(prefix + "2", widths[stage], widths[stage], sides[stage]);
        }
    }
    LayerInfo head;
    head.name = "head";
    head.op = "linear";
    head.weightShape = {10, 64};
    head.weightCount = 640;
    head.biasCount = 10;
    head.macs = 640;
    head.status = LayerStatus::Quantizable;
    model->layers.push_back(head);
    LayerInfo embedding;
    embedding.name = "extra.embedding";
    embedding.op = "embedding";
    embedding.weightShape = {8, 4};
    embedding.weightCount = 32;
    embedding.status = LayerStatus::Float;
    embedding.reason = "an embedding is a table, not a linear map";
    model->layers.push_back(embedding);
    for (const LayerInfo &layer : model->layers)
        model->parameters += layer.parameters() + layer.batchNormCount;
    model->nodes = 71;
    model->groups = fakeGroups(*model);
    return model;
}

/// One format of each kind: edits what is there, codes only, floats only, a page.
inline std::vector<ExportFormat> fakeFormats()
{
    return {{"onnx", "ONNX", ".onnx", {true, true, false, true, 1, 16, true, {2, 4, 8, 16}}, "Runs anywhere."},
            {"torchscript", "TorchScript", ".pt", {true, true, true, true, 1, 16, false}, "Runs in LibTorch."},
            {"pt2", "PyTorch .pt2", ".pt2", {true, true, true, true, 1, 16, false}, "Runs in PyTorch."},
            {"pack", "Pack", ".pack", {true, true, true, true, 1, 16, true, {}, true, false}, "Small."},
            {"state_dict", "State dict", ".pth", {true, true, true, true, 1, 16, false, {}, false, false}, "Weights."},
            {"report", "Report", ".html", {true, true, true, true, 1, 32}, "To read.", true}};
}

/// What a report of a network with these layers says; of another network the names differ.
inline std::shared_ptr<const ReportContent> fakeReport(const ModelSummary &model)
{
    auto content = std::make_shared<ReportContent>();
    content->file = model.path;
    content->sha256 = model.sha256;
    content->versions = "bitwright 0.0.0";
    content->created = "2026-01-31T12:00:00Z";
    content->floatBytes = floatSizeBytes(model);
    content->bytes = content->floatBytes / 8;
    content->assignment = R"({"schema": "bitwright/assignment/1"})";
    content->commands = {"bitwright-cli export 'net.pt2' --format report -o 'net.html'"};
    for (const LayerInfo &info : model.layers) {
        ReportLayer row;
        row.name = info.name;
        row.op = info.op;
        row.method = "uniform";
        row.bits = 4;
        row.parameters = info.parameters();
        row.activation = "uniform, 8 bits";
        row.plots.push_back({Histogram{-1, 1, {1, 4, 9, 16, 9, 4, 1}}, {-0.9, -0.3, 0.3, 0.9}, "weight, uniform, 4 bits"});
        row.plots.push_back({Histogram{0, 3, {40, 20, 10, 5, 2, 1}}, {0, 1, 2, 3}, "input, uniform, 2 bits"});
        content->layers.push_back(row);
    }
    for (int bits = 2; bits <= 8; ++bits) {
        TrialRecord trial;
        trial.id = bits;
        trial.metric = "top1";
        trial.value = 0.5 + 0.06 * bits;
        trial.low = trial.value - 0.02;
        trial.high = trial.value + 0.02;
        trial.sizeBytes = content->floatBytes * bits / 32;
        trial.samples = 2000;
        trial.data = "sample:test";
        content->trials.push_back(trial);
    }
    content->measured = true;
    content->accuracy = content->trials[2];
    return content;
}

/// An engine without arithmetic. By itself it only records what is asked; with `automatic` it answers every request at
/// once with believable values, on the caller's thread. `emitFromThread` sends any event as the engine would.
class FakeEngine : public EngineApi {
public:
    bool automatic = false;
    std::vector<std::pair<JobId, Request>> requests;
    std::vector<JobId> cancelled;
    std::map<JobId, bool> paused;
    std::string session;
    std::vector<ExportFormat> formats = fakeFormats();
    std::vector<InputNeed> inputs{InputNeed{{"x", {-1, 1, 28, 28}, "float32"}, true, 0, false, {1, 1, 28, 28}, {}, 0, 0, {}, false, false}};

    [[nodiscard]] const Catalog &catalog() const override { return m_catalog; }
    [[nodiscard]] const std::vector<ExportFormat> &exportFormats() const override { return formats; }

    JobId submit(Request request) override
    {
        const JobId job = ++m_lastJob;
        requests.emplace_back(job, request);
        if (automatic)
            answer(job, request);
        return job;
    }
    void cancel(JobId job) override { cancelled.push_back(job); }
    void setPaused(JobId job, bool on) override { paused[job] = on; }
    void setSink(Sink sink) override
    {
        const std::scoped_lock lock(m_mutex);
        m_sink = std::move(sink);
    }
    void setSession(const std::string &path) override { session = path; }

    void emitEvent(Event event)
    {
        const std::scoped_lock lock(m_mutex);
        if (m_sink)
            m_sink(std::move(event));
    }
    void emitFromThread(std::vector<Event> events)
    {
        std::thread([&] {
            for (Event &event : events)
                emitEvent(std::move(event));
        }).join();
    }
    void finish(JobId job) { emitEvent(JobEnded{job, JobOutcome::Finished, {}, 0.5}); }

    /// Requests of one kind, oldest first.
    template <typename T>
    [[nodiscard]] std::vector<std::pair<JobId, T>> asked() const
    {
        std::vector<std::pair<JobId, T>> found;
        for (const auto &[job, request] : requests) {
            if (const T *one = std::get_if<T>(&request))
                found.emplace_back(job, *one);
        }
        return found;
    }

    static StatisticsReady statistics(JobId job, const LayerInfo &layer, Role role)
    {
        StatisticsReady event;
        event.job = job;
        event.layer = layer.name;
        event.role = role;
        const bool weight = role == Role::Weight;
        const double sigma = weight ? 0.35 / std::sqrt(std::log(double(layer.weightCount))) : 0.6;
        event.histogram = bell(weight ? -4 * sigma : 0, 4.2 * sigma, sigma, weight ? 0 : 0.25, 512, weight ? 40000 : 900000);
        event.moments = moments(event.histogram);
        if (weight) {
            for (std::int64_t c = 0; c < layer.channels(); ++c) {
                const double factor = 0.6 + 0.5 * std::abs(std::sin(double(c) * 1.7)) + (c == 3 ? 0.8 : 0);
                event.channels.push_back(moments(bell(-3 * sigma * factor, 3 * sigma * factor, sigma * factor, 0, 64, 144)));
            }
        }
        return event;
    }

    /// Values between -1 and 1 whose magnitudes all differ; channel c is (c + 1) / channels of the widest.
    static WeightReady weight(JobId job, const WeightRequest &request, const LayerInfo &layer)
    {
        WeightReady event;
        event.job = job;
        event.request = request;
        event.shape = layer.weightShape;
        event.channelAxis = layer.channelAxis;
        const std::int64_t each = layer.weightCount / layer.channels();
        std::vector<float> values;
        for (std::int64_t i = 0; i < layer.weightCount; ++i) {
            const double width = double(i / each + 1) / double(layer.channels());
            const double place = std::fmod(double(i % each + 1) * 0.6180339887498949, 1.0) + 1e-4;
            values.push_back(float((i % 2 ? -1 : 1) * width * place * 0.99));
        }
        event.values = std::make_shared<const std::vector<float>>(values);
        if (!request.criterion.empty())
            event.scores = std::make_shared<const std::vector<float>>(std::size_t(layer.channels()), 0.5F);
        return event;
    }

    static PreviewReady preview(JobId job, const PreviewRequest &request, const Histogram &original)
    {
        PreviewReady event;
        event.job = job;
        event.request = request;
        event.spec = request.spec;
        event.original = original;
        event.quantized = original;
        std::ranges::fill(event.quantized.counts, 0);
        const bool weight = request.role == Role::Weight;
        const int bits = request.spec.bits;
        event.grid.qmin = weight ? -(1LL << (bits - 1)) + (bits > 1) : 0;
        event.grid.qmax = weight ? (1LL << (bits - 1)) - 1 : (1LL << bits) - 1;
        const auto given = request.spec.values.find("scale");
        const double scale = given != request.spec.values.end() ? given->second.front()
                                                                : original.hi / double(std::max<std::int64_t>(1, event.grid.qmax));
        event.grid.groups = {{scale, 0, {}, {}}};
        event.spec.values["scale"] = {scale};
        event.spec.values["zero_point"] = {0};
        double signal = 0, noise = 0;
        for (std::size_t i = 0; i < original.counts.size(); ++i) {
            const double x = original.center(i);
            const double q = std::clamp(std::nearbyint(x / scale), double(event.grid.qmin), double(event.grid.qmax)) * scale;
            const double at = (q - original.lo) / std::max(1e-12, original.binWidth());
            const auto bin = std::size_t(std::clamp(at, 0.0, double(original.counts.size() - 1)));
            event.quantized.counts[bin] += original.counts[i];
            signal += double(original.counts[i]) * x * x;
            noise += double(original.counts[i]) * (x - q) * (x - q);
        }
        if (request.spec.method == "pact") {
            const auto alpha = request.spec.values.find("alpha");
            event.spec.values = {{"alpha", {alpha != request.spec.values.end() ? alpha->second.front() : original.hi}}};
            event.grid.groups = {{event.spec.values["alpha"].front() / double(event.grid.qmax), 0, {}, {}}};
        }
        if (request.spec.method == "kmeans") {
            QuantGrid listed;
            listed.uniform = false;
            auto &group = listed.groups.emplace_back();
            const auto codebook = request.spec.values.find("codebook");
            group.levels = codebook != request.spec.values.end() ? codebook->second : event.grid.levels();
            for (std::size_t i = 0; i + 1 < group.levels.size(); ++i)
                group.thresholds.push_back((group.levels[i] + group.levels[i + 1]) / 2);
            event.spec.values = {{"codebook", group.levels}};
            event.grid = listed;
        }
        event.mse = noise / std::max(1.0, double(original.total()));
        event.sqnrDb = 10 * std::log10(signal / std::max(noise, 1e-30));
        if (request.errorAgainstBits) {
            for (int b = 1; b <= 8; ++b)
                event.errorByBits.push_back({b, event.mse * std::pow(4, bits - b), event.sqnrDb - 6.02 * (bits - b)});
        }
        return event;
    }

    static CompareReady compared(JobId job, const CompareRequest &request, std::size_t index, const LayerInfo &layer)
    {
        const QuantSpec &spec = request.specs[index];
        CompareReady event;
        event.job = job;
        event.index = index;
        event.layer = layer.name;
        event.role = request.role;
        event.spec = spec;
        if (spec.method == "refuser") {
            event.error = "refuser, one value only; choose another method";
            event.sqnrDb = std::numeric_limits<double>::quiet_NaN();
            return event;
        }
        PreviewRequest alone;
        alone.layer = layer.name;
        alone.role = request.role;
        alone.spec = spec;
        alone.errorAgainstBits = false;
        const PreviewReady answer = preview(job, alone, statistics(job, layer, request.role).histogram);
        event.grid.uniform = false;
        event.grid.groups.emplace_back();
        event.grid.groups[0].levels = answer.grid.levels();
        event.grid.groups[0].thresholds = answer.grid.thresholds();
        event.mse = answer.mse;
        event.sqnrDb = answer.sqnrDb;
        event.entropyBits = 0.8 * spec.bits;
        event.sizeBits = request.role == Role::Weight ? double(layer.weightCount * spec.bits + 32) : 0;
        if (spec.method == "uniform" && spec.bits == 2)
            event.warning = "2 bits symmetric has 3 levels";
        return event;
    }

private:
    static Histogram bell(double lo, double hi, double sigma, double mean, std::size_t bins, double count)
    {
        Histogram histogram;
        histogram.lo = lo;
        histogram.hi = hi;
        histogram.counts.resize(bins);
        for (std::size_t i = 0; i < bins; ++i) {
            const double z = (histogram.center(i) - mean) / sigma;
            const double wobble = 1 + 0.12 * std::sin(double(i) * 12.9898) * std::sin(double(i) * 0.37);
            histogram.counts[i] = std::uint64_t(count * histogram.binWidth() / sigma * 0.399 * std::exp(-z * z / 2) * wobble + 0.4);
        }
        return histogram;
    }

    static Moments moments(const Histogram &histogram)
    {
        Moments m;
        m.min = histogram.lo;
        m.max = histogram.hi;
        for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
            const double n = double(histogram.counts[i]), x = histogram.center(i);
            m.count += histogram.counts[i];
            m.sum += n * x;
            m.sumSquares += n * x * x;
            m.sumAbs += n * std::abs(x);
        }
        return m;
    }

    /// Falls with every bit taken away, more so near the ends of the network: enough to look at.
    [[nodiscard]] double accuracy(const ModelConfig &config, const std::string &weights) const
    {
        double lost = 0;
        if (m_model) {
            if (const auto resolved = resolve(config, *m_model, m_catalog)) {
                for (const auto &[name, layer] : *resolved) {
                    const double importance = name == "stem" || name == "head" ? 2 : 1;
                    for (const Role role : {Role::Weight, Role::Activation}) {
                        const QuantSpec &spec = layer.of(role);
                        if (!spec.isFloat())
                            lost += importance * 0.045 * std::pow(0.42, spec.bits - 1);
                    }
                }
            }
        }
        if (!weights.empty())
            lost *= 0.15;
        return 0.1 + 0.8312 * std::exp(-lost * 2);
    }

    TrialRecord trial(const ModelConfig &config, const std::string &weights, const std::string &kind, std::int64_t samples)
    {
        TrialRecord record;
        record.kind = kind;
        record.metric = "top1";
        record.weights = weights;
        record.data = "sample:test";
        record.samples = samples;
        record.value = accuracy(config, weights);
        const Interval interval = wilsonInterval(record.value * double(samples), double(samples));
        record.low = interval.low;
        record.high = interval.high;
        record.loss = -std::log(record.value);
        if (m_model) {
            if (const auto resolved = resolve(config, *m_model, m_catalog)) {
                const ModelCost cost = modelCost(*m_model, *resolved, config.foldBatchNorm);
                record.sizeBytes = cost.sizeBytes();
                record.bops = cost.bops;
            }
            record.modelPath = m_model->path;
        }
        record.created = "2026-01-01T12:00:00Z";
        record.seconds = 1.2;
        return record;
    }

    void answer(JobId job, const Request &request)
    {
        emitEvent(JobStarted{job, requestTitle(request)});
        std::visit([&](const auto &each) { reply(job, each); }, request);
        finish(job);
    }
    void reply(JobId job, const OpenModelRequest &request)
    {
        auto model = std::make_shared<ModelSummary>(*fakeModel());
        model->path = request.path;
        m_model = model;
        emitEvent(ModelOpened{job, model, {}, inputs});
    }
    void reply(JobId job, const OpenDataRequest &request)
    {
        DataOpened event;
        event.job = job;
        event.spec = request.evaluation;
        event.samples = 2000;
        event.sampleShape = {1, 28, 28};
        event.labelled = true;
        event.classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
        emitEvent(event);
        m_data = true;
    }
    /// Four samples of every input that `inputs` names, counting up; classes where the spec is no random one.
    void reply(JobId job, const DataPreviewRequest &request)
    {
        DataPreviewReady event;
        event.job = job;
        event.request = request;
        for (const InputNeed &need : inputs) {
            InputSamples shown;
            shown.name = need.info.name;
            shown.dtype = need.info.dtype;
            shown.shape = need.guess;
            if (need.batchAxis >= 0)
                shown.shape.erase(shown.shape.begin() + need.batchAxis);
            shown.shown = shown.shape;
            shown.shared = need.shared;
            shown.picture = shown.shape.size() == 3;
            std::size_t count = 1;
            for (const std::int64_t size : shown.shape)
                count *= std::size_t(size);
            for (int sample = 0; sample < (shown.shared ? 1 : 4); ++sample) {
                std::vector<float> values(count);
                for (std::size_t i = 0; i < count; ++i)
                    values[i] = need.isWhole() ? float((i + std::size_t(sample)) % 100) : float(std::sin(0.1 * double(i) + sample));
                shown.samples.push_back(std::move(values));
            }
            event.inputs.push_back(std::move(shown));
        }
        if (!isRandomData(request.spec)) {
            event.labels = {9, 2, 1, 1};
            event.classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
        }
        event.outputs = {{"logits", {4, 10}, -3, 8, 0}};
        for (const std::int64_t best : {9, 2, 1, 6})
            event.answers.push_back({{{best, 0.91}, {(best + 1) % 10, 0.05}, {(best + 2) % 10, 0.01}}, -3, 8, 0.5});
        emitEvent(event);
    }
    void reply(JobId job, const StatisticsRequest &)
    {
        if (!m_model)
            return;
        for (const LayerInfo &layer : m_model->layers) {
            if (layer.status != LayerStatus::Quantizable)
                continue;
            emitEvent(statistics(job, layer, Role::Weight));
            if (m_data)
                emitEvent(statistics(job, layer, Role::Activation));
        }
    }
    void reply(JobId job, const PreviewRequest &request)
    {
        const LayerInfo *layer = m_model ? m_model->layer(request.layer) : nullptr;
        if (layer)
            emitEvent(preview(job, request, statistics(job, *layer, request.role).histogram));
    }
    void reply(JobId job, const PruneRequest &request)
    {
        PruneReady event{job, request.config, 0, 0};
        for (const LayerInfo &layer : m_model->layers) {
            const bool named = request.layers.empty() || std::ranges::find(request.layers, layer.name) != request.layers.end();
            if (layer.status != LayerStatus::Quantizable || !named)
                continue;
            std::vector<std::uint8_t> kept(std::size_t(layer.weightCount), 1);
            std::fill_n(kept.begin(), std::size_t(double(layer.weightCount) * request.sparsity), 0);
            setPrune(event.config, layer.name, {request.method, request.sparsity, request.options, Mask::fromKept(kept)});
            event.kept += std::ranges::count(kept, 1);
            event.total += layer.weightCount;
        }
        emitEvent(event);
    }
    void reply(JobId job, const CalibrateRequest &request) { emitEvent(CalibrationReady{job, request.config}); }
    void reply(JobId job, const EvaluateRequest &request)
    {
        EvaluationReady event;
        event.job = job;
        event.config = request.config;
        event.floatValue = 0.9312;
        event.trial = trial(request.config, request.weights, "evaluation", 128);
        emitEvent(event);
        event.final = true;
        event.trial = trial(request.config, request.weights, "evaluation", 2000);
        event.trial.id = ++m_lastTrial;
        emitEvent(event);
    }
    void reply(JobId job, const SweepRequest &request)
    {
        if (!m_model)
            return;
        for (const LayerInfo &layer : m_model->layers) {
            for (const int bits : request.bits) {
                if (layer.status == LayerStatus::Quantizable)
                    emitEvent(SweepPoint{job, layer.name, bits, 0.93 - 0.3 / (bits * bits), -0.3 / (bits * bits), 6.02 * bits, 200000});
            }
        }
    }
    void reply(JobId job, const FineTuneRequest &request)
    {
        const int steps = 32;
        for (int epoch = 0; epoch < request.options.epochs; ++epoch) {
            for (int step = 0; step < steps; ++step) {
                const double at = epoch + double(step) / steps;
                emitEvent(TrainingStep{job, epoch * steps + step + 1, steps * request.options.epochs, epoch + 1,
                                       0.35 + 0.9 * std::exp(-at * 1.6) + 0.03 * std::sin(step * 2.1), 0.9 - 0.3 * std::exp(-at * 1.6),
                                       request.options.learningRate * 0.5 * (1 + std::cos(std::numbers::pi * at / request.options.epochs)),
                                       request.options.recipes.empty() ? "" : "pruned 43 %, goal 60 %"});
            }
            const std::string weights = "weights-" + std::to_string(epoch + 1);
            TrainingEpoch event{job, epoch + 1, 0.4, trial(request.config, weights, "epoch", 2000), weights, request.config};
            event.trial.id = ++m_lastTrial;
            event.trial.epoch = epoch + 1;
            event.traces = traces(request.config, epoch);
            emitEvent(event);
        }
    }
    /// Levels that draw together from epoch to epoch, and gradients around zero.
    [[nodiscard]] std::map<std::string, WeightTrace> traces(const ModelConfig &config, int epoch) const
    {
        std::map<std::string, WeightTrace> found;
        const Result<ResolvedConfig> resolved = m_model ? resolve(config, *m_model, m_catalog) : ResolvedConfig();
        for (const auto &[name, layer] : resolved ? *resolved : ResolvedConfig()) {
            if (layer.weight.isFloat())
                continue;
            const int count = 1 << std::min(layer.weight.bits, 4);
            WeightTrace trace;
            for (int i = 0; i < count; ++i)
                trace.levels.push_back((2.0 * i / (count - 1) - 1) * std::pow(0.9, epoch));
            trace.gradients = bell(-0.004, 0.004, 0.001, 0, 128, 2304);
            found[name] = trace;
        }
        return found;
    }
    void reply(JobId job, const ExportRequest &request)
    {
        ExportReady event;
        event.job = job;
        event.path = request.path;
        event.bytes = 151234;
        const auto format = std::ranges::find(formats, request.format, &ExportFormat::id);
        if (m_model && format != formats.end() && format->document)
            event.report = fakeReport(*m_model);
        event.verified = request.verify && !event.report;
        event.runtime = "ONNX Runtime 1.32";
        event.maxAbsDifference = 4.8e-7;
        event.top1Agreement = 1;
        if (m_model) {
            for (const LayerInfo &layer : m_model->layers) {
                if (layer.status != LayerStatus::Quantizable)
                    continue;
                event.layers.push_back({layer.name, 4, "INT4 per channel"});
                event.agreement.push_back({layer.name, 2.4e-7, 0});
            }
        }
        emitEvent(event);
    }

    void reply(JobId job, const WeightRequest &request)
    {
        const LayerInfo *layer = m_model ? m_model->layer(request.layer) : nullptr;
        if (layer)
            emitEvent(weight(job, request, *layer));
    }
    void reply(JobId job, const SensitivityRequest &request)
    {
        // Early layers bear less.
        double bears = 0.3;
        const auto model = fakeModel();
        for (const LayerInfo &layer : model->layers) {
            if (layer.status != LayerStatus::Quantizable)
                continue;
            for (const double sparsity : request.sparsities) {
                const double delta = sparsity <= bears ? -0.002 : -0.6 * (sparsity - bears);
                emitEvent(SensitivityPoint{job, layer.name, sparsity, 0.93 + delta, delta, 30 - 30 * sparsity, 1000000});
            }
            bears = std::min(0.9, bears + 0.03);
        }
    }
    void reply(JobId job, const CorrectRequest &request)
    {
        const bool bias = request.step == CorrectRequest::Step::Bias;
        emitEvent(WeightsReady{job, request.config, bias ? "bias-corrected 1" : "re-estimated 1", bias ? "Correct biases" : "Re-estimate batch norm", nullptr});
    }
    void reply(JobId, const SurgeryRequest &) {}
    void reply(JobId, const PackSizeRequest &) {}
    /// Levels at equal distances whatever the method; `refuser` refuses.
    void reply(JobId job, const CompareRequest &request)
    {
        const LayerInfo *layer = m_model ? m_model->layer(request.layer) : nullptr;
        for (std::size_t i = 0; layer && i < request.specs.size(); ++i)
            emitEvent(compared(job, request, i, *layer));
    }
    void reply(JobId job, const CompareNetworksRequest &request)
    {
        for (std::size_t i = 0; i < request.candidates.size(); ++i) {
            const auto &[title, config] = request.candidates[i];
            NetworkCompared event{job, i, title, false, trial(config, request.weights, "evaluation", 2000), config, {}, {}};
            if (config.defaults.weight.method == "refuser") {
                event.error = "refuser, this network has no channels for it; choose another method";
                emitEvent(event);
                continue;
            }
            event.trial.id = ++m_lastTrial;
            emitEvent(event);
            if (request.training.epochs == 0)
                continue;
            event.trained = true;
            event.weights = "compared-" + std::to_string(i + 1);
            event.trial = trial(config, event.weights, "epoch", 2000);
            event.trial.id = ++m_lastTrial;
            event.trial.epoch = request.training.epochs;
            emitEvent(event);
        }
    }

    Catalog m_catalog = fakeCatalog();
    std::mutex m_mutex;   // guards the sink
    Sink m_sink;
    JobId m_lastJob = 0;
    std::int64_t m_lastTrial = 0;
    std::shared_ptr<const ModelSummary> m_model;
    bool m_data = false;
};

} // namespace bitwright
