// SPDX-License-Identifier: GPL-3.0-or-later
#include "catalog/method_table.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

namespace bitwright {

namespace {

constexpr std::string_view kBegin = "<!-- methods:begin -->\n", kEnd = "<!-- methods:end -->";

std::vector<const MethodTraits *> quantizers(const Catalog &catalog)
{
    std::vector<const MethodTraits *> found;
    for (const MethodTraits &method : catalog.methods())
        if (method.kind == MethodKind::Quantizer)
            found.push_back(&method);
    return found;
}

std::string link(const MethodTraits &method, const std::string &folder)
{
    return "[`" + method.id + "`](" + folder + method.id + ".md)";
}

/// W weights, A activations, G gradients.
std::string lettersOf(const MethodTraits &method)
{
    std::string letters;
    const auto add = [&](bool has, const char *letter) {
        if (has)
            letters += (letters.empty() ? "" : ", ") + std::string(letter);
    };
    add(method.hasRole(Role::Weight), "W");
    add(method.hasRole(Role::Activation), "A");
    add(method.option("gradient_bits") != nullptr, "G");
    return letters;
}

std::string bitsOf(const MethodTraits &method)
{
    const std::string first = std::to_string(method.minimumBits);
    return method.minimumBits == method.maximumBits ? first : first + " to " + std::to_string(method.maximumBits);
}

/// "authors, venue year"; some rows say the year in the text already.
std::string sourceOf(const MethodTraits &method)
{
    const std::string year = std::to_string(method.year);
    return method.year == 0 || method.paper.find(year) != std::string::npos ? method.paper : method.paper + " " + year;
}

/// A bar would end the cell.
std::string cell(std::string text)
{
    for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
        text.insert(at, "\\");
    return text;
}

Result<std::pair<std::size_t, std::size_t>> marks(const std::string &text, const std::string &source)
{
    const auto begin = text.find(kBegin);
    const auto end = begin == std::string::npos ? begin : text.find(kEnd, begin);
    if (end == std::string::npos)
        return fail(ErrorKind::Invalid, source + ", it has no place for the table of methods; add the lines <!-- methods:begin --> and "
                                                 "<!-- methods:end -->");
    return std::pair{begin + kBegin.size(), end};
}

} // namespace

std::string methodTable(const Catalog &catalog)
{
    std::string table = "| method | what it is | of | bits | family | source |\n| --- | --- | --- | --- | --- | --- |\n";
    for (const MethodTraits *method : quantizers(catalog))
        table += "| " + link(*method, {}) + " | " + cell(method->title) + " | " + lettersOf(*method) + " | " + bitsOf(*method) + " | " +
                 method->family + " | " + cell(sourceOf(*method)) + " |\n";
    return table;
}

std::string familyTable(const Catalog &catalog, const std::string &folder)
{
    std::vector<std::pair<std::string, std::string>> families;   // in the order of the catalogue
    for (const MethodTraits *method : quantizers(catalog)) {
        auto row = std::ranges::find(families, method->family, &std::pair<std::string, std::string>::first);
        if (row == families.end())
            row = families.insert(families.end(), {method->family, {}});
        row->second += (row->second.empty() ? "" : ", ") + link(*method, folder) + " (" + lettersOf(*method) + ")";
    }
    std::string table = "| family | quantizers (W weights, A activations, G gradients) |\n| --- | --- |\n";
    for (const auto &[family, methods] : families)
        table += "| " + family + " | " + methods + " |\n";
    return table;
}

Result<std::string> markedTable(const std::string &text, const std::string &source)
{
    BW_ASSIGN(const auto found, marks(text, source));
    return text.substr(found.first, found.second - found.first);
}

Result<std::string> withMarkedTable(const std::string &text, const std::string &table, const std::string &source)
{
    BW_ASSIGN(const auto found, marks(text, source));
    return text.substr(0, found.first) + table + text.substr(found.second);
}

} // namespace bitwright
