# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the command line: what every command answers under --json, which exit code goes with which last line,
that the same seed gives the same bytes, and the numbers of `quantize --method uniform` against a few lines of NumPy."""
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import numpy as np

CLI = os.environ["BITWRIGHT_CLI"]
SAMPLES = pathlib.Path(os.environ["BITWRIGHT_SOURCE_DIR"]) / "sample_models"
MODEL = SAMPLES / "resnet20.pt2"
SMALL = SAMPLES / "mobilenetv2_small.pt2"
UNIFORM = {"method": "uniform", "bits": 4}
W4A4 = {"schema": "bitwright/assignment/1", "defaults": {"weight": {**UNIFORM, "granularity": "channel"}, "activation": UNIFORM}}


def call(*words, code=0):
    done = subprocess.run([CLI, *map(str, words), "--threads", "1"], capture_output=True, text=True, timeout=100)
    assert done.returncode == code, (words, done.returncode, done.stderr)
    return done


def no_number(name):
    raise AssertionError(f"{name} in the JSON")


def document(*words):
    """The whole of standard output as one document; what JSON has no word for is refused."""
    return json.loads(call(*words, "--json", "--quiet").stdout, parse_constant=no_number)


def holds(value, path):
    """`layers[].weight.min`: every entry of a list that is not empty, then key by key."""
    key, _, rest = path.partition(".")
    name, is_list = (key[:-2], True) if key.endswith("[]") else (key, False)
    if not isinstance(value, dict) or name not in value:
        return False
    entries = value[name] if is_list else [value[name]]
    return isinstance(entries, list) and len(entries) > 0 and all(not rest or holds(each, rest) for each in entries)


def require(found, *paths):
    for path in paths:
        assert holds(found, path), (path, json.dumps(found)[:2000])
    return found


def near(got, wanted, relative=1e-5, absolute=1e-7):
    assert np.shape(got) == np.shape(wanted), (got, wanted)
    assert np.allclose(np.asarray(got, float), np.asarray(wanted, float), rtol=relative, atol=absolute), (got, wanted)


def images(split="t10k"):
    with gzip.open(SAMPLES / "data" / f"{split}-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read()[16:], np.uint8).reshape(-1, 28, 28)


# What the commands answer

def test_inspect():
    found = require(document("inspect", MODEL), "format", "inputs[].name", "inputs[].shape", "inputs[].dtype", "outputs[].name",
                    "outputs[].shape", "outputs[].dtype", "parameters", "nodes", "operators", "layers[].name", "layers[].operator",
                    "layers[].weight_shape", "layers[].parameters", "layers[].macs", "layers[].status", "layers[].reason")
    assert found["format"] == "pt2" and found["parameters"] == 272186, found["parameters"]   # resnet20.json
    assert found["inputs"][0]["shape"] == [-1, 1, 28, 28] and found["inputs"][0]["dtype"] == "float32"
    assert found["outputs"][0]["shape"] == [-1, 10]
    assert found["operators"]["conv2d"] == 21 and found["operators"]["linear"] == 1, found["operators"]
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert sum(layer["parameters"] for layer in layers.values()) == 272186
    assert layers["conv1"]["weight_shape"] == [16, 1, 3, 3] and layers["conv1"]["macs"] == 28 * 28 * 16 * 9
    assert layers["fc"]["parameters"] == 650 and layers["fc"]["macs"] == 640
    assert layers["conv1"]["status"] == "quantizable" and layers["conv1"]["reason"] == ""
    assert layers["bn1"]["status"] == "float" and layers["bn1"]["reason"]
    assert all(layer["status"] in ("quantizable", "float", "unsupported") for layer in found["layers"])
    text = call("inspect", MODEL).stdout
    assert "conv1" in text and not text.lstrip().startswith("{")


def test_run(folder):
    np.save(folder / "one.npy", ((images()[:1, None] / 255 - 0.286) / 0.353).astype(np.float32))   # resnet20.json
    found = document("run", MODEL, "--input", folder / "one.npy", "--output", folder / "y.npy")
    assert found["output_shape"] == [1, 10], found
    expected = json.loads((SAMPLES / "resnet20.json").read_text())["expected"][0]
    assert expected["index"] == 0
    near(np.load(folder / "y.npy")[0], expected["logits"], 1e-4, 1e-4)
    np.savez(folder / "one.npz", in0=np.load(folder / "one.npy"))
    document("run", MODEL, "--input", folder / "one.npz", "--output", folder / "y.npz")
    near(np.load(folder / "y.npz")["out0"], np.load(folder / "y.npy"))


def test_methods():
    found = require(document("methods"), "quantizers[].id", "quantizers[].title", "quantizers[].paper", "quantizers[].year",
                    "quantizers[].roles", "quantizers[].bits", "quantizers[].options", "pruners", "recipes")
    uniform = next(each for each in found["quantizers"] if each["id"] == "uniform")
    assert set(uniform["roles"]) == {"weight", "activation"} and {2, 3, 4, 8} <= set(uniform["bits"])
    names = {option["name"] for option in uniform["options"]}
    assert {"symmetric", "signed", "full_range", "granularity", "range", "percentile", "ratio", "distribution", "learned_step"} <= names


def test_stats():
    found = require(document("stats", MODEL, "--data", "sample:test,limit=16", "--layer", "conv1", "--bins", 4), "layers[].name",
                    *(f"layers[].{tensor}.{key}" for tensor in ("weight", "activation")
                      for key in ("min", "max", "mean", "std", "histogram.edges", "histogram.counts")))
    assert [layer["name"] for layer in found["layers"]] == ["conv1"]
    x = (images()[:16] / 255 - 0.286) / 0.353
    seen = found["layers"][0]["activation"]
    near([seen["min"], seen["max"], seen["mean"], seen["std"]], [x.min(), x.max(), x.mean(), x.std()], 1e-4)
    assert len(seen["histogram"]["edges"]) == 5 and sum(seen["histogram"]["counts"]) == 16 * 28 * 28
    near(seen["histogram"]["counts"], np.histogram(x, 4)[0], 0.002)   # rebinned from a finer one
    assert sum(found["layers"][0]["weight"]["histogram"]["counts"]) == 144


def test_configured(folder):
    """calibrate, evaluate, export and verify, one after the other."""
    (folder / "a.json").write_text(json.dumps(W4A4))
    filled = require(document("calibrate", SMALL, "--data", "sample:train,limit=64", "--config", folder / "a.json", "-o",
                              folder / "c.json"), "schema", "model.sha256", "model.layers", "defaults.weight", "layers")
    assert filled == json.loads((folder / "c.json").read_text())
    assert filled["schema"] == "bitwright/assignment/1" and filled["model"]["layers"] == len(filled["layers"]) == 27
    assert all(entry["activation"]["scale"] > 0 for entry in filled["layers"].values())
    measured = ("metric", "value", "low", "high", "loss", "samples", "size_bytes", "float_size_bytes", "bops", "seconds")
    found = require(document("evaluate", SMALL, "--data", "sample:test,limit=64", "--config", folder / "c.json"), *measured)
    assert found["metric"] == "top1" and found["samples"] == 64
    assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1 and found["value"] * 64 % 1 == 0
    assert found["float_size_bytes"] > 4 * found["size_bytes"] > 0
    plain = document("evaluate", SMALL, "--data", "sample:test,limit=64")
    assert plain["size_bytes"] == plain["float_size_bytes"] == found["float_size_bytes"] and plain["bops"] > found["bops"]
    np.save(folder / "x.npy", images()[:8])
    unlabelled = document("evaluate", SMALL, "--data", f"npy:{folder}/x.npy")
    assert unlabelled["metric"] == "agreement" and unlabelled["value"] == 1, unlabelled
    assert document("evaluate", SMALL, "--data", "sample:test,limit=8", "--metric", "top5")["metric"] == "top5"
    target = folder / "e.onnx"
    written = require(document("export", SMALL, "--config", folder / "c.json", "--format", "onnx", "-o", target), "bytes",
                      "layers[].name", "layers[].bits", "layers[].encoding")
    assert written["bytes"] == target.stat().st_size > 0 and len(written["layers"]) == 27
    compared = require(document("verify", target, "--against", SMALL, "--config", folder / "c.json", "--data",
                                "sample:test,limit=16"), "max_abs_difference", "top1_agreement", "differing_levels",
                       "first_differing_layer", "runtime")
    assert compared["top1_agreement"] == 1 and compared["runtime"], compared


def test_sessions(folder):
    """sweep, finetune and evaluate fill a session; trials lists it."""
    session = folder / "s.bitwright"
    (folder / "f.json").write_text(json.dumps(W4A4))
    points = require(document("sweep", SMALL, "--data", "sample:test,limit=16", "--bits", "4,2", "--role", "weight", "--session",
                              session), "points[].layer", "points[].bits", "points[].value", "points[].delta", "points[].sqnr_db",
                     "points[].size_bytes")["points"]
    assert len(points) == 2 * 27 and {point["bits"] for point in points} == {2, 4}
    tuned = require(document("finetune", SMALL, "--data", "sample:train,limit=32", "--config", folder / "f.json", "--epochs", 1, "-o",
                             folder / "t.pt2", "--config-out", folder / "t.json", "--session", session), "history[].epoch",
                    "history[].loss", "history[].value", "history[].size_bytes", "best")
    assert len(tuned["history"]) == 1 and tuned["history"][0]["epoch"] == 1
    again = document("evaluate", folder / "t.pt2", "--data", "sample:train,limit=32", "--config", folder / "t.json", "--session", session)
    assert again["value"] == tuned["history"][0]["value"], (again, tuned)
    trials = require(document("trials", session), "trials[].id", "trials[].assignment", "trials[].metric", "trials[].value",
                     "trials[].low", "trials[].high", "trials[].size_bytes", "trials[].bops", "trials[].seed", "trials[].versions")["trials"]
    assert len(trials) == 2 * 27 + 2 and len({trial["id"] for trial in trials}) == len(trials)
    assert trials[-1]["value"] == again["value"]


def test_bench():
    results = require(document("bench", "histogram"), "results[].name", "results[].seconds", "results[].yardstick",
                      "results[].yardstick_seconds", "results[].ratio")["results"]
    for row in results:
        near(row["ratio"], row["seconds"] / row["yardstick_seconds"], 1e-9)


def test_help_and_version():
    assert "quantize" in call("--help").stdout
    assert call("--version").stdout.startswith("bitwright-cli ")
    assert "--method" in call("quantize", "--help").stdout


# The same seed gives the same bytes

def test_same_seed(folder):
    np.save(folder / "x.npy", np.random.default_rng(3).normal(size=(4, 64)).astype(np.float32))
    (folder / "d.json").write_text(json.dumps(W4A4))
    outputs = []
    for name in ("one", "two"):
        made = folder / name
        made.mkdir()
        shutil.copy(folder / "d.json", made / "d.json")
        quantized = document("quantize", folder / "x.npy", "--method", "uniform", "--bits", 3, "--role", "weight", "-o", made)
        document("calibrate", SMALL, "--data", "sample:train,limit=32", "--config", made / "d.json", "-o", made / "c.json")
        tuned = document("finetune", SMALL, "--data", "sample:train,limit=32", "--config", made / "c.json", "--epochs", 1, "--batch",
                         8, "-o", made / "t.pt2", "--config-out", made / "t.json", "--seed", 7)
        document("export", made / "t.pt2", "--config", made / "t.json", "--format", "onnx", "-o", made / "t.onnx")
        files = {path.name: path.read_bytes() for path in sorted(made.iterdir())}
        outputs.append((files, quantized, tuned["history"]))
    assert outputs[0][0].keys() == outputs[1][0].keys() >= {"quantized.npy", "c.json", "t.json", "t.onnx", "t.pt2"}, outputs[0][0].keys()
    for name, content in outputs[0][0].items():
        assert content == outputs[1][0][name], f"{name} differs"
    assert outputs[0][1:] == outputs[1][1:]
    other = document("finetune", SMALL, "--data", "sample:train,limit=32", "--config", folder / "one" / "c.json", "--epochs", 1,
                     "--batch", 8, "-o", folder / "other.pt2", "--seed", 8)
    assert other["history"][0]["loss"] != outputs[0][2][0]["loss"]   # the seed is used


# uniform against NumPy (methods.md A1 and A3)

def reference(x, bits, codes, scale, zero=0):
    low, high = codes
    return (np.clip(np.rint(x / scale) + zero, low, high) - zero) * scale


def asymmetric(lo, hi, bits):
    n = 2**bits - 1
    scale = np.float32((max(hi, 0) - min(lo, 0)) / n)
    zero = np.clip(np.rint(-min(lo, 0) / scale), 0, n)
    return scale, zero, (0, n)


def symmetric(amax, bits):
    top = 2**(bits - 1) - 1
    return np.float32(amax / top), 0, (-top, top)


def best_ratio(x, bits):
    """A3.5, symmetric: the larger ratio wins a tie."""
    errors = {}
    for i in range(100, 0, -1):
        scale, _, codes = symmetric(np.abs(x).max() * i / 100, bits)
        errors[i] = np.sum((x - reference(x, bits, codes, scale))**2, dtype=np.float64)
    return min(errors, key=errors.get) / 100


def uniform_cases(x):
    peak, rest = np.abs(x).max(), x.astype(np.float64)
    laplace = np.abs(rest - rest.mean()).mean()
    yield "weight", 2, {}, symmetric(peak, 2)
    yield "weight", 4, {}, symmetric(peak, 4)
    yield "weight", 8, {}, symmetric(peak, 8)
    yield "weight", 3, {"symmetric": "false"}, asymmetric(x.min(), x.max(), 3)
    yield "activation", 2, {}, asymmetric(x.min(), x.max(), 2)
    yield "activation", 4, {}, asymmetric(x.min(), x.max(), 4)
    yield "activation", 4, {"symmetric": "true", "signed": "true"}, symmetric(peak, 4)
    yield "activation", 4, {"symmetric": "true", "signed": "false"}, (np.float32(x.max() / 15), 0, (0, 15))
    yield "weight", 4, {"range": "scaled", "ratio": 0.5}, symmetric(peak / 2, 4)
    yield "weight", 4, {"range": "percentile", "percentile": 99}, symmetric(np.percentile(np.abs(rest), 99), 4)
    yield "activation", 4, {"range": "percentile", "percentile": 98}, asymmetric(np.percentile(rest, 2), np.percentile(rest, 98), 4)
    yield "weight", 3, {"range": "mse"}, symmetric(peak * best_ratio(x, 3), 3)
    yield "weight", 4, {"range": "aciq"}, symmetric(2.55914 * rest.std(), 4)
    yield "weight", 4, {"range": "aciq", "distribution": "laplace"}, symmetric(5.02864 * laplace, 4)


def test_uniform(folder):
    random = np.random.default_rng(11)
    x, gradient = random.normal(size=(8, 125)).astype(np.float32), random.normal(size=(8, 125)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "g.npy", gradient)
    for role, bits, options, (scale, zero, codes) in uniform_cases(x):
        words = [f"{name}={value}" for name, value in options.items()]
        found = document("quantize", folder / "x.npy", "--method", "uniform", "--bits", bits, "--role", role, "--grad",
                         folder / "g.npy", "-o", folder / "q", *(["--option", *words] if words else []))
        case = (role, bits, options)
        levels = (np.arange(codes[0], codes[1] + 1) - zero) * float(scale)
        wanted = reference(x, bits, codes, scale, zero)
        quantized, passed = np.load(folder / "q" / "quantized.npy"), np.load(folder / "q" / "grad_input.npy")
        assert quantized.dtype == passed.dtype == np.float32 and quantized.shape == passed.shape == x.shape, case
        near(found["parameters"]["scale"], scale)
        assert found["parameters"]["zero_point"] == zero, case
        near(found["levels"], levels)
        near(found["thresholds"], (levels[1:] + levels[:-1]) / 2)
        assert np.abs(quantized - wanted).max() < 1e-5, case
        error = np.mean((x - wanted).astype(np.float64)**2)
        near(found["mse"], error, 1e-4)
        near(found["sqnr_db"], 10 * np.log10(np.mean(x.astype(np.float64)**2) / error), 1e-4)
        inside = (x >= levels[0] - 1e-6) & (x <= levels[-1] + 1e-6)   # both ends pass
        assert np.array_equal(passed, np.where(inside, gradient, 0)), case
        assert found["bits_per_value"] == bits and found["parameter_gradients"] == {}, case
        require(found, "side_information_bits")


def test_uniform_forms(folder):
    w8 = np.array([-1.2, -0.7, -0.3, -0.05, 0.1, 0.4, 0.9, 1.5], np.float32)   # methods.md, W8
    np.save(folder / "w8.npy", w8)
    np.save(folder / "w24.npy", w8.reshape(2, 4))
    quantize = ("quantize", folder / "w8.npy", "--method", "uniform", "--role")
    for role, bits, error, side in (("weight", 2, 0.1503125, 32), ("weight", 3, 0.0190625, 32), ("weight", 8, 1.25744e-5, 32),
                                    ("activation", 2, 0.0603125, 34), ("activation", 4, 0.0027125, 36)):
        found = document(*quantize, role, "--bits", bits)
        near(found["mse"], error, 2e-5)
        assert found["side_information_bits"] == side, found
    full = document(*quantize, "weight", "--bits", 3, "--option", "full_range=true")
    near(full["levels"], np.arange(-4, 4) * full["parameters"]["scale"])
    assert len(document(*quantize, "weight", "--bits", 1, "--option", "full_range=true")["levels"]) == 2
    channel = document("quantize", folder / "w24.npy", "--method", "uniform", "--bits", 4, "--role", "weight", "--option",
                       "granularity=channel")
    near(channel["parameters"]["scale"], [1.2 / 7, 1.5 / 7])
    assert [len(channel["levels"]), len(channel["levels"][0]), len(channel["thresholds"][1])] == [2, 15, 14]
    assert channel["side_information_bits"] == 64
    np.save(folder / "zero.npy", np.zeros(5, np.float32))
    zero = document("quantize", folder / "zero.npy", "--method", "uniform", "--bits", 4, "--role", "weight")
    assert zero["mse"] == 0 and zero["sqnr_db"] is None, zero
    np.save(folder / "dirty.npy", np.array([np.nan, np.inf, -np.inf, 1, -1], np.float32))
    document("quantize", folder / "dirty.npy", "--method", "uniform", "--bits", 4, "--role", "weight")   # no NaN in the JSON


# What is refused

def bad_files(folder):
    model = MODEL.read_bytes()
    (folder / "empty.pt2").write_bytes(b"")
    (folder / "text.pt2").write_text("not a network")
    (folder / "cut.pt2").write_bytes(model[: len(model) // 2])
    np.save(folder / "x.npy", np.zeros((2, 3), np.float32))
    np.save(folder / "g.npy", np.zeros((3, 2), np.float32))
    np.save(folder / "odd.npy", np.zeros((4, 2, 28, 27), np.float32))
    (folder / "cut.npy").write_bytes((folder / "odd.npy").read_bytes()[:-1])
    np.savez(folder / "odd.npz", data=np.zeros(3))
    (folder / "pictures" / "a").mkdir(parents=True)
    (folder / "pictures" / "a" / "1.png").write_bytes(b"")
    for name, changes in {"bits": {"defaults": {"weight": {"method": "uniform", "bits": 99}}},
                          "method": {"defaults": {"weight": {"method": "nonsense", "bits": 4}}},
                          "option": {"defaults": {"weight": {"method": "uniform", "bits": 4, "rang": "mse"}}},
                          "key": {"default": {}}, "layer": {"layers": {"conv99": {"weight": UNIFORM}}},
                          "schema": {"schema": "bitwright/assignment/99"},
                          "activation": {"defaults": {"activation": UNIFORM}}}.items():
        (folder / f"{name}.json").write_text(json.dumps({"schema": "bitwright/assignment/1", **changes}))
    (folder / "broken.json").write_text('{"schema": ')


def bad_calls(folder):
    """Command line, exit code, what the last line names."""
    quantize = ("quantize", folder / "x.npy", "--method", "uniform", "--role", "weight", "--bits")
    evaluate = ("evaluate", MODEL, "--data")
    configured = ("evaluate", MODEL, "--data", "sample:test,limit=4", "--config")
    run = ("run", MODEL, "--output", folder / "y.npy", "--input")
    for name in ("missing.pt2", "empty.pt2", "text.pt2", "cut.pt2", "odd.npz"):
        yield ("inspect", folder / name), 1, name
    yield ("inspect", folder), 1, str(folder)
    yield ("evaluate", folder / "cut.pt2", "--data", "sample:test"), 1, "cut.pt2"
    for spec, named in (("csv:a.csv", "csv"), ("sample:all", "all"), ("sample:test,limit=0", "limit=0"), ("sample:test,limmit=3", "limmit"),
                        (f"npy:{folder}/missing.npy", "missing.npy"),
                        (f"npy:{folder}/cut.npy", "cut.npy"), (f"npz:{folder}/odd.npz", "data"),
                        (f"npy:{folder}/odd.npy", "2×28×27"), (f"npy:{folder}/odd.npy", "1×28×28"), (f"idx:{folder}", str(folder)),
                        (f"images:{folder}/pictures", "decodes no pictures"), ("sample:test,mean=1|2", "mean")):
        yield (*evaluate, spec), 1, named
    for name, named in (("missing", "missing.json"), ("broken", "broken.json"), ("bits", "99"), ("method", "nonsense"), ("option", "rang"),
                        ("key", "default"), ("layer", "conv99"), ("schema", "bitwright/assignment/99"), ("activation", "calibrate")):
        yield (*configured, folder / f"{name}.json"), 1, named
    for words, named in ((("4", "--option", "rang=mse"), "rang"), (("4", "--option", "range=best"), "range"), (("40",), "40 bits"),
                         (("1",), "1 bit"), (("4", "--option", "ratio=nan"), "ratio"), (("4", "--grad", folder / "g.npy"), "g.npy"),
                         (("4", "-o", folder / "x.npy" / "q"), "x.npy")):
        yield (*quantize, *words), 1, named
    yield ("quantize", folder / "x.npy", "--method", "nonsense", "--role", "weight", "--bits", 4), 1, "nonsense"
    yield ("quantize", folder / "cut.npy", "--method", "uniform", "--role", "weight", "--bits", 4), 1, "cut.npy"
    yield (*run, folder / "odd.npy"), 1, "odd.npy"
    yield (*run, folder / "odd.npz"), 1, "odd.npz"
    yield ("stats", MODEL, "--data", "sample:test,limit=4", "--layer", "conv99"), 1, "conv99"
    yield ("export", MODEL, "--format", "onnx", "-o", folder / "no" / "folder.onnx"), 1, "folder.onnx"
    yield ("export", MODEL, "--format", "onnx", "-o", folder), 1, str(folder)
    yield ("verify", folder / "text.pt2", "--against", MODEL, "--data", "sample:test,limit=4"), 1, "text.pt2"
    yield ("trials", folder / "missing.bitwright"), 1, "missing.bitwright"
    yield ("trials", folder / "x.npy"), 1, "x.npy"
    yield ("bench", "nonsense"), 1, "nonsense"
    for device in ("cuda", "cuda:99", "tpu"):
        yield ("inspect", MODEL, "--device", device), 1, device
    yield (), 2, ""
    yield ("nonsense",), 2, "nonsense"
    yield ("inspect", MODEL, "--nonsense"), 2, "--nonsense"
    yield ("evaluate", MODEL), 2, "--data"
    yield (*quantize, "four"), 2, "--bits"
    yield ("quantize", folder / "x.npy", "--method", "uniform", "--bits", 4, "--role", "bias"), 2, "--role"
    yield (*quantize, 4, "--option", "=4"), 2, "--option"
    yield (*quantize, 4, "--option", "range=mse", "range=kl"), 2, "range"
    yield ("export", MODEL, "--format", "gif", "-o", folder / "x.gif"), 2, "--format"
    yield ("stats", MODEL, "--data", "sample:test", "--bins", 0), 2, "--bins"
    yield ("inspect", MODEL, "--seed", -1), 2, "--seed"


def test_refusals(folder):
    bad_files(folder)
    before = sorted(path for path in folder.rglob("*"))
    for words, code, named in bad_calls(folder):
        done = call(*words, "--json", code=code)
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: ") and named in last and "; " in last, (words, last)
        assert done.stdout == "", (words, done.stdout)
        assert "Exception raised from" not in done.stderr and "terminate called" not in done.stderr, done.stderr
    assert sorted(path for path in folder.rglob("*")) == before   # nothing left lying


def test_refused_threads():
    done = subprocess.run([CLI, "methods", "--threads", "0"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and "--threads" in done.stderr.splitlines()[-1], done.stderr


def test_full_disk(folder):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CLI, "methods", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=100)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("error: standard output"), done.stderr
    np.save(folder / "one.npy", np.zeros((1, 1, 28, 28), np.float32))
    last = call("run", MODEL, "--input", folder / "one.npy", "--output", "/dev/full", code=1).stderr.splitlines()[-1]
    assert last.startswith("error: ") and "/dev/full" in last, last


def test_interrupt(folder):
    session = folder / "i.bitwright"
    words = [CLI, "sweep", str(MODEL), "--data", "sample:train", "--bits", "8,7,6,5,4,3,2", "--session", str(session), "--threads", "1", "--json"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    began = time.time()
    while not session.exists() and time.time() - began < 60:
        time.sleep(0.05)
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    out, errors = child.communicate(timeout=60)
    assert child.returncode == 130 and out == "" and errors.splitlines()[-1].startswith("error: interrupted"), (child.returncode, errors)
    document("trials", session)


if __name__ == "__main__":
    tests = [(name, test) for name, test in list(globals().items()) if name.startswith("test_")]
    with tempfile.TemporaryDirectory() as root:
        for name, test in tests:
            began = time.time()
            place = pathlib.Path(root) / name
            place.mkdir()
            test(*[place][: test.__code__.co_argcount])
            print(f"{name}: {time.time() - began:.1f} s", flush=True)
    print(f"{len(tests)} passed, 0 failed")
