// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"
#include "exporters/pack_file.h"

namespace bitwright {

/// The whole file in memory, as the exporter writes it; serialize() gives the bytes, so a dry run counts exactly.
Result<pack::PackFile> packModel(const ExportInput &input, const JobContext &context);
/// The layers of such a file with their encodings, in the order of the network.
std::vector<ExportedLayer> packedLayers(const ExportInput &input, const pack::PackFile &file);

Exporter packExporter();

} // namespace bitwright
