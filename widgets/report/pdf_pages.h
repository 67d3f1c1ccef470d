// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>
#include <QFont>
#include <QPainter>
#include <QPdfWriter>
#include <QString>
#include <QStringList>

#include <functional>
#include <string>
#include <vector>

namespace bitwright {

/// Where and how wide a column of PdfPages::table is.
struct PdfColumn {
    QString title;
    bool right = false;
};

/// A column of text, tables and pictures that flows over the pages of a PDF. A page begins when something is drawn on
/// it, so none stays empty. Lengths are points; texts hold any characters.
class PdfPages {
public:
    /// `footer` stands at the left below every page, its number at the right.
    PdfPages(QPdfWriter &writer, const QString &footer);
    [[nodiscard]] bool isActive() const { return m_painter.isActive(); }
    [[nodiscard]] int pages() const { return m_page; }
    void end() { m_painter.end(); }

    [[nodiscard]] static QFont font(double size, bool bold = false);
    [[nodiscard]] static QFont fixedFont(double size);
    [[nodiscard]] double width() const { return m_width; }

    /// A gap, left out at the top of a page.
    void space(double height);
    /// What a picture or a line has taken.
    void advance(double height) { m_y += height; }
    /// A heading stays with at least `below` of what follows.
    void heading(const QString &text, double size, double below);
    void text(const QString &text, const QFont &font, const QColor &colour);
    /// A name at the left, its text beside it.
    void fact(const QString &name, const QString &text);
    /// Widths follow the contents; the header stands on every page. False where `stopped` ended it.
    bool table(const std::vector<PdfColumn> &columns, const std::vector<QStringList> &rows, const std::function<bool()> &stopped);
    /// Draws an `<svg>` element, as wide as `width`, at `x` of the column, `below` under its present place; nothing flows.
    void picture(const std::string &svg, double x, double below, double width, double height);
    /// One line within `width`, cut with an ellipsis; nothing flows.
    void line(const QString &text, const QFont &font, const QColor &colour, double x, double below, double width);
    /// Begins a new page unless this much is left.
    void need(double height);

private:
    /// Lines of one text, laid out for a width in device units.
    struct Block;
    [[nodiscard]] double device(double points) const { return points * m_scale; }
    /// What each column asks for at this font size.
    [[nodiscard]] std::vector<double> wantedWidths(const std::vector<PdfColumn> &columns, const std::vector<QStringList> &rows, double size) const;
    /// The same cut and filled up to the page's width.
    [[nodiscard]] std::vector<double> fitted(std::vector<double> widths, const std::vector<PdfColumn> &columns) const;
    void row(const std::vector<PdfColumn> &columns, const std::vector<double> &widths, const QStringList &cells, const QFont &font, const QColor &colour);
    void rule();

    QPdfWriter &m_writer;
    QPainter m_painter;
    QString m_footer;
    double m_scale = 1, m_width = 0, m_height = 0;
    double m_y = 0;       ///< points below the top of the page's body
    int m_page = 1;
    bool m_begun = false; ///< the present page has its footer
    std::function<void()> m_header;
};

} // namespace bitwright
