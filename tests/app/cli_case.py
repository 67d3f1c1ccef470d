# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the command line share."""
import json
import os
import subprocess
import tempfile
import unittest

CLI = os.environ["BITWRIGHT_CLI"]
SAMPLES = os.path.join(os.environ["BITWRIGHT_SOURCE_DIR"], "sample_models")


def run(*arguments, fails=False):
    """One command with --json: its document, or with `fails` the line of its error."""
    done = subprocess.run([CLI, *arguments, "--json", "--quiet"], capture_output=True, text=True)
    if fails:
        assert done.returncode == 1 and done.stderr.startswith("error: "), done.stderr
        return done.stderr
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def call(*words, code=0):
    """One command on one thread that ends with this code."""
    done = subprocess.run([CLI, *map(str, words), "--threads", "1", "--quiet"], capture_output=True, text=True, timeout=200)
    assert done.returncode == code, (words, done.returncode, done.stderr)
    return done


def document(*words):
    """call() with --json."""
    return json.loads(call(*words, "--json").stdout)


class CliCase(unittest.TestCase):
    """Tests with a folder of their own."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, content):
        """A JSON file; gives its path."""
        with open(self.path(name), "w") as file:
            json.dump(content, file)
        return self.path(name)
