# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights without a network by the command line: listed, shown, pruned and packed; what needs the network refuses."""
import json
import os
import subprocess
import tempfile
import unittest

import numpy as np
import torch

CLI = os.environ["BITWRIGHT_CLI"]


def run(*arguments, fails=False):
    done = subprocess.run([CLI, *arguments, "--json", "--quiet"], capture_output=True, text=True)
    if fails:
        assert done.returncode == 1 and done.stderr.startswith("error: "), done.stderr
        return done.stderr
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Weights(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(32, 10))
        self.model = self.path("net.pth")
        torch.save({"state_dict": net.state_dict(), "epoch": 1}, self.model)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def config(self):
        with open(self.path("c.json"), "w") as file:
            json.dump({"schema": "bitwright/assignment/1", "defaults": {"weight": {"method": "uniform", "bits": 4}}}, file)
        return self.path("c.json")

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
