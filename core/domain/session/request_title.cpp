// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/engine_api.h"

#include "base/names.h"

#include <type_traits>

namespace bitwright {

namespace {

std::string fileName(const std::string &path)
{
    return path.substr(path.find_last_of('/') + 1);   // npos + 1 is 0
}

std::string counted(std::int64_t count, const std::string &noun)
{
    return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string quantized(const ModelConfig &config)
{
    return config.defaults.empty() && config.layers.empty() ? " the float network" : "";
}

std::string title(const OpenModelRequest &r) { return "Open " + fileName(r.path); }
std::string title(const OpenDataRequest &r)
{
    const std::string &spec = !r.evaluation.empty() ? r.evaluation : !r.calibration.empty() ? r.calibration : r.training;
    return "Open data " + spec;
}
std::string title(const DataPreviewRequest &r) { return "Look at data " + r.spec; }
std::string title(const StatisticsRequest &) { return "Distributions"; }
std::string title(const PreviewRequest &r) { return "Preview " + r.layer + ", " + roleName(r.role); }
std::string title(const PruneRequest &r) { return "Prune by " + r.method; }
std::string title(const CalibrateRequest &r) { return "Calibrate on " + counted(r.samples, "sample"); }
std::string title(const EvaluateRequest &r)
{
    return "Evaluate" + quantized(r.config) + ", " + r.metric + (r.limit > 0 ? ", " + counted(r.limit, "sample") : "");
}
std::string title(const SweepRequest &r)
{
    std::vector<std::string> bits;
    for (const int b : r.bits)
        bits.push_back(std::to_string(b));
    return "Sweep at " + joinNames(bits) + " bits";
}
std::string title(const FineTuneRequest &r) { return "Fine-tune, " + counted(r.options.epochs, "epoch"); }
std::string title(const ExportRequest &r) { return "Export " + fileName(r.path); }
std::string title(const WeightRequest &r) { return "Weight of " + r.layer; }
std::string title(const SensitivityRequest &r) { return "Pruning sensitivity at " + counted(std::int64_t(r.sparsities.size()), "share"); }
std::string title(const CorrectRequest &r)
{
    return r.step == CorrectRequest::Step::Bias ? "Correct biases" : "Re-estimate batch norm";
}
std::string title(const SurgeryRequest &) { return "Remove pruned channels"; }
std::string title(const PackSizeRequest &) { return "Packed size"; }
std::string title(const CompareRequest &r) { return "Compare methods on " + r.layer + ", " + roleName(r.role); }
std::string title(const CompareNetworksRequest &r) { return "Compare " + counted(std::int64_t(r.candidates.size()), "assignment"); }

} // namespace

std::string requestTitle(const Request &request)
{
    return std::visit([](const auto &r) { return title(r); }, request);
}

} // namespace bitwright
