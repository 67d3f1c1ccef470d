// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/data_spec.h"

#include "base/names.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace bitwright {

namespace {

struct KindRow { const char *kind; bool needsPath; std::vector<std::string> options; };

const std::vector<KindRow> &kinds()
{
    static const std::vector<KindRow> rows{
        {"idx", true, {"split", "mean", "std", "limit", "first"}},
        {"images", true, {"size", "mean", "std", "limit", "first"}},
        {"npz", true, {"mean", "std", "limit", "first"}},
        {"npy", true, {"mean", "std", "limit", "first"}},
        {"sample", true, {"mean", "std", "limit", "first"}},
        {"random", false, {"count", "seed", "low", "high", "mean", "std", "limit", "first"}},
    };
    return rows;
}

std::unexpected<Error> bad(const std::string &spec, const std::string &why)
{
    return fail(ErrorKind::Invalid, "data '" + spec + "', " + why);
}

bool isOption(const std::string &piece)
{
    const auto equals = piece.find('=');
    return equals != std::string::npos && equals > 0 &&
           std::all_of(piece.begin(), piece.begin() + std::ptrdiff_t(equals),
                       [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || c == '-'; });
}

template <typename Number>
bool parseNumber(const std::string &text, Number &number)
{
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

bool parseList(const std::string &text, std::vector<double> &list)
{
    std::size_t begin = 0;
    while (begin <= text.size()) {
        const auto end = std::min(text.find('|', begin), text.size());
        double number = 0;
        if (!parseNumber(text.substr(begin, end - begin), number) || !std::isfinite(number))
            return false;
        list.push_back(number);
        begin = end + 1;
    }
    return true;
}

bool parseSize(const std::string &text, DataSpec &spec)
{
    const auto x = text.find('x');
    std::int64_t height = 0, width = 0;
    constexpr std::int64_t kLargest = 16384;
    if (x == std::string::npos || !parseNumber(text.substr(0, x), height) || !parseNumber(text.substr(x + 1), width) ||
        height < 1 || width < 1 || height > kLargest || width > kLargest)
        return false;
    spec.size = {height, width};
    return true;
}

/// Sets one option; gives what it accepts when the value is no good.
std::string setOption(DataSpec &spec, const std::string &name, const std::string &value)
{
    if (name == "split") {
        spec.split = value;
        return value == "test" || value == "train" ? "" : "test or train";
    }
    if (name == "size")
        return parseSize(value, spec) ? "" : "HEIGHTxWIDTH, like 224x224";
    if (name == "mean")
        return parseList(value, spec.mean) ? "" : "numbers with | between, one per channel";
    if (name == "std")
        return parseList(value, spec.std) && std::all_of(spec.std.begin(), spec.std.end(), [](double s) { return s > 0; })
                   ? "" : "positive numbers with | between, one per channel";
    if (name == "count")
        return parseNumber(value, spec.count) && spec.count > 0 ? "" : "a number of samples from 1";
    if (name == "seed")
        return parseNumber(value, spec.seed) ? "" : "a whole number from 0";
    if (name == "low" || name == "high") {
        std::int64_t number = 0;
        if (!parseNumber(value, number))
            return "a whole number";
        (name == "low" ? spec.low : spec.high) = number;
        return "";
    }
    if (name == "limit")
        return parseNumber(value, spec.limit) && spec.limit > 0 ? "" : "a number of samples from 1";
    return parseNumber(value, spec.first) && spec.first >= 0 ? "" : "a number of samples from 0";
}

/// Everything behind random: is NAME=VALUE; names that are no option of the kind are inputs of the network.
std::vector<std::string> piecesOf(const std::string &text)
{
    std::vector<std::string> pieces;
    for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
        const auto end = std::min(text.find(',', begin), text.size());
        pieces.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return pieces;
}

} // namespace

Result<DataSpec> parseDataSpec(const std::string &text)
{
    std::vector<std::string> names;
    for (const auto &row : kinds())
        names.emplace_back(row.kind);
    const auto colon = text.find(':');
    const auto kind = text.substr(0, colon);
    const auto row = std::find_if(kinds().begin(), kinds().end(), [&](const KindRow &r) { return r.kind == kind; });
    if (colon == std::string::npos && row == kinds().end())
        return bad(text, "is not KIND:PATH; kinds are " + joinNames(names));
    if (row == kinds().end())
        return bad(text, "has the unknown kind '" + kind + "'; kinds are " + joinNames(names));
    DataSpec spec;
    spec.kind = kind;
    auto rest = colon == std::string::npos ? std::string{} : text.substr(colon + 1);
    std::vector<std::string> options;
    if (kind == "random") {
        options = piecesOf(rest);
        rest.clear();
    }
    for (auto comma = rest.rfind(','); comma != std::string::npos && isOption(rest.substr(comma + 1)); comma = rest.rfind(',')) {
        options.insert(options.begin(), rest.substr(comma + 1));
        rest.resize(comma);
    }
    spec.path = rest;
    if (row->needsPath && spec.path.empty())
        return bad(text, std::string("names no path; write ") + (kind == "sample" ? "sample:test or sample:train" : kind + ":PATH"));
    std::vector<std::string> seen;
    for (const auto &option : options) {
        const auto name = option.substr(0, option.find('='));
        if (kind == "random" && (option.find('=') == std::string::npos || name.empty()))
            return bad(text, "'" + option + "' is no NAME=VALUE; write random:count=256,seed=1 and NAME=1x3x224x224 for an input");
        const bool wish = kind == "random" && std::find(row->options.begin(), row->options.end(), name) == row->options.end();
        if (!wish && std::find(row->options.begin(), row->options.end(), name) == row->options.end())
            return bad(text, "has the unknown option '" + name + "'; " + kind + " takes " + joinNames(row->options));
        if (std::find(seen.begin(), seen.end(), name) != seen.end())
            return bad(text, "gives '" + name + "' twice; give it once");
        seen.push_back(name);
        if (wish) {
            spec.wishes.emplace_back(name, option.substr(option.find('=') + 1));
            continue;
        }
        if (const auto wanted = setOption(spec, name, option.substr(option.find('=') + 1)); !wanted.empty())
            return bad(text, "option '" + option + "' cannot be; it takes " + wanted);
    }
    if (kind == "sample" && spec.path != "test" && spec.path != "train")
        return bad(text, "there is no sample '" + spec.path + "'; write sample:test or sample:train");
    return spec;
}

} // namespace bitwright
