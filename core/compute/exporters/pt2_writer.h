// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "base/result.h"
#include "graph/graph.h"

#include <map>
#include <string>

namespace bitwright {

/// Writes a graph with its parameters as a `.pt2` of PyTorch 2.13 (schema 8, torch.export.load reads it), whatever format
/// it came from. The batch stays free unless the graph fixes it; other sizes are those of the graph's inputs. Numbers
/// that the run computes become constants, or expressions of the batch. The file is read back and run beside the graph
/// before it replaces an older one. Unsupported names the first node that the format cannot say. `extras` go beside the
/// network, as torch.export.save(extra_files=…) writes them.
Status writeGraphPt2(const Graph &graph, const std::string &path, const JobContext &context = {},
                     const std::map<std::string, std::string> &extras = {});

} // namespace bitwright
