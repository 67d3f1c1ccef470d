// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "base/result.h"
#include "catalog/export_format.h"
#include "config/model_config.h"
#include "graph/graph.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

struct ExportEvidence;   // exporters/report.h
struct ReportContent;    // report/report_content.h

/// What an exporter is given: copies and views that outlive the call.
struct ExportInput {
    const Graph *graph = nullptr;               ///< as it is simulated: already folded where the assignment says so
    std::span<const LayerBinding> bindings;     ///< of that graph
    ParameterMap parameters;                    ///< float weights by name; missing ones come from the graph
    ResolvedConfig config;                      ///< activations calibrated; weights without values get them from themselves
    ModelConfig assignment;                     ///< goes into the file as JSON
    std::vector<at::Tensor> example;            ///< one sample batch per input, to learn shapes that the graph leaves open
    std::string producerVersion;
    std::shared_ptr<const ExportEvidence> evidence;   ///< what a document shows beside the network; null for other formats
};

struct ExportedLayer {
    std::string name;
    int bits = 32;              ///< of the weight, 32 for float
    std::string encoding;       ///< for example "int4 per channel, input uint8"
};

struct ExportReport {
    std::int64_t bytes = 0;
    std::vector<ExportedLayer> layers;
    std::vector<std::string> notes;             ///< what was approximated or widened, and why the file is as it is
    std::shared_ptr<const ReportContent> document;   ///< what a document says; null for other formats
};

/// A format with the function that writes it.
struct Exporter : ExportFormat {
    /// Writes beside `path`, reads it back, then renames. Unsupported lists every operator or layer it cannot write.
    Result<ExportReport> (*write)(const ExportInput &input, const std::string &path, const JobContext &context) = nullptr;
};

/// The table: order is the order in menus.
const std::vector<Exporter> &exporters();
const Exporter *findExporter(const std::string &id);
/// The same table without the functions.
const std::vector<ExportFormat> &exportFormats();

/// The weight with NaN where the mask prunes: what a quantizer without stored values is fitted to.
at::Tensor survivors(const at::Tensor &weight, const Mask &mask);

Exporter onnxQdqExporter();
Exporter reportExporter();

} // namespace bitwright
