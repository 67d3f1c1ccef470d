#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes small networks of many shapes, each as TorchScript (scripted and traced) and .pt2, with PyTorch's own answers.

    make_models.py OUT [NAME…]      NAME.script.pt, NAME.trace.pt, NAME.pt2 and NAME.expected in OUT; what is there stays
    make_models.py --list

NAME.expected is torch.save of a dict of tensors:
    in0, in1 …      inputs, batch 64              out0, out1 …   outputs of the whole batch in eval mode, flattened in order
    cot0 …          cotangents for batch 3        grad/NAME      d sum(out_i[:3] * cot_i) / d parameter, eval mode
    train0 …        outputs for in[:8] in train mode (networks without dropout only), buffer/NAME the buffers afterwards
"""
import hashlib
import math
import fcntl
import pathlib
import sys
import warnings
from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "sample_models"))
sys.dont_write_bytecode = True
from make_samples import MobileNetV2Small, ResNet20, VggSmall  # noqa: E402


def conv_bn(inputs, outputs, **options):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, **options), nn.BatchNorm2d(outputs),
                         nn.ReLU(inplace=True))


class Functional(nn.Module):
    """Functional calls on parameters of its own, flags from self.training."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 3, 3, 3) * 0.2)
        self.bias = nn.Parameter(torch.randn(6) * 0.1)
        self.gamma = nn.Parameter(torch.rand(6) + 0.5)
        self.beta = nn.Parameter(torch.randn(6) * 0.1)
        self.register_buffer("mean", torch.randn(6) * 0.1)
        self.register_buffer("var", torch.rand(6) + 0.5)
        self.out = nn.Parameter(torch.randn(10, 6 * 16) * 0.1)

    def forward(self, x):
        x = F.conv2d(x, self.weight, self.bias, stride=2, padding=1)
        x = F.batch_norm(x, self.mean, self.var, self.gamma, self.beta, training=self.training, momentum=0.1)
        x = F.relu(x, inplace=True)
        x = F.dropout(F.max_pool2d(x, 2), 0.3, self.training)
        return F.linear(x.flatten(1), self.out)


class Concat(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 1)
        self.b = nn.Conv2d(3, 5, 3, padding=1)
        self.c = nn.Conv2d(9, 6, 1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        y = torch.cat([self.a(x), self.b(x)], dim=1)
        return self.fc(self.c(y).mean((2, 3)))


class TupleOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = conv_bn(3, 4)
        self.a = nn.Linear(4, 3)
        self.b = nn.Linear(4, 2)

    def forward(self, x) -> Tuple[Tensor, Tensor]:
        y = self.trunk(x).mean((2, 3))
        return self.a(y), self.b(y)


class ListOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([conv_bn(3, 4), conv_bn(4, 5), conv_bn(5, 6)])

    def forward(self, x) -> List[Tensor]:
        outputs: List[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


class Adaptive(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.average = nn.AdaptiveAvgPool2d((2, 3))
        self.maximum = nn.AdaptiveMaxPool2d((2, 4))
        self.fc = nn.Linear(36, 5)

    def forward(self, x):
        x = F.relu6(self.conv(x))
        y = self.maximum(x).mean(3)
        return self.fc(torch.flatten(self.average(x), 1)) + y.sum(2)[:, :5]


class Upsampling(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bilinear = nn.Upsample(size=[8, 8], mode="bilinear", align_corners=False)
        self.conv3 = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x = self.conv2(self.up(self.conv1(x)))
        y = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=True)
        return self.conv3(self.bilinear(x)) + F.interpolate(self.conv3(y), size=(8, 8))


class Scale(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x, factor: float = 1.0):
        return x * self.gain.view(1, -1, 1, 1) * factor


class Modules(nn.Module):
    """ModuleList, ModuleDict, nested Sequential, a loop with an index, options that are None."""

    skip: Optional[Tensor]

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Sequential(conv_bn(4, 4), Scale(4)) for _ in range(3)])
        self.heads = nn.ModuleDict({"left": nn.Linear(4, 3), "right": nn.Linear(4, 3)})
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Identity(), nn.LeakyReLU(0.1))
        self.activation = nn.ModuleDict([["relu", nn.ReLU()], ["gelu", nn.GELU()]])
        self.skip = None
        self.depth = 2

    def forward(self, x):
        x = self.stem(x)
        for index, block in enumerate(self.blocks):
            if index < self.depth:
                x = x + block(x)
            else:
                x = block(x)
        skip = self.skip
        if skip is not None:
            x = x + skip
        for name, layer in self.activation.items():
            x = layer(x)
        y = x.mean(dim=[2, 3])
        for _ in range(2):
            y = y * 0.5
        return self.heads["left"](y) - self.heads["right"](y)


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 20), nn.Tanh(), nn.Linear(20, 20, bias=False), nn.Sigmoid(),
                                    nn.BatchNorm1d(20), nn.Linear(20, 5), nn.LogSoftmax(dim=1))

    def forward(self, x):
        return self.layers(x)


class Convs(nn.Module):
    """One- and three-dimensional and transposed convolutions, string padding, dilation."""

    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv1d(4, 6, 3, padding="same", dilation=2)
        self.t1 = nn.ConvTranspose1d(6, 4, 4, stride=2, padding=1)
        self.c3 = nn.Conv3d(2, 3, (1, 3, 3), padding=(0, 1, 1))
        self.t2 = nn.ConvTranspose2d(6, 4, 3, stride=2, output_padding=1, groups=2)
        self.t3 = nn.ConvTranspose3d(3, 2, 2, bias=False)
        self.last = nn.Conv2d(4, 2, 3, padding="valid")

    def forward(self, x):
        y = self.t1(F.elu(self.c1(x)))                      # N 4 16
        z = self.t3(self.c3(y.view(-1, 2, 2, 4, 4)))        # N 2 3 5 5
        w = self.t2(z.reshape(-1, 6, 5, 5))
        return self.last(w)


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.group = nn.GroupNorm(4, 8)
        self.instance = nn.InstanceNorm2d(8, affine=True)
        self.layer = nn.LayerNorm([8, 6, 6])
        self.last = nn.LayerNorm(8)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = self.layer(self.instance(F.mish(self.group(self.conv(x)))))
        x = self.last(x.permute(0, 2, 3, 1))
        return self.fc(x.mean((1, 2)))


class Attention(nn.Module):
    """A transformer block with scaled_dot_product_attention, as vision transformers write it."""

    def __init__(self, width=16, heads=2):
        super().__init__()
        self.heads = heads
        self.patch = nn.Conv2d(3, width, 4, stride=4)
        self.cls = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.position = nn.Parameter(torch.randn(1, 10, width) * 0.1)
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, width))
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), dim=1) + self.position
        b, n, c = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
        x = x + self.proj(y)
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


class ManualAttention(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.scale = 1 / math.sqrt(width)

    def forward(self, x):
        scores = torch.matmul(self.q(x), self.k(x).transpose(-2, -1)) * self.scale
        return torch.softmax(scores, dim=-1) @ self.v(x)


class Multihead(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.fc((x + y).mean(1))


class Encoder(nn.Module):
    """nn.TransformerEncoderLayer in training-style evaluation (its fast path is off)."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(16, 2, 24, dropout=0.0, batch_first=True, norm_first=True)
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(self.layer(x).mean(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = conv_bn(1, 4), conv_bn(4, 8)
        self.pool = nn.MaxPool2d(2)
        self.bottom = conv_bn(8, 8)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.join2, self.join1 = conv_bn(16, 4), conv_bn(8, 4)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        y = self.join2(torch.cat([self.up(self.bottom(self.pool(b))), b], 1))
        y = F.interpolate(y, scale_factor=2.0, mode="nearest")
        return self.last(self.join1(torch.cat([y, a], 1)))


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.ModuleList([nn.Sequential(nn.BatchNorm2d(4 + 3 * i), nn.ReLU(inplace=True),
                                                   nn.Conv2d(4 + 3 * i, 3, 3, padding=1, bias=False)) for i in range(4)])
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return self.fc(F.adaptive_avg_pool2d(torch.cat(features, 1), (1, 1)).flatten(1))


class Grouped(nn.Module):
    """Grouped and depthwise convolutions, a channel shuffle, squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 8, 1, groups=2)
        self.depth = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.bn = nn.BatchNorm2d(16)
        self.down = nn.Conv2d(16, 4, 1)
        self.up = nn.Conv2d(4, 16, 1)
        self.fc = nn.Linear(16, 5)

    def shuffle(self, x: Tensor, groups: int) -> Tensor:
        n, c, h, w = x.size()
        return x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)

    def forward(self, x):
        x = self.bn(self.depth(self.shuffle(self.conv1(x), 2)))
        gate = torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))
        return self.fc((x * gate).mean([2, 3]))


class Tied(nn.Module):
    """The same weight used by two layers, and one layer called twice."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 8)
        self.middle = nn.Linear(8, 8)
        self.other = nn.Linear(8, 8)
        self.other.weight = self.middle.weight

    def forward(self, x):
        x = torch.relu(self.encoder(x))
        x = torch.relu(self.middle(x))
        x = torch.relu(self.middle(x))
        return self.other(x)


class Reshape(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2)
        self.fc = nn.Linear(4 * 9, 6)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), kernel_size=2, stride=1)
        return self.fc(x.reshape(x.size(0), -1))


class Activations(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 3, 1) for _ in range(9)])
        self.functions = nn.ModuleList([nn.Hardswish(inplace=True), nn.SiLU(inplace=True), nn.Hardsigmoid(), nn.Softplus(),
                                        nn.PReLU(3), nn.CELU(), nn.Hardtanh(-0.5, 0.5), nn.Softsign(), nn.SELU()])

    def forward(self, x):
        for conv, function in zip(self.convs, self.functions):
            x = function(conv(x)) + x
        return x.clamp(min=-4.0, max=4.0).abs().pow(2).add(1e-3).sqrt().sum((2, 3))


class Einsum(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 5) * 0.3)
        self.fc = nn.Linear(5, 3)
        self.mix = nn.Bilinear(3, 3, 2)

    def forward(self, x):
        y = self.fc(torch.einsum("bni,io->bno", x, self.weight).amax(1))
        return self.mix(y, y * 2 - 1)


class Splitting(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        a, b, c = self.conv(x).chunk(3, dim=1)
        parts = torch.split(a * torch.sigmoid(b) + c, [1, 3], dim=1)
        pieces = torch.split(x, 1, 1)
        y = torch.cat([parts[1], parts[0]], dim=1)
        total = pieces[0]
        for piece in pieces:
            total = total + piece
        y = y + total
        first, second = torch.stack([y, -y], 0).unbind(0)
        values, _ = torch.max(first, dim=3)
        return self.fc((values - second.min(3)[0]).mean(2))


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.register_buffer("positions", torch.arange(6))
        self.place = nn.Embedding(6, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc((self.words(x) + self.place(self.positions)).mean(1))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 4), nn.Linear(5, 4)

    def forward(self, a, b):
        return torch.relu(self.left(a)) * self.right(b)


class Constants(nn.Module):
    """Buffers, tensors made in forward, in-place updates, dtype changes, asserts."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1))
        self.scale = 2.0
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        assert x.dim() == 4, "an image"
        if x.dtype == torch.uint8:
            x = x.float()
        x = (x - self.mean) / torch.tensor([0.5, 0.25, 0.125]).view(1, 3, 1, 1)
        y = self.conv(x)
        y *= self.scale
        y += torch.ones(4, 1, 1)
        z = torch.zeros_like(y)
        z = z + torch.arange(4, dtype=torch.float32).reshape(4, 1, 1)
        y.add_(z)
        if y.shape[1] != 4:
            raise ValueError("channels")
        return F.pad(y, [1, 1]).masked_fill(y.new_zeros(1) > 0, 0.0)


class PixelShuffle(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.last = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")

    def forward(self, x):
        return self.last(self.shuffle(self.conv(x)))


class Recurrent(nn.Module):
    """Weights in lists, results in tuples."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, 2, batch_first=True)
        self.gru = nn.GRU(8, 4, batch_first=True)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        y, _ = self.lstm(x)
        _, h = self.gru(y)
        return self.fc(torch.cat([y[:, -1, :4], h[0]], 1))


class Assignments(nn.Module):
    """Writes into slices, indices by a tensor and by a step, a residual sum in place."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, x):
        y = self.fc(x)
        y[:, 0] = 0.5
        y[:, 1:3] = y[:, 1:3] * 2
        y += x
        y = F.relu_(y)
        return torch.cat([y[:, self.order], torch.where(y > 0.1, y, -y)[..., ::2], y.topk(2, dim=1)[0]], 1)


class EmptyGuards(nn.Module):
    """Library layers that look at sizes: LocalResponseNorm at empty input, circular padding, ceil_mode."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular")
        self.norm = nn.LocalResponseNorm(2)
        self.pool = nn.AvgPool2d(3, 2, 1, ceil_mode=True)
        self.unfold = nn.Unfold(2)

    def forward(self, x):
        size = x.shape[-2:]
        y = self.pool(self.norm(self.conv(x)))
        return self.unfold(F.interpolate(y, size=size, mode="bilinear", align_corners=False)).sum(2)


class FixedBatch(nn.Module):
    """A batch of four is written into a reshape."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 5)

    def forward(self, x):
        return self.fc(x.view(4, 12))


class DataDependent(nn.Module):
    """Cannot become a static graph: two places that look at values."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        if bool(x.sum() > 0):
            x = self.fc(x)
        while bool(x.abs().max() > 1):
            x = x * 0.5
        return x


class Saved(VggSmall):
    """Saved in train mode."""


#        name: (network, input shapes without the batch, kinds)
ALL = ("script", "trace", "pt2")
NETWORKS = {
    "vgg_small": (VggSmall, [(1, 28, 28)], ALL),
    "resnet20": (ResNet20, [(1, 28, 28)], ALL),
    "mobilenetv2_small": (MobileNetV2Small, [(1, 28, 28)], ALL),
    "functional": (Functional, [(3, 16, 16)], ALL),
    "concat": (Concat, [(3, 8, 8)], ALL),
    "tuple_out": (TupleOut, [(3, 8, 8)], ALL),
    "list_out": (ListOut, [(3, 6, 6)], ALL),
    "adaptive": (Adaptive, [(3, 12, 12)], ALL),
    "upsampling": (Upsampling, [(3, 6, 6)], ALL),
    "modules": (Modules, [(3, 8, 8)], ALL),
    "mlp": (Mlp, [(12,)], ALL),
    "convs": (Convs, [(4, 8)], ALL),
    "norms": (Norms, [(3, 6, 6)], ALL),
    "attention": (Attention, [(3, 12, 12)], ALL),
    "manual_attention": (ManualAttention, [(5, 12)], ALL),
    "multihead": (Multihead, [(6, 16)], ALL),
    "encoder": (Encoder, [(6, 16)], ALL),
    "unet": (UNet, [(1, 16, 16)], ALL),
    "dense": (Dense, [(3, 8, 8)], ALL),
    "grouped": (Grouped, [(4, 6, 6)], ALL),
    "tied": (Tied, [(10,)], ALL),
    "reshape": (Reshape, [(1, 10, 10)], ALL),
    "activations": (Activations, [(3, 5, 5)], ALL),
    "einsum": (Einsum, [(4, 6)], ALL),
    "splitting": (Splitting, [(3, 4, 4)], ALL),
    "embedding": (Embedding, [("long", 20, 6)], ALL),
    "two_inputs": (TwoInputs, [(6,), (5,)], ALL),
    "constants": (Constants, [(3, 6, 6)], ALL),
    "pixel_shuffle": (PixelShuffle, [(3, 6, 6)], ALL),
    "recurrent": (Recurrent, [(5, 6)], ("script", "trace")),
    "assignments": (Assignments, [(6,)], ("script", "trace")),
    "empty_guards": (EmptyGuards, [(3, 8, 8)], ("script", "trace")),
    "fixed_batch": (FixedBatch, [(12,)], ("script", "trace")),
    "data_dependent": (DataDependent, [(4,)], ("script",)),
    "train_mode": (Saved, [(1, 28, 28)], ALL),
    "half_batch": (Reshape, [(1, 10, 10)], ("fixed",)),
}


def randomize(model):
    """Batch norm statistics that are not 0 and 1."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)


def flat(outputs):
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return [tensor for item in outputs for tensor in flat(item)]


def make_input(shape, batch):
    if shape[0] == "long":
        return torch.randint(0, shape[1], (batch, *shape[2:]))
    return torch.randn(batch, *shape)


def expected(model, inputs):
    values = {f"in{i}": x for i, x in enumerate(inputs)}
    model.eval()
    with torch.no_grad():
        for i, y in enumerate(flat(model(*inputs))):
            values[f"out{i}"] = y.contiguous()
    outputs = flat(model(*[x[:3] for x in inputs]))
    total = 0
    for i, y in enumerate(outputs):
        values[f"cot{i}"] = torch.randn_like(y)
        total = total + (y * values[f"cot{i}"]).sum()
    total.backward()
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            values["grad/" + name] = parameter.grad.detach().contiguous()
    model.zero_grad()
    dropout = any(isinstance(m, nn.Dropout) and m.p > 0 for m in model.modules()) or isinstance(model, Functional)
    if not dropout:
        state = {key: value.clone() for key, value in model.state_dict().items()}
        model.train()
        with torch.no_grad():
            for i, y in enumerate(flat(model(*[x[:8] for x in inputs]))):
                values[f"train{i}"] = y.contiguous()
        for name, buffer in model.named_buffers():
            values["buffer/" + name] = buffer.clone()
        model.load_state_dict(state)
        model.eval()
    return values


def write(name, out):
    network, shapes, kinds = NETWORKS[name]
    torch.manual_seed(sum(map(ord, name)))
    model = network()
    randomize(model)
    model.eval()
    inputs = [make_input(shape, 64) for shape in shapes]
    if name not in ("data_dependent", "fixed_batch"):
        torch.save({key: value.detach() for key, value in expected(model, inputs).items()}, out / f"{name}.expected")
    if name == "train_mode":
        model.train()
    example = tuple(x[:4 if name == "fixed_batch" else 2] for x in inputs)
    torch.backends.mha.set_fastpath_enabled(False)
    if "script" in kinds:
        torch.jit.save(torch.jit.script(model), str(out / f"{name}.script.pt"))
    if "trace" in kinds:
        state = {key: value.clone() for key, value in model.state_dict().items()}
        traced = torch.jit.trace(model, example, check_trace=False)
        model.load_state_dict(state)   # tracing in train mode moves the running statistics
        torch.jit.save(traced, str(out / f"{name}.trace.pt"))
    if "pt2" in kinds:
        batch = torch.export.Dim("batch", min=1)
        shapes = tuple({0: batch} for _ in example)
        torch.export.save(torch.export.export(model, example, dynamic_shapes=shapes), str(out / f"{name}.pt2"))
    if "fixed" in kinds:
        torch.export.save(torch.export.export(model, tuple(x[:5] for x in inputs)), str(out / f"{name}.pt2"))


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(NETWORKS))
        return 0
    out = pathlib.Path(sys.argv[1])
    names = sys.argv[2:] or list(NETWORKS)
    out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    version = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    with open(out / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in names:
            stamp = out / f"{name}.stamp"
            if stamp.exists() and stamp.read_text() == version:
                continue
            try:
                write(name, out)
            except Exception as error:  # one network that this PyTorch cannot export must not hide the others
                print(f"{name}: {error}", file=sys.stderr)
                return 1
            stamp.write_text(version)
        if not sys.argv[2:]:
            (out / "all.stamp").write_text(version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
