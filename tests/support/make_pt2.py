#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what is special to .pt2, and files that are no network, into a folder.

    make_pt2.py OUT     NAME.pt2 with NAME.expected (in0…, out0… as make_models.py), and the foreign files
"""
import pathlib
import struct
import sys
import zipfile

import torch
from torch import nn
import torch.nn.functional as F

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from make_models import VggSmall, conv_bn, flat, randomize  # noqa: E402
from make_once import make_once  # noqa: E402


class Views(nn.Module):
    """Writes through views, as code with slice assignment does."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x):
        y = self.fc(x).clone()
        y[:, 0] = 1
        y[:, 2:4] *= 2
        flat_y = y.view(-1)
        flat_y.add_(0.5)
        z = y.transpose(0, 1)
        z.relu_()
        return y + flat_y.view_as(y), z


class Dictionary(nn.Module):
    """Buffers, constants, a tied weight, a non-persistent buffer, sizes that are computed, a dict and a number as results."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight
        self.register_buffer("k", torch.arange(4.0))
        self.register_buffer("hidden", torch.full((4,), 0.25), persistent=False)
        self.c = torch.tensor([1.0, 2.0, 3.0, 4.0])

    def forward(self, x):
        u, v = torch.split(x, 2, dim=1)
        z = self.a(x) + self.b(x) * self.k + self.c + self.hidden
        z = z.view(x.shape[0] // 1, -1) * 3 + torch.tensor(2.0)
        parts = z.chunk(2, dim=1)
        return {"z": z, "list": [u, v, torch.stack(parts)], "mean": z.sum() / (x.shape[0] * 2)}


class Sliced(nn.Module):
    """Weights that are slices of one storage, channels-last weights, and one that is expanded."""

    def __init__(self):
        super().__init__()
        store = torch.randn(3 * 8 * 4)
        self.first = nn.Parameter(store[8:40].view(4, 8).t())
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        self.register_buffer("offset", torch.randn(1).expand(4))

    def forward(self, x):
        return F.linear(self.conv(x).mean((2, 3)) + self.offset, self.first)


class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        self.same = nn.Conv2d(3, 4, 3, padding="same", dilation=2)
        self.even = nn.Conv2d(4, 4, 4, padding="same")
        self.valid = nn.Conv2d(4, 4, 3, padding="valid")

    def forward(self, x):
        return self.valid(self.even(self.same(x)))


class Transposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.up1 = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.up2 = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.bn2 = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 5, bias=False)
        self.bn3 = nn.BatchNorm1d(5)
        self.act = nn.Hardtanh(0.0, 3.0)
        self.last = nn.Linear(5, 2)

    def forward(self, x):
        x = F.relu(self.bn2(self.up2(F.relu(self.bn1(self.up1(x))))))
        return self.last(self.act(self.bn3(self.fc(x.mean((2, 3))))))


class Trained(nn.Module):
    """Exported in training mode: batch norm counts its batches."""

    def __init__(self):
        super().__init__()
        self.body = conv_bn(3, 4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.drop(self.body(x).mean((2, 3))))


class Control(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda y: self.fc(y), lambda y: y - 1, (x,))


@torch.library.custom_op("bitwright_test::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@twice.register_fake
def _(x):
    return torch.empty_like(x)


class Custom(nn.Module):
    def forward(self, x):
        return twice(x) + torch.ops.bitwright_test.twice(x.relu())


def export(model, example, fixed=False, core=False):
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (example,), dynamic_shapes=None if fixed else ({0: batch},))
    return program.run_decompositions() if core else program


#    name: (network, input shape, fixed batch, decomposed to core operators, exported in training mode)
NETWORKS = {
    "views": (Views, (6,), False, False, False),
    "dictionary": (Dictionary, (4,), False, False, False),
    "sliced": (Sliced, (3, 6, 6), False, False, False),
    "padded": (Padded, (3, 9, 9), False, False, False),
    "transposed": (Transposed, (4, 5, 5), False, False, False),
    "trained": (Trained, (3, 6, 6), False, False, True),
    "vgg_core": (VggSmall, (1, 28, 28), False, True, False),
    "transposed_core": (Transposed, (4, 5, 5), False, True, False),
    "dictionary_core": (Dictionary, (4,), False, True, False),
    "views_core": (Views, (6,), False, True, False),
    "fixed": (Trained, (3, 6, 6), True, False, False),
    "control": (Control, (4,), False, False, False),
    "custom": (Custom, (4,), False, False, False),
}


def networks(out):
    for name, (network, shape, fixed, core, training) in NETWORKS.items():
        torch.manual_seed(sum(map(ord, name)))
        model = network()
        randomize(model)
        model.eval()
        x = torch.randn(12, *shape)
        with torch.no_grad():
            answers = flat(list(model(x).values()) if isinstance(model(x), dict) else model(x))
        values = {"in0": x} | {f"out{i}": y.contiguous() for i, y in enumerate(answers)}
        torch.save(values, out / f"{name}.expected")
        model.train(training)
        torch.export.save(export(model, x[:5], fixed, core), str(out / f"{name}.pt2"))


def foreign(out):
    model = VggSmall().eval()
    torch.save(model.state_dict(), out / "state_dict.pth")
    torch.save(model.state_dict(), out / "legacy.pth", _use_new_zipfile_serialization=False)
    (out / "empty.pt2").write_bytes(b"")
    (out / "random.pt2").write_bytes(bytes((i * 7919 >> 3) & 255 for i in range(5000)))
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    (out / "weights.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with zipfile.ZipFile(out / "pictures.zip", "w") as archive:
        archive.writestr("a/readme.txt", "nothing")
    with zipfile.ZipFile(out / "older.pt2", "w") as archive:
        for name in ("serialized_exported_program.json", "serialized_state_dict.pt", "version"):
            archive.writestr("older/" + name, "{}")
        archive.writestr("older/.data/version", "3")
    with zipfile.ZipFile(out / "compiled.pt2", "w") as archive:
        archive.writestr("compiled/archive_format", "pt2")
        archive.writestr("compiled/data/aotinductor/model/main.so", "ELF")
        archive.writestr("compiled/.data/version", "3")
        archive.writestr("compiled/version", "3")
    (out / "folder.pt2").mkdir(exist_ok=True)


if __name__ == "__main__":
    sys.exit(make_once(__file__, networks, foreign))
