// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/dataset.h"

#include "base/json_util.h"
#include "base/text_file.h"

#include <filesystem>

#include <nlohmann/json.hpp>

namespace bitwright {

namespace {

constexpr std::uint64_t kLargestSideFile = 1 << 20;
constexpr const char *kSampleSchema = "bitwright/sample/1";

/// The side file's text as JSON, or nothing when there is none or it is something else (an assignment, say).
std::optional<nlohmann::json> sideJson(const std::string &modelPath)
{
    std::error_code code;
    auto stem = std::filesystem::path(modelPath);
    stem.replace_extension(".json");
    for (const auto &path : {modelPath + ".json", stem.string()}) {
        if (!std::filesystem::is_regular_file(path, code))
            continue;
        const auto text = readTextFile(path, kLargestSideFile);
        if (!text)
            continue;
        auto json = parseJson(*text, path);
        if (json && json->is_object() && json->contains("schema") && (*json)["schema"] == kSampleSchema)
            return std::move(*json);
    }
    return std::nullopt;
}

std::vector<double> numbers(const nlohmann::json &json, const char *key)
{
    std::vector<double> list;
    if (const auto found = json.find(key); found != json.end() && found->is_array())
        for (const auto &entry : *found)
            if (entry.is_number())
                list.push_back(entry.get<double>());
    return list;
}

std::string text(const nlohmann::json &json, const char *key)
{
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

} // namespace

std::optional<SampleSideFile> readSideFile(const std::string &modelPath)
{
    const auto json = sideJson(modelPath);
    if (!json || !json->contains("input") || !(*json)["input"].is_object())
        return std::nullopt;
    const auto &input = (*json)["input"];
    SampleSideFile side;
    side.name = text(*json, "name");
    side.title = text(*json, "title");
    for (double size : numbers(input, "shape"))
        side.inputShape.push_back(std::int64_t(size));
    if (const auto scale = input.find("scale"); scale != input.end() && scale->is_number())
        side.preprocessing.scale = scale->get<double>();
    side.preprocessing.mean = numbers(input, "mean");
    side.preprocessing.std = numbers(input, "std");
    for (double s : side.preprocessing.std)
        if (!(s > 0))
            return std::nullopt;
    if (const auto classes = json->find("classes"); classes != json->end() && classes->is_array())
        for (const auto &name : *classes)
            if (name.is_string())
                side.classes.push_back(name.get<std::string>());
    if (const auto top1 = json->find("float_top1"); top1 != json->end() && top1->is_number())
        side.floatTop1 = top1->get<double>();
    return side;
}

Status copySideFile(const std::string &from, const std::string &to)
{
    auto json = sideJson(from);
    std::error_code code;
    if (!json || std::filesystem::equivalent(from, to, code))
        return {};
    for (const char *key : {"float_top1", "expected", "training"})   // true of the original weights only
        json->erase(key);
    return writeTextFile(to + ".json", prettyJson(*json, {"schema", "name", "title", "input", "classes"}));
}

} // namespace bitwright
