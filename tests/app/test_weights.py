# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights without a network by the command line: listed, shown, pruned and packed; what needs the network refuses."""
import subprocess
import unittest

import numpy as np
import torch

from cli_case import CLI, CliCase, run


class Weights(CliCase):
    def setUp(self):
        super().setUp()
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(32, 10))
        self.model = self.path("net.pth")
        torch.save({"state_dict": net.state_dict(), "epoch": 1}, self.model)

    def config(self):
        return self.write("c.json", {"schema": "bitwright/assignment/1", "defaults": {"weight": {"method": "uniform", "bits": 4}}})

    def test_inspect(self):
        seen = run("inspect", self.model)
        self.assertEqual([layer["name"] for layer in seen["layers"] if layer["status"] == "quantizable"], ["0", "2"])
        self.assertEqual(len(seen["obstacles"]), 1)
        self.assertIn("torch.export", seen["obstacles"][0])

    def test_weights_can_be_worked_on(self):
        stats = run("stats", self.model)
        self.assertEqual(len(stats["layers"]), 2)
        self.assertEqual(sum(stats["layers"][0]["weight"]["histogram"]["counts"]), 216)
        kept = run("prune", self.model, "--method", "magnitude", "--sparsity", "0.5", "-o", self.path("p.json"))
        self.assertEqual(sum(layer["kept"] for layer in kept["layers"]), (216 + 320) // 2)
        packed = run("export", self.model, "--config", self.config(), "--format", "pack", "-o", self.path("w.pack"))
        self.assertEqual({layer["bits"] for layer in packed["layers"]}, {4})
        self.assertLess(packed["bytes"], 4 * (216 + 320))

    def test_verify(self):
        config = self.config()
        for form, file in (("state_dict", self.path("q.pth")), ("pack", self.path("q.pack"))):
            with self.subTest(format=form):
                run("export", self.model, "--config", config, "--format", form, "-o", file)
                seen = run("verify", file, "--against", self.model, "--config", config)
                self.assertEqual((seen["differing_levels"], seen["max_abs_difference"], seen["samples"]), (0, 0, 0))
                self.assertEqual((seen["first_differing_layer"], seen["top1_agreement"]), (None, None))
                self.assertEqual(len(seen["layers"]), 4)
                # The float weights are not what the file holds.
                other = run("verify", file, "--against", self.model)
                self.assertEqual(other["first_differing_layer"], "0.weight")
                self.assertGreater(other["max_abs_difference"], 0)
                self.assertIn("0.weight", other["reason"])
        seen = run("verify", self.path("q.pth"), "--against", self.model, "--config", config)
        self.assertTrue(seen["runtime"].startswith("PyTorch "), seen)
        state = torch.load(self.path("q.pth"), weights_only=True)
        self.assertEqual(list(state), [layer["name"] for layer in seen["layers"]])
        torch.save({"state_dict": {"0.weight": state["0.weight"], "0.bias": state["0.bias"]}}, self.path("half.pth"))
        self.assertIn("tensor 2.", run("verify", self.path("half.pth"), "--against", self.model, "--config", config, fails=True))
        with open(self.path("q.pth"), "rb") as file:
            whole = file.read()
        with open(self.path("cut.pth"), "wb") as file:
            file.write(whole[: len(whole) // 2])
        for damaged in (self.path("cut.pth"), self.path("nothing.pth")):
            self.assertNotEqual(subprocess.run([CLI, "verify", damaged, "--against", self.model, "--quiet"], capture_output=True).returncode, 0)

    def test_the_rest_refuses(self):
        np.savez(self.path("d.npz"), x=np.zeros((4, 3, 4, 4), np.float32), y=np.zeros(4, np.int64))
        data = "npz:" + self.path("d.npz")
        np.save(self.path("x.npy"), np.zeros((1, 3, 4, 4), np.float32))
        config = self.config()
        for command in (
            ["run", self.model, "--input", self.path("x.npy"), "--output", self.path("y.npy")],
            ["evaluate", self.model, "--data", data],
            ["calibrate", self.model, "--data", data, "--config", config, "-o", self.path("c2.json")],
            ["sweep", self.model, "--data", data],
            ["finetune", self.model, "--data", data, "--config", config, "--epochs", "1", "-o", self.path("m.pth")],
            ["export", self.model, "--config", config, "--format", "onnx", "-o", self.path("m.onnx")],
            ["export", self.model, "--config", config, "--format", "pt2", "-o", self.path("m.pt2")],
        ):
            with self.subTest(command=command[0]):
                self.assertIn("torch.export", run(*command, fails=True))


if __name__ == "__main__":
    unittest.main()
