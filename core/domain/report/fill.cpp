// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/fill.h"

#include <algorithm>
#include <cstdint>

namespace bitwright {

namespace {

/// Length of the valid UTF-8 sequence at the start, 0 where there is none.
std::size_t sequenceLength(std::string_view text)
{
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
    const unsigned first = byte(0);
    const std::size_t length = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4 : 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xC0) != 0x80)
            return 0;
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) || (first == 0xF0 && byte(1) < 0x90) ||
        (first == 0xF4 && byte(1) > 0x8F) || (first == 0xEF && byte(1) == 0xBF && byte(2) >= 0xBE))
        return 0;
    return length;
}

} // namespace

std::string fill(std::string_view pattern, std::initializer_list<FillArgument> arguments)
{
    std::string out;
    std::size_t next = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '{') {
            out += pattern[i];
            continue;
        }
        const std::size_t close = pattern.find('}', i);
        const std::string_view place = pattern.substr(i + 1, close - i - 1);
        const bool numbered = !place.empty() && place[0] != ':';
        const FillArgument &argument = arguments.begin()[numbered ? std::size_t(place[0] - '0') : next++];
        const std::size_t dot = place.find('.');
        if (dot == std::string_view::npos)
            out += argument.text;
        else
            out += FillArgument::digits(argument.number, place.back() == 'g' ? std::chars_format::general : std::chars_format::fixed,
                                    place[dot + 1] - '0');
        i = close;
    }
    return out;
}

std::string escaped(std::string_view text)
{
    std::string out;
    while (!text.empty()) {
        const std::size_t length = sequenceLength(text);
        const char c = text[0];
        if (length == 0 || (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            out += "\xEF\xBF\xBD";
        else if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '"')
            out += "&quot;";
        else if (c == '\'')
            out += "&#39;";
        else
            out += text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(1, length));
    }
    return out;
}

} // namespace bitwright
