// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"

namespace bitwright {

/// Writes a network that came from an ONNX file as that file with its quantization put in: quantized weights become
/// codes that are de-quantized into a value of the weight's old name, a Q/DQ pair stands in front of each quantized
/// input, trained and pruned weights replace the old ones, a folded batch norm becomes Identity. Everything else is
/// copied byte for byte: names, dynamic axes, metadata, operator sets. Types that the file's operator set lacks are
/// stored wider, which the notes say. Unsupported where a layer stands in a sub-graph or function, or the operator set
/// has no quantizer at all (before 10).
Result<ExportReport> editOnnx(const ExportInput &input, const std::string &path, const JobContext &context);

} // namespace bitwright
