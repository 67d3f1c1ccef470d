// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"

#include "base/text_file.h"
#include "catalog/method_table.h"
#include "config/presets.h"
#include "quant/quantizer.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

const char *typeName(ParamType type)
{
    switch (type) {
    case ParamType::Bool: return "bool";
    case ParamType::Int: return "int";
    case ParamType::Real: return "real";
    case ParamType::Choice: return "choice";
    case ParamType::RealList: return "list";
    }
    return "";
}

json optionJson(const ParamSpec &spec)
{
    json option{{"name", spec.name}, {"type", typeName(spec.type)}, {"help", spec.help}};
    option["default"] = spec.optional ? json(nullptr) : paramToJson(spec.fallback);
    if (!spec.choices.empty())
        option["choices"] = spec.choices;
    if (spec.minimum != 0 || spec.maximum != 0) {
        option["minimum"] = spec.minimum;
        option["maximum"] = spec.maximum;
    }
    if (!spec.unit.empty())
        option["unit"] = spec.unit;
    return option;
}

json methodJson(const MethodTraits &method)
{
    json roles = json::array(), bits = json::array(), options = json::array();
    for (const auto role : method.roles)
        roles.push_back(roleName(role));
    if (method.kind == MethodKind::Quantizer)
        for (int b = method.minimumBits; b <= method.maximumBits; ++b)
            bits.push_back(b);
    for (const auto &option : method.options)
        options.push_back(optionJson(option));
    json row{{"id", method.id}, {"title", method.title}, {"paper", method.paper}, {"year", method.year}, {"roles", roles},
             {"bits", bits}, {"options", options}, {"values", method.values}, {"summary", method.summary}};
    if (method.kind == MethodKind::Pruner) {
        row["structured"] = method.structured;
        row["needs_data"] = method.needsData;
    }
    return row;
}

std::string optionText(const ParamSpec &spec)
{
    std::string accepts = typeName(spec.type);
    for (std::size_t i = 0; i < spec.choices.size(); ++i)
        accepts = (i == 0 ? "" : accepts + "|") + spec.choices[i];
    const auto fallback = spec.optional ? std::string("by the method") : paramToJson(spec.fallback).dump();
    return "    " + spec.name + "=" + accepts + "  (" + fallback + ")" + (spec.help.empty() ? "" : "  " + spec.help) + "\n";
}

std::string methodText(const MethodTraits &method)
{
    std::string text = method.id + ": " + method.title + " (" + method.paper + ", " + std::to_string(method.year) + ")\n";
    if (!method.summary.empty())
        text += "  " + method.summary + "\n";
    if (method.kind == MethodKind::Quantizer) {
        text += "  " + std::to_string(method.minimumBits) + " to " + std::to_string(method.maximumBits) + " bits;";
        for (const auto role : method.roles)
            text += std::string(" ") + roleName(role);
        text += "\n";
    }
    if (method.kind == MethodKind::Pruner)
        text += std::string("  ") + (method.structured ? "whole output channels" : "single weights") + (method.needsData ? "; needs data" : "") + "\n";
    for (const auto &option : method.options)
        text += optionText(option);
    return text + "\n";
}

/// A preset as the parts of an assignment that it fills.
json presetJson(const Preset &preset)
{
    const json assignment = configToJson(withPreset({}, preset));
    return {{"id", preset.id}, {"title", preset.title}, {"paper", preset.paper}, {"training", preset.training},
            {"defaults", assignment.at("defaults")}, {"policy", {{"first_last", keepName(preset.policy.firstLast)},
                                                                {"shortcut", keepName(preset.policy.shortcuts)}}}};
}

Result<Output> listMethods()
{
    Output output;
    output.firstKeys = {"quantizers", "pruners", "recipes", "presets", "id", "title", "paper", "year", "roles", "bits", "options", "name"};
    output.json = {{"quantizers", json::array()}, {"pruners", json::array()}, {"recipes", json::array()}, {"presets", json::array()}};
    for (const auto &[kind, key, title] : {std::tuple{MethodKind::Quantizer, "quantizers", "Quantizers"},
                                           std::tuple{MethodKind::Pruner, "pruners", "Pruners"},
                                           std::tuple{MethodKind::Recipe, "recipes", "Training recipes"}}) {
        std::string text;
        for (const auto &method : methodCatalog().methods()) {
            if (method.kind != kind)
                continue;
            output.json[key].push_back(methodJson(method));
            text += methodText(method);
        }
        if (!text.empty())
            output.text += std::string(title) + "\n\n" + text;
    }
    TextTable table({{"preset"}, {"what it is"}, {"first and last"}, {"shortcuts"}});
    for (const Preset &preset : presets()) {
        output.json["presets"].push_back(presetJson(preset));
        table.add({preset.id, preset.title, keepName(preset.policy.firstLast), keepName(preset.policy.shortcuts)});
    }
    output.text += "Presets: the assignments of papers, for --preset\n\n" + table.text();
    return output;
}

struct TableOptions {
    bool markdown = false, brief = false;
    std::string into;
};

/// The table of quantizers for the documentation; `into` is a file that holds it between its markers.
Result<Output> printTable(const TableOptions &options)
{
    const std::string table = options.brief ? familyTable(methodCatalog(), "docs/methods/") : methodTable(methodCatalog());
    Output output;
    output.json = {{"markdown", table}};
    output.text = table;
    if (options.into.empty())
        return output;
    constexpr std::uint64_t kLargest = 1 << 24;
    BW_ASSIGN(const std::string text, readTextFile(options.into, kLargest));
    BW_ASSIGN(const std::string changed, withMarkedTable(text, table, options.into));
    BW_CHECK(writeTextFile(options.into, changed));
    output.text = options.into + (changed == text ? ": as it was\n" : ": written\n");
    return output;
}

} // namespace

Work declareMethods(CLI::App &app)
{
    auto options = std::make_shared<TableOptions>();
    auto *markdown = app.add_flag("--markdown", options->markdown, "Print the table of quantizers for the documentation");
    app.add_flag("--short", options->brief, "With --markdown: one row a family, as in README.md")->needs(markdown);
    app.add_option("--into", options->into, "With --markdown: put it between the markers of this file instead")->needs(markdown);
    return [options](Console &) { return options->markdown ? printTable(*options) : listMethods(); };
}

} // namespace bitwright::cli
