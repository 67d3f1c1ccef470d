// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/torchscript_shapes.h"

#include "graph/subgraph.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <caffe2/serialize/inline_container.h>
#include <nlohmann/json.hpp>
#include <torch/csrc/jit/serialization/import_read.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>

namespace bitwright::torchscript {

namespace {

/// What the first reader of an input says about it.
struct Hint {
    enum class Kind { None, Convolution, Features, Flattened, Sequence, Embedding, Channels, Exact } kind = Kind::None;
    std::size_t rank = 0;          ///< spatial dimensions of a convolution
    std::int64_t size = 0;         ///< channels, features or words
    bool strided = false;
    Shape shape;                   ///< of Exact: the trailing sizes
};

const at::Tensor *tensorOf(const Graph &graph, const Argument &argument)
{
    if (argument.kind != Argument::Kind::Value)
        return nullptr;
    const int index = graph.parameterOf(argument.value);
    return index < 0 ? nullptr : &graph.parameters[std::size_t(index)].tensor;
}

std::int64_t intOf(const Argument &argument, std::int64_t fallback)
{
    return argument.kind == Argument::Kind::Constant && argument.constant.isInt() ? argument.constant.toInt() : fallback;
}

std::string baseName(const std::string &op)
{
    return op.substr(0, op.find('.'));
}

bool isStrided(const Argument &argument)
{
    return argument.kind == Argument::Kind::Constant && argument.constant.isIntList() &&
           std::ranges::any_of(argument.constant.toIntVector(), [](std::int64_t s) { return s > 1; });
}

std::optional<Hint> convolutionHint(const Graph &graph, const Node &node)
{
    const std::string op = baseName(node.op);
    if (!op.starts_with("aten::conv") && op != "aten::_convolution")
        return {};
    const at::Tensor *weight = node.arguments.size() > 5 ? tensorOf(graph, node.arguments[1]) : nullptr;
    if (!weight || weight->dim() < 3)
        return {};
    const bool general = op == "aten::_convolution" || op == "aten::convolution";
    const bool transposed = op.starts_with("aten::conv_transpose") ||
                            (general && node.arguments[6].constant.isBool() && node.arguments[6].constant.toBool());
    const std::size_t groupsAt = general ? 8 : 6;
    const std::int64_t groups =
        transposed && !general ? 1 : node.arguments.size() > groupsAt ? intOf(node.arguments[groupsAt], 1) : 1;
    Hint hint{Hint::Kind::Convolution, std::size_t(weight->dim()) - 2, weight->size(1) * groups, false, {}};
    if (transposed)
        hint.size = weight->size(0);
    hint.strided = isStrided(node.arguments[3]);
    return hint;
}

/// What this node says about an input that it reads as its first argument (or, for a table look-up, its second).
std::optional<Hint> hintOf(const Graph &graph, const Node &node, bool flattened)
{
    if (auto hint = convolutionHint(graph, node))
        return hint;
    const std::string op = baseName(node.op);
    const at::Tensor *second = node.arguments.size() > 1 ? tensorOf(graph, node.arguments[1]) : nullptr;
    if (op == "aten::embedding" && !node.arguments.empty()) {
        const at::Tensor *table = tensorOf(graph, node.arguments[0]);
        return Hint{Hint::Kind::Embedding, 0, table ? table->size(0) : 1, false, {}};
    }
    const auto features = flattened ? Hint::Kind::Flattened : Hint::Kind::Features;
    if (op == "aten::linear" && second && second->dim() == 2)
        return Hint{features, 0, second->size(1), false, {}};
    if ((op == "aten::matmul" || op == "aten::mm") && second && second->dim() >= 2)
        return Hint{features, 0, second->size(second->dim() - 2), false, {}};
    if ((op == "aten::batch_norm" || op == "aten::instance_norm") && second)
        return Hint{Hint::Kind::Channels, 0, second->size(0), false, {}};
    const bool recurrent = op == "aten::lstm" || op == "aten::gru" || op == "aten::rnn_tanh" || op == "aten::rnn_relu";
    if (recurrent && node.op.ends_with(".input") && node.arguments.size() > 2 && !node.arguments[2].list.empty())
        if (const at::Tensor *weight = tensorOf(graph, node.arguments[2].list[0]); weight && weight->dim() == 2)
            return Hint{Hint::Kind::Sequence, 0, weight->size(1), false, {}};
    if (op.ends_with("_cell") && node.arguments.size() > 3)
        if (const at::Tensor *weight = tensorOf(graph, node.arguments[2]); weight && weight->dim() == 2)
            return Hint{Hint::Kind::Features, 0, weight->size(1), false, {}};
    if (op == "aten::layer_norm" && second)
        return Hint{Hint::Kind::Exact, 0, 0, false, second->sizes().vec()};
    return {};
}

bool reads(const Argument &argument, const std::set<ValueId> &values)
{
    if (argument.kind == Argument::Kind::Value)
        return values.contains(argument.value);
    return std::ranges::any_of(argument.list, [&](const Argument &a) { return reads(a, values); });
}

Hint followInput(const Graph &graph, std::set<ValueId> values, bool flattened = false);

/// What the bodies of a branch or loop say about values that go into them.
Hint followBodies(const Graph &graph, const Node &node, const std::set<ValueId> &values, bool flattened)
{
    for (const auto &body : bodiesOf(node)) {
        Graph inside = *body;
        std::set<ValueId> read;
        const std::size_t skipped = node.arguments.size() - body->inputs.size();
        // A loop has its trip number and condition in front, as its body has; a branch only its condition.
        for (std::size_t i = 0; i < body->inputs.size() && node.arguments.size() >= body->inputs.size(); ++i) {
            const Argument &argument = node.arguments[i + skipped];
            if (reads(argument, values))
                read.insert(body->inputs[i].value);
            if (const at::Tensor *tensor = tensorOf(graph, argument))
                inside.parameters.push_back({body->inputs[i].info.name, body->inputs[i].value, *tensor, false});
        }
        if (const Hint hint = followInput(inside, std::move(read), flattened); hint.kind != Hint::Kind::None)
            return hint;
    }
    return {};
}

Hint followInput(const Graph &graph, std::set<ValueId> values, bool flattened)
{
    for (const Node &node : graph.nodes) {
        const bool bodies = !bodiesOf(node).empty();
        if ((node.op.starts_with("prim::") && !bodies) ||
            std::ranges::none_of(node.arguments, [&](const Argument &a) { return reads(a, values); }))
            continue;
        if (bodies) {
            if (const Hint hint = followBodies(graph, node, values, flattened); hint.kind != Hint::Kind::None)
                return hint;
        } else if (auto hint = hintOf(graph, node, flattened)) {
            return *hint;
        }
        const std::string op = baseName(node.op);
        flattened = flattened || op == "aten::flatten" || op == "aten::view" || op == "aten::reshape";
        values.insert(node.outputs.begin(), node.outputs.end());
    }
    return {};
}

/// Without a reader that tells: the first weight of the network.
Hint hintOfTensors(const TensorTable &tensors)
{
    for (const TensorTable::Entry &entry : tensors.entries) {
        const at::Tensor &tensor = entry.tensor;
        if (!entry.trainable || tensor.dim() < 2)
            continue;
        if (tensor.dim() == 2)
            return {Hint::Kind::Features, 0, tensor.size(1), false, {}};
        return {Hint::Kind::Convolution, std::size_t(tensor.dim()) - 2, tensor.size(1), false, {}};
    }
    return {};
}

void add(Guesses &guesses, Shape shape, c10::ScalarType dtype)
{
    if (std::ranges::none_of(guesses, [&](const InputGuess &g) { return g.shape == shape; }))
        guesses.push_back({std::move(shape), dtype});
}

/// Side lengths of images in the order of likelihood.
std::vector<std::int64_t> sides(std::int64_t channels, bool strided, std::int64_t parameters)
{
    std::vector<std::int64_t> list;
    if (channels == 1)
        list.push_back(28);
    else if (parameters > 3'000'000 || strided)
        list.push_back(224);
    for (std::int64_t side : {32, 28, 224, 64, 96, 128, 16, 256, 48, 299, 160, 192, 384, 512})
        list.push_back(side);
    for (std::int64_t side = 8; side <= 300; ++side)
        list.push_back(side);
    for (std::int64_t side = 7; side >= 1; --side)
        list.push_back(side);
    return list;
}

void addImages(Guesses &guesses, const Hint &hint, const TensorTable &tensors, c10::ScalarType dtype)
{
    std::int64_t parameters = 0;
    for (const TensorTable::Entry &entry : tensors.entries)
        parameters += entry.trainable ? entry.tensor.numel() : 0;
    for (const std::int64_t side : sides(hint.size, hint.strided, parameters)) {
        if (hint.rank == 3 && side > 64)
            continue;
        Shape shape{hint.size};
        shape.insert(shape.end(), hint.rank, side);
        add(guesses, std::move(shape), dtype);
    }
}

void addFlattened(Guesses &guesses, std::int64_t features, c10::ScalarType dtype)
{
    for (const std::int64_t channels : {1, 3}) {
        const auto side = std::int64_t(std::llround(std::sqrt(double(features) / double(channels))));
        if (side >= 8 && side * side * channels == features)
            add(guesses, {channels, side, side}, dtype);
    }
    add(guesses, {features}, dtype);
}

Guesses guessesFor(const Hint &hint, const TensorTable &tensors)
{
    c10::ScalarType dtype = c10::kFloat;
    for (const TensorTable::Entry &entry : tensors.entries)
        if (entry.trainable) {
            dtype = entry.tensor.scalar_type();
            break;
        }
    Guesses guesses;
    switch (hint.kind) {
    case Hint::Kind::Convolution: addImages(guesses, hint, tensors, dtype); break;
    case Hint::Kind::Flattened: addFlattened(guesses, hint.size, dtype); break;
    case Hint::Kind::Features:
        add(guesses, {hint.size}, dtype);
        for (const std::int64_t length : {16, 32, 10, 8, 64, 6, 5, 4, 128, 49, 196, 197, 50})
            add(guesses, {length, hint.size}, dtype);
        addFlattened(guesses, hint.size, dtype);
        break;
    case Hint::Kind::Sequence:
        for (const std::int64_t length : {16, 32, 10, 8, 64, 6, 5, 4, 128})
            add(guesses, {length, hint.size}, dtype);
        break;
    case Hint::Kind::Embedding:
        for (const std::int64_t length : {16, 32, 64, 128, 256, 512, 8})
            add(guesses, {length}, c10::kLong);
        for (std::int64_t length = 2; length <= 64; ++length)
            add(guesses, {length}, c10::kLong);
        break;
    case Hint::Kind::Channels: {
        add(guesses, {hint.size}, dtype);
        Hint images = hint;
        images.rank = 2;
        addImages(guesses, images, tensors, dtype);
        break;
    }
    case Hint::Kind::Exact: {
        add(guesses, hint.shape, dtype);
        for (const std::int64_t length : {16, 32, 10, 8, 64, 128}) {
            Shape shape = hint.shape;
            shape.insert(shape.begin(), length);
            add(guesses, std::move(shape), dtype);
        }
        break;
    }
    case Hint::Kind::None: break;
    }
    for (const std::int64_t channels : {1, 3})
        for (const std::int64_t side : {28, 32, 224, 64, 16, 8})
            add(guesses, {channels, side, side}, dtype);
    for (const std::int64_t length : {16, 10, 8, 32, 4, 100, 784, 512, 256, 1024, 2048, 16000})
        add(guesses, {length}, dtype);
    return guesses;
}

std::vector<InputGuess> sideFile(const std::string &path)
{
    std::ifstream file(std::filesystem::path(path).replace_extension(".json"));
    const auto document = nlohmann::json::parse(file, nullptr, false);
    if (!document.is_object() || !document.contains("input") || !document["input"].is_object())
        return {};
    const auto &shape = document["input"].contains("shape") ? document["input"]["shape"] : nlohmann::json();
    InputGuess guess;
    if (!shape.is_array() || shape.empty())
        return {};
    for (const auto &size : shape) {
        if (!size.is_number_integer() || size.get<std::int64_t>() < 1 || size.get<std::int64_t>() > 1 << 20)
            return {};
        guess.shape.push_back(size.get<std::int64_t>());
    }
    return {guess};
}

/// The tensors of lists, tuples and dictionaries (by key) in the order of the graph's inputs; false where there is more.
bool addTensors(const c10::IValue &value, std::vector<at::Tensor> &tensors)
{
    if (value.isTensor()) {
        tensors.push_back(value.toTensor());
        return value.toTensor().dim() > 0;
    }
    std::vector<c10::IValue> items;
    if (value.isGenericDict()) {
        std::map<std::string, c10::IValue> sorted;
        for (const auto &entry : value.toGenericDict())
            sorted[entry.key().isString() ? entry.key().toStringRef() : std::to_string(sorted.size())] = entry.value();
        for (const auto &entry : sorted)
            items.push_back(entry.second);
    } else if (value.isTuple()) {
        items = value.toTupleRef().elements().vec();
    } else if (value.isList()) {
        items = value.toListRef().vec();
    } else {
        return false;
    }
    return std::ranges::all_of(items, [&](const c10::IValue &item) { return addTensors(item, tensors); });
}

/// A traced file keeps the sizes of its example inputs (their storages are empty, so nothing is read but sizes).
std::vector<InputGuess> tracedInputs(const std::string &path, std::int64_t &batch)
{
    std::vector<InputGuess> inputs;
    try {
        caffe2::serialize::PyTorchStreamReader reader(path);
        if (!reader.hasRecord("traced_inputs.pkl"))
            return {};
        const c10::IValue all = torch::jit::readArchiveAndTensors("traced_inputs", "", "traced_inputs/", {}, {},
                                                                  c10::Device(c10::kMeta), reader);
        std::vector<at::Tensor> tensors;
        if (!addTensors(all.toGenericDict().at("forward"), tensors))
            return {};
        for (const at::Tensor &tensor : tensors) {
            if (inputs.empty())
                batch = tensor.size(0);
            InputGuess guess{Shape(tensor.sizes().begin() + 1, tensor.sizes().end()), tensor.scalar_type()};
            // The state of a recurrent layer has its batch elsewhere.
            guess.first = tensor.size(0) == batch ? 0 : tensor.size(0);
            inputs.push_back(std::move(guess));
        }
    } catch (const std::exception &) {
        return {};   // only a hint
    }
    return inputs;
}

/// One try: do these inputs go through, and do all outputs keep the batch as their first size?
enum class Outcome { Refused, Runs, KeepsBatch };

struct Attempt {
    Outcome outcome = Outcome::Refused;
    bool incomplete = false;
    std::string refusal;
};

Attempt attempt(const torch::jit::Module &module, const TensorTable &tensors, const std::vector<InputGuess> &inputs,
                std::int64_t batch)
{
    Attempt result;
    try {
        WalkResult walked = Walker(module, tensors, {makeSamples(inputs, batch, true), false}).run();
        result.incomplete = walked.sampleIncomplete;
        // An operator without a meta kernel: what comes after it was not tried.
        if (result.incomplete)
            walked = Walker(module, tensors, {makeSamples(inputs, batch, false), false}).run();
        result.outcome = walked.branchRefused ? Outcome::Runs : Outcome::KeepsBatch;
        for (const auto &output : walked.outputs)
            if (output && output->isTensor() && (output->toTensor().dim() == 0 || output->toTensor().size(0) != batch))
                result.outcome = Outcome::Runs;
    } catch (const SampleRefused &refused) {
        result.refusal = refused.what();
    }
    return result;
}

bool sameConstant(const c10::IValue &a, const c10::IValue &b)
{
    if (a.isTensor() != b.isTensor() || a.tagKind() != b.tagKind())
        return false;
    if (!a.isTensor())
        return a.isTensorList() ? a.is(b) : a == b;
    const at::Tensor &x = a.toTensor(), &y = b.toTensor();
    if (!x.defined() || !y.defined() || x.is_meta() || y.is_meta())
        return x.defined() == y.defined() && (!x.defined() || x.sizes() == y.sizes());
    return x.scalar_type() == y.scalar_type() && at::equal(x, y);
}

bool sameArgument(const Argument &a, const Argument &b)
{
    return a.kind == b.kind && a.value == b.value && sameConstant(a.constant, b.constant) &&
           std::ranges::equal(a.list, b.list, sameArgument);
}

bool sameNodes(const Graph &a, const Graph &b)
{
    return std::ranges::equal(a.nodes, b.nodes, [](const Node &x, const Node &y) {
        return x.op == y.op && x.outputs == y.outputs && std::ranges::equal(x.arguments, y.arguments, sameArgument)
            && std::ranges::equal(bodiesOf(x), bodiesOf(y), [](const auto &p, const auto &q) { return sameNodes(*p, *q); });
    });
}

std::optional<Graph> walkedWith(const torch::jit::Module &module, const TensorTable &tensors,
                                const std::vector<InputGuess> &inputs, const FoundInputs &found)
{
    try {
        WalkResult walked = Walker(module, tensors, {makeSamples(inputs, found.batch, found.meta), true}).run();
        return walked.issues.empty() ? std::optional(std::move(walked.graph)) : std::nullopt;
    } catch (const std::exception &) {
        return std::nullopt;   // that size does not go through
    }
}

} // namespace

StatedInputs statedInputs(const std::string &path)
{
    StatedInputs stated;
    stated.inputs = tracedInputs(path, stated.batch);
    if (stated.inputs.empty())
        stated = {sideFile(path), 0};
    return stated;
}

std::vector<Guesses> guessInputs(const Graph &graph, const TensorTable &tensors)
{
    std::vector<Guesses> all;
    for (const GraphInput &input : graph.inputs) {
        if (!input.info.dtype.empty()) {   // a number has no shape
            all.push_back({InputGuess{{}, c10::kLong}});
            continue;
        }
        Hint hint = followInput(graph, {input.value});
        if (hint.kind == Hint::Kind::None)
            hint = hintOfTensors(tensors);
        all.push_back(guessesFor(hint, tensors));
    }
    return all;
}

std::vector<at::Tensor> makeSamples(const std::vector<InputGuess> &inputs, std::int64_t batch, bool meta)
{
    std::vector<at::Tensor> samples;
    for (const InputGuess &input : inputs) {
        Shape shape = input.shape;
        shape.insert(shape.begin(), input.first > 0 ? input.first : batch);
        samples.push_back(at::zeros(shape, at::TensorOptions(input.dtype).device(meta ? c10::kMeta : c10::kCPU)));
    }
    return samples;
}

void findFreeSizes(FoundInputs &found, const torch::jit::Module &module, const TensorTable &tensors, const JobContext &context)
{
    if (found.inputs.empty())
        return;
    const auto plain = walkedWith(module, tensors, found.inputs, found);
    for (std::size_t i = 0; plain && i < found.inputs.size(); ++i)
        for (std::size_t d = 0; d < found.inputs[i].shape.size() && !context.stopped(); ++d) {
            std::vector<InputGuess> other = found.inputs;
            other[i].shape[d] *= 2;
            const auto walked = walkedWith(module, tensors, other, found);
            if (walked && sameNodes(*plain, *walked))
                found.inputs[i].free.push_back(std::int64_t(d));
        }
}

FoundInputs findInputs(const torch::jit::Module &module, const TensorTable &tensors,
                       const std::vector<InputGuess> &stated, const std::vector<Guesses> &guesses,
                       const std::vector<std::int64_t> &batches, const JobContext &context)
{
    using Clock = std::chrono::steady_clock;
    FoundInputs found, fallback;
    auto tryOne = [&](const std::vector<InputGuess> &inputs, std::int64_t batch) {
        const Attempt first = attempt(module, tensors, inputs, batch);
        if (first.outcome == Outcome::Refused) {
            found.refusal = first.refusal;
            return false;
        }
        FoundInputs result{inputs, batch, false, !first.incomplete, {}};
        result.fixedBatch = attempt(module, tensors, inputs, batch + 2).outcome < first.outcome;
        if (first.outcome == Outcome::KeepsBatch && !result.fixedBatch) {
            found = std::move(result);
            return true;
        }
        const bool better = fallback.inputs.empty();
        if (better || (first.outcome == Outcome::KeepsBatch && fallback.refusal == "changes the batch")) {
            fallback = std::move(result);
            fallback.refusal = first.outcome == Outcome::KeepsBatch ? "" : "changes the batch";
        }
        return false;
    };
    const auto deadline = Clock::now() + std::chrono::seconds(20);
    if (stated.size() == guesses.size())
        for (const std::int64_t batch : batches)
            if (tryOne(stated, batch))
                return found;
    if (!fallback.inputs.empty()) {
        fallback.refusal.clear();
        return fallback;
    }
    std::size_t longest = 0;
    for (const Guesses &list : guesses)
        longest = std::max(longest, list.size());
    for (const std::int64_t batch : batches) {
        for (std::size_t i = 0; i < longest && Clock::now() < deadline && !context.stopped(); ++i) {
            std::vector<InputGuess> inputs;
            for (const Guesses &list : guesses)
                inputs.push_back(list[std::min(i, list.size() - 1)]);
            if (tryOne(inputs, batch))
                return found;
        }
        if (!fallback.inputs.empty() && !fallback.fixedBatch)
            break;
    }
    if (!fallback.inputs.empty()) {
        fallback.refusal.clear();
        return fallback;
    }
    return found;
}

} // namespace bitwright::torchscript
