// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/exporter.h"
#include "exporters/runtimes.h"

#include <string>
#include <vector>

namespace bitwright {

/// The configured network as a graph of ordinary ATen operators: what PyTorch's own formats are written from.
struct FakeQuantGraph {
    Graph graph;
    std::vector<ExportedLayer> layers;
};

/// Puts the quantized weights in place of the float ones (zero where they are pruned) and, in front of every call of a
/// layer whose input is quantized, operators that give the simulation's values bit for bit: divide by the scale, round
/// half to even, add the zero point, clamp, subtract, multiply; for free levels bucketize and a table. Scales and tables
/// are buffers named after the layer ("conv1.input_scale"). Errors name the layer.
Result<FakeQuantGraph> fakeQuantGraph(const ExportInput &input);

/// What stands in `graph` in front of its layers, in execution order, found by those buffers' names; `value` is what the
/// layer reads. Empty for a file of somebody else.
struct FakeQuantSite {
    QuantizedSite site;
    ValueId value = kNoValue;
};
std::vector<FakeQuantSite> fakeQuantSites(const Graph &graph);

/// The assignment as the files carry it beside the network.
std::string assignmentText(const ExportInput &input);
/// Unsupported, naming all of them, where nodes run by kernels of our own or hold branches: `format` cannot say them.
Status onlyAtenNodes(const Graph &graph, const std::string &format);

} // namespace bitwright
