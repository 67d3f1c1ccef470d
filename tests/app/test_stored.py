# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that ONNX Runtime has quantized, by the command line: shown as they are, same answers, taken over, packed."""
import json
import os
import tempfile
import unittest
import warnings

import numpy as np

from cli_case import SAMPLES, run

try:
    import onnx
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
except ImportError:
    onnxruntime = None

MODEL = os.path.join(SAMPLES, "vgg_small.pt2")
IMAGES = np.random.default_rng(3).random((8, 1, 28, 28), np.float32) * 4 - 2


@unittest.skipIf(onnxruntime is None, "onnxruntime is not installed")
class Stored(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.plain = cls.path("plain.onnx")
        with open(cls.path("folded.json"), "w") as file:   # as ONNX Runtime's own preparation has it
            json.dump({"schema": "bitwright/assignment/1", "network": {"fold_batch_norm": True}}, file)
        run("export", MODEL, "--config", cls.path("folded.json"), "--format", "onnx", "-o", cls.plain)
        np.save(cls.path("x.npy"), IMAGES)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder.name, name)

    def runtime(self, path):
        """As the file says, operator by operator: fused kernels round elsewhere."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return session.run(None, {session.get_inputs()[0].name: IMAGES})[0]

    def quantized(self, name, form, channels, weights=None, inputs=None):
        class Reader(CalibrationDataReader):
            left = [IMAGES[i:i + 1] for i in range(8)]
            name = onnx.load(self.plain).graph.input[0].name

            def get_next(self):
                return {self.name: self.left.pop()} if self.left else None
        Reader.left = list(Reader.left)
        quantize_static(self.plain, self.path(name), Reader(), quant_format=form, per_channel=channels,
                        weight_type=weights or QuantType.QInt8, activation_type=inputs or QuantType.QUInt8)
        return self.path(name)

    def answers(self, path, *more):
        run("run", path, "--input", self.path("x.npy"), "--output", self.path("y.npy"), *more)
        return np.load(self.path("y.npy"))

    def same(self, path, steps):
        wanted, found = self.runtime(path), self.answers(path)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=steps * np.abs(wanted).max())
        self.assertGreaterEqual((found.argmax(1) == wanted.argmax(1)).mean(), 7 / 8)

    def test_qdq(self):
        for channels, weights, inputs, text in ((False, QuantType.QInt8, QuantType.QInt8, (True, True)), (True, QuantType.QInt8, QuantType.QUInt8, (True, False)),
                                                (True, QuantType.QUInt8, QuantType.QUInt8, (False, False))):
            path = self.quantized("qdq.onnx", QuantFormat.QDQ, channels, weights, inputs)
            shown = run("inspect", path, "--stored-config", self.path("stored.json"))
            layers = shown["layers"]
            self.assertEqual(len(layers), 8)
            for layer in layers:
                self.assertEqual(layer["status"], "quantizable")
                self.assertEqual((layer["stored_weight"]["bits"], layer["stored_weight"]["signed"]), (8, text[0]))
                self.assertEqual((layer["stored_input"]["bits"], layer["stored_input"]["signed"]), (8, text[1]))
                self.assertEqual(layer["stored_weight"]["scales"], layer["weight_shape"][0 if layer["operator"] != "matmul" else 1] if channels else 1)
            self.assertEqual((shown["stored_config"]["tensors"], shown["stored_config"]["left"]), (16, []))
            self.same(path, 0.02)
            # The assignment that was written says what the file does already.
            np.testing.assert_array_equal(self.answers(path, "--config", self.path("stored.json")), self.answers(path))
            size = run("inspect", self.plain)["size_bytes"]
            self.assertLess(shown["size_bytes"], 0.27 * size)
            self.assertGreater(shown["size_bytes"], 0.25 * size)
            packed = run("export", path, "--format", "pack", "-o", self.path("q.pack"))["bytes"]
            self.assertLess(packed, 1.01 * shown["size_bytes"])

    def test_qoperator(self):
        for channels, weights in ((False, QuantType.QInt8), (True, QuantType.QInt8), (False, QuantType.QUInt8)):
            path = self.quantized("qop.onnx", QuantFormat.QOperator, channels, weights)
            shown = run("inspect", path)
            self.assertEqual({layer["operator"] for layer in shown["layers"]}, {"QLinearConv", "QGemm"})
            for layer in shown["layers"]:
                self.assertEqual((layer["status"], layer["reason"]), ("float", "its weight has 8 bits already"))
                self.assertEqual(layer["stored_weight"]["bits"], 8)
                self.assertEqual(layer["stored_input"]["bits"], 8)
                self.assertGreater(layer["macs"], 0)
            self.assertEqual(shown["parameters"], run("inspect", self.plain)["parameters"])
            self.same(path, 0.02)
            packed = run("export", path, "--format", "pack", "-o", self.path("q.pack"))["bytes"]
            self.assertLess(abs(packed / shown["size_bytes"] - 1), 0.01)
            self.assertIn("8 bits already", run("inspect", path, "--stored-config", self.path("none.json"), fails=True))
            name = shown["layers"][0]["name"]
            seen = run("stats", path, "--data", "npy:" + self.path("x.npy"), "--layer", name)
            self.assertEqual(sum(seen["layers"][0]["weight"]["histogram"]["counts"]), np.prod(shown["layers"][0]["weight_shape"]))
            self.assertLess(seen["layers"][0]["weight"]["max"], 20)   # values, not codes

    def test_dynamic(self):
        for weights in (QuantType.QInt8, QuantType.QUInt8):
            path = self.path("dyn.onnx")
            quantize_dynamic(self.plain, path, weight_type=weights)
            shown = run("inspect", path)
            self.assertEqual({layer["operator"] for layer in shown["layers"]}, {"ConvInteger", "MatMulInteger"})
            for layer in shown["layers"]:
                self.assertEqual(layer["stored_weight"]["signed"], weights == QuantType.QInt8)
                self.assertEqual(layer["stored_weight"]["scales"], 1)   # found behind the sums
                self.assertEqual(layer["stored_input"]["scales"], 0)    # found while it runs
            self.same(path, 0.02)
            packed = run("export", path, "--format", "pack", "-o", self.path("q.pack"))["bytes"]
            self.assertLess(abs(packed / shown["size_bytes"] - 1), 0.01)

    def test_blocks(self):
        """A hand-made MatMulNBits, its numbers and the pack of it by the reader in the documentation."""
        random = np.random.default_rng(1)
        codes, scale = random.integers(0, 256, (64, 4, 16), np.uint8), random.random((64, 4), np.float32) + 0.1
        zero = random.integers(0, 256, (64, 2), np.uint8)
        helper, numpy_helper = onnx.helper, onnx.numpy_helper
        graph = helper.make_graph(
            [helper.make_node("MatMulNBits", ["x", "w", "s", "z"], ["y"], domain="com.microsoft", K=128, N=64, bits=4, block_size=32)], "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 128])], [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None, 64])],
            [numpy_helper.from_array(codes, "w"), numpy_helper.from_array(scale, "s"), numpy_helper.from_array(zero, "z")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=9)
        path = self.path("nbits.onnx")
        onnx.save(model, path)
        x = random.standard_normal((5, 128)).astype(np.float32)
        np.save(self.path("nx.npy"), x)
        run("run", path, "--input", self.path("nx.npy"), "--output", self.path("ny.npy"))
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        np.testing.assert_allclose(np.load(self.path("ny.npy")), session.run(None, {"x": x})[0], rtol=1e-3, atol=1e-2)
        layer = run("inspect", path)["layers"][0]
        self.assertEqual((layer["stored_weight"]["bits"], layer["stored_weight"]["block"], layer["stored_weight"]["scales"]), (4, 32, 256))
        run("export", path, "--format", "pack", "-o", self.path("n.pack"))
        run("unpack", self.path("n.pack"), "-o", self.path("n.npz"))
        with open(os.path.join(os.path.dirname(SAMPLES), "docs", "pack.md")) as file:
            reader = file.read().split("```python\n")[1].split("```")[0]
        space = {"__name__": "reader"}
        exec(reader, space)
        with warnings.catch_warnings(action="ignore"):
            tensors = space["read"](self.path("n.pack"))[1]
        arrays = np.load(self.path("n.npz"))
        values = (np.stack([codes & 15, codes >> 4], -1).reshape(64, 4, 32).astype(np.float32)
                  - np.stack([zero & 15, zero >> 4], -1).reshape(64, 4, 1)) * scale[:, :, None]
        for name in arrays.files:
            np.testing.assert_array_equal(arrays[name], tensors[name], strict=True)
        np.testing.assert_array_equal(tensors["w"], values.reshape(64, 128))


if __name__ == "__main__":
    unittest.main()
