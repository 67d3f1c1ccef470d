// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "network/model_summary.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bitwright::cli {

/// "12.35" with the given number of decimals; "-" for NaN.
std::string fixed(double value, int decimals);
/// "0.9316 (0.9265 to 0.9364)".
std::string withInterval(double value, double low, double high, int decimals = 4);
/// "272,186".
std::string grouped(std::int64_t value);
/// "1.23 MB", "4.5 kB", "17 B".
std::string byteSize(double bytes);
/// "0:07", "12:34", "1:02:03".
std::string duration(double seconds);
/// "16×3×3×3", free sizes as "?".
std::string shapeText(const Shape &shape);

/// Rows of text in aligned columns; numbers stand to the right.
class TextTable {
public:
    enum class Align { Left, Right };
    struct Column { std::string title; Align align = Align::Left; };
    explicit TextTable(std::vector<Column> columns) : m_columns(std::move(columns)) {}
    void add(std::vector<std::string> row);
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool empty() const { return m_rows.empty(); }

private:
    std::vector<Column> m_columns;
    std::vector<std::vector<std::string>> m_rows;
};

} // namespace bitwright::cli
