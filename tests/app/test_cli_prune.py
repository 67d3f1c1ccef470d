# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets, criteria with data, sensitivity and repairs by the command line."""
import json
import os
import pathlib
import tempfile

from cli_case import SAMPLES, call, document

MODEL = os.path.join(SAMPLES, "resnet20.pt2")


def test_targets(folder):
    for target, method in (("size", "magnitude"), ("bops", "l1")):
        made = document("prune", MODEL, "--method", method, "--sparsity", 0.5, "--target", target, "-o", folder / "t.json")
        assert made["target"] == target and made["wanted"] == 0.5 and 0.5 <= made["achieved"] < 0.56, made
        seen = document("evaluate", MODEL, "--data", "sample:test,limit=16", "--config", folder / "t.json")
        key = "size_bytes" if target == "size" else "bops"
        whole = document("evaluate", MODEL, "--data", "sample:test,limit=16")[key]
        assert abs(1 - seen[key] / whole - made["achieved"]) < 1e-3, (seen, whole, made)
    never = call("prune", MODEL, "--method", "magnitude", "--sparsity", 0.5, "--target", "bops", "-o", folder / "never.json", code=1)
    assert "at most 0 % of the BOPs" in never.stderr and not (folder / "never.json").exists()


def test_criteria_with_data(folder):
    for method in ("taylor", "taylor_weight", "apoz"):
        words = ("prune", MODEL, "--method", method, "--sparsity", 0.3, "-o", folder / "d.json")
        assert "--data" in call(*words, code=1).stderr.splitlines()[-1]
        first = document(*words, "--data", "sample:train,limit=64")
        kept = (folder / "d.json").read_bytes()
        assert 0.2 < first["sparsity"] < 0.4, first["sparsity"]
        document(*words, "--data", "sample:train,limit=64")
        assert kept == (folder / "d.json").read_bytes()
    call("prune", MODEL, "--method", "taylor", "--sparsity", 0.3, "--option", "form=cubic", "-o", folder / "e.json", code=1)


def test_methods(folder):
    rows = {row["id"]: row for row in document("methods")["pruners"]}
    assert {name for name, row in rows.items() if row["needs_data"]} == {"taylor", "taylor_weight", "apoz"}
    assert {name for name, row in rows.items() if row["structured"]} == {"l1", "l2", "slimming", "median", "taylor", "apoz", "random"}
    assert all("pattern" in [o["name"] for o in rows[name]["options"]] for name in ("magnitude", "quality", "taylor_weight", "random_weight"))


def test_patterns(folder):
    document("prune", MODEL, "--method", "magnitude", "--sparsity", 0.5, "--option", "pattern=kernel", "-o", folder / "k.json")
    layers = json.loads((folder / "k.json").read_text())["layers"]
    assert layers and all(layer["prune"]["options"]["pattern"] == "kernel" if "options" in layer["prune"] else layer["prune"]["pattern"] == "kernel"
                          for layer in layers.values())


def test_sensitivity(folder):
    seen = document("sweep", MODEL, "--data", "sample:test,limit=32", "--prune", "magnitude", "--sparsities", "0.5,0.9", "--session",
                    folder / "s.bitwright")
    points = seen["points"]
    assert len(points) == 2 * 22 and {p["sparsity"] for p in points} == {0.5, 0.9}
    assert all(set(p) >= {"layer", "sparsity", "value", "delta", "sqnr_db", "size_bytes"} for p in points)
    assert len(document("trials", folder / "s.bitwright")["trials"]) == len(points)
    call("sweep", MODEL, "--data", "sample:test,limit=32", "--prune", "nothing", code=1)
    call("sweep", MODEL, "--data", "sample:test,limit=32", "--option", "pattern=row", code=2)


def test_repairs(folder):
    data = "sample:test,limit=512"
    document("prune", MODEL, "--method", "l1", "--sparsity", 0.2, "-o", folder / "r.json")
    before = document("evaluate", MODEL, "--data", data, "--config", folder / "r.json")["value"]
    made = document("correct", MODEL, "--data", "sample:train,limit=512", "--config", folder / "r.json", "--step", "batch_norm", "-o",
                    folder / "r.pt2")
    assert made["step"] == "batch_norm" and len(made["changed"]) == 42, made   # mean and variance of 21 batch norms
    after = document("evaluate", folder / "r.pt2", "--data", data, "--config", folder / "r.json")["value"]
    assert after > before + 0.2, (before, after)
    made = document("correct", MODEL, "--data", "sample:train,limit=64", "--config", folder / "r.json", "--step", "bias", "-o",
                    folder / "b.pt2", "--config-out", folder / "b.json")
    assert len(made["changed"]) == 22 and made["notes"] == []
    assert document("evaluate", folder / "b.pt2", "--data", data, "--config", folder / "b.json")["samples"] == 512
    call("correct", MODEL, "--data", "sample:train,limit=64", "--config", folder / "r.json", "--step", "bias", "-o", MODEL, code=1)
    call("correct", MODEL, "--data", "sample:train,limit=64", "--config", folder / "r.json", "--step", "all", "-o", folder / "n.pt2", code=2)


if __name__ == "__main__":
    tests = [test for name, test in list(globals().items()) if name.startswith("test_")]
    with tempfile.TemporaryDirectory() as name:
        for test in tests:
            test(pathlib.Path(name))
    print(f"{len(tests)} passed, 0 failed")
