// SPDX-License-Identifier: GPL-3.0-or-later
#include "format.h"

#include "base/printable.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace bitwright::cli {

namespace {

/// Characters, not bytes: every UTF-8 start byte counts.
std::size_t width(const std::string &text)
{
    return std::size_t(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

} // namespace

std::string fixed(double value, int decimals)
{
    if (std::isnan(value))
        return "-";
    std::array<char, 400> text{};
    std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
    return text.data();
}

std::string withInterval(double value, double low, double high, int decimals)
{
    return fixed(value, decimals) + " (" + fixed(low, decimals) + " to " + fixed(high, decimals) + ")";
}

std::string grouped(std::int64_t value)
{
    const std::string digits = std::to_string(value);
    std::string text;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        const auto left = digits.size() - i;
        if (i > 0 && left % 3 == 0 && digits[i - 1] != '-')
            text += ',';
        text += digits[i];
    }
    return text;
}

std::string byteSize(double bytes)
{
    if (bytes < 1000)
        return fixed(bytes, 0) + " B";
    const std::array<const char *, 4> units{"kB", "MB", "GB", "TB"};
    std::size_t unit = 0;
    for (bytes /= 1000; bytes >= 1000 && unit + 1 < units.size(); ++unit)
        bytes /= 1000;
    return fixed(bytes, bytes < 10 ? 2 : bytes < 100 ? 1 : 0) + " " + units[unit];
}

std::string duration(double seconds)
{
    constexpr double kLongest = 1e8;
    const auto all = std::int64_t(std::clamp(std::ceil(seconds), 0.0, kLongest));
    std::array<char, 40> text{};
    if (all >= 3600)
        std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", static_cast<long long>(all / 3600),
                      static_cast<long long>(all / 60 % 60), static_cast<long long>(all % 60));
    else
        std::snprintf(text.data(), text.size(), "%lld:%02lld", static_cast<long long>(all / 60), static_cast<long long>(all % 60));
    return text.data();
}

std::string shapeText(const Shape &shape)
{
    std::string text;
    for (std::size_t i = 0; i < shape.size(); ++i)
        text += (i > 0 ? "×" : "") + (shape[i] < 0 ? std::string("?") : std::to_string(shape[i]));
    return text;
}

void TextTable::add(std::vector<std::string> row)
{
    row.resize(m_columns.size());
    constexpr std::size_t kLongestCell = 400;   // names come from files
    for (std::string &cell : row)
        cell = printable(cell, kLongestCell);
    m_rows.push_back(std::move(row));
}

std::string TextTable::text() const
{
    std::vector<std::size_t> widths;
    for (std::size_t c = 0; c < m_columns.size(); ++c) {
        widths.push_back(width(m_columns[c].title));
        for (const auto &row : m_rows)
            widths[c] = std::max(widths[c], width(row[c]));
    }
    std::string text;
    const auto addLine = [&](const auto &cell) {
        std::string line;
        for (std::size_t c = 0; c < m_columns.size(); ++c) {
            const std::string &content = cell(c);
            const std::string space(widths[c] - width(content), ' ');
            line += c > 0 ? "  " : "";
            line += m_columns[c].align == Align::Right ? space + content : content + space;
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    };
    addLine([&](std::size_t c) -> const std::string & { return m_columns[c].title; });
    for (const auto &row : m_rows)
        addLine([&](std::size_t c) -> const std::string & { return row[c]; });
    return text;
}

} // namespace bitwright::cli
