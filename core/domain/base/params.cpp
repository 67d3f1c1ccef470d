// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/params.h"

#include "base/json_util.h"
#include "base/names.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <nlohmann/json.hpp>

namespace bitwright {

namespace {

std::string numberText(double value)
{
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
    return {buffer, end};
}

/// What the option takes, for messages: "an integer from 1 to 16", "one of minmax, mse".
std::string accepted(const ParamSpec &spec)
{
    std::string range;
    if (spec.minimum != 0 || spec.maximum != 0)
        range = " from " + numberText(spec.minimum) + " to " + numberText(spec.maximum);
    switch (spec.type) {
    case ParamType::Bool: return "true or false";
    case ParamType::Int: return "an integer" + range;
    case ParamType::Real: return "a number" + range;
    case ParamType::Choice: return spec.choices.empty() ? "a text" : "one of " + joinNames(spec.choices);
    case ParamType::RealList: return "numbers" + range;
    }
    return {};
}

std::unexpected<Error> refuse(const ParamSpec &spec, const std::string &given)
{
    return fail(ErrorKind::Invalid, "option \"" + spec.name + "\", " + given + " is not possible; it takes " + accepted(spec));
}

bool inRange(const ParamSpec &spec, double value)
{
    const bool bounded = spec.minimum != 0 || spec.maximum != 0;
    return std::isfinite(value) && (!bounded || (value >= spec.minimum && value <= spec.maximum));
}

template <typename Number>
bool parseNumber(std::string_view text, Number &out)
{
    if (text.starts_with('+'))
        text.remove_prefix(1);
    const auto result = std::from_chars(text.data(), text.data() + text.size(), out);
    return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

bool parseList(std::string_view text, std::vector<double> &out)
{
    if (text.empty())
        return true;
    for (;;) {
        const auto bar = text.find('|');
        double number = 0;
        if (!parseNumber(text.substr(0, bar), number))
            return false;
        out.push_back(number);
        if (bar == std::string_view::npos)
            return true;
        text.remove_prefix(bar + 1);
    }
}

Result<ParamValue> checked(const ParamSpec &spec, ParamValue value)
{
    BW_CHECK(checkParam(spec, value));
    return value;
}

/// An integer where a number is asked and one number where a list is asked are what the writer meant.
ParamValue widened(const ParamSpec &spec, const ParamValue &value)
{
    const auto *integer = std::get_if<std::int64_t>(&value);
    const auto *real = std::get_if<double>(&value);
    if (spec.type == ParamType::Real && integer)
        return double(*integer);
    if (spec.type == ParamType::RealList && (integer || real))
        return std::vector<double>{integer ? double(*integer) : *real};
    return value;
}

std::string valueText(const ParamValue &value)
{
    return jsonExcerpt(paramToJson(value));
}

} // namespace

Result<ParamValue> parseParam(const ParamSpec &spec, const std::string &text)
{
    const std::string given = "\"" + text.substr(0, 60) + "\"";
    switch (spec.type) {
    case ParamType::Bool:
        if (text == "true" || text == "false")
            return text == "true";
        return refuse(spec, given);
    case ParamType::Int: {
        std::int64_t number = 0;
        return parseNumber(text, number) ? checked(spec, number) : Result<ParamValue>(refuse(spec, given));
    }
    case ParamType::Real: {
        double number = 0;
        return parseNumber(text, number) ? checked(spec, number) : Result<ParamValue>(refuse(spec, given));
    }
    case ParamType::Choice: return checked(spec, text);
    case ParamType::RealList: {
        std::vector<double> numbers;
        return parseList(text, numbers) ? checked(spec, numbers) : Result<ParamValue>(refuse(spec, given));
    }
    }
    return refuse(spec, given);
}

Result<ParamValue> paramFromJson(const ParamSpec &spec, const nlohmann::json &value)
{
    const auto given = [&] { return jsonExcerpt(value); };
    switch (spec.type) {
    case ParamType::Bool:
        return value.is_boolean() ? Result<ParamValue>(value.get<bool>()) : refuse(spec, given());
    case ParamType::Int: {
        const auto number = jsonInteger(value);
        return number ? checked(spec, *number) : Result<ParamValue>(refuse(spec, given()));
    }
    case ParamType::Real: {
        const auto number = jsonNumber(value);
        return number ? checked(spec, *number) : Result<ParamValue>(refuse(spec, given()));
    }
    case ParamType::Choice:
        return value.is_string() ? checked(spec, value.get<std::string>()) : Result<ParamValue>(refuse(spec, given()));
    case ParamType::RealList: {
        std::vector<double> numbers;
        for (const auto &entry : value.is_array() ? value : nlohmann::json::array({value})) {
            const auto number = jsonNumber(entry);
            if (!number)
                return refuse(spec, given());
            numbers.push_back(*number);
        }
        return checked(spec, numbers);
    }
    }
    return refuse(spec, given());
}

nlohmann::json paramToJson(const ParamValue &value)
{
    return std::visit([](const auto &v) { return nlohmann::json(v); }, value);
}

Status checkParam(const ParamSpec &spec, const ParamValue &value)
{
    bool good = false;
    switch (spec.type) {
    case ParamType::Bool: good = std::holds_alternative<bool>(value); break;
    case ParamType::Int:
        good = std::holds_alternative<std::int64_t>(value) && inRange(spec, double(std::get<std::int64_t>(value)));
        break;
    case ParamType::Real: good = std::holds_alternative<double>(value) && inRange(spec, std::get<double>(value)); break;
    case ParamType::Choice: {
        const auto *text = std::get_if<std::string>(&value);
        good = text && (spec.choices.empty() || std::ranges::find(spec.choices, *text) != spec.choices.end());
        break;
    }
    case ParamType::RealList: {
        const auto *numbers = std::get_if<std::vector<double>>(&value);
        good = numbers && std::ranges::all_of(*numbers, [&](double number) { return inRange(spec, number); });
        break;
    }
    }
    if (!good)
        return refuse(spec, valueText(value));
    return {};
}

Result<ParamValues> completeParams(const std::vector<ParamSpec> &specs, const ParamValues &given, const std::string &owner)
{
    std::vector<std::string> names;
    for (const auto &spec : specs)
        names.push_back(spec.name);
    for (const auto &[name, value] : given) {
        if (std::ranges::find(names, name) != names.end())
            continue;
        const std::string near = closestName(name, names);
        const std::string mend = names.empty()    ? std::string("it has no options")
                                 : !near.empty() ? "did you mean \"" + near + "\"?"
                                                 : "it has " + joinNames(names);
        return fail(ErrorKind::Invalid, owner + ", no option \"" + name + "\"; " + mend);
    }
    ParamValues complete;
    for (const auto &spec : specs) {
        const auto found = given.find(spec.name);
        if (found == given.end() && spec.optional)
            continue;
        ParamValue value = found == given.end() ? spec.fallback : widened(spec, found->second);
        if (found != given.end())
            if (const auto status = checkParam(spec, value); !status)
                return fail(status.error().kind, owner + ", " + status.error().message);
        complete.emplace(spec.name, std::move(value));
    }
    return complete;
}

bool boolParam(const ParamValues &values, const std::string &name, bool fallback)
{
    const auto found = values.find(name);
    const auto *value = found == values.end() ? nullptr : std::get_if<bool>(&found->second);
    return value ? *value : fallback;
}

std::int64_t intParam(const ParamValues &values, const std::string &name, std::int64_t fallback)
{
    const auto found = values.find(name);
    const auto *value = found == values.end() ? nullptr : std::get_if<std::int64_t>(&found->second);
    return value ? *value : fallback;
}

double realParam(const ParamValues &values, const std::string &name, double fallback)
{
    const auto found = values.find(name);
    if (found == values.end())
        return fallback;
    if (const auto *integer = std::get_if<std::int64_t>(&found->second))
        return double(*integer);
    const auto *value = std::get_if<double>(&found->second);
    return value ? *value : fallback;
}

std::string textParam(const ParamValues &values, const std::string &name, const std::string &fallback)
{
    const auto found = values.find(name);
    const auto *value = found == values.end() ? nullptr : std::get_if<std::string>(&found->second);
    return value ? *value : fallback;
}

bool hasParam(const ParamValues &values, const std::string &name)
{
    return values.contains(name);
}

} // namespace bitwright
