// SPDX-License-Identifier: GPL-3.0-or-later
#include "simulate/input_needs.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string_view>

namespace bitwright {

namespace {

constexpr std::int64_t kPictureSide = 224, kTokens = 128, kFrames = 128, kAudioSamples = 16000, kVideoFrames = 16, kVideoSide = 112;

bool isProgramNumber(const std::string &dtype)
{
    return dtype == "int" || dtype == "float";
}

/// Every tensor has a rank in pt2 and ONNX; TorchScript says nothing where no example was found.
bool rankKnown(const Graph &graph, const TensorInfo &info)
{
    return !info.shape.empty() || isProgramNumber(info.dtype) || graph.format != "torchscript" || info.dtype == "bool";
}

// ---- where samples are counted ----

struct Batch {
    bool free = false;          ///< some input has a free first dimension
    std::int64_t fixed = 0;     ///< else the first size of the first input of two dimensions and more
    int axis = 0;               ///< of that input
    bool none = false;          ///< only vectors: every sample is a pass of its own
};

Batch batchOf(const std::vector<InputNeed> &needs)
{
    Batch batch;
    std::size_t largest = 0;
    bool unknown = false;
    for (const InputNeed &need : needs) {
        largest = std::max(largest, need.info.shape.size());
        unknown = unknown || !need.rankKnown;
    }
    batch.none = largest == 1 && !unknown;
    for (const InputNeed &need : needs) {
        const Shape &shape = need.info.shape;
        if (shape.size() < 2)
            continue;
        batch.free = batch.free || shape[0] < 0;
        if (batch.fixed > 0)
            continue;
        batch.fixed = std::max<std::int64_t>(shape[0], 0);
        // Time first: [35, batch, 64].
        if (shape[0] > 1 && shape[1] < 0)
            batch.axis = 1;
    }
    batch.free = batch.free || unknown;
    return batch;
}

void placeBatch(InputNeed &need, const Batch &batch)
{
    const Shape &shape = need.info.shape;
    need.batchAxis = -1;
    need.shared = true;
    const auto at = [&](std::size_t axis) {
        need.batchAxis = int(axis);
        need.shared = false;
    };
    if (!need.rankKnown)
        return at(0);
    if (shape.empty())
        return;
    if (batch.none) {
        need.shared = false;
        return;
    }
    if (shape[0] < 0)
        return at(0);
    if (batch.free || batch.axis > 0) {
        for (std::size_t axis = 1; axis < shape.size(); ++axis)
            if (shape[axis] < 0)
                return at(axis);
        return;
    }
    for (std::size_t axis = 0; axis < shape.size(); ++axis)
        if (shape[axis] == batch.fixed)
            return at(axis);
}

// ---- sizes that only a person knows ----

bool isColours(std::int64_t size) { return size == 1 || size == 3 || size == 4; }

std::int64_t usualSize(const InputNeed &need, std::size_t axis)
{
    const Shape &shape = need.info.shape;
    const std::size_t rank = shape.size();
    if (need.isWhole() || need.isFlag())
        return kTokens;
    if (rank == 4) {
        const bool channelsLast = isColours(shape[3]) && !isColours(shape[1]);
        const std::size_t height = channelsLast ? 1 : 2, width = height + 1;
        if (axis == 1 && !channelsLast)
            return 3;
        if (axis == 3 && channelsLast)
            return 3;
        // A text line has its height fixed and any width.
        if (axis == width && shape[height] > 0)
            return shape[height] <= 64 ? 320 : shape[height];
        if (axis == height && shape[width] > 0)
            return shape[width];
        return kPictureSide;
    }
    if (rank == 5)
        return axis == 1 ? 3 : axis == 2 ? kVideoFrames : kVideoSide;
    if (rank == 3 && (shape[1] == 1 || shape[2] == 1))
        return kAudioSamples;
    if (rank == 3)
        return kFrames;
    return kAudioSamples;
}

void guessSizes(InputNeed &need)
{
    if (!need.rankKnown) {
        need.guess = {1, 3, kPictureSide, kPictureSide};
        return;
    }
    need.guess = need.info.shape;
    for (std::size_t axis = 0; axis < need.guess.size(); ++axis) {
        if (int(axis) == need.batchAxis) {
            need.guess[axis] = 1;
        } else if (need.guess[axis] < 0) {
            need.guess[axis] = usualSize(need, axis);
            need.asked.push_back(std::int64_t(axis));
        }
    }
}

// ---- the range of whole numbers ----

/// Nodes that hand on the values of their first argument.
bool passesOn(std::string_view op)
{
    static const std::set<std::string_view> kPassing{
        "aten::to", "aten::_to_copy", "aten::view", "aten::reshape", "aten::flatten", "aten::unflatten", "aten::unsqueeze", "aten::squeeze",
        "aten::transpose", "aten::permute", "aten::t", "aten::slice", "aten::select", "aten::narrow", "aten::contiguous", "aten::clone",
        "aten::detach", "aten::alias", "aten::expand", "aten::repeat", "aten::type_as", "aten::long", "aten::int", "aten::chunk", "aten::split",
        "onnx::Cast", "onnx::Reshape", "onnx::Flatten", "onnx::Unsqueeze", "onnx::Squeeze", "onnx::Transpose", "onnx::Slice", "onnx::Identity",
        "onnx::Expand", "onnx::Split"};
    const auto overload = op.find('.', op.find("::") + 2);
    return kPassing.contains(op.substr(0, overload));
}

struct Range {
    std::int64_t high = 0;
    std::string from;
    bool fromEnd = false;
};

class RangeSearch {
public:
    explicit RangeSearch(const Graph &graph) : m_graph(graph) {}
    Range of(ValueId input);

private:
    void look(const Node &node, ValueId value, Range &best, std::vector<ValueId> &next) const;
    void rows(const Argument &table, std::int64_t axis, bool fromEnd, Range &best) const;
    void compared(const Argument &other, Range &best) const;

    const Graph &m_graph;
};

bool reads(const Argument &argument, ValueId value)
{
    return argument.kind == Argument::Kind::Value && argument.value == value;
}

void RangeSearch::rows(const Argument &table, std::int64_t axis, bool fromEnd, Range &best) const
{
    const int parameter = table.kind == Argument::Kind::Value ? m_graph.parameterOf(table.value) : -1;
    if (parameter < 0)
        return;
    const Parameter &found = m_graph.parameters[std::size_t(parameter)];
    const std::int64_t at = axis < 0 ? axis + found.tensor.dim() : axis;
    if (at < 0 || at >= found.tensor.dim())
        return;
    const std::int64_t size = found.tensor.size(at);
    if (best.high == 0 || size < best.high)
        best = {size, found.name + " has " + std::to_string(size) + (at == 0 ? " rows" : " entries"), fromEnd};
}

/// One-hot as a comparison with 0, 1, 2…
void RangeSearch::compared(const Argument &other, Range &best) const
{
    const int parameter = other.kind == Argument::Kind::Value ? m_graph.parameterOf(other.value) : -1;
    const at::Tensor table = parameter >= 0 ? m_graph.parameters[std::size_t(parameter)].tensor
                             : other.kind == Argument::Kind::Constant && other.constant.isTensor() ? other.constant.toTensor() : at::Tensor();
    if (!table.defined() || table.numel() < 2 || table.is_floating_point() || table.numel() > (1 << 20))
        return;
    const at::Tensor flat = table.reshape({-1}).to(at::kLong);
    if (at::equal(flat, at::arange(flat.numel(), at::kLong)) && (best.high == 0 || flat.numel() < best.high))
        best = {flat.numel(), "it is compared with " + std::to_string(flat.numel()) + " ids", false};
}

void RangeSearch::look(const Node &node, ValueId value, Range &best, std::vector<ValueId> &next) const
{
    const auto &arguments = node.arguments;
    const auto at = [&](std::size_t i) { return i < arguments.size() && reads(arguments[i], value); };
    const std::string_view op = node.op;
    if (op.starts_with("aten::embedding") && at(1))
        rows(arguments[0], 0, m_graph.format == "onnx", best);
    else if (op == "aten::index_select" && at(2) && arguments[1].constant.isInt())
        rows(arguments[0], arguments[1].constant.toInt(), false, best);
    else if (op == "onnx::Gather" && at(1))
        rows(arguments[0], 0, true, best);
    else if (op.starts_with("aten::index.") && arguments.size() > 1) {
        for (std::size_t i = 0; i < arguments[1].list.size(); ++i)
            if (reads(arguments[1].list[i], value))
                rows(arguments[0], std::int64_t(i), true, best);
    } else if (op == "aten::one_hot" && at(0) && arguments.size() > 1 && arguments[1].constant.isInt() && arguments[1].constant.toInt() > 0) {
        const std::int64_t classes = arguments[1].constant.toInt();
        if (best.high == 0 || classes < best.high)
            best = {classes, "it is one of " + std::to_string(classes) + " classes", false};
    } else if ((op == "aten::eq.Tensor" || op == "onnx::Equal") && (at(0) || at(1))) {
        compared(arguments[at(0) ? 1 : 0], best);
    } else if (passesOn(op) && at(0)) {
        next.insert(next.end(), node.outputs.begin(), node.outputs.end());
    }
}

Range RangeSearch::of(ValueId input)
{
    Range best;
    std::vector<ValueId> values{input};
    std::set<ValueId> seen;
    while (!values.empty()) {
        const ValueId value = values.back();
        values.pop_back();
        if (!seen.insert(value).second)
            continue;
        for (const Node &node : m_graph.nodes)
            look(node, value, best, values);
    }
    return best;
}

/// What a name promises; a guess that a person has to confirm.
void guessRange(InputNeed &need)
{
    std::string name = need.info.name;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    const auto has = [&](const char *part) { return name.find(part) != std::string::npos; };
    const auto set = [&](std::int64_t low, std::int64_t high, const char *why) {
        need.low = low;
        need.high = high;
        need.rangeFrom = why;
        need.rangeGuessed = true;
    };
    if (has("mask"))
        set(1, 2, "by its name a mask, 1 where something is to be seen");
    else if (need.isNumber() && (name == "sr" || has("sample_rate") || has("sampling_rate")))
        set(16000, 16001, "by its name a sampling rate");
    else if (need.info.dtype == "uint8")
        set(0, 256, "all that its type holds");
    else if (need.isNumber())
        set(1, 2, "nothing is known of it");
}

} // namespace

std::vector<InputNeed> inputNeeds(const Graph &graph)
{
    std::vector<InputNeed> needs;
    for (const GraphInput &input : graph.inputs) {
        InputNeed need;
        need.info = input.info;
        need.rankKnown = rankKnown(graph, input.info);
        needs.push_back(std::move(need));
    }
    const Batch batch = batchOf(needs);
    RangeSearch ranges(graph);
    for (std::size_t i = 0; i < needs.size(); ++i) {
        InputNeed &need = needs[i];
        placeBatch(need, batch);
        guessSizes(need);
        if (!need.isWhole())
            continue;
        const Range range = ranges.of(graph.inputs[i].value);
        if (range.high > 0) {
            need.high = range.high;
            need.rangeFrom = range.from;
            need.fromEnd = range.fromEnd;
        } else {
            guessRange(need);
        }
    }
    return needs;
}

std::int64_t fixedBatch(const Graph &graph, const std::vector<InputNeed> &needs)
{
    for (const InputNeed &need : needs) {
        if (need.batchAxis < 0 && !need.shared)
            return 1;
        if (need.batchAxis == 0)   // what graph.fixedBatch is about, where that is the first input
            return &need == &needs.front() ? graph.fixedBatch : need.rankKnown ? std::max<std::int64_t>(0, need.info.shape[0]) : 0;
        if (need.batchAxis > 0)
            return std::max<std::int64_t>(0, need.info.shape[std::size_t(need.batchAxis)]);
    }
    return graph.fixedBatch;
}

} // namespace bitwright
