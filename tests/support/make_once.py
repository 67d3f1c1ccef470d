# SPDX-License-Identifier: GPL-3.0-or-later
"""For scripts that make test networks: once per version of the script, by one program at a time."""
import fcntl
import hashlib
import pathlib
import sys
import warnings

import torch


def make_once(script, *makers):
    """Calls each maker with the folder that the command line names, unless it holds what this version of `script` (and of
    make_models.py) makes."""
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    here = pathlib.Path(script).resolve()
    version = hashlib.sha256(here.read_bytes() + (here.parent / "make_models.py").read_bytes()).hexdigest()
    stamp = out / "stamp"
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with open(out / "lock", "w") as lock:   # two test programs may ask at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != version:
            for maker in makers:
                maker(out)
            stamp.write_text(version)
    return 0
