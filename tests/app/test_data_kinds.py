# SPDX-License-Identifier: GPL-3.0-or-later
"""Data of any shape on the command line: random data is labelled as such, what the network does not tell is asked for with a
spec that works, and several inputs come from one .npz as `run` reads it."""
import json
import os
import pathlib
import re
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLI = os.environ["BITWRIGHT_CLI"]
MODEL = pathlib.Path(os.environ["BITWRIGHT_SOURCE_DIR"]) / "sample_models" / "resnet20.pt2"
W4A8 = {"schema": "bitwright/assignment/1", "defaults": {
    "weight": {"method": "uniform", "bits": 4, "granularity": "channel"}, "activation": {"method": "uniform", "bits": 8, "symmetric": False}}}


def call(*words, code=0):
    done = subprocess.run([CLI, *map(str, words), "--threads", "1", "--quiet"], capture_output=True, text=True, timeout=100)
    assert done.returncode == code, (words, done.returncode, done.stderr)
    return done


def document(*words):
    return json.loads(call(*words, "--json").stdout)


def last_line(*words):
    return call(*words, code=1).stderr.strip().splitlines()[-1]


def text_network(path):
    """scores = mean over the tokens of (words[ids] + state[0] + state[1]) W, the state counting samples in dimension 1."""
    random = np.random.default_rng(0)
    weights = {"words": random.standard_normal((50, 8)), "fc.weight": random.standard_normal((8, 5))}
    nodes = [helper.make_node("Gather", ["words", "ids"], ["looked"], axis=0),
             helper.make_node("ReduceMean", ["looked"], ["mean"], axes=[1], keepdims=0),
             helper.make_node("ReduceSum", ["state", "zero"], ["summed"], keepdims=0),
             helper.make_node("Add", ["mean", "summed"], ["joined"]),
             helper.make_node("MatMul", ["joined", "fc.weight"], ["scores"])]
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    initializers.append(numpy_helper.from_array(np.array([0], np.int64), "zero"))
    graph = helper.make_graph(nodes, "text", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
                                              helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "batch", 8])],
                              [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 5])], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return weights


def check_random_on_a_sample():
    result = document("evaluate", MODEL, "--data", "random:count=32,seed=3")
    assert result["metric"] == "agreement" and result["value"] == 1 and result["samples"] == 32, result
    assert result["random_data"] is True and "random data" in result["note"], result
    assert document("evaluate", MODEL, "--data", "random:count=32,seed=3")["note"] == result["note"]
    assert "random_data" not in document("evaluate", MODEL, "--data", "sample:test,limit=32")
    assert "random data" in call("evaluate", MODEL, "--data", "random:count=8").stderr


def check_asked_for(folder, network):
    line = last_line("evaluate", network, "--data", "random:count=16")
    assert line.startswith("error: random data") and "'ids' (?×?)" in line, line
    spec = re.search(r"random:\S+", line).group()
    result = document("evaluate", network, "--data", spec)
    assert result["samples"] == 16 and result["metric"] == "agreement", result
    for bad, says in (("random:ids=1x4,ids.high=51", "words has 50 rows"), ("random:ids=1x4,stat=1", "did you mean 'state'"),
                      ("random:ids=3x4", "a batch of 3"), ("random:ids=1x4x4", "has 3 sizes")):
        assert says in last_line("evaluate", network, "--data", bad), bad
    session = folder / "random.bitwright"
    call("evaluate", network, "--data", spec, "--session", session)
    assert document("trials", session)["trials"][0]["random_data"] is True
    assert "random data (random:count=16" in call("trials", session).stdout


def check_several_inputs(folder, network, weights):
    random = np.random.default_rng(1)
    ids, state = random.integers(0, 50, (30, 6)), random.standard_normal((2, 30, 8)).astype(np.float32)
    scores = (weights["words"][ids].mean(1) + state.sum(0)) @ weights["fc.weight"]
    labels = scores.argmax(1)
    labels[:6] = (labels[:6] + 1) % 5
    data = folder / "data.npz"
    np.savez(data, ids=ids, state=state, labels=labels)
    result = document("evaluate", network, "--data", f"npz:{data}")
    assert result["metric"] == "top1" and abs(result["value"] - 24 / 30) < 1e-9, result
    config, filled = folder / "config.json", folder / "filled.json"
    config.write_text(json.dumps(W4A8))
    call("calibrate", network, "--data", f"npz:{data}", "--config", config, "-o", filled)
    assert document("evaluate", network, "--data", f"npz:{data}", "--config", filled, "--metric", "sqnr")["value"] > 10
    points = document("sweep", network, "--data", f"npz:{data}", "--bits", "8,2")["points"]
    assert {point["layer"] for point in points} >= {"fc"}, points
    layers = document("stats", network, "--data", f"npz:{data}")["layers"]
    joined = next(layer for layer in layers if layer["name"] == "fc")["activation"]
    expected = weights["words"].astype(np.float32)[ids].mean(1) + state.sum(0)
    assert abs(joined["max"] - expected.max()) < 1e-4 and joined["count"] == expected.size, joined
    bad = folder / "bad.npz"
    for arrays, says in (({"ids": ids}, "no array for input 'state'"), ({"ids": ids, "state": state[:, :9]}, "'ids' has 30 samples, 'state' 9"),
                         ({"ids": ids[:, 0], "state": state}, "input 'ids' has the shape 30, the network reads ?×?"),
                         ({"in0": ids + 1, "in1": state}, "holds 50 at sample"), ({"ids": ids + 0.5, "state": state}, "holds fractions")):
        np.savez(bad, **arrays)
        line = last_line("evaluate", network, "--data", f"npz:{bad}")
        assert says in line and str(bad) in line, line


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        network = folder / "text.onnx"
        weights = text_network(network)
        check_random_on_a_sample()
        check_asked_for(folder, network)
        check_several_inputs(folder, network, weights)


if __name__ == "__main__":
    main()
