# SPDX-License-Identifier: GPL-3.0-or-later
"""The report by the command line: which accuracy it shows and what it says about the calibration."""
import json
import os
import re
import subprocess
import tempfile
import unittest
from html.parser import HTMLParser

CLI = os.environ["BITWRIGHT_CLI"]
MODEL = os.path.join(os.environ["BITWRIGHT_SOURCE_DIR"], "sample_models", "resnet20.pt2")
DATA = "sample:test,limit=128"


def run(*arguments, fails=0):
    done = subprocess.run([CLI, *arguments, "--json", "--quiet"], capture_output=True, text=True)
    assert done.returncode == fails, done.stderr
    return done.stderr if fails else json.loads(done.stdout)


class Facts(HTMLParser):
    """The names and texts of the page's description lists."""
    def __init__(self, page):
        super().__init__()
        self.found, self.tag = [], None
        self.feed(page)
        self.facts = dict(zip(self.found[::2], self.found[1::2]))

    def handle_starttag(self, tag, attributes):
        self.tag = tag

    def handle_data(self, data):
        if self.tag in ("dt", "dd") and data.strip():
            self.found.append(data)


class Report(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        with open(self.path("c.json"), "w") as file:
            json.dump({"schema": "bitwright/assignment/1", "defaults": {"weight": {"method": "uniform", "bits": 4},
                                                                        "activation": {"method": "uniform", "bits": 8}}}, file)
        run("calibrate", MODEL, "--data", "sample:train,limit=128", "--config", self.path("c.json"), "-o", self.path("train.json"))

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def report(self, *arguments):
        written = run("export", MODEL, *arguments, "--format", "report", "-o", self.path("r.html"))
        self.assertEqual(written["bytes"], os.path.getsize(self.path("r.html")))
        self.assertEqual({"path", "format", "bytes", "layers", "notes"}, set(written))
        self.assertEqual({"name", "bits", "encoding"}, set(written["layers"][0]))
        with open(self.path("r.html")) as file:
            page = file.read()
        return Facts(page).facts, page

    def test_a_trial_of_this_assignment(self):
        session = ["--session", self.path("s.bitwright")]
        seen = run("evaluate", MODEL, "--data", DATA, "--config", self.path("train.json"), *session)
        facts, page = self.report("--config", self.path("train.json"), *session)
        self.assertTrue(facts["Accuracy"].startswith(f"top1 {seen['value']:.4f} ("), facts["Accuracy"])
        self.assertIn("on 128 samples of " + DATA, facts["Accuracy"])
        self.assertIn("not recorded", facts["Calibration"])   # no data at hand to find out
        self.assertEqual(page.count('class="here"'), 1)
        # The same session says nothing about another assignment.
        facts, page = self.report("--config", self.path("c.json"), *session)
        self.assertTrue(facts["Accuracy"].startswith("not measured"), facts["Accuracy"])
        self.assertNotIn("Calibration", facts)
        self.assertIn("<svg class=\"plot\"", page)

    def test_calibrated_on_the_same_data(self):
        facts, _ = self.report("--config", self.path("c.json"), "--data", DATA)   # calibrated here
        self.assertTrue(facts["Calibration"].startswith("on the same data: "), facts["Calibration"])
        run("calibrate", MODEL, "--data", "sample:test,limit=600", "--config", self.path("c.json"), "-o", self.path("test.json"))
        facts, _ = self.report("--config", self.path("test.json"), "--data", "sample:test,limit=600")   # by whoever wrote it
        self.assertTrue(facts["Calibration"].startswith("on the same data: "), facts["Calibration"])
        self.assertIn("600 samples", facts["Calibration"])
        facts, _ = self.report("--config", self.path("train.json"), "--data", DATA)
        self.assertIn("not recorded", facts["Calibration"])

    def test_refusals(self):
        self.assertIn("--data", run("export", MODEL, "--config", self.path("train.json"), "--format", "pack", "--data", DATA, "-o",
                                    self.path("x.pack"), fails=1))
        self.assertIn("nowhere", run("export", MODEL, "--format", "report", "-o", self.path("nowhere/r.html"), fails=1))
        self.assertIn("resnet20.pt2", run("export", MODEL, "--format", "report", "-o", MODEL, fails=1))
        with self.assertRaises(AssertionError):
            run("export", MODEL, "--format", "pdf", "-o", self.path("x.pdf"), fails=1)   # 2: not in the table
        self.assertIsNone(re.search("part-", " ".join(os.listdir(self.folder.name))))


if __name__ == "__main__":
    unittest.main()
