#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference table of docs/results.md: every method at its usual widths, on two networks, with the same budget.

A row: calibrate, evaluate all test images, fine-tune two epochs of 12,000 training images, evaluate again. Finished rows
are appended to a file at once and not done again, so the script may be stopped and started at will.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

SGD = ["--optimizer", "sgd", "--lr", "0.01"]
ADAM = ["--optimizer", "adam", "--lr", "0.001"]
SLOW = ["--optimizer", "sgd", "--lr", "0.001"]


def uniform(weight, activation, **options):
    spec = {"schema": "bitwright/assignment/1", "defaults": {"weight": {"method": "uniform", "bits": weight, **options}}}
    if activation:
        spec["defaults"]["activation"] = {"method": "uniform", "bits": activation, **options}
    return spec


# What a row trains with; presets name method and widths. In the order of importance.
ROWS = [
    ("float", None, SGD),
    ("uniform-8-8", uniform(8, 8), SGD),
    ("uniform-4-4", uniform(4, 4), SGD),
    ("lsq-4-4", "lsq-4-4", SGD),
    ("binaryconnect-1-32", "binaryconnect-1-32", ADAM),
    ("bnn-1-1", "bnn-1-1", ADAM),
    ("bwn-1-32", "bwn-1-32", ADAM),
    ("xnor-1-1", "xnor-1-1", ADAM),
    ("bireal-1-1", "bireal-1-1", ADAM),
    ("abc-3-3", "abc-3-3", ADAM),
    ("horq-1-2", "horq-1-2", ADAM),
    ("twn-2-32", "twn-2-32", SGD),
    ("ttq-2-32", "ttq-2-32", SGD),
    ("inq-5-32", "inq-5-32", SGD),
    ("apot-4-4", "apot-4-4", SGD),
    ("hwgq-1-2", "hwgq-1-2", ADAM),
    ("dorefa-4-4", "dorefa-4-4", SGD),
    ("wrpn-4-4", "wrpn-4-4", SGD),
    ("balanced-4-4", "balanced-4-4", SGD),
    ("pact-4-4", "pact-4-4", SGD),
    ("pact-sawb-2-2", "pact-sawb-2-2", SGD),
    ("qil-4-4", "qil-4-4", SGD),
    ("kmeans-5-32", "kmeans-5-32", SLOW),
    ("lloyd-3-32", "lloyd-3-32", SGD),
    ("lqnets-2-2", "lqnets-2-2", SGD),
    ("quantnet-2-2", "quantnet-2-2", SLOW),
    ("lab-1-32", "lab-1-32", ADAM),
    ("lat-2-32", "lat-2-32", ADAM),
    ("laq-3-32", "laq-3-32", ADAM),
    ("uniform-2-2", uniform(2, 2), SGD),
    ("lqnets-2-32", "lqnets-2-32", SGD),
    ("quantnet-2-32", "quantnet-2-32", SLOW),
    ("dorefa-1-2", "dorefa-1-2", ADAM),
    ("dorefa-1-2-6", "dorefa-1-2-6", ADAM),
    ("apot-2-2", "apot-2-2", SGD),
    ("qil-2-2", "qil-2-2", SGD),
    ("wrpn-2-2", "wrpn-2-2", SGD),
    ("inq-3-32", "inq-3-32", SGD),
    ("abc-5-5", "abc-5-5", ADAM),
]
NETWORKS = {"resnet20": "ResNet-20", "vgg_small": "VGG-like"}
BEGIN, END = "<!-- method-table:begin -->", "<!-- method-table:end -->"


def run(arguments, command):
    """One command of the program, its JSON."""
    full = [arguments.cli, *command, "--json", "--quiet", "--threads", str(arguments.threads)]
    done = subprocess.run(full, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}")
    return json.loads(done.stdout)


def data(arguments, split, limit=0):
    spec = f"idx:{arguments.data},split={split},mean=0.286,std=0.353"
    return spec + (f",limit={limit}" if limit else "")


def measure(arguments, network, name, assignment, optimizer, seed):
    start = time.time()
    model = str(pathlib.Path(arguments.models) / (network + ".pt"))
    images, tests, epochs = (256, 500, 1) if arguments.quick else (12000, 0, 2)
    row = {"network": network, "row": name, "seed": seed, "quick": arguments.quick}
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "config.json"
        choice = ["--config", str(config)]
        if isinstance(assignment, str):
            choice = ["--preset", assignment]
            config.write_text('{"schema": "bitwright/assignment/1"}')
        else:
            config.write_text(json.dumps(assignment or {"schema": "bitwright/assignment/1"}))
        complete = str(pathlib.Path(folder) / "calibrated.json")
        run(arguments, ["calibrate", model, "--data", data(arguments, "train", 512), *choice, "-o", complete])
        before = run(arguments, ["evaluate", model, "--data", data(arguments, "test", tests), "--config", complete])
        row.update(before=before["value"], size=before["size_bytes"], ratio=before["float_size_bytes"] / before["size_bytes"])
        if name != "float":
            trained = run(arguments, ["finetune", model, "--data", data(arguments, "train", images), "--eval-data", data(arguments, "test", tests),
                                      "--config", complete, "--epochs", str(epochs), "--seed", str(seed), *optimizer,
                                      "-o", str(pathlib.Path(folder) / "out.pt"), "--config-out", str(pathlib.Path(folder) / "out.json")])
            last = trained["history"][-1]
            row.update(after=last["value"], low=last.get("low"), high=last.get("high"), loss=[h["loss"] for h in trained["history"]],
                       size=last["size_bytes"], ratio=before["float_size_bytes"] / last["size_bytes"])
    row["seconds"] = round(time.time() - start, 1)
    return row


def read(path):
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def percent(value):
    return "" if value is None else f"{100 * value:.2f}"


def markdown(rows):
    """One line a method; several seeds as mean and range."""
    rows = [r for r in rows if not r.get("quick")]
    heads = ["| row | " + " | ".join(f"{title}: calibrated | trained | size, kB | ratio" for title in NETWORKS.values()) + " |",
             "| --- | " + " | ".join(["---: | ---: | ---: | ---:"] * len(NETWORKS)) + " |"]
    lines = []
    for name, _, _ in ROWS:
        cells, any_row = [], False
        for network in NETWORKS:
            mine = [r for r in rows if r["row"] == name and r["network"] == network]
            good = [r for r in mine if "error" not in r]
            any_row = any_row or bool(mine)
            if not good:
                cells += ["", mine[0]["error"] if mine else "", "", ""]
                continue
            after = [r["after"] for r in good if r.get("after") is not None]
            text = "" if not after else percent(sum(after) / len(after))
            if len(after) > 1:
                text += f" ({percent(min(after))} to {percent(max(after))}, {len(after)} seeds)"
            cells += [percent(good[0]["before"]), text, f"{good[0]['size'] / 1000:.1f}", f"{good[0]['ratio']:.1f}"]
        if any_row:
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(heads + lines)


def main():
    here = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cli", default=str(here / "build/bin/bitwright-cli"))
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of Fashion-MNIST's idx files")
    parser.add_argument("--models", default=str(here / "sample_models"))
    parser.add_argument("--output", default="method_table.jsonl", help="finished rows, one JSON document a line")
    parser.add_argument("--only", default="", help="rows whose name matches this expression")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--jobs", type=int, default=1, help="rows at a time")
    parser.add_argument("--threads", type=int, default=2, help="threads of each")
    parser.add_argument("--minutes", type=float, default=0, help="start no new row after so long")
    parser.add_argument("--quick", action="store_true", help="a few images, to see that all rows work")
    parser.add_argument("--retry", action="store_true", help="do rows again that ended with an error")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--markdown", metavar="FILE", help="write the table between the markers of this file")
    arguments = parser.parse_args()
    output = pathlib.Path(arguments.output)
    if arguments.list:
        print("\n".join(name for name, _, _ in ROWS))
        return 0
    if arguments.markdown:
        page = pathlib.Path(arguments.markdown)
        text = page.read_text()
        if BEGIN not in text or END not in text:
            sys.exit(f"error: {page}, it has no place for the table; add the lines {BEGIN} and {END}")
        page.write_text(text[:text.index(BEGIN) + len(BEGIN)] + "\n" + markdown(read(output)) + "\n" + text[text.index(END):])
        return 0

    done = {(r["network"], r["row"], r["seed"], r.get("quick", False)) for r in read(output) if not (arguments.retry and "error" in r)}
    start, todo = time.time(), []
    for seed in map(int, arguments.seeds.split(",")):
        for name, assignment, optimizer in ROWS:
            for network in arguments.networks.split(","):
                if re.search(arguments.only, name) and (network, name, seed, arguments.quick) not in done:
                    todo.append((network, name, assignment, optimizer, seed))

    def one(task):
        if arguments.minutes and time.time() - start > 60 * arguments.minutes:
            return
        try:
            row = measure(arguments, *task)
        except (RuntimeError, json.JSONDecodeError) as error:
            row = {"network": task[0], "row": task[1], "seed": task[4], "quick": arguments.quick, "error": str(error)}
        with output.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{row['network']} {row['row']} seed {row['seed']}: "
              + (row["error"] if "error" in row else f"{percent(row['before'])} -> {percent(row.get('after'))} in {row['seconds']} s"), flush=True)

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(one, todo))
    return 0


if __name__ == "__main__":
    sys.exit(main())
