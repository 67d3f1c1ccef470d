#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time per sample of Bitwright's executor on ONNX networks, beside ONNX Runtime on the same number of threads.

    python3 benchmarks/onnx_ratio.py --cli build/bin/bitwright-cli [--resnet50] [--samples] [--real FOLDER] [FILE.onnx…]

--resnet50 builds ResNet-50 with random weights, --samples takes the sample networks (exported to ONNX), --real three
networks of the FOLDER that real_networks.py has filled. Inputs are random numbers. Both take turns, round by round, on the
same batches. Ours is the whole command `run` on a large batch less the same on one sample, so that start and loading cancel
out; ONNX Runtime (its optimizer on) is asked in this process on the large batch. Times are the least of all rounds, which
other work on the machine disturbs least; the last column tells how much it did. Needs numpy, onnx and onnxruntime, as the
build's virtual environment has them.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from real_networks import cli, inputs_for

REAL = ["nudenet/320n.onnx", "ch_PP-OCRv4_det_infer.onnx", "ddddocr/common_det.onnx"]


class Builder:
    """ResNet-50 node by node: no exporter needed."""

    def __init__(self):
        self.random, self.nodes, self.initializers = np.random.default_rng(0), [], []

    def parameter(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def node(self, op, inputs, **attributes):
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, channels, wider, size, stride, relu=True):
        prefix = f"conv{len(self.nodes)}"
        weight = self.random.standard_normal((wider, channels, size, size)) * np.sqrt(2 / (channels * size * size))
        y = self.node("Conv", [x, self.parameter(prefix + ".weight", weight)], strides=[stride] * 2, pads=[size // 2] * 4)
        norm = [self.parameter(f"{prefix}.norm.{part}", np.full(wider, value)) for part, value in
                (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1))]
        y = self.node("BatchNormalization", [y, *norm])
        return self.node("Relu", [y]) if relu else y

    def resnet50(self, path):
        x = self.node("MaxPool", [self.conv("x", 3, 64, 7, 2)], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
        channels = 64
        for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
            for block in range(blocks):
                stride = 2 if block == 0 and stage > 0 else 1
                y = self.conv(self.conv(x, channels, width, 1, 1), width, width, 3, stride)
                y = self.conv(y, width, 4 * width, 1, 1, relu=False)
                short = self.conv(x, channels, 4 * width, 1, stride, relu=False) if block == 0 else x
                x, channels = self.node("Relu", [self.node("Add", [y, short])]), 4 * width
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        fc = [self.parameter("fc.weight", self.random.standard_normal((1000, channels)) * 0.02), self.parameter("fc.bias", np.zeros(1000))]
        y = self.node("Gemm", [x, *fc], transB=1)
        graph = helper.make_graph(self.nodes, "resnet50", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 224, 224])],
                                  [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["batch", 1000])], self.initializers)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
        return path


def networks(options, folder):
    named = [(os.path.basename(path), path) for path in options.files]
    if options.resnet50:
        named.append(("ResNet-50, random weights", Builder().resnet50(os.path.join(folder, "resnet50.onnx"))))
    if options.samples:
        here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sample_models")
        for model in sorted(glob.glob(os.path.join(here, "*.pt2"))):
            name = os.path.splitext(os.path.basename(model))[0]
            path = os.path.join(folder, name + ".onnx")
            subprocess.run([options.cli, "export", model, "--format", "onnx", "-o", path, "--quiet"], check=True, capture_output=True)
            named.append((name, path))
    for end in REAL if options.real else []:
        found = glob.glob(os.path.join(options.real, "**", os.path.basename(end)), recursive=True)
        named += [(end, path) for path in found if path.endswith(end)]
    return named


def measure(options, path, folder, random):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = options.threads, 3
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    info = session.get_inputs()
    if len(info) != 1 or info[0].type != "tensor(float)":
        return {"error": "it has more than one input or none of floats"}
    shape = inputs_for(path, session, random)[info[0].name].shape[1:]
    fixed = isinstance(info[0].shape[0], int)   # then one at a time, in both
    x = os.path.join(folder, "x.npy")

    def ours(count):
        np.save(x, data[:count])
        done, seconds = cli([options.cli, "run", path, "--input", x, "--output", os.path.join(folder, "y.npz"), "--threads",
                             str(options.threads), "--quiet"])
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        return seconds

    def theirs(count):
        begin = time.perf_counter()
        for first in range(0, count, 1 if fixed else count):
            session.run(None, {info[0].name: data[first:first + 1] if fixed else data[:count]})
        return time.perf_counter() - begin

    data = random.standard_normal((2, *shape)).astype(np.float32)
    theirs(2)
    count = max(4, min(4000, int(options.seconds / max(1e-5, theirs(2) / 2))))   # one turn takes about that long
    data = random.standard_normal((count, *shape)).astype(np.float32)
    try:
        turns = [(ours(count), ours(1), theirs(count)) for _ in range(options.rounds)]
    except RuntimeError as problem:
        return {"error": str(problem)}
    many, one, other = (sorted(times) for times in zip(*turns))
    return {"batch": count, "ours": (many[0] - one[0]) / (count - 1), "onnx_runtime": other[0] / count,
            "spread": [times[len(times) // 2] / times[0] for times in (many, other)]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE.onnx")
    parser.add_argument("--cli", required=True)
    parser.add_argument("--resnet50", action="store_true")
    parser.add_argument("--samples", action="store_true")
    parser.add_argument("--real", metavar="FOLDER")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one turn, about")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    failed = False
    print("| network | ours, ms a sample | ONNX Runtime, ms | ratio | median / least, ours and theirs |\n| --- | ---: | ---: | ---: | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, path in networks(options, folder):
            seen = measure(options, path, folder, random)
            failed = failed or "error" in seen
            print(f"| {name} | {seen['error']} | | | |" if "error" in seen else
                  f"| {name} | {seen['ours'] * 1000:.3g} | {seen['onnx_runtime'] * 1000:.3g} | "
                  f"{seen['ours'] / seen['onnx_runtime']:.2f} | {seen['spread'][0]:.2f}, {seen['spread'][1]:.2f} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
