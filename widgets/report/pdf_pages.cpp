// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/pdf_pages.h"

#include <QFontMetricsF>
#include <QGuiApplication>
#include <QSvgRenderer>
#include <QTextLayout>

#include <algorithm>
#include <memory>
#include <numeric>

namespace bitwright {

namespace {

const QColor kText(0x1c, 0x20, 0x24), kDim(0x5d, 0x66, 0x70), kLine(0xd9, 0xde, 0xe3);
constexpr double kFooter = 22, kCellGap = 6, kRowGap = 3;
constexpr double kTableSize = 7, kLeastTableSize = 5.5, kLeastColumn = 24, kFactSize = 9, kFactName = 92;
/// A text of more characters would fill pages by itself; nobody reads it there.
constexpr qsizetype kMostCharacters = 1200;

QString printable(QString text)
{
    if (text.size() > kMostCharacters)
        text = text.left(kMostCharacters) + QChar(u'…');
    for (QChar &c : text)
        if (c.category() == QChar::Other_Control && c != QChar(u'\t'))
            c = c == QChar(u'\n') ? QChar(QChar::LineSeparator) : QChar(QChar::ReplacementCharacter);
    return text;
}

} // namespace

/// The lines of one text.
struct PdfPages::Block {
    QTextLayout layout;
    double height = 0;   ///< device units

    Block(const QString &text, const QFont &font, double width, Qt::Alignment alignment, QPaintDevice *device) : layout(printable(text), font, device)
    {
        QTextOption option(alignment);
        option.setWrapMode(QTextOption::WrapAtWordBoundaryOrAnywhere);
        layout.setTextOption(option);
        layout.setCacheEnabled(true);
        layout.beginLayout();
        for (QTextLine line = layout.createLine(); line.isValid(); line = layout.createLine()) {
            line.setLineWidth(width);
            line.setPosition({0, height});
            height += line.height();
        }
        layout.endLayout();
    }
};

PdfPages::PdfPages(QPdfWriter &writer, const QString &footer) : m_writer(writer), m_footer(footer)
{
    m_scale = writer.resolution() / 72.0;
    if (!m_painter.begin(&writer))
        return;
    m_width = writer.width() / m_scale;
    m_height = writer.height() / m_scale - kFooter;
}

QFont PdfPages::font(double size, bool bold)
{
    QFont font = QGuiApplication::font();
    font.setPointSizeF(size);
    font.setBold(bold);
    // Spaced letters are not joined to ligatures, which nobody finds who searches for "float".
    font.setLetterSpacing(QFont::AbsoluteSpacing, 0.05);
    return font;
}

QFont PdfPages::fixedFont(double size)
{
    QFont font(QStringLiteral("monospace"));
    font.setStyleHint(QFont::Monospace);
    font.setPointSizeF(size);
    return font;
}

void PdfPages::need(double height)
{
    if (m_begun && m_y > 0 && m_y + height > m_height) {
        m_writer.newPage();
        ++m_page;
        m_y = 0;
        m_begun = false;
    }
    if (m_begun)
        return;
    m_begun = true;
    const QFont small = font(7.5);
    m_painter.setFont(small);
    m_painter.setPen(kDim);
    const QRectF foot(0, device(m_height), device(m_width), device(kFooter));
    const QFontMetricsF metrics(small, &m_writer);
    m_painter.drawText(foot, Qt::AlignLeft | Qt::AlignBottom, metrics.elidedText(printable(m_footer), Qt::ElideMiddle, device(m_width - 40)));
    m_painter.drawText(foot, Qt::AlignRight | Qt::AlignBottom, QString::number(m_page));
    if (m_header)
        m_header();
}

void PdfPages::space(double height)
{
    if (m_begun && m_y > 0)
        m_y += height;
}

void PdfPages::heading(const QString &words, double size, double below)
{
    space(size * 1.2);
    need(size * 1.6 + below);
    text(words, font(size, true), kText);
    space(size * 0.4);
}

void PdfPages::text(const QString &words, const QFont &font, const QColor &colour)
{
    const Block block(words, font, device(m_width), Qt::AlignLeft, &m_writer);
    for (int i = 0; i < block.layout.lineCount(); ++i) {
        const QTextLine line = block.layout.lineAt(i);
        const double height = line.height() / m_scale;
        need(height);
        m_painter.setPen(colour);
        line.draw(&m_painter, QPointF(0, device(m_y) - line.y()));
        m_y += height;
    }
}

void PdfPages::fact(const QString &name, const QString &words)
{
    const Block block(words, font(kFactSize), device(m_width - kFactName), Qt::AlignLeft, &m_writer);
    need(std::min(block.height / m_scale, m_height));
    line(name, font(kFactSize), kDim, 0, 0, kFactName - kCellGap);
    m_painter.setPen(kText);
    block.layout.draw(&m_painter, QPointF(device(kFactName), device(m_y)));
    m_y += block.height / m_scale + 2;
}

std::vector<double> PdfPages::wantedWidths(const std::vector<PdfColumn> &columns, const std::vector<QStringList> &rows, double size) const
{
    const QFontMetricsF plain(font(size), &m_writer), bold(font(size, true), &m_writer);
    std::vector<double> widths;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        double wanted = bold.horizontalAdvance(columns[i].title);
        for (const QStringList &cells : rows)
            wanted = std::max(wanted, plain.horizontalAdvance(printable(cells[qsizetype(i)])));
        widths.push_back(wanted / m_scale + kCellGap + 1);
    }
    return widths;
}

/// Numbers keep what they ask for; what is missing is taken from the widest of the others, what is left goes to the first.
std::vector<double> PdfPages::fitted(std::vector<double> widths, const std::vector<PdfColumn> &columns) const
{
    double low = 0, high = m_width;   // the cap under which they fit, between these
    const auto capped = [&](double cap) {
        std::vector<double> each = widths;
        for (std::size_t i = 0; i < each.size(); ++i)
            each[i] = columns[i].right ? each[i] : std::min(each[i], std::max(cap, kLeastColumn));
        return each;
    };
    const auto sum = [](const std::vector<double> &each) { return std::accumulate(each.begin(), each.end(), 0.0); };
    for (int step = 0; step < 40; ++step) {
        const double cap = (low + high) / 2;
        (sum(capped(cap)) > m_width ? high : low) = cap;
    }
    std::vector<double> fit = capped(low);
    if (!fit.empty())
        fit[0] += std::max(0.0, m_width - sum(fit));
    return fit;
}

void PdfPages::rule()
{
    m_painter.setPen(QPen(kLine, device(0.5)));
    m_painter.drawLine(QPointF(0, device(m_y)), QPointF(device(m_width), device(m_y)));
}

void PdfPages::row(const std::vector<PdfColumn> &columns, const std::vector<double> &widths, const QStringList &cells, const QFont &font, const QColor &colour)
{
    std::vector<std::unique_ptr<Block>> blocks;
    double height = 0;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        blocks.push_back(std::make_unique<Block>(cells[qsizetype(i)], font, device(widths[i] - kCellGap), columns[i].right ? Qt::AlignRight : Qt::AlignLeft, &m_writer));
        height = std::max(height, blocks.back()->height / m_scale);
    }
    need(height + kRowGap * 2);
    double x = 0;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        m_painter.setPen(colour);
        // The gap lies between a number and what follows it as well.
        blocks[i]->layout.draw(&m_painter, QPointF(device(x), device(m_y + kRowGap)));
        x += widths[i];
    }
    m_y += height + kRowGap * 2;
    rule();
}

bool PdfPages::table(const std::vector<PdfColumn> &columns, const std::vector<QStringList> &rows, const std::function<bool()> &stopped)
{
    // A little smaller before anything is broken into lines.
    std::vector<double> wanted = wantedWidths(columns, rows, kTableSize);
    const double sum = std::accumulate(wanted.begin(), wanted.end(), 0.0);
    const double size = std::clamp(kTableSize * m_width / std::max(sum, 1.0) * 0.98, kLeastTableSize, kTableSize);
    if (size < kTableSize)
        wanted = wantedWidths(columns, rows, size);
    const std::vector<double> widths = fitted(wanted, columns);
    QStringList titles;
    for (const PdfColumn &column : columns)
        titles << column.title;
    const QFont plain = font(size), bold = font(size, true);
    row(columns, widths, titles, bold, kDim);
    m_header = [&, this] { row(columns, widths, titles, bold, kDim); };
    bool whole = true;
    for (std::size_t i = 0; i < rows.size() && whole; ++i) {
        whole = !(stopped && i % 64 == 0 && stopped());
        if (whole)
            row(columns, widths, rows[i], plain, kText);
    }
    m_header = {};
    return whole;
}

void PdfPages::picture(const std::string &svg, double x, double below, double width, double height)
{
    QByteArray text = QByteArray::fromStdString(svg);
    text.insert(4, " xmlns=\"http://www.w3.org/2000/svg\"");   // inside a page it goes without saying
    QSvgRenderer renderer(text);
    m_painter.setFont(font(7));   // a picture takes weight and family of its text from the painter
    renderer.render(&m_painter, QRectF(device(x), device(m_y + below), device(width), device(height)));
}

void PdfPages::line(const QString &text, const QFont &font, const QColor &colour, double x, double below, double width)
{
    const QFontMetricsF metrics(font, &m_writer);
    m_painter.setFont(font);
    m_painter.setPen(colour);
    m_painter.drawText(QPointF(device(x), device(m_y + below) + metrics.ascent()), metrics.elidedText(printable(text), Qt::ElideMiddle, device(width)));
}

} // namespace bitwright
