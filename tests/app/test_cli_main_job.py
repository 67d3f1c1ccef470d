# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job by the command line, as a user's script would do it: inspect, calibrate, evaluate, fine-tune, export,
verify; then a kill -9 in the middle of fine-tuning, after which the session opens and holds what was finished."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from cli_case import CLI, SAMPLES, call, document

MODEL = os.path.join(SAMPLES, "mobilenetv2_small.pt2")
W4A4 = {"schema": "bitwright/assignment/1",
        "defaults": {"weight": {"method": "uniform", "bits": 4, "granularity": "channel"},
                     "activation": {"method": "uniform", "bits": 4}}}


def test_main_job(folder):
    assert document("inspect", MODEL)["format"] == "pt2"
    (folder / "a.json").write_text(json.dumps(W4A4))
    missing = call("evaluate", MODEL, "--data", "sample:test,limit=64", "--config", folder / "a.json", code=1)
    assert "calibrate" in missing.stderr.splitlines()[-1] and missing.stderr.splitlines()[-1].startswith("error: ")
    call("calibrate", MODEL, "--data", "sample:train,limit=128", "--config", folder / "a.json", "-o", folder / "b.json")
    before = document("evaluate", MODEL, "--data", "sample:test,limit=256", "--config", folder / "b.json")
    floats = document("evaluate", MODEL, "--data", "sample:test,limit=256")
    assert floats["value"] > before["value"] and floats["size_bytes"] == floats["float_size_bytes"] > 4 * before["size_bytes"]
    tuned = document("finetune", MODEL, "--data", "sample:train,limit=640", "--eval-data", "sample:test,limit=256", "--config",
                     folder / "b.json", "--epochs", 1, "-o", folder / "t.pt2", "--config-out", folder / "c.json")
    after = document("evaluate", folder / "t.pt2", "--data", "sample:test,limit=256", "--config", folder / "c.json")
    assert after["value"] == tuned["history"][-1]["value"], (after, tuned)
    assert after["value"] > before["value"], (after, before)
    call("export", folder / "t.pt2", "--config", folder / "c.json", "--format", "onnx", "-o", folder / "t.onnx")
    seen = document("verify", folder / "t.onnx", "--against", folder / "t.pt2", "--config", folder / "c.json", "--data",
                    "sample:test,limit=128")
    assert seen["runtime"].startswith("ONNX Runtime"), seen
    assert seen["top1_agreement"] >= 0.99, seen


def test_errors():
    assert call("inspect", "no_such.pt2", code=1).stderr.splitlines()[-1].startswith("error: ")
    call("evaluate", MODEL, code=2)
    call("no_such_command", code=2)


def test_prune(folder):
    (folder / "w.json").write_text(json.dumps(W4A4))
    data = "sample:test,limit=128"
    made = document("prune", MODEL, "--method", "magnitude", "--sparsity", 0.5, "--config", folder / "w.json", "-o", folder / "p.json")
    assert all(set(layer) == {"name", "kept", "total"} for layer in made["layers"])
    assert abs(sum(l["kept"] for l in made["layers"]) / sum(l["total"] for l in made["layers"]) - 0.5) < 0.01
    again = document("prune", MODEL, "--method", "random_weight", "--sparsity", 0.5, "--seed", 3, "-o", folder / "q.json")
    first = (folder / "q.json").read_bytes()
    document("prune", MODEL, "--method", "random_weight", "--sparsity", 0.5, "--seed", 3, "-o", folder / "q.json")
    assert first == (folder / "q.json").read_bytes() and again["layers"]
    one = document("prune", MODEL, "--method", "l1", "--sparsity", 0.5, "--layer", "stem.0=0.25", "-o", folder / "l.json")
    assert one["layers"] == [{"name": "stem.0", "kept": 108, "total": 144}], one
    call("calibrate", MODEL, "--data", "sample:train,limit=64", "--config", folder / "p.json", "-o", folder / "pc.json")
    sparse = document("evaluate", MODEL, "--data", data, "--config", folder / "pc.json")
    assert sparse["size_bytes"] == made["size_bytes"] < sparse["float_size_bytes"] / 4
    call("export", MODEL, "--config", folder / "pc.json", "--format", "onnx", "-o", folder / "p.onnx")
    seen = document("verify", folder / "p.onnx", "--against", MODEL, "--config", folder / "pc.json", "--data", "sample:test,limit=64")
    assert seen["top1_agreement"] >= 0.98, seen
    for words, code in ((("--method", "magnitude", "--sparsity", 1), 2), (("--method", "nothing", "--sparsity", 0.5), 1),
                        (("--method", "magnitude", "--sparsity", 0.5, "--layer", "no.such=0.5"), 1),
                        (("--method", "magnitude", "--sparsity", 0.5, "--layer", "stem.0=2"), 2)):
        call("prune", MODEL, *words, "-o", folder / "never.json", code=code)
    assert not (folder / "never.json").exists()


def test_kill(folder):
    (folder / "k.json").write_text(json.dumps(W4A4))
    session = folder / "k.bitwright"
    words = [CLI, "finetune", MODEL, "--data", "sample:train,limit=256", "--config", str(folder / "k.json"), "--epochs", "50", "-o",
             str(folder / "k.pt2"), "--session", str(session), "--threads", "1", "--quiet"]
    child = subprocess.Popen(words)
    began = time.time()
    while time.time() - began < 120:
        time.sleep(0.3)
        assert child.poll() is None, child.returncode
        if session.exists() and subprocess.run([CLI, "trials", str(session), "--json"], capture_output=True).stdout.count(b'"epoch"') >= 4:
            break
    child.send_signal(signal.SIGKILL)
    child.wait()
    trials = document("trials", session)["trials"]
    assert len(trials) >= 2, trials
    assert [t["epoch"] for t in trials] == list(range(1, len(trials) + 1)), trials
    assert all(t["metric"] == "top1" and 0 < t["value"] <= 1 for t in trials)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        test_errors()
        test_main_job(pathlib.Path(name))
        test_prune(pathlib.Path(name))
        test_kill(pathlib.Path(name))
    print("3 passed, 0 failed")
