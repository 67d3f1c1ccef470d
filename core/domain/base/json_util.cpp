// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/json_util.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

namespace bitwright {

using nlohmann::json;

namespace {

constexpr int kDeepest = 64;

/// nlohmann keeps the last of two equal keys; we watch the parse to refuse the second. Deep nesting is cut as well,
/// because copying and writing a document recurse.
class StrictParse {
public:
    bool operator()(int depth, json::parse_event_t event, const json &parsed)
    {
        if (depth > kDeepest)
            m_problem = "it is nested deeper than " + std::to_string(kDeepest) + " levels";
        if (event == json::parse_event_t::object_start)
            m_keys.emplace_back();
        else if (event == json::parse_event_t::object_end && !m_keys.empty())
            m_keys.pop_back();
        else if (event == json::parse_event_t::key && !m_keys.empty()) {
            const auto &key = parsed.get_ref<const std::string &>();
            if (!m_keys.back().insert(key).second && !m_problem)
                m_problem = "the key \"" + key + "\" stands twice in one object";
        }
        return !m_problem;
    }
    [[nodiscard]] const std::optional<std::string> &problem() const { return m_problem; }

private:
    std::vector<std::set<std::string>> m_keys;
    std::optional<std::string> m_problem;
};

bool isPlain(const json &value)
{
    return !value.is_structured();
}

std::string dump(const json &value)
{
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::vector<std::string> orderedKeys(const json &object, const std::vector<std::string> &firstKeys)
{
    std::vector<std::string> keys;
    for (const auto &key : firstKeys)
        if (object.contains(key))
            keys.push_back(key);
    for (const auto &item : object.items())
        if (std::ranges::find(firstKeys, item.key()) == firstKeys.end())
            keys.push_back(item.key());
    return keys;
}

void print(std::string &out, const json &value, const std::vector<std::string> &firstKeys, std::size_t indent)
{
    if (isPlain(value) || value.empty()) {
        out += dump(value);
        return;
    }
    const std::string inner(indent + 2, ' ');
    bool first = true;
    if (value.is_array()) {
        const bool oneLine = std::ranges::all_of(value, isPlain);
        out += '[';
        for (const auto &entry : value) {
            out += first ? "" : oneLine ? ", " : ",";
            out += oneLine ? "" : "\n" + inner;
            print(out, entry, firstKeys, indent + 2);
            first = false;
        }
        out += oneLine ? "]" : "\n" + std::string(indent, ' ') + "]";
        return;
    }
    out += '{';
    for (const auto &key : orderedKeys(value, firstKeys)) {
        out += first ? "\n" : ",\n";
        out += inner + dump(json(key)) + ": ";
        print(out, value.at(key), firstKeys, indent + 2);
        first = false;
    }
    out += "\n" + std::string(indent, ' ') + "}";
}

} // namespace

Result<json> parseJson(std::string_view text, const std::string &source)
{
    StrictParse strict;
    // The parser takes a zero byte for the end and would leave what follows unread.
    if (text.find('\0') != std::string_view::npos)
        return fail(ErrorKind::Parse, source + ", not valid JSON, it has a zero byte; it may be a binary file");
    try {
        // std::ref keeps the state here: the parser copies its callback.
        json parsed = json::parse(text.begin(), text.end(), std::ref(strict));
        if (strict.problem())
            return fail(ErrorKind::Parse, source + ", " + *strict.problem() + "; mend that place");
        return parsed;
    } catch (const json::out_of_range &error) {
        return fail(ErrorKind::Parse, source + ", a number in it is out of range; write one that fits a double",
                    error.what());
    } catch (const json::exception &error) {
        if (strict.problem())
            return fail(ErrorKind::Parse, source + ", " + *strict.problem() + "; mend that place", error.what());
        const auto *where = dynamic_cast<const json::parse_error *>(&error);
        const std::string place = where ? " at byte " + std::to_string(where->byte) : std::string();
        return fail(ErrorKind::Parse, source + ", not valid JSON" + place + "; mend the text there", error.what());
    }
}

std::string prettyJson(const json &value, const std::vector<std::string> &firstKeys)
{
    std::string out;
    print(out, value, firstKeys, 0);
    return out + "\n";
}

Result<double> jsonNumber(const json &value)
{
    if (!value.is_number())
        return fail(ErrorKind::Invalid, "not a number");
    const double number = value.get<double>();
    if (!std::isfinite(number))
        return fail(ErrorKind::Invalid, "not a finite number");
    return number;
}

Result<std::int64_t> jsonInteger(const json &value)
{
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t(INT64_MAX))
        return fail(ErrorKind::Invalid, "an integer beyond 64 bits");
    if (value.is_number_integer())
        return value.get<std::int64_t>();
    // 2^53: beyond it a double no longer tells neighbouring integers apart.
    if (value.is_number_float() && std::abs(value.get<double>()) <= 9007199254740992.0
        && value.get<double>() == std::trunc(value.get<double>()))
        return std::int64_t(value.get<double>());
    return fail(ErrorKind::Invalid, "not an integer");
}

std::string jsonExcerpt(const json &value)
{
    std::string text = dump(value);
    if (text.size() <= 40)
        return text;
    std::size_t end = 40;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)   // not in the middle of a character
        --end;
    return text.substr(0, end) + "…";
}

} // namespace bitwright
