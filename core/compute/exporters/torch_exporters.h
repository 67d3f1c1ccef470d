// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"

namespace bitwright {

/// The configured network as an exported program of PyTorch.
Exporter pt2Exporter();
/// The same as a TorchScript program.
Exporter torchscriptExporter();
/// The configured parameters alone, by PyTorch's names, as torch.save writes them.
Exporter stateDictExporter();

} // namespace bitwright
