#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trains the sample networks on Fashion-MNIST and writes them as .pt2 and TorchScript.

    make_samples.py train resnet20          # checkpoint after each epoch, resumes by itself
    make_samples.py export                  # writes the files of every trained network
    make_samples.py data                    # writes the 2,000 + 2,000 image subset

Needs PyTorch 2.13 and the Debian package dataset-fashion-mnist (or --dataset DIR).
Weights in training go to --work (default: build/samples), never into the source tree.
"""
import argparse
import gzip
import io
import json
import os
import pathlib
import time

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
MEAN, STD = 0.2860, 0.3530
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


# ---------------------------------------------------------------- networks
class VggSmall(nn.Module):
    """Six 3x3 convolutions with batch norm, three poolings, two linear layers."""

    def __init__(self):
        super().__init__()
        layers, width = [], 1
        for stage in ((24, 24), (48, 48), (96, 96)):
            for out in stage:
                layers += [nn.Conv2d(width, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
                width = out
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(96 * 9, 192), nn.ReLU(inplace=True), nn.Dropout(0.2),
                                        nn.Linear(192, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False),
                                          nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet20(nn.Module):
    """The CIFAR network of He et al. 2016, section 4.2, n = 3, with projection shortcuts, one input channel."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        width = 16
        for stage, out in enumerate((16, 32, 64), start=1):
            blocks = []
            for index in range(3):
                blocks.append(BasicBlock(width, out, 2 if stage > 1 and index == 0 else 1))
                width = out
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(torch.flatten(x, 1))


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden = inputs * expand
        self.use_skip = stride == 1 and inputs == outputs
        self.expand = nn.Sequential(nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(hidden, hidden, 3, stride=stride, padding=1, groups=hidden, bias=False),
                                       nn.BatchNorm2d(hidden), nn.ReLU6())
        self.project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.use_skip else y


class MobileNetV2Small(nn.Module):
    """Inverted residuals of Sandler et al. 2018 for 28x28 input."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        blocks, width = [], 16
        for outputs, stride, expand in ((16, 2, 2), (16, 1, 4), (24, 2, 4), (24, 1, 4), (32, 1, 4), (32, 1, 4), (48, 2, 4),
                                        (48, 1, 4)):
            blocks.append(InvertedResidual(width, outputs, stride, expand))
            width = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Sequential(nn.Conv2d(width, 160, 1, bias=False), nn.BatchNorm2d(160), nn.ReLU6())
        self.fc = nn.Linear(160, 10)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = F.adaptive_avg_pool2d(self.head(x), 1)
        return self.fc(x.flatten(1))


#        name         network, epochs, learning rate, TorchScript kind, title
SAMPLES = {
    "resnet20": (ResNet20, 10, 0.2, "script", "ResNet-20"),
    "vgg_small": (VggSmall, 8, 0.1, "trace", "VGG-like with batch norm"),
    "mobilenetv2_small": (MobileNetV2Small, 11, 0.2, "script", "MobileNetV2-like, depthwise"),
}


# ---------------------------------------------------------------- data
def find_dataset(given):
    if given:
        return pathlib.Path(given)
    for folder in os.environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":"):
        path = pathlib.Path(folder) / "datasets" / "fashion-mnist"
        if path.is_dir():
            return path
    raise SystemExit("error: Fashion-MNIST not found; install dataset-fashion-mnist or give --dataset DIR")


def read_idx(folder, stem):
    for path in (folder / stem, folder / (stem + ".gz")):
        if path.exists():
            data = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
            dims = data[3]
            shape = np.frombuffer(data, ">i4", dims, 4)
            return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)
    raise SystemExit(f"error: {stem} missing in {folder}")


def load(folder, split):
    prefix = "train" if split == "train" else "t10k"
    images = read_idx(folder, f"{prefix}-images-idx3-ubyte")
    labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte")
    x = torch.from_numpy(images.copy()).float().div_(255).sub_(MEAN).div_(STD).unsqueeze(1)
    return x, torch.from_numpy(labels.copy()).long()


def augment(x):
    """Shift by up to two pixels, the same for the batch, and flip half of it."""
    dy, dx = (int(v) for v in torch.randint(0, 5, (2,)))
    x = F.pad(x, (2, 2, 2, 2), value=-MEAN / STD)[:, :, dy:dy + 28, dx:dx + 28]
    flip = torch.rand(x.shape[0]) < 0.5
    return torch.where(flip[:, None, None, None], x.flip(3), x)


# ---------------------------------------------------------------- training
@torch.no_grad()
def accuracy(model, x, y):
    model.eval()
    return float(sum((model(x[i:i + 500]).argmax(1) == y[i:i + 500]).sum() for i in range(0, len(x), 500))) / len(x)


def train(name, work, folder, epochs, seed=0):
    network, default_epochs, rate, _, _ = SAMPLES[name]
    epochs = default_epochs if epochs is None else epochs
    torch.manual_seed(seed)
    model = network().to(memory_format=torch.channels_last)
    x, y = load(folder, "train")
    tx, ty = load(folder, "test")
    batch, steps = 128, len(x) // 128
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, epochs * steps, pct_start=0.25)
    state_path, start = work / f"{name}.ckpt", 0
    if state_path.exists():
        state = torch.load(state_path, weights_only=True)
        if state["epochs"] == epochs:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            start = state["epoch"]
    for epoch in range(start, epochs):
        model.train()
        began, total = time.time(), 0.0
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed * 1000 + epoch))
        for step in range(steps):
            take = order[step * batch:(step + 1) * batch]
            loss = F.cross_entropy(model(augment(x[take]).to(memory_format=torch.channels_last)), y[take])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        value = accuracy(model, tx, ty)
        print(f"{name} epoch {epoch + 1}/{epochs} loss {total / steps:.4f} test {value:.4f} {time.time() - began:.0f} s",
              flush=True)
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
                    "epoch": epoch + 1, "epochs": epochs}, state_path)


# ---------------------------------------------------------------- export
def rewrite(source, target, change):
    """Copies a PyTorch archive record by record; change(name, bytes) returns new bytes or None to drop the record."""
    reader = torch._C.PyTorchFileReader(str(source))
    writer = torch._C.PyTorchFileWriter(str(target))
    for name in reader.get_all_records():
        if name == ".data/serialization_id" or (name == "version" and not name.startswith("archive")):
            continue
        data = change(name, reader.get_record(name))
        if data is not None:
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()


def without_paths(name, data):
    """Drops what names this machine or carries the example input: stack traces, debug records, sample inputs."""
    if name.endswith(".debug_pkl"):
        return None
    if name.startswith("data/sample_inputs/"):   # the record has to be there; a view would carry its whole storage
        buffer = io.BytesIO()
        torch.save(((torch.zeros(1, 1, 28, 28),), {}), buffer)
        return buffer.getvalue()
    if name.startswith("models/") and name.endswith(".json"):
        document = json.loads(data)

        def strip(value):
            if isinstance(value, dict):
                value.pop("stack_trace", None)
                value.pop("torch_fn", None)
                for item in value.values():
                    strip(item)
            elif isinstance(value, list):
                for item in value:
                    strip(item)

        strip(document)
        return json.dumps(document, separators=(",", ":")).encode()
    return data


def export(name, work, folder, out):
    network, _, _, kind, title = SAMPLES[name]
    model = network()
    state = torch.load(work / f"{name}.ckpt", weights_only=True)
    model.load_state_dict({key: value.contiguous() for key, value in state["model"].items()})
    model.eval()
    tx, ty = load(folder, "test")
    value = accuracy(model, tx, ty)
    example = tx[:2].clone()
    program = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},))
    raw = work / f"{name}.raw"
    torch.export.save(program, str(raw) + ".pt2")
    rewrite(str(raw) + ".pt2", out / f"{name}.pt2", without_paths)
    scripted = torch.jit.trace(model, example) if kind == "trace" else torch.jit.script(model)
    torch.jit.save(scripted, str(raw) + ".pt")
    rewrite(str(raw) + ".pt", out / f"{name}.pt", without_paths)
    with torch.no_grad():
        logits = model(tx[:4])
        for path in (f"{name}.pt2", f"{name}.pt"):
            again = torch.export.load(out / path).module() if path.endswith("2") else torch.jit.load(out / path)
            worst = float((again(tx[:4]) - logits).abs().max())
            assert worst < 1e-4, (path, worst)
    side = {
        "schema": "bitwright/sample/1", "name": name, "title": title, "torchscript": kind,
        "input": {"shape": [1, 28, 28], "scale": 1 / 255, "mean": [MEAN], "std": [STD]}, "classes": CLASSES,
        "data": "Fashion-MNIST", "float_top1": value, "test_images": len(tx),
        "parameters": sum(p.numel() for p in model.parameters()),
        "training": {"epochs": state["epoch"], "optimizer": "SGD, one cycle, momentum 0.9, weight decay 5e-4",
                     "batch": 128},
        "expected": [{"index": i, "label": int(ty[i]), "logits": [round(float(v), 6) for v in logits[i]]} for i in range(4)],
    }
    (out / f"{name}.json").write_text(json.dumps(side, indent=1) + "\n")
    print(f"{name}: {value:.4f}, " + ", ".join(f"{p.name} {p.stat().st_size} bytes" for p in sorted(out.glob(name + ".*"))))


def write_subset(folder, out, count=2000):
    out.mkdir(parents=True, exist_ok=True)
    for prefix in ("train", "t10k"):
        for stem in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"):
            part = read_idx(folder, stem)[:count]
            head = bytes([0, 0, 8, part.ndim]) + np.array(part.shape, ">i4").tobytes()
            buffer = io.BytesIO()
            with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=9) as packed:
                packed.write(head + part.tobytes())
            (out / f"{stem}.gz").write_bytes(buffer.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "export", "data"])
    parser.add_argument("names", nargs="*", help="sample names; default all")
    parser.add_argument("--work", type=pathlib.Path, default=HERE.parent / "build" / "samples")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    parser.add_argument("--dataset")
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folder = find_dataset(options.dataset)
    if options.command == "data":
        return write_subset(folder, options.out / "data")
    for name in options.names or SAMPLES:
        if options.command == "train":
            train(name, options.work, folder, options.epochs)
        else:
            export(name, options.work, folder, options.out)


if __name__ == "__main__":
    main()
