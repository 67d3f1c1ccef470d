// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/printable.h"

#include <algorithm>
#include <cstdint>

namespace bitwright {

namespace {

/// Bytes of the character that begins the text, 0 where it is no UTF-8. Overlong forms, surrogates and the control
/// characters of U+0080 to U+009F are none.
std::size_t characterBytes(std::string_view text)
{
    const auto lead = std::uint8_t(text[0]);
    const std::size_t count = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (count < 2 || text.size() < count)
        return count == 1 ? 1 : 0;
    const auto second = std::uint8_t(text[1]);
    const bool wrong = (lead == 0xc2 && second < 0xa0) || (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                       (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
    const bool continued = std::ranges::all_of(text.substr(1, count - 1), [](char c) { return (std::uint8_t(c) & 0xc0) == 0x80; });
    return wrong || !continued ? 0 : count;
}

} // namespace

std::string printable(std::string_view text, std::size_t most)
{
    static constexpr const char *kDigits = "0123456789abcdef";
    std::string line;
    while (!text.empty()) {
        const auto byte = std::uint8_t(text[0]);
        const std::size_t count = byte < 0x20 || byte == 0x7f ? 0 : characterBytes(text);
        const std::size_t grows = count > 0 ? count : 4;
        if (line.size() + grows > most)
            return line + "…";
        if (count > 0)
            line += text.substr(0, count);
        else
            line += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
        text.remove_prefix(std::max<std::size_t>(count, 1));
    }
    return line;
}

std::string printableLines(std::string_view text)
{
    std::string lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines += printable(text.substr(0, end), std::string::npos - 1);
        if (end < text.size())
            lines += '\n';
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

} // namespace bitwright
