// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace bitwright {

/// The value of one option: in files JSON's own types, on the command line text ("a|b|c" for lists).
using ParamValue = std::variant<bool, std::int64_t, double, std::string, std::vector<double>>;
using ParamValues = std::map<std::string, ParamValue>;

enum class ParamType { Bool, Int, Real, Choice, RealList };

/// One declared option of a method. Drives the form, the JSON, the validation and the documentation.
struct ParamSpec {
    std::string name;
    ParamType type = ParamType::Real;
    ParamValue fallback = {};           ///< default value; an empty RealList or "" means "not given"
    double minimum = 0, maximum = 0;    ///< of Int and Real, ends included; both 0 means unbounded
    std::vector<std::string> choices = {};   ///< of Choice
    std::string unit = {};
    std::string help = {};              ///< one sentence for tooltips and docs
    /// True where leaving it out means "the method decides" (the value is then absent, not the fallback).
    bool optional = false;
    /// "range=percentile" where the option counts only under that choice of another one; forms grey it out else.
    std::string onlyWith = {};
};

/// Parses `text` as the type of `spec` and checks its range; the error names the option and what it accepts.
Result<ParamValue> parseParam(const ParamSpec &spec, const std::string &text);
/// Reads a JSON value as the type of `spec` and checks its range.
Result<ParamValue> paramFromJson(const ParamSpec &spec, const nlohmann::json &value);
nlohmann::json paramToJson(const ParamValue &value);
/// Checks an already typed value: type, range, choice, finite.
Status checkParam(const ParamSpec &spec, const ParamValue &value);
/// Checks every value against its spec and adds the defaults of those missing (optional ones stay missing).
Result<ParamValues> completeParams(const std::vector<ParamSpec> &specs, const ParamValues &given, const std::string &owner);

/// Typed access after completeParams; `fallback` where the option is missing.
bool boolParam(const ParamValues &values, const std::string &name, bool fallback = false);
std::int64_t intParam(const ParamValues &values, const std::string &name, std::int64_t fallback = 0);
double realParam(const ParamValues &values, const std::string &name, double fallback = 0);
std::string textParam(const ParamValues &values, const std::string &name, const std::string &fallback = {});
bool hasParam(const ParamValues &values, const std::string &name);

} // namespace bitwright
