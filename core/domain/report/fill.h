// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <charconv>
#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace bitwright {

/// What fills a place of filled().
struct FillArgument {
    std::string text;
    double number = 0;
    FillArgument(const char *value) : text(value) {}
    FillArgument(std::string value) : text(std::move(value)) {}
    FillArgument(std::integral auto value) : text(std::to_string(value)), number(double(value)) {}
    FillArgument(double value) : text(digits(value, std::chars_format::general, 6)), number(value) {}
    /// Independent of the locale.
    static std::string digits(double value, std::chars_format format, int precision)
    {
        char buffer[400];
        const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, format, precision);
        return {buffer, end.ec == std::errc() ? end.ptr : buffer};
    }
};

/// A part of std::format, which not every library has yet: {}, {2}, {:.1f}, {2:.3g}.
std::string fill(std::string_view pattern, std::initializer_list<FillArgument> arguments);

template <typename... Values>
std::string filled(std::string_view pattern, const Values &...values)
{
    return fill(pattern, {FillArgument(values)...});
}

/// For HTML and SVG: markup escaped, bytes that are no UTF-8 or that XML forbids replaced.
std::string escaped(std::string_view text);

} // namespace bitwright
