#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes networks whose weights are looked up, multiplied within recurrent layers, or used in branches and loops.

    make_weight_only.py OUT         NAME.script.pt, NAME.pt2, NAME.onnx (not of every network) and NAME.expected in OUT

NAME.expected holds in0…, out0 (float) and quantized0: the output with every matrix of four bits by rows, whose largest
magnitude is code 7; computed by PyTorch on changed weights. joint0: the same where both directions of a layer are one
tensor with one scale for each row, as in ONNX.
"""
import sys

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

sys.dont_write_bytecode = True
from make_once import make_once  # noqa: E402


class Text(nn.Module):
    """Embedding, two-way LSTM of two layers, scores by the embedding's own matrix."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 8)
        self.lstm = nn.LSTM(8, 4, 2, batch_first=True, bidirectional=True)
        self.scores = nn.Linear(8, 20)
        self.scores.weight = self.embedding.weight

    def forward(self, x):
        y, _ = self.lstm(self.embedding(x))
        return self.scores(y[:, -1])


class Gated(nn.Module):
    """GRU, a table read by index, a cell."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(6, 5, batch_first=True)
        self.cell = nn.RNNCell(5, 7)
        self.fc = nn.Linear(7, 3)

    def forward(self, x):
        y, h = self.gru(x)
        return self.fc(self.cell(y[:, -1] + h[0]))


class Branches(nn.Module):
    """Layers that run in a branch or again and again, one of them outside as well."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(6, 6)
        self.positive = nn.Linear(6, 6)
        self.negative = nn.Linear(6, 6, bias=False)
        self.again = nn.Linear(6, 6)

    def forward(self, x):
        x = self.shared(x)
        if bool(x.sum() > 0):
            x = self.positive(x)
        else:
            x = self.negative(self.shared(x))
        for _ in range(int(x.abs().max()) + 2):
            x = torch.tanh(self.again(x))
        return x


def quantize(matrix):
    scale = matrix.abs().amax(1, keepdim=True) / 7
    return torch.round(matrix / scale) * scale


def joint(model, name, matrix):
    """The row's largest magnitude over both directions."""
    other = name[:-len("_reverse")] if name.endswith("_reverse") else name + "_reverse"
    both = torch.cat([matrix, dict(model.named_parameters()).get(other, matrix)], 1)
    scale = both.abs().amax(1, keepdim=True) / 7
    return torch.round(matrix / scale) * scale


def expected(model, inputs):
    model.eval()
    values = {f"in{i}": x for i, x in enumerate(inputs)}
    with torch.no_grad():
        values["out0"] = model(*inputs)
        state = {key: value.clone() for key, value in model.state_dict().items()}
        for key, change in (("joint0", lambda n, p: joint(model, n, p)), ("quantized0", lambda n, p: quantize(p))):
            changed = {name: change(name, p) for name, p in model.named_parameters() if p.dim() > 1}
            model.load_state_dict(changed, strict=False)
            values[key] = model(*inputs)
            model.load_state_dict(state)
    return values


def write(out, name, model, inputs, kinds):
    torch.save(expected(model, inputs), out / f"{name}.expected")
    torch.jit.save(torch.jit.script(model), str(out / f"{name}.script.pt"))
    if "pt2" in kinds:
        program = torch.export.export(model, inputs, dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
        torch.export.save(program, str(out / f"{name}.pt2"))
    if "onnx" in kinds:
        torch.onnx.export(model, inputs, str(out / f"{name}.onnx"), dynamo=False, input_names=["x"], output_names=["y"],
                          dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}}, opset_version=17)


def body(name, before, initializers):
    """A branch that multiplies by a matrix which both branches call w."""
    value = helper.make_tensor_value_info
    return helper.make_graph(before + [helper.make_node("MatMul", ["x", "w"], [name])], name, [], [value(name, TensorProto.FLOAT, None)],
                             initializers)


def branched_file(out):
    """An If with weights in its branches, one of which is turned there from a constant outside."""
    value = helper.make_tensor_value_info
    yes, no = torch.randn(6, 4), torch.randn(6, 4)
    turned = helper.make_node("Unsqueeze", ["matrix", "first"], ["wide"]), helper.make_node("Squeeze", ["wide", "first"], ["w"])
    nodes = [helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0), helper.make_node("Greater", ["sum", "zero"], ["positive"]),
             helper.make_node("Constant", [], ["matrix"], value=numpy_helper.from_array(no.numpy())),
             helper.make_node("If", ["positive"], ["y"], name="choice",
                              then_branch=body("yes", [], [numpy_helper.from_array(yes.numpy(), "w")]),
                              else_branch=body("no", list(turned), [helper.make_tensor("first", TensorProto.INT64, [1], [0])]))]
    graph = helper.make_graph(nodes, "branched", [value("x", TensorProto.FLOAT, ["batch", 6])], [value("y", TensorProto.FLOAT, ["batch", 4])],
                              [helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, out / "branched.onnx")
    x = torch.randn(5, 6).abs()
    columns = lambda matrix: quantize(matrix.t()).t()
    torch.save({"in0": x, "out0": x @ yes, "quantized0": x @ columns(yes), "in1": -x, "out1": -x @ no, "quantized1": -x @ columns(no)},
               out / "branched.expected")


def networks(out):
    torch.manual_seed(3)
    write(out, "text", Text(), (torch.randint(0, 20, (5, 7)),), ("pt2", "onnx"))
    write(out, "gated", Gated(), (torch.randn(5, 4, 6),), ("pt2", "onnx"))
    write(out, "branches", Branches(), (torch.randn(5, 6),), ())
    branched_file(out)


if __name__ == "__main__":
    sys.exit(make_once(__file__, networks))
