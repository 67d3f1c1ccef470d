// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "engine/export_model.h"
#include "exporters/pack_file.h"
#include "exporters/verify.h"
#include "frontends/frontend.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options { std::string file, against, config, data; };

/// By the content, as everywhere.
Result<std::string> formatOf(const std::string &path)
{
    if (pack::isPack(path))
        return std::string("pack");
    for (const auto &frontend : frontends())
        if (frontend.probe(path))
            return frontend.id;
    // the loader knows what else it may be and how to say it
    if (auto graph = loadGraph(path); !graph)
        return std::unexpected(graph.error());
    return fail(ErrorKind::Unsupported, path + ", not a network file; export it again");
}

Result<Output> verify(const Options &options, Console &console)
{
    VerifyInput input;
    input.path = options.file;
    BW_ASSIGN(input.format, formatOf(options.file));
    BW_ASSIGN(const auto network, Network::open(options.against, console.job()));
    BW_ASSIGN(const auto assignment, readAssignment(*network, options.config, console));
    BW_ASSIGN(const auto data, openDataFor(*network, options.data, console));
    input.inputs = data->inputs(0, data->size());
    input.threads = at::get_num_threads();
    BW_CHECK(setSimulation(input, {network, assignment.config, assignment.resolved, {}}));
    BW_ASSIGN(const auto report, verifyFile(input, console.job()));
    Output output;
    output.firstKeys = {"runtime", "samples", "max_abs_difference", "top1_agreement", "differing_levels", "first_differing_layer"};
    output.json = {{"runtime", report.runtime}, {"samples", report.samples}, {"max_abs_difference", report.maxAbsDifference},
                   {"top1_agreement", report.top1Agreement}, {"differing_levels", report.differingLevels},
                   {"first_differing_layer", report.firstDifferingLayer.empty() ? json(nullptr) : json(report.firstDifferingLayer)},
                   {"layers", json::array()}, {"notes", report.notes}};
    for (const auto &layer : report.layers)
        output.json["layers"].push_back({{"name", layer.layer}, {"max_abs_difference", layer.maxAbsDifference},
                                         {"differing_levels", layer.differingLevels}});
    TextTable table({{""}, {""}});
    table.add({"runtime", report.runtime});
    table.add({"top-1 agreement", fixed(report.top1Agreement, 6) + " on " + grouped(report.samples) + " samples"});
    table.add({"largest difference", json(report.maxAbsDifference).dump()});
    table.add({"differing levels", grouped(report.differingLevels)});
    table.add({"first differing layer", report.firstDifferingLayer.empty() ? "none" : report.firstDifferingLayer});
    output.text = table.text().substr(1);
    for (const auto &note : report.notes)
        output.text += "note: " + note + "\n";
    return output;
}

} // namespace

Work declareVerify(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("F", options->file, "The written file")->required();
    app.add_option("--against", options->against, "The network it was made from")->required();
    app.add_option("--config", options->config, "The assignment it was made with");
    app.add_option("--data", options->data, "Data, KIND:PATH[,option=value…]")->required();
    return [options](Console &console) { return verify(*options, console); };
}

} // namespace bitwright::cli
