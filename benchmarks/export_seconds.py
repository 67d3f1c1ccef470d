#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds of export and verify of ResNet-20 at 4 bits (weights per channel, inputs), format by format, as whole commands.

    python3 benchmarks/export_seconds.py --cli build/bin/bitwright-cli [--rounds N]

Verify runs the 2,000-image subset through the file's own runtime where it is installed. The table has medians.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile

from real_networks import cli, last

FORMATS = {"onnx": "onnx", "torchscript": "pt", "pt2": "pt2", "pack": "pack", "state_dict": "pth"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cli", required=True)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    model = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sample_models", "resnet20.pt2")

    def timed(*arguments):
        done, seconds = cli([options.cli, *arguments, "--quiet"])
        if done.returncode:
            sys.exit(last(done.stderr))
        return done.stdout, seconds

    with tempfile.TemporaryDirectory() as folder:
        plain, filled = os.path.join(folder, "a.json"), os.path.join(folder, "b.json")
        with open(plain, "w", encoding="utf-8") as file:
            json.dump({"schema": "bitwright/assignment/1", "defaults": {
                "weight": {"method": "uniform", "bits": 4, "granularity": "channel"},
                "activation": {"method": "uniform", "bits": 4}}}, file)
        timed("calibrate", model, "--data", "sample:train", "--config", plain, "-o", filled)
        print("| format | bytes | export, s | verify, s | read by | differing levels | largest difference | top-1 agreement |\n"
              "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |", flush=True)
        for name, suffix in FORMATS.items():
            target = os.path.join(folder, "out." + suffix)
            exported, verified = [], []
            for _ in range(options.rounds):
                written, seconds = timed("export", model, "--config", filled, "--format", name, "-o", target, "--json")
                exported.append(seconds)
                checked, seconds = timed("verify", target, "--against", model, "--config", filled, "--data", "sample:test", "--json")
                verified.append(seconds)
            seen = json.loads(checked)
            print(f"| {name} | {json.loads(written)['bytes']:,} | {statistics.median(exported):.2f} | {statistics.median(verified):.1f} | "
                  f"{seen['runtime']} | {seen['differing_levels']} | {seen['max_abs_difference']:.2g} | {seen['top1_agreement']} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
