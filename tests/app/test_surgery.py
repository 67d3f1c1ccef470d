# SPDX-License-Identifier: GPL-3.0-or-later
"""Structured pruning and surgery by the command line, judged by PyTorch: the smaller file opens with torch.export.load and
answers what the masked network answers, on the sample networks in both formats and on other topologies."""
import json
import pathlib
import tempfile

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from cli_case import SAMPLES as FOLDER, call, document

SAMPLES = pathlib.Path(FOLDER)


class PreActivation(nn.Module):
    """Batch norms behind the additions: the skip carries the channels of four layers."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"n1": nn.BatchNorm2d(8), "c1": nn.Conv2d(8, 12, 3, padding=1, bias=False),
                           "n2": nn.BatchNorm2d(12), "c2": nn.Conv2d(12, 8, 3, padding=1)}) for _ in range(3))
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        for b in self.blocks:
            x = x + b["c2"](F.relu(b["n2"](b["c1"](F.relu(b["n1"](x))))))
        return self.head(F.relu(self.norm(x)).mean((2, 3)))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(8 + 6 * i), nn.ReLU(), nn.Conv2d(8 + 6 * i, 6, 3, padding=1, bias=False)) for i in range(3))
        self.squeeze, self.head = nn.Conv2d(26, 10, 1), nn.Linear(10 * 4, 5)

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.head(torch.flatten(F.adaptive_avg_pool2d(F.relu(self.squeeze(x)), 2), 1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1, self.d2, self.d3 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 12, 3, padding=1), nn.Conv2d(12, 16, 3, padding=1)
        self.u2, self.u1 = nn.ConvTranspose2d(16, 12, 2, stride=2), nn.ConvTranspose2d(12, 6, 2, stride=2)
        self.c2, self.c1, self.out = nn.Conv2d(24, 12, 3, padding=1), nn.Conv2d(12, 6, 3, padding=1), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        a = F.relu(self.d1(x))
        b = F.relu(self.d2(F.max_pool2d(a, 2)))
        c = F.relu(self.d3(F.max_pool2d(b, 2)))
        x = F.relu(self.c2(torch.cat([self.u2(c), b], 1)))
        x = F.relu(self.c1(torch.cat([self.u1(x), a], 1)))
        return self.out(x)


class Grouped(nn.Module):
    """Grouped and depthwise convolutions with a channel shuffle between them, and a gate."""

    def __init__(self):
        super().__init__()
        self.a, self.g1, self.g2 = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 32, 3, padding=1, groups=4), nn.Conv2d(32, 16, 1, groups=4)
        self.dw, self.bn = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16)
        self.s1, self.s2 = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.g1(F.relu(self.a(x))))
        n, c, h, w = x.shape
        x = x.view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.silu(self.bn(self.dw(self.g2(x))))
        x = x * torch.sigmoid(self.s2(F.relu(self.s1(x.mean((2, 3), keepdim=True)))))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Attention(nn.Module):
    """A transformer block: heads of one projection, and a feed-forward pair. The stream itself is normalized and stays."""

    def __init__(self):
        super().__init__()
        self.embed, self.n1, self.qkv, self.proj = nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 48), nn.Linear(16, 16)
        self.n2, self.up, self.down, self.head = nn.LayerNorm(16), nn.Linear(16, 40), nn.Linear(40, 16), nn.Linear(16, 5)

    def forward(self, x):
        x = self.embed(x)
        n, t, c = x.shape
        q, k, v = self.qkv(self.n1(x)).view(n, t, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        a = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(a.transpose(1, 2).reshape(n, t, c))
        x = x + self.down(F.gelu(self.up(self.n2(x))))
        return self.head(x.mean(1))


class Chunks(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(12, 8, 3)
        self.up, self.out = nn.Conv2d(8, 16, 1), nn.Linear(4 * 12 * 12, 5)

    def forward(self, x):
        left, right = F.relu(self.a(x)).chunk(2, 1)
        x = F.hardswish(self.c(torch.cat([left, self.b(right)], 1)))
        return self.out(F.pixel_shuffle(self.up(x), 2)[:, :, :12, :12].flatten(1))


TOPOLOGIES = [(PreActivation, (3, 8, 8)), (Dense, (3, 8, 8)), (UNet, (3, 8, 8)), (Grouped, (3, 8, 8)), (Attention, (7, 6)),
              (Chunks, (3, 8, 8))]


def save(make, shape, folder):
    torch.manual_seed(3)
    model = make().eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3), module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5), module.bias.normal_(0, 0.3)
    example = torch.randn(2, *shape)
    exported = torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(exported, folder / "m.pt2")
    torch.jit.trace(model, example).save(folder / "m.pt")
    return [folder / "m.pt2", folder / "m.pt"]


def check(model, shape, folder, name, least_removed=0.2):
    """Prunes, cuts, and compares with the masked network; gives the share of parameters that went."""
    made = document("prune", model, "--method", "l1", "--sparsity", 0.4, "--apply-to", folder / "cut.pt2", "-o", folder / "masks.json")
    x = torch.randn(5, *shape)
    np.save(folder / "x.npy", x.numpy())
    call("run", model, "--input", folder / "x.npy", "--output", folder / "masked.npy", "--config", folder / "masks.json")
    call("run", folder / "cut.pt2", "--input", folder / "x.npy", "--output", folder / "cut.npy")
    masked, cut = np.load(folder / "masked.npy"), np.load(folder / "cut.npy")
    in_python = torch.export.load(folder / "cut.pt2").module()(x).detach().numpy()
    scale = max(1.0, np.abs(masked).max())
    assert np.abs(masked - cut).max() <= 1e-5 * scale, (name, np.abs(masked - cut).max())
    assert np.abs(masked - in_python).max() <= 1e-5 * scale, (name, np.abs(masked - in_python).max())
    before, after = document("inspect", model), document("inspect", folder / "cut.pt2")
    gone = 1 - after["parameters"] / before["parameters"]
    assert gone >= least_removed, (name, gone, made)
    assert after["inputs"][0]["shape"][1:] == before["inputs"][0]["shape"][1:], (name, after["inputs"])
    return gone


def test_topologies(folder):
    for make, shape in TOPOLOGIES:
        for model in save(make, shape, folder):
            check(model, shape, folder, f"{make.__name__} {model.suffix}")


def test_samples(folder):
    for sample in ("resnet20", "vgg_small", "mobilenetv2_small"):
        for suffix in (".pt2", ".pt"):
            check(SAMPLES / (sample + suffix), (1, 28, 28), folder, sample + suffix, 0.4)


def test_masked_as_pytorch_would(folder):
    """The masks by themselves, applied in PyTorch to weight, bias, gamma and beta, give what the smaller network answers."""
    model = save(PreActivation, (3, 8, 8), folder)[0]
    check(model, (3, 8, 8), folder, "masks")
    import base64
    program = torch.export.load(model)
    state = {k: v.clone() for k, v in program.state_dict.items()}
    norms = {"stem": ["blocks.0.n1", "blocks.1.n1", "blocks.2.n1", "norm"]}
    norms |= {f"blocks.{i}.c1": [f"blocks.{i}.n2"] for i in range(3)}
    for name, layer in json.loads((folder / "masks.json").read_text())["layers"].items():
        weight = state[name + ".weight"]
        bits = np.unpackbits(np.frombuffer(base64.b64decode(layer["prune"]["mask"]["bitmap"]), np.uint8), bitorder="little")[:weight.numel()]
        kept = torch.from_numpy(bits.astype(np.float32)).reshape(weight.shape)
        weight *= kept
        alive = (kept.flatten(1).sum(1) > 0).float()
        for other in [name + ".bias"] + [n + part for n in norms.get(name, []) for part in (".weight", ".bias")]:
            if other in state:
                state[other] *= alive
    x = torch.from_numpy(np.load(folder / "x.npy"))
    masked = PreActivation().eval()
    masked.load_state_dict({k: v for k, v in state.items() if k in masked.state_dict()}, strict=False)
    assert np.abs(masked(x).detach().numpy() - np.load(folder / "cut.npy")).max() < 1e-5


def test_goes_on_as_an_ordinary_model(folder):
    model = SAMPLES / "resnet20.pt2"
    w4a4 = {"schema": "bitwright/assignment/1", "defaults": {"weight": {"method": "uniform", "bits": 4, "granularity": "channel"},
                                                             "activation": {"method": "uniform", "bits": 4}}}
    (folder / "w.json").write_text(json.dumps(w4a4))
    call("prune", model, "--method", "l2", "--sparsity", 0.5, "--config", folder / "w.json", "-o", folder / "p.json")
    data = "sample:test,limit=64"
    call("calibrate", model, "--data", data, "--config", folder / "p.json", "-o", folder / "c.json")
    masked = document("evaluate", model, "--data", data, "--config", folder / "c.json")
    cut = document("surgery", model, "--config", folder / "c.json", "-o", folder / "small.pt2", "--config-out", folder / "s.json")
    assert cut["parameters"] < 0.35 * cut["float_parameters"] and cut["macs"] < 0.4 * cut["float_macs"]
    small = document("evaluate", folder / "small.pt2", "--data", data, "--config", folder / "s.json")
    assert abs(small["value"] - masked["value"]) < 0.04, (small, masked)
    call("finetune", folder / "small.pt2", "--data", "sample:train,limit=128", "--config", folder / "s.json", "--epochs", 1, "-o",
         folder / "tuned.pt2", "--config-out", folder / "t.json")
    assert torch.export.load(folder / "tuned.pt2").module()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    call("export", folder / "tuned.pt2", "--config", folder / "t.json", "--format", "onnx", "-o", folder / "t.onnx")
    seen = document("verify", folder / "t.onnx", "--against", folder / "tuned.pt2", "--config", folder / "t.json", "--data", data)
    assert seen["top1_agreement"] >= 0.98, seen


def test_refusals(folder):
    model = SAMPLES / "resnet20.pt2"
    head = call("prune", model, "--method", "l1", "--sparsity", 0.5, "--layer", "fc=0.5", "-o", folder / "x.json", code=1)
    assert "what the network answers" in head.stderr.splitlines()[-1], head.stderr
    call("prune", model, "--method", "magnitude", "--sparsity", 0.5, "-o", folder / "x.json")
    nothing = call("surgery", model, "--config", folder / "x.json", "-o", folder / "y.pt2", code=1)
    assert "nothing to remove" in nothing.stderr.splitlines()[-1]
    one = document("prune", model, "--method", "l1", "--sparsity", 0, "--layer", "layer1.0.conv2=0.5", "-o", folder / "x.json")
    kept = {layer["name"]: layer["kept"] / layer["total"] for layer in one["layers"]}
    assert kept == dict.fromkeys(["conv1", "layer1.0.conv2", "layer1.1.conv2", "layer1.2.conv2"], 0.5), kept   # the skip's group


def main():
    for test in [value for name, value in sorted(globals().items()) if name.startswith("test_")]:
        with tempfile.TemporaryDirectory() as folder:
            test(pathlib.Path(folder))
            print(test.__name__, "passed", flush=True)


if __name__ == "__main__":
    main()
