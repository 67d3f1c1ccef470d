#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the seed corpus of mutate_readers: small valid files, a folder for each reader.

    make_seeds.py OUT [BITWRIGHT_CLI]     packs and assignments need the command line
"""
import json
import pathlib
import struct
import subprocess
import sys
import warnings
from typing import Dict, List

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from torch import nn

OUT = pathlib.Path(sys.argv[1])
CLI = sys.argv[2] if len(sys.argv) > 2 else None
LARGEST = 6000      # bytes of an ONNX file


def folder(name):
    path = OUT / name
    path.mkdir(parents=True, exist_ok=True)
    return path


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc(torch.relu(self.norm(self.conv(x))).flatten(1))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.lstm = nn.Embedding(7, 3), nn.LSTM(3, 2, batch_first=True)
        self.register_buffer("scale", torch.tensor([1.0, float("nan")]))

    def forward(self, x):
        y, _ = self.lstm(self.table(x))
        return y[:, -1] * self.scale


class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        names: Dict[str, List[int]] = {"a": [1, 2]}
        total = 0
        while total < 3:
            total += 1
        if bool(x.sum() > 0):
            y = self.a(x)
        else:
            y = self.b(x) - float(total)
        return y * names["a"][1], [y, x]


class Cond(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda v: self.a(v), lambda v: self.b(v), (x,))


def pytorch():
    networks = [("conv", Net(), torch.zeros(2, 1, 4, 4)), ("words", Words(), torch.zeros(2, 5, dtype=torch.long)),
                ("flow", Flow(), torch.zeros(2, 4)), ("cond", Cond(), torch.zeros(2, 4))]
    for name, network, example in networks:
        network.eval()
        if name != "cond":
            torch.jit.script(network).save(str(folder("torchscript") / f"{name}.pt"))
        if name == "conv":
            torch.jit.trace(network, example).save(str(folder("torchscript") / "traced.pt"))
        if name != "flow":
            torch.export.save(torch.export.export(network, (example,)), str(folder("pt2") / f"{name}.pt2"))
        torch.save(network.state_dict(), folder("checkpoint") / f"{name}.pt")
    network = Net()
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.zeros(2, 1, 4, 4)).sum().backward()
    optimizer.step()
    torch.save({"epoch": 3, "model": network.state_dict(), "optimizer": optimizer.state_dict()}, folder("checkpoint") / "training.pt")
    torch.save({"a": torch.ones(2, 3), "b": torch.arange(4), "bitwright/text": torch.tensor(list(b'{"epoch": 1}'), dtype=torch.uint8)},
               folder("training") / "a")
    tied = torch.arange(12.0).half()
    torch.save({"a": tied.view(3, 4), "b": tied.view(3, 4).t(), "c": tied[2:5], "p": nn.Parameter(torch.ones(2)), "e": torch.zeros(0, 3),
                "bool": torch.tensor([True, False]), "i": torch.tensor(3)}, folder("checkpoint") / "views.pt")


def safetensors():
    def write(name, tensors, metadata=None):
        header, data = {}, b""
        for key, (dtype, shape, content) in tensors.items():
            header[key] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
            data += content
        if metadata:
            header["__metadata__"] = metadata
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (folder("safetensors") / name).write_bytes(struct.pack("<Q", len(text)) + text + data)
    weights = np.arange(12, dtype=np.float32)
    write("a.safetensors", {"w": ("F32", [3, 4], weights.tobytes()), "b": ("F16", [3], np.zeros(3, np.float16).tobytes())}, {"format": "pt"})
    write("b.safetensors", {"i": ("I64", [2], np.arange(2).tobytes()), "f8": ("F8_E4M3", [4], b"\0\x7f\x80\xff"), "empty": ("BF16", [0, 5], b""),
                            "bool": ("BOOL", [3], b"\1\0\1"), "scalar": ("F64", [], np.float64(2).tobytes())})


def arrays():
    values = {"f4": np.arange(6, dtype="<f4").reshape(2, 3), "big": np.arange(6, dtype=">i4").reshape(3, 2), "u2": np.array([1, 65535], "<u2"),
              "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "scalar": np.array(2.5), "bool": np.array([True, False]),
              "half": np.array([1, np.nan], np.float16), "empty": np.zeros((0, 4), "u1"), "u8": np.array([1], "u8")}
    for name, value in values.items():
        np.save(folder("npy") / f"{name}.npy", value)
    np.savez(folder("npz") / "a.npz", x=values["f4"], y=values["u2"])
    np.savez_compressed(folder("npz") / "b.npz", **{"x": np.zeros((4, 5), "u1"), "f": values["fortran"]})
    codes = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}
    for name, code in codes.items():
        data = np.arange(12).astype(">" + name).reshape(3, 2, 2)
        head = bytes([0, 0, code, 3]) + struct.pack(">III", 3, 2, 2)
        (folder("idx") / f"{name}-idx3").write_bytes(head + data.tobytes())


def own_onnx():
    def save(name, nodes, inputs, outputs, tensors=(), opset=21, **more):
        graph = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in tensors])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("own", 1)], ir_version=10, **more)
        (folder("onnx") / f"{name}.onnx").write_bytes(model.SerializeToString())
    info = helper.make_tensor_value_info
    f = TensorProto.FLOAT
    ones = lambda *shape: np.ones(shape, np.float32)  # noqa: E731
    save("conv", [helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]), helper.make_node("BatchNormalization", ["c", "s", "b", "b", "s"], ["n"]),
                  helper.make_node("Relu", ["n"], ["r"]), helper.make_node("Flatten", ["r"], ["f"]), helper.make_node("Gemm", ["f", "g"], ["y"], transB=1)],
         [info("x", f, ["N", 1, 4, 4])], [info("y", f, ["N", 3])], [("w", ones(2, 1, 3, 3)), ("b", ones(2)), ("s", ones(2)), ("g", ones(3, 32))])
    branch = [helper.make_graph([helper.make_node(op, ["x", "w"], [out])], out, [], [info(out, f, [2, 2])]) for op, out in (("MatMul", "t"), ("Add", "e"))]
    save("branch", [helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0), helper.make_node("Greater", ["s", "zero"], ["c"]),
                    helper.make_node("If", ["c"], ["y"], then_branch=branch[0], else_branch=branch[1])],
         [info("x", f, [2, 2])], [info("y", f, [2, 2])], [("w", ones(2, 2)), ("zero", np.float32(0))])
    body = helper.make_graph([helper.make_node("Add", ["a", "w"], ["b"]), helper.make_node("Identity", ["k"], ["k2"]), helper.make_node("Identity", ["b"], ["scan"])],
                             "body", [info("i", TensorProto.INT64, []), info("k", TensorProto.BOOL, []), info("a", f, [2])],
                             [info("k2", TensorProto.BOOL, []), info("b", f, [2]), info("scan", f, [2])])
    save("loop", [helper.make_node("Loop", ["n", "t", "x"], ["l", "y"], body=body)], [info("x", f, [2])], [info("y", f, [3, 2])],
         [("w", ones(2)), ("n", np.int64(3)), ("t", np.bool_(True))])
    function = helper.make_function("own", "Twice", ["v"], ["o"], [helper.make_node("Add", ["v", "v"], ["o"])], [helper.make_opsetid("", 21)])
    save("function", [helper.make_node("Twice", ["x"], ["m"], domain="own"), helper.make_node("Twice", ["m"], ["y"], domain="own")],
         [info("x", f, [2])], [info("y", f, [2])], functions=[function])
    save("quantized", [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
                       helper.make_node("DequantizeLinear", ["w", "v"], ["e"], axis=0), helper.make_node("MatMul", ["d", "e"], ["y"])],
         [info("x", f, ["N", 2])], [info("y", f, ["N", 2])],
         [("s", np.float32(.1)), ("z", np.uint8(3)), ("w", np.ones((2, 2), np.int8)), ("v", ones(2))])
    save("lstm", [helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2)], [info("x", f, [3, 1, 2])], [info("y", f, [3, 1, 1, 2])],
         [("w", ones(1, 8, 2)), ("r", ones(1, 8, 2))])
    sparse = helper.make_sparse_tensor(helper.make_tensor("sp", f, [2], [1.0, 2.0]), helper.make_tensor("at", TensorProto.INT64, [2], [0, 3]), [2, 2])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "sp"], ["y"])], "sparse", [info("x", f, [1, 2])], [info("y", f, [1, 2])], sparse_initializer=[sparse])
    (folder("onnx") / "sparse.onnx").write_bytes(helper.make_model(graph, ir_version=10).SerializeToString())


def node_tests():
    """The smallest of onnx's own tests for each operator."""
    smallest = {}
    for case in collect_testcases(None):
        if case.kind != "node":
            continue
        content = case.model.SerializeToString()
        operator = case.model.graph.node[-1].op_type
        if len(content) < len(smallest.get(operator, b" " * LARGEST)):
            smallest[operator] = content
    for operator, content in smallest.items():
        (folder("onnx") / f"node_{operator}.onnx").write_bytes(content)


def with_cli():
    model = folder("onnx") / "conv.onnx"
    for method, bits, more in (("uniform", 4, {"granularity": "channel"}), ("kmeans", 3, {}), ("bwn", 1, {}), ("twn", 2, {}), ("uniform", 8, {"symmetric": False}),
                               ("apot", 4, {}), ("lqnets", 2, {})):
        spec = {"schema": "bitwright/assignment/1", "network": {"fold_batch_norm": bits == 8},
                "defaults": {"weight": {"method": method, "bits": bits, **more}}, "layers": {"w": {"prune": {"method": "magnitude", "sparsity": 0.5}}}}
        name = folder("assignment") / f"{method}{bits}.json"
        name.write_text(json.dumps(spec))
        pack = folder("pack") / f"{method}{bits}.pack"
        done = subprocess.run([CLI, "export", str(model), "--config", str(name), "--format", "pack", "-o", str(pack)], capture_output=True, text=True)
        if done.returncode:
            print(method, done.stderr.strip())


warnings.simplefilter("ignore")
torch.manual_seed(0)
pytorch()
safetensors()
arrays()
own_onnx()
node_tests()
if CLI:
    with_cli()
