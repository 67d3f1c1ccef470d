#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes files that a mutator would hardly find, FORMAT-WHAT each, for tests/compute/frontends/corpus: nesting that takes
the stack, archives that claim to unpack to any size, values that repeat without end.

    make_hostile.py OUT
"""
import io
import json
import pathlib
import struct
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OUT = pathlib.Path(sys.argv[1])
DEEP = 100_000


def write(name, content):
    (OUT / name).write_bytes(content)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(2, 2, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


def archive(saved, changes, packed=True):
    """The archive with records changed, compressed; debug records and what LibTorch can do without are left out."""
    source = zipfile.ZipFile(io.BytesIO(saved))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as out:
        for name in source.namelist():
            if name.endswith((".debug_pkl", "serialization_id", "sample_inputs/model.pt")):
                continue
            content = source.read(name)
            for ending, change in changes.items():
                if name.endswith(ending):
                    content = change(content)
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED if packed and len(content) > 200 else zipfile.ZIP_STORED
            out.writestr(info, content)
    return target.getvalue()


def saved(save):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "file"
        save(str(path))
        return path.read_bytes()


def claims(content, record, size):
    """A record's unpacked size in the list at the end, whatever it holds."""
    at = content.rindex(record.encode())
    start = content.rindex(b"PK\x01\x02", 0, at)
    return content[:start + 24] + struct.pack("<I", size) + content[start + 28:]


def torchscript():
    base = saved(torch.jit.script(Net()).save)
    call = b"return (fc).forward(x, )"

    def code(text):
        return archive(base, {"code/__torch__.py": lambda old: text(old.decode()).encode()})

    def argument(text):
        return code(lambda old: old.replace(call.decode(), f"return (fc).forward({text}, )"))
    write("torchscript-deep-brackets", argument("(" * DEEP + "x" + ")" * DEEP))
    write("torchscript-deep-sum", argument("x" + " + x" * DEEP))
    write("torchscript-deep-minus", argument("-" * DEEP + "x"))
    write("torchscript-deep-type", code(lambda old: old.replace("x: Tensor", "x: " + "List[" * DEEP + "int" + "]" * DEEP)))
    chain = "".join(f"  def m{i}(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return (self).m{i + 1}(x, )\n" for i in range(2000))
    write("torchscript-call-chain", code(lambda old: old.replace("    fc = self.fc\n", "    fc = self.fc\n    y = (self).m0(x, )\n") + chain
                                         + "  def m2000(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n    return x\n"))
    write("torchscript-deep-pickle", archive(base, {"data.pkl": lambda _: b"\x80\x02)" + b"\x85" * 1_000_000 + b"."}))
    write("torchscript-pickle-in-itself", archive(base, {"data.pkl": lambda _: b"\x80\x02]q\0h\0a."}))
    write("torchscript-tensor-outside", archive(base, {"data.pkl": lambda old: old.replace(b"K\x02K\x02t", b"M\xff\xffK\x02t")}, False))
    write("torchscript-storage-outside", archive(base, {"data.pkl": lambda old: old.replace(b"K\x04t", b"M\xff\xfft")}, False))
    write("torchscript-writes-a-file", code(lambda old: old.replace("    fc = self.fc\n", '    fc = self.fc\n    torch.save(x, "written")\n')))
    write("torchscript-claims-4-gb", claims(base, "/constants.pkl", 0xfffffff0))


def pt2():
    base = saved(lambda path: torch.export.save(torch.export.export(Net(), (torch.zeros(1, 2),)), path))
    lists = b'{"as_x": [' * DEEP + b"]}" * DEEP

    def program(change):
        return archive(base, {"models/model.json": change})
    write("pt2-deep-argument", program(lambda old: old.replace(b'"inputs": [', b'"inputs": [{"name": "x", "arg": ' + lists + b"}, ", 1)))
    write("pt2-claims-4-gb", claims(archive(base, {}), "models/model.json", 0xfffffff0))

    def repeat(old):
        config = json.loads(old)
        meta = next(iter(config["config"].values()))["tensor_meta"]
        meta["sizes"], meta["strides"] = [{"as_int": 1 << 20}, {"as_int": 1 << 14}], [{"as_int": 0}, {"as_int": 0}]
        return json.dumps(config).encode()
    write("pt2-repeated-weight", archive(base, {"weights_config.json": repeat}))
    write("pt2-dtype-code-least", archive(base, {"weights_config.json": lambda old: old.replace(b'"dtype": 7', b'"dtype": -9223372036854775808')}))
    recurrent = saved(lambda path: torch.export.save(torch.export.export(Recurrent(), (torch.zeros(1, 2, 2),)), path))
    write("pt2-lstm-many-layers", archive(recurrent, {"models/model.json": lambda old: old.replace(b'{"name": "num_layers", "arg": {"as_int": 1}',
                                                                                                   b'{"name": "num_layers", "arg": {"as_int": 4294967295}')}))
    write("pt2-lstm-empty-weight", archive(recurrent, {"weights_config.json": lambda old: old.replace(b'"sizes": [{"as_int": 8}, {"as_int": 2}]',
                                                                                                      b'"sizes": [{"as_int": 8}, {"as_int": 0}]')}))
    write("pt2-file-from-disk", archive(base, {"models/model.json": lambda old: old.replace(b"torch.ops.aten.linear.default", b"torch.ops.aten.from_file.default")}))
    write("pt2-big-endian", archive(base, {"byteorder": lambda _: b"big"}))


def checkpoint():
    base = saved(lambda path: torch.save(Net().state_dict(), path))
    name = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000 + b"q\0"
    write("checkpoint-long-globals", archive(base, {"data.pkl": lambda _: b"\x80\x02" + name + b"h\0h\0\x93" * 20000 + b"."}))
    nest = b"\x80\x02}q\0X\x01\0\0\0ah\0s."
    write("checkpoint-dict-in-itself", archive(base, {"data.pkl": lambda _: nest}))
    write("checkpoint-claims-4-gb", claims(base, "/byteorder", 0xfffffff0))
    write("checkpoint-big-endian", archive(base, {"byteorder": lambda _: b"big"}))


def safetensors():
    def file(header):
        return struct.pack("<Q", len(header)) + header
    write("safetensors-deep-header", file(b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}"))
    write("safetensors-name-any-bytes", file(b'{"a\\n\\u001b[31m\\u0000":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}') + b"\0" * 4)
    write("safetensors-empty-times-huge", file(b'{"a":{"dtype":"F32","shape":[0,9223372036854775807,3],"data_offsets":[0,0]}}'))
    write("safetensors-bool-of-255", file(b'{"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}') + b"\xff\x02")


def of_onnx():
    info = helper.make_tensor_value_info
    x, y = info("x", TensorProto.FLOAT, [2]), info("y", TensorProto.FLOAT, [2])

    def model(nodes, tensors=(), **more):
        graph = helper.make_graph(nodes, "g", [x], [y], list(tensors))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("own", 1)], ir_version=10, **more)
    # each calls the next twice, the last does nothing: 2^60 calls that make no node
    functions = [helper.make_function("own", f"F{i}", ["v"], ["v"], [helper.make_node(f"F{i + 1}", ["v"], [], domain="own")] * 2 if i < 60 else [],
                                      [helper.make_opsetid("own", 1)]) for i in range(61)]
    write("onnx-functions-without-end", model([helper.make_node("F0", ["x"], [], domain="own"), helper.make_node("Relu", ["x"], ["y"])],
                                              functions=functions).SerializeToString())
    def field(number, content):
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content
    graph = b""
    for _ in range(300):   # a graph in an attribute of a node of a graph, deeper than protobuf's own library writes
        graph = field(1, field(4, b"If") + field(2, b"z") + field(5, field(1, b"then_branch") + field(6, graph)))
    write("onnx-deep-branches", b"\x08\x0a\x12\0" + field(7, graph))
    weight = numpy_helper.from_array(np.array([1, float("nan")], np.float32), "w\n\x1b[31m")
    write("onnx-name-any-bytes", model([helper.make_node("Strange", ["x", "w\n\x1b[31m"], ["y"], name="a\nb")], [weight]).SerializeToString())
    for what, place in (("parent", "../../../../etc/passwd"), ("absolute", "/etc/passwd"), ("folder", "."), ("missing", "none.bin")):
        outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
        outside.external_data.add(key="location", value=place)
        write(f"onnx-data-{what}", model([helper.make_node("Add", ["x", "w"], ["y"])], [outside]).SerializeToString())


def arrays():
    def npy(shape, descr="<f4", body=b""):
        header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body
    write("npy-shape-overflows", npy("(4294967296, 4294967296, 0)"))
    write("npy-negative-shape", npy("(-1,)"))
    write("npy-empty-times-huge", npy("(0, 9223372036854775807)"))
    write("idx-claims-much", bytes([0, 0, 14, 4]) + b"\xff" * 16)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("x.npy", npy("(1000000,)", body=bytes(4_000_000)))
    write("npz-claims-4-gb", claims(packed.getvalue(), "x.npy", 0xfffffff0))


OUT.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
torchscript()
pt2()
checkpoint()
safetensors()
of_onnx()
arrays()
