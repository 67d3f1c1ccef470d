#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes networks whose control flow, inputs or results are more than tensors in a row, with PyTorch's own answers.

    make_control.py OUT     NAME.pt or NAME.pt2 with NAME.expected: dict of tensors "0/in0", "0/out0" by case and leaf;
                            a number is a tensor without dimensions. Cases take every branch.
"""
import sys
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn
import torch.nn.functional as F

sys.dont_write_bytecode = True
from make_once import make_once  # noqa: E402


class Branch(nn.Module):
    """Layers in both branches, one with batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 6), nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        if bool(x.sum() > 0):
            y = F.relu(self.a(x))
        else:
            y = self.drop(self.norm(self.b(x * 2))) - 1
        return self.last(y)


class While(nn.Module):
    """A loop of unknown length, a break, a number that is counted and returned."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        steps = 0
        while bool(x.abs().max() > 1):
            x = x * 0.5
            steps += 1
            if steps == 6:
                break
        return self.fc(x), steps


class EarlyReturn(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        if bool(x.min() > 0):
            return x
        y = self.fc(x)
        if bool(y.max() < 0):
            return y * 3
        return y + 1


class TimeSteps(nn.Module):
    """Cells over a time axis that may have any length, results collected in a list."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(5, 6)
        self.gate = nn.GRUCell(6, 6)

    def forward(self, x):
        h = torch.zeros(x.size(0), 6)
        c = torch.zeros(x.size(0), 6)
        g = torch.zeros(x.size(0), 6)
        outs: List[Tensor] = []
        for t in range(x.size(1)):
            h, c = self.cell(x[:, t], (h, c))
            g = self.gate(h, g)
            outs.append(g)
        return torch.stack(outs, 1), (h, c)


class Nested(nn.Module):
    """Branches in loops in branches, continue, a list that both branches extend, a list set by a number that is computed."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        kept: List[Tensor] = [x]
        total = x.new_zeros(1)
        if bool(x[0, 0] > 0):
            for row in range(x.size(0)):
                v = x[row]
                if bool(v.sum() < 0):
                    kept.append(v.unsqueeze(0))
                    continue
                while bool(v.norm() > 2):
                    v = self.fc(v) * 0.3
                total = total + v.sum()
                kept.append(v.unsqueeze(0) * 2)
        else:
            kept.append(x * 3)
        place = int(x.argmax()) % len(kept)
        kept[place] = kept[place] + 5
        return torch.cat(kept), total


class InPlace(nn.Module):
    """Writes in branches and loops into tensors that are made outside."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        y = self.fc(x).clone()
        view = y[:, 1:3]
        if bool(x.sum() > 0):
            y[:, 0] = 7.0
            view *= 2
        for i in range(int(x.abs().max())):
            y += 1.5
            y[:, 3] = y[:, 3] * float(i)
        return y, view


class Aliases(nn.Module):
    """Branches and loops that write a tensor and read its views, and the other way round."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        y = self.fc(x).clone()
        v = y[:, 1:3]
        w = y.view(-1)
        if bool(x.sum() > 0):
            y += 1
            z = v * 2
            v *= 3
        else:
            z = v.clone()
        for _ in range(int(x.abs().max())):
            w += 1
            z = z + v
        return y, z, v, w.sum()


class Stateful(nn.Module):
    """Attributes that a branch and a loop set, a method of its own, a sub-module that is called twice."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("memory", torch.ones(4))
        self.count = 0

    @torch.jit.export
    def remember(self, x: Tensor) -> Tensor:
        self.memory = x.mean(0)
        return self.fc(x)

    def forward(self, x):
        self.memory = torch.full((4,), 0.5)
        self.count = 0
        if bool(x.sum() > 0):
            x = self.remember(x)
        while bool(x.abs().sum() > 4):
            self.count += 1
            x = x * 0.5
            self.memory = self.memory + x[0]
        return self.fc(x) + self.memory, self.count


class OptionalState(nn.Module):
    """A state that is None in the first trip."""

    def __init__(self):
        super().__init__()
        self.w, self.u = nn.Linear(3, 4), nn.Linear(4, 4)

    def forward(self, x):
        h: Optional[Tensor] = None
        for t in range(x.size(1)):
            y = self.w(x[:, t])
            if h is not None:
                y = y + self.u(h)
            h = torch.tanh(y)
        assert h is not None
        return h


class OddSizes(nn.Module):
    """A branch on a size, and one that only chooses a number."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, x):
        if x.size(3) % 2 == 1:
            x = F.pad(x, [0, 1, 0, 0])
        y = F.max_pool2d(self.conv(x), 2)
        k = 2 if x.size(3) > 8 else 1
        return y * k


class DictInOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.words = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(5, 4)

    def forward(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        a = self.image(batch["image"]).mean([2, 3])
        b = self.words(batch["words"])
        return {"sum": a + b, "difference": a - b}


class Boxes(NamedTuple):
    scores: Tensor
    corners: List[Tensor]


class ListsAndTuples(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(4, 5)
        self.fc = nn.Linear(4, 4)

    def forward(self, x: List[Tensor], state: Tuple[Tensor, Tensor]):
        y = self.fc(x[0]) + x[1] * 2
        z, (h, c) = self.lstm(y, state)
        return Boxes(z, [h, c]), y


class Numbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, times: int, scale: float, flip: bool):
        for _ in range(times):
            x = torch.tanh(self.fc(x)) * scale
        if flip:
            x = -x
        return x, times + 1


class Recurrent(nn.Module):
    """All kinds of recurrent layers, with their states."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(16, 4, 1, batch_first=True, bidirectional=True)
        self.rnn = nn.RNN(8, 3, batch_first=True, nonlinearity="relu")
        self.small = nn.LSTM(3, 6, proj_size=2, batch_first=True)

    def forward(self, x):
        y, (h, c) = self.lstm(x)
        y, g = self.gru(y)
        y, r = self.rnn(y)
        y, (p, q) = self.small(y)
        return y, h.transpose(0, 1), c.transpose(0, 1), g.transpose(0, 1), r.transpose(0, 1), p.transpose(0, 1), q.transpose(0, 1)


class CarriedTuple(nn.Module):
    """A tuple goes round; a tensor grows; a list is taken from its end."""

    def forward(self, x):
        state = (x, x.sum(1))
        grown = x[:, :1]
        todo: List[Tensor] = [x, x + 1]
        while len(todo) > 0:
            item = todo.pop()
            if bool(item.sum() > 10) and len(todo) < 5:
                todo.append(item * 0.25)
                todo.extend([item * 0.5])
            state = (state[0] + item, state[1] * 2)
            grown = torch.cat([grown, item[:, :1]], 1)
        return state[0], state[1], grown.sum(1)


class Rates(nn.Module):
    """A number chooses one of two networks that want pieces of different lengths, as speech networks do."""

    def __init__(self):
        super().__init__()
        self.low, self.high = nn.Conv1d(1, 4, 32, 16), nn.Conv1d(1, 4, 64, 64)
        self.cell, self.last = nn.GRUCell(4, 5), nn.Linear(5, 2)

    def forward(self, x, rate: int):
        if x.size(1) != (64 if rate == 16000 else 32):
            raise ValueError("length")
        if rate == 16000:
            y = self.high(x.unsqueeze(1))
        elif rate == 8000:
            y = self.low(x.unsqueeze(1)) * 2
        else:
            raise ValueError("rate")
        return self.last(self.cell(y.squeeze(-1)))


class DictInLoop(nn.Module):
    """A dictionary whose values a loop and a branch replace, rows of a tensor, whole numbers in a list."""

    def forward(self, x):
        kept: Dict[str, Tensor] = {"a": x, "b": x * 0}
        for i in range(x.size(0)):
            kept["a"] = kept["a"] * 0.5 + i
            if bool(x[i].sum() > 0):
                kept["b"] = kept["b"] + 1
        for row in x.unbind(0):
            kept["b"] = kept["b"] + row
        squares: List[int] = []
        while len(squares) * len(squares) < int(x.abs().sum()):
            squares.append(len(squares))
        return kept["a"], kept["b"], torch.tensor(squares, dtype=torch.float32).sum()


class Restored(nn.Module):
    """Runs code of its own when it is loaded: allowed without a loop."""

    def __init__(self):
        super().__init__()
        self.factor = 3

    @torch.jit.export
    def __getstate__(self):
        return (self.factor, self.training)

    @torch.jit.export
    def __setstate__(self, state: Tuple[int, bool]):
        self.factor = state[0] + 1
        self.training = state[1]

    def forward(self, x):
        return x * self.factor


class RestoredInALoop(Restored):
    @torch.jit.export
    def __setstate__(self, state: Tuple[int, bool]):
        self.factor = state[0]
        self.training = state[1]
        while self.factor == self.factor:
            self.factor = self.factor * 2


class RestoredByAMethod(Restored):
    @torch.jit.export
    def turn(self, n: int) -> int:
        while n == n:
            n = n * 2
        return n

    @torch.jit.export
    def __setstate__(self, state: Tuple[int, bool]):
        self.training = state[1]
        self.factor = self.turn(state[0])


class Holder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.fc, self.inner = nn.Linear(4, 4), inner

    def forward(self, x):
        return self.inner(self.fc(x))


@torch.library.custom_op("bitwright_control::thrice", mutates_args=())
def thrice(x: Tensor) -> Tensor:
    return x * 3


class Custom(nn.Module):
    def forward(self, x):
        return torch.ops.bitwright_control.thrice(x) + 1


def positive(*shape):
    return torch.rand(*shape) + 0.1


def control_cases():
    negative = lambda *shape: -positive(*shape)
    return {
        "branch": (Branch(), [(positive(3, 4),), (negative(3, 4),), (positive(1, 4),)]),
        "while": (While(), [(torch.randn(2, 4) * 20,), (torch.rand(3, 4),), (torch.randn(2, 4) * 1e4,)]),
        "early_return": (EarlyReturn(), [(positive(3, 4),), (torch.randn(3, 4),), (torch.randn(1, 4) * 30,), (negative(2, 4),)]),
        "time_steps": (TimeSteps(), [(torch.randn(2, 7, 5),), (torch.randn(3, 1, 5),), (torch.randn(1, 4, 5),)]),
        "nested": (Nested(), [(positive(4, 3) * 3,), (negative(3, 3),), (torch.cat([positive(1, 3), torch.randn(5, 3) * 4]),)]),
        "in_place": (InPlace(), [(positive(3, 4),), (negative(3, 4),), (positive(2, 4) * 3,), (negative(2, 4) * 4,)]),
        "aliases": (Aliases(), [(positive(3, 4),), (negative(3, 4),), (positive(2, 4) * 3,), (negative(2, 4) * 4,)]),
        "stateful": (Stateful(), [(positive(3, 4),), (negative(3, 4) * 9,), (torch.randn(2, 4) * 0.01,)]),
        "optional_state": (OptionalState(), [(torch.randn(2, 5, 3),), (torch.randn(3, 1, 3),)]),
        "odd_sizes": (OddSizes(), [(torch.randn(2, 2, 8, 8),), (torch.randn(2, 2, 8, 9),), (torch.randn(1, 2, 8, 5),)]),
        "carried_tuple": (CarriedTuple(), [(positive(3, 4) * 5,), (negative(2, 4),), (positive(2, 4) * 30,)]),
        "dict_in_out": (DictInOut(), [({"image": torch.randn(2, 3, 8, 8), "words": torch.randn(2, 5)},)]),
        "lists_and_tuples": (ListsAndTuples(), [([torch.randn(3, 2, 4), torch.randn(3, 2, 4)],
                                                (torch.randn(1, 2, 5), torch.randn(1, 2, 5)))]),
        "numbers": (Numbers(), [(torch.randn(3, 4), 0, 0.5, False), (torch.randn(2, 4), 3, 2.0, True)]),
        "rates": (Rates(), [(torch.randn(2, 64), 16000), (torch.randn(3, 32), 8000)]),
        "dict_in_loop": (DictInLoop(), [(torch.randn(4, 3) * 3,), (torch.randn(1, 3),)]),
        "recurrent": (Recurrent(), [(torch.randn(2, 5, 6),), (torch.randn(3, 9, 6),)]),
    }


def leaves(value):
    if isinstance(value, Tensor):
        return [value.contiguous()]
    if isinstance(value, (bool, int, float)):
        return [torch.tensor(value)]
    if value is None:
        return []
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves(value[key])] if value else []
    return [leaf for item in value for leaf in leaves(item)]


def results(value):
    """As leaves, but a dictionary in its own order, as it leaves the network."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in results(item)]
    return [leaf for item in value for leaf in results(item)] if isinstance(value, (list, tuple)) else leaves(value)


def clone(value):
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(clone(item) for item in value)
    return value


def expected(model, cases, ordered=leaves):
    values = {}
    for i, inputs in enumerate(cases):
        with torch.no_grad():
            answers = model(*clone(list(inputs)))
        for j, leaf in enumerate(ordered(list(inputs))):
            values[f"{i}/in{j}"] = leaf
        for j, leaf in enumerate(results(answers)):
            values[f"{i}/out{j}"] = leaf
    return values


def torchscript(out):
    torch.manual_seed(11)
    for name, (model, cases) in control_cases().items():
        model.eval()
        torch.save(expected(model, cases), out / f"{name}.expected")
        torch.jit.save(torch.jit.script(model), str(out / f"{name}.pt"))
        if name in ("recurrent", "dict_in_out", "lists_and_tuples"):
            inputs = cases[0]
            traced = torch.jit.trace(model, clone(tuple(inputs)), strict=False, check_trace=False)
            torch.save(expected(model, cases), out / f"{name}_traced.expected")
            torch.jit.save(traced, str(out / f"{name}_traced.pt"))


def refused(out):
    for name, network in {"restored": Holder(Restored()), "restored_loop": Holder(RestoredInALoop()),
                          "restored_method": Holder(RestoredByAMethod()), "custom": Custom()}.items():
        torch.jit.save(torch.jit.script(network.eval()), str(out / f"{name}.pt"))


class Cond(nn.Module):
    """Layers in both branches, one branch in another, two results."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        def inner(y):
            return torch.cond(y.max() > 2, lambda z: self.b(z) * 2, lambda z: z - 1, (y,))

        def yes(y):
            return F.relu(self.a(y)), y.sum(1)

        def no(y):
            return inner(y), y.mean(1)

        y, s = torch.cond(x.sum() > 0, yes, no, (x,))
        return self.last(y), s


class SymbolicCond(nn.Module):
    """A branch on a size."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return torch.cond(x.shape[0] > 4, lambda y: self.fc(y), lambda y: y.cos() + y.shape[0], (x,))


class WhileLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, n):
        def go(i, y):
            return (i > 0) & (y.abs().max() < 50)

        def step(i, y):
            return i - 1, self.fc(y) * 2

        i, y = torch._higher_order_ops.while_loop(go, step, (n, x))
        return y, i


class Symbolic(nn.Module):
    """Sizes that are computed from sizes, a size as a result."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)

    def forward(self, x):
        b, c, h, w = x.shape
        y = self.conv(x).reshape(b, 4, h * w)
        z = y[:, :, : (h * w) // 2] + torch.arange((h * w) // 2)
        return z.mean(2), F.interpolate(x, size=(h * 2, w + 3)), b * h


class ScalarInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, n, scale):
        return self.fc(x)[:, :n] * n, scale * 2, x.sum(1) * scale


class Structured(nn.Module):
    """Lists, tuples and dictionaries in and out, a constant tensor, None."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.table = torch.arange(4.0) * 3

    def forward(self, items, batch, nothing=None):
        a, (b, c) = items
        y = self.fc(a) + b * batch["weight"] + c + self.table + torch.tensor([1.0, 2.0, 3.0, 4.0])
        return {"y": y, "parts": [y.sum(1), (a, b - batch["bias"])], "none": nothing}


class Mapped(nn.Module):
    """An operator with a graph of its own that nobody here runs."""

    def forward(self, x):
        return torch._higher_order_ops.map(lambda row: row.sin() + 1, x)


class Modes(nn.Module):
    """A part without gradients is a graph of its own, in a branch as well."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        with torch.no_grad():
            scale = x.abs().amax(1, keepdim=True)
            y = x / scale
        return self.fc(y) * scale


def pt2(out):
    torch.manual_seed(12)
    dim = torch.export.Dim
    batch = dim("batch", min=1, max=64)

    def write(name, model, cases, shapes, example=None):
        model.eval()
        torch.save(expected(model, cases, results), out / f"{name}.expected")
        program = torch.export.export(model, clone(tuple(example or cases[0])), dynamic_shapes=shapes)
        torch.export.save(program, str(out / f"{name}.pt2"))

    write("cond", Cond(), [(positive(3, 4),), (-positive(2, 4),), (torch.cat([positive(1, 4) * 4, -positive(3, 4) * 9]),)],
          ({0: batch},))
    write("symbolic_cond", SymbolicCond(), [(torch.randn(3, 4),), (torch.randn(7, 4),)], ({0: dim("batch", min=2, max=64)},))
    write("while_loop", WhileLoop(), [(torch.randn(3, 4), torch.tensor(3)), (torch.randn(2, 4) * 30, torch.tensor(5)),
                                      (torch.randn(2, 4), torch.tensor(0))], ({0: batch}, None))
    write("symbolic", Symbolic(), [(torch.randn(2, 2, 6, 8),), (torch.randn(3, 2, 4, 4),), (torch.randn(1, 2, 10, 6),)],
          ({0: batch, 2: 2 * dim("h", min=1, max=50), 3: 2 * dim("w", min=1, max=50)},), (torch.randn(3, 2, 6, 8),))
    write("modes", Modes(), [(torch.randn(3, 4),), (torch.randn(1, 4),)], ({0: batch},))
    torch.export.save(torch.export.export(Mapped(), (torch.randn(3, 4),)), str(out / "mapped.pt2"))
    write("scalar_inputs", ScalarInputs(), [(torch.randn(3, 4), 2, 1.5), (torch.randn(2, 4), 3, 1.5)],
          ({0: batch}, torch.export.Dim.DYNAMIC, None))
    write("structured", Structured(), [((torch.randn(3, 4), [torch.randn(3, 4), torch.randn(3, 4)]),
                                        {"weight": torch.randn(4), "bias": torch.randn(4)})],
          (({0: batch}, [{0: batch}, {0: batch}]), {"weight": None, "bias": None}))


if __name__ == "__main__":
    sys.exit(make_once(__file__, torchscript, refused, pt2))
