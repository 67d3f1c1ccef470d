# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets, policies and methods beside each other by the command line."""
import json
import math
import os
import pathlib
import tempfile

from cli_case import SAMPLES, call, document

MODEL = os.path.join(SAMPLES, "resnet20.pt2")
DATA = "sample:test,limit=64"


def sites(path):
    layers = json.loads(path.read_text())["layers"]
    return {name: (layer["activation"]["method"], layer["activation"].get("bits")) for name, layer in layers.items() if "activation" in layer}


def test_shortcuts(folder):
    layers = document("inspect", MODEL)["layers"]
    assert [layer["name"] for layer in layers if layer["shortcut"]] == ["layer2.0.shortcut.0", "layer3.0.shortcut.0"]


def test_policy(folder):
    assignment = {"defaults": {"weight": {"method": "uniform", "bits": 4}, "activation": {"method": "uniform", "bits": 4}}}
    sizes = {}
    for first_last, shortcut in (("same", "same"), ("8bit", "same"), ("float", "same"), ("8bit", "float")):
        assignment["policy"] = {"first_last": first_last, "shortcut": shortcut}
        (folder / "p.json").write_text(json.dumps(assignment))
        document("calibrate", MODEL, "--data", DATA, "--config", folder / "p.json", "-o", folder / "q.json")
        sizes[first_last, shortcut] = document("evaluate", MODEL, "--data", DATA, "--config", folder / "q.json")["size_bytes"]
        ends = {"same": ("uniform", 4), "8bit": ("uniform", 8), "float": None}[first_last]
        found = sites(folder / "q.json")
        assert found.get("conv1") == ends and found.get("fc") == ends, found
        assert found.get("layer2.0.shortcut.0") == (None if shortcut == "float" else ("uniform", 4))
        assert found["layer1.0.conv1"] == ("uniform", 4)
    # 144 and 640 weights at 4, 8 and 32 bits; float tensors have no scales of 32 bits
    same = sizes["same", "same"]
    assert sizes["8bit", "same"] - same in (392, 393, 394), sizes   # the zero points of two inputs get 4 bits more each
    assert sizes["float", "same"] > sizes["8bit", "same"] and sizes["8bit", "float"] > sizes["8bit", "same"] + 2560 * 3
    assignment["policy"] = {"first_last": "4bit"}
    (folder / "p.json").write_text(json.dumps(assignment))
    refused = call("evaluate", MODEL, "--data", DATA, "--config", folder / "p.json", code=1).stderr
    assert "policy" in refused and "same, 8bit or float" in refused, refused


def test_presets(folder):
    presets = {preset["id"]: preset for preset in document("methods")["presets"]}
    assert len(presets) >= 35 and all(preset["training"] and preset["paper"] for preset in presets.values())
    assert presets["lsq-4-4"]["policy"] == {"first_last": "8bit", "shortcut": "same"}
    assert presets["pact-sawb-2-2"]["policy"] == {"first_last": "float", "shortcut": "float"}
    assert presets["twn-2-32"]["defaults"] == {"weight": {"method": "twn", "bits": 2}}
    document("calibrate", MODEL, "--data", DATA, "--preset", "lsq-4-4", "-o", folder / "l.json")
    assert sites(folder / "l.json")["conv1"] == ("uniform", 8) and sites(folder / "l.json")["layer1.0.conv1"] == ("uniform", 4)
    seen = document("evaluate", MODEL, "--data", DATA, "--preset", "lsq-4-4")
    assert seen["value"] == document("evaluate", MODEL, "--data", DATA, "--config", folder / "l.json")["value"]
    # Masks of an assignment stay under a preset: Deep Compression is both.
    document("prune", MODEL, "--method", "magnitude", "--sparsity", 0.5, "-o", folder / "m.json")
    both = document("evaluate", MODEL, "--data", DATA, "--config", folder / "m.json", "--preset", "kmeans-5-32")
    assert both["size_bytes"] < document("evaluate", MODEL, "--data", DATA, "--preset", "kmeans-5-32")["size_bytes"]
    tuned = document("finetune", MODEL, "--data", "sample:train,limit=64", "--preset", "kmeans-5-32", "--epochs", 1, "-o", folder / "t.pt2")
    assert len(tuned["history"]) == 1
    assert "did you mean \"lsq-4-4\"" in call("evaluate", MODEL, "--data", DATA, "--preset", "lsq-44", code=1).stderr
    call("calibrate", MODEL, "--data", DATA, "-o", folder / "n.json", code=2)


def test_one_layer(folder):
    rows = document("compare", MODEL, "--data", DATA, "--layer", "layer2.0.conv1", "--bits", "2,4")["rows"]
    able = [m["id"] for m in document("methods")["quantizers"] if "weight" in m["roles"] and {2, 4} & set(m["bits"])]
    assert {row["method"] for row in rows} == set(able)
    for row in rows:
        assert row["layer"] == "layer2.0.conv1" and row["role"] == "weight" and row["bits"] in (2, 4)
        if "error" in row:
            assert ";" in row["error"], row
            continue
        assert row["mse"] > 0 and 0 <= row["entropy_bits"] <= math.log2(max(2, row["levels"])) + 1e-9, row
        assert row["size_bits"] > 4608, row
    four = {row["bits"]: row for row in rows if row["method"] == "uniform"}
    assert four[4]["mse"] < four[2]["mse"] and four[4]["sqnr_db"] > four[2]["sqnr_db"]
    assert four[4]["size_bits"] == 4 * 4608 + 32
    both = document("compare", MODEL, "--data", DATA, "--layer", "fc", "--role", "both", "--methods", "uniform", "--bits", "8")["rows"]
    assert [row["role"] for row in both] == ["weight", "activation"] and "size_bits" not in both[1]
    call("compare", MODEL, "--data", DATA, "--layer", "nowhere", code=1)
    call("compare", MODEL, "--data", DATA, "--layer", "fc", "--methods", "unifrom", code=1)
    call("compare", MODEL, "--data", DATA, "--layer", "fc", "--presets", "lsq-4-4", code=2)


def test_whole_network(folder):
    small = str(pathlib.Path(SAMPLES) / "mobilenetv2_small.pt2")
    words = ("compare", small, "--data", "sample:train,limit=64", "--eval-data", DATA, "--methods", "uniform,kmeans", "--bits", "1,4", "--epochs", 1,
             "--session", folder / "c.bitwright")
    found = document(*words)
    rows = found["rows"]
    assert found["metric"] == "top1" and [(row["method"], row["bits"]) for row in rows] == [("uniform", 1), ("uniform", 4), ("kmeans", 1), ("kmeans", 4)]
    assert "one level" in rows[0]["error"] and "value" not in rows[0]
    for row in rows[1:]:
        assert row["samples"] == 64 and 0 <= row["low"] <= row["value"] <= row["high"] <= 1 and 0 <= row["trained_value"] <= 1
    assert rows[1]["size_bytes"] > rows[2]["size_bytes"]
    assert [trial["kind"] for trial in document("trials", folder / "c.bitwright")["trials"]] == ["evaluation", "epoch"] * 3
    assert document(*words[:-2]) == found   # the same numbers again
    float_ends = document("compare", small, "--data", DATA, "--methods", "uniform", "--bits", 4, "--first-last", "float")["rows"]
    assert float_ends[0]["size_bytes"] > rows[1]["size_bytes"]
    papers = document("compare", small, "--data", DATA, "--presets", "lsq-4-4,kmeans-5-32")["rows"]
    assert [row["preset"] for row in papers] == ["lsq-4-4", "kmeans-5-32"] and all("value" in row for row in papers)


def test_table(folder):
    table = call("methods", "--markdown").stdout
    for method in document("methods")["quantizers"]:
        assert f"| [`{method['id']}`]({method['id']}.md) |" in table
    target = folder / "page.md"
    target.write_text("before\n<!-- methods:begin -->\nold\n<!-- methods:end -->\nafter\n")
    call("methods", "--markdown", "--into", target)
    assert target.read_text() == "before\n<!-- methods:begin -->\n" + table + "<!-- methods:end -->\nafter\n"
    target.write_text("nothing\n")
    assert "methods:begin" in call("methods", "--markdown", "--into", target, code=1).stderr
    call("methods", "--short", code=2)


if __name__ == "__main__":
    tests = [test for name, test in list(globals().items()) if name.startswith("test_")]
    with tempfile.TemporaryDirectory() as name:
        for test in tests:
            test(pathlib.Path(name))
    print(f"{len(tests)} passed, 0 failed")
