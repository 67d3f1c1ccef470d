# SPDX-License-Identifier: GPL-3.0-or-later
"""Share, train, pack, verify and unpack by the command line, as a script would."""
import json
import os
import unittest

import numpy as np

from cli_case import CliCase, SAMPLES, run

MODEL = os.path.join(SAMPLES, "vgg_small.pt2")


class Pack(CliCase):
    def test_recipe(self):
        run("prune", MODEL, "--method", "magnitude", "--sparsity", "0.8", "--scope", "global", "-o", self.path("p.json"))
        with open(self.path("p.json")) as file:
            config = json.load(file)
        config["defaults"] = {"weight": {"method": "kmeans", "bits": 3}, **config.get("defaults", {})}
        with open(self.path("c.json"), "w") as file:
            json.dump(config, file)
        trained = run("finetune", MODEL, "--data", "sample:train,limit=256", "--eval-data", "sample:test,limit=200", "--config",
                      self.path("c.json"), "--epochs", "1", "--optimizer", "adam", "--lr", "0.001", "-o", self.path("m.pt2"),
                      "--config-out", self.path("c2.json"))
        # MODEL2 with C2 evaluates to what training reported
        seen = run("evaluate", self.path("m.pt2"), "--data", "sample:test,limit=200", "--config", self.path("c2.json"))
        self.assertEqual(seen["value"], trained["history"][-1]["value"])

        common = ["--config", self.path("c2.json")]
        written = run("export", self.path("m.pt2"), *common, "--format", "pack", "-o", self.path("m.pack"))
        self.assertEqual(written["bytes"], os.path.getsize(self.path("m.pack")))
        self.assertLess(written["bytes"], seen["float_size_bytes"] / 15)
        check = run("verify", self.path("m.pack"), "--against", self.path("m.pt2"), *common, "--data", "sample:test,limit=64")
        self.assertEqual((check["max_abs_difference"], check["top1_agreement"], check["differing_levels"]), (0, 1, 0))
        wrong = run("verify", self.path("m.pack"), "--against", MODEL, "--config", self.path("c.json"), "--data", "sample:test,limit=64")
        self.assertGreater(wrong["differing_levels"], 0)

        run("unpack", self.path("m.pack"), "-o", self.path("m.npz"))
        with open(os.path.join(SAMPLES, "..", "docs", "pack.md")) as file:
            reader = file.read().split("```python\n")[1].split("```")[0]
        space = {"__name__": "reader"}
        exec(reader, space)
        header, tensors = space["read"](self.path("m.pack"))
        arrays = np.load(self.path("m.npz"))
        self.assertEqual(sorted(arrays.files), sorted(tensors))
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(arrays[name], tensor, strict=True)
        weights = arrays["features.17.weight"]
        self.assertLessEqual(len(np.unique(weights)), 8 + 1)   # 8 shared values and the pruned zero

    def test_damage(self):
        run("export", MODEL, "--format", "pack", "-o", self.path("f.pack"))
        with open(self.path("f.pack"), "rb") as file:
            good = file.read()
        for name, bytes_ in ("cut", good[:5000]), ("flipped", good[:900] + bytes([good[900] ^ 1]) + good[901:]), ("empty", b""):
            with open(self.path(name), "wb") as file:
                file.write(bytes_)
            self.assertIn(name, run("unpack", self.path(name), "-o", self.path("x.npz"), fails=True))
            self.assertFalse(os.path.exists(self.path("x.npz")))


if __name__ == "__main__":
    unittest.main()
