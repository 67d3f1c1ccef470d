// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/lowering.h"

#include <string_view>

namespace bitwright {

namespace {

using onnx::Attribute;
using Names = std::vector<std::string>;
using Ints = std::vector<std::int64_t>;

/// Both formats compute the same cells; the rows of a matrix, a block for each gate, come in another order.
struct Cell {
    const char *op;
    std::int64_t gates;
    Ints order;                 ///< PyTorch's block that stands at each place of ONNX
    const char *activation;     ///< of a plain cell
};

const Cell &cellOf(std::string_view op)
{
    static const Cell kLstm{"LSTM", 4, {0, 3, 1, 2}, nullptr}, kGru{"GRU", 3, {1, 0, 2}, nullptr}, kTanh{"RNN", 1, {0}, "Tanh"}, kRelu{"RNN", 1, {0}, "Relu"};
    op.remove_prefix(op.find("::") + 2);
    return op.starts_with("lstm") ? kLstm : op.starts_with("gru") ? kGru : op.starts_with("rnn_relu") ? kRelu : kTanh;
}

std::string joined(OnnxWriter &w, Names parts, std::int64_t axis, const std::string &target = {})
{
    if (parts.size() == 1 && target.empty())
        return parts[0];
    return w.add("Concat", std::move(parts), {Attribute::of("axis", axis)}, target);
}

/// Rows in ONNX's order of gates.
std::string reordered(OnnxWriter &w, const Cell &cell, const std::string &rows)
{
    if (cell.gates == 1)
        return rows;
    Names blocks;
    for (std::int64_t i = 0; i < cell.gates; ++i)
        blocks.push_back(w.uniqueName(rows + "_gate"));
    std::vector<Attribute> attributes{Attribute::of("axis", std::int64_t(0))};
    if (w.opset() >= 18)
        attributes.push_back(Attribute::of("num_outputs", cell.gates));
    w.addMany("Split", {rows}, std::move(attributes), blocks);
    Names ordered;
    for (const std::int64_t block : cell.order)
        ordered.push_back(blocks[std::size_t(block)]);
    return joined(w, std::move(ordered), 0);
}

/// What one direction of a layer has: its two matrices, and both biases or none.
struct Direction { std::string input, recurrent, inputBias, recurrentBias; };

struct Results { std::string sequence, hidden, cell; };   ///< [T, B, directions × hidden], [directions, B, hidden] twice

/// One layer over [T, B, features]; states [directions, B, hidden] or none.
Results addLayer(OnnxWriter &w, const Cell &cell, std::int64_t hidden, const std::vector<Direction> &directions, const std::string &x,
                 const std::string &hiddenState, const std::string &cellState)
{
    Names inputs, recurrents, biases;
    for (const Direction &direction : directions) {
        inputs.push_back(w.add("Unsqueeze", {reordered(w, cell, direction.input), w.integers({0})}));
        recurrents.push_back(w.add("Unsqueeze", {reordered(w, cell, direction.recurrent), w.integers({0})}));
        if (!direction.inputBias.empty()) {
            const std::string both = joined(w, {reordered(w, cell, direction.inputBias), reordered(w, cell, direction.recurrentBias)}, 0);
            biases.push_back(w.add("Unsqueeze", {both, w.integers({0})}));
        }
    }
    std::vector<Attribute> attributes{Attribute::of("hidden_size", hidden)};
    if (directions.size() == 2)
        attributes.push_back(Attribute::of("direction", std::string("bidirectional")));
    if (cell.activation) {
        Attribute activations;
        activations.name = "activations";
        activations.type = Attribute::Type::Strings;
        activations.strings.assign(directions.size(), cell.activation);
        attributes.push_back(std::move(activations));
    }
    const bool isLstm = std::string_view(cell.op) == "LSTM";
    if (std::string_view(cell.op) == "GRU")
        attributes.push_back(Attribute::of("linear_before_reset", std::int64_t(1)));
    Results made;
    Names outputs{w.uniqueName(x + "_steps"), w.uniqueName(x + "_hidden")};
    if (isLstm)
        outputs.push_back(w.uniqueName(x + "_cell"));
    w.addMany(cell.op, {x, joined(w, inputs, 0), joined(w, recurrents, 0), biases.empty() ? std::string() : joined(w, biases, 0), "", hiddenState, cellState},
              std::move(attributes), outputs);
    // [T, directions, B, hidden]
    made.sequence = w.add("Reshape", {w.add("Transpose", {outputs[0]}, {Attribute::of("perm", Ints{0, 2, 1, 3})}), w.integers({0, 0, -1})});
    made.hidden = outputs[1];
    made.cell = isLstm ? outputs[2] : std::string();
    return made;
}

void finish(OnnxWriter &w, std::size_t output, const std::string &op, Names inputs, std::vector<Attribute> attributes = {})
{
    if (output < w.node().outputs.size() && w.node().outputs[output] != kNoValue)
        w.add(op, std::move(inputs), std::move(attributes), w.resultName(output));
}

/// The hidden state, of an LSTM the cell's behind it.
Result<Names> statesOf(OnnxWriter &w, const Cell &cell)
{
    if (std::string_view(cell.op) == "LSTM")
        return w.tensors(*w.argument("hx"));
    BW_ASSIGN(const std::string state, w.tensor("hx"));
    return Names{state};
}

Status recurrent(OnnxWriter &w)
{
    const Cell &cell = cellOf(w.node().op);
    const TracedValue *x = w.traced("input");
    if (!x || x->rank() != 3)
        return fail(ErrorKind::Unsupported, "a recurrent layer whose input is not [steps, samples, features]");
    BW_ASSIGN(const bool biased, w.flag("has_biases"));
    BW_ASSIGN(const std::int64_t layers, w.integer("num_layers"));
    BW_ASSIGN(const bool bidirectional, w.flag("bidirectional"));
    BW_ASSIGN(const bool batchFirst, w.flag("batch_first"));
    BW_ASSIGN(const Names weights, w.tensors(*w.argument("params")));
    const std::size_t directions = bidirectional ? 2 : 1, each = biased ? 4 : 2;
    if (weights.size() != std::size_t(layers) * directions * each)
        return fail(ErrorKind::Unsupported, "a recurrent layer that projects its state");
    BW_ASSIGN(const Names states, statesOf(w, cell));
    const bool onlyState = w.node().outputs[0] == kNoValue;
    const std::int64_t hidden = w.result(onlyState ? 1 : 0).shape.back() / std::int64_t(onlyState ? 1 : directions);
    BW_ASSIGN(std::string sequence, w.tensor("input"));
    if (batchFirst)
        sequence = w.add("Transpose", {sequence}, {Attribute::of("perm", Ints{1, 0, 2})});
    Names lastHidden, lastCell;
    for (std::int64_t layer = 0; layer < layers; ++layer) {
        std::vector<Direction> sides;
        for (std::size_t d = 0; d < directions; ++d) {
            const std::string *p = &weights[(std::size_t(layer) * directions + d) * each];
            sides.push_back({p[0], p[1], biased ? p[2] : std::string(), biased ? p[3] : std::string()});
        }
        Names now;
        for (const std::string &state : states) {
            const std::int64_t first = layer * std::int64_t(directions);
            now.push_back(layers == 1 ? state : w.add("Slice", {state, w.integers({first}), w.integers({first + std::int64_t(directions)}), w.integers({0})}));
        }
        const Results made = addLayer(w, cell, hidden, sides, sequence, now[0], now.size() > 1 ? now[1] : std::string());
        sequence = made.sequence;
        lastHidden.push_back(made.hidden);
        lastCell.push_back(made.cell);
    }
    if (batchFirst)
        finish(w, 0, "Transpose", {sequence}, {Attribute::of("perm", Ints{1, 0, 2})});
    else
        finish(w, 0, "Identity", {sequence});
    finish(w, 1, "Concat", lastHidden, {Attribute::of("axis", std::int64_t(0))});
    if (states.size() > 1)
        finish(w, 2, "Concat", lastCell, {Attribute::of("axis", std::int64_t(0))});
    return {};
}

/// A cell is a layer of one step.
Status recurrentCell(OnnxWriter &w)
{
    const Cell &cell = cellOf(w.node().op);
    const TracedValue *x = w.traced("input");
    if (!x || x->rank() != 2)
        return fail(ErrorKind::Unsupported, "a recurrent cell whose input is not [samples, features]");
    BW_ASSIGN(Names states, statesOf(w, cell));
    BW_ASSIGN(const std::string input, w.tensor("w_ih"));
    BW_ASSIGN(const std::string recurrent, w.tensor("w_hh"));
    Direction side{input, recurrent, {}, {}};
    if (w.absent("b_ih") != w.absent("b_hh"))
        return fail(ErrorKind::Unsupported, "a recurrent cell with one bias");
    if (!w.absent("b_ih")) {
        BW_ASSIGN(side.inputBias, w.tensor("b_ih"));
        BW_ASSIGN(side.recurrentBias, w.tensor("b_hh"));
    }
    BW_ASSIGN(const std::string value, w.tensor("input"));
    for (std::string &state : states)
        state = w.add("Unsqueeze", {state, w.integers({0})});
    const Results made = addLayer(w, cell, w.result(0).shape.back(), {side}, w.add("Unsqueeze", {value, w.integers({0})}), states[0],
                                  states.size() > 1 ? states[1] : std::string());
    finish(w, 0, "Squeeze", {made.hidden, w.integers({0})});
    finish(w, 1, "Squeeze", {made.cell, w.integers({0})});
    return {};
}

} // namespace

std::span<const LoweringRow> recurrentLowerings()
{
    static const LoweringRow kRows[] = {{"lstm", recurrent}, {"gru", recurrent}, {"rnn_tanh", recurrent}, {"rnn_relu", recurrent},
                                        {"lstm_cell", recurrentCell}, {"gru_cell", recurrentCell}, {"rnn_tanh_cell", recurrentCell},
                                        {"rnn_relu_cell", recurrentCell}};
    return kRows;
}

} // namespace bitwright
