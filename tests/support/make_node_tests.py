# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the node tests that the onnx package makes when asked, one folder each: model.onnx, test_data_set_0/….pb."""
import os
import sys
import warnings

warnings.filterwarnings("ignore")

import onnx  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx.backend.test.case.node import collect_testcases  # noqa: E402


def stored(value, info):
    kind = info.type.WhichOneof("value")
    if isinstance(value, onnx.TensorProto):
        return value
    if kind == "sequence_type":
        return numpy_helper.from_list(value, info.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, info.name)
    return numpy_helper.from_array(value, info.name)


def main(target):
    for case in collect_testcases(None):
        if case.kind != "node" or not case.data_sets:
            continue
        folder = os.path.join(target, case.name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "model.onnx"), "wb") as file:
            file.write(case.model.SerializeToString())
        for number, (inputs, outputs) in enumerate(case.data_sets):
            data = os.path.join(folder, f"test_data_set_{number}")
            os.makedirs(data, exist_ok=True)
            for stem, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
                for i, value in enumerate(values):
                    with open(os.path.join(data, f"{stem}_{i}.pb"), "wb") as file:
                        file.write(stored(value, infos[i]).SerializeToString())


if __name__ == "__main__":
    main(sys.argv[1])
