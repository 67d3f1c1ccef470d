// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/report_pdf.h"

#include "base/replace_file.h"
#include "report/pdf_pages.h"
#include "report/report_svg.h"
#include "report/report_text.h"
#include "util/format.h"

#include <QBuffer>
#include <QFile>
#include <QPageLayout>
#include <QPageSize>
#include <QPdfWriter>

namespace bitwright {

namespace {

const QColor kText(0x1c, 0x20, 0x24), kDim(0x5d, 0x66, 0x70);
constexpr double kMargin = 42;   // points
constexpr int kDotsPerInch = 720;
constexpr double kBetween = 14, kName = 13, kCaption = 11;

void facts(PdfPages &pages, const std::vector<ReportFact> &each)
{
    for (const ReportFact &fact : each)
        pages.fact(toQString(fact.name), toQString(fact.text));
}

bool layers(PdfPages &pages, const ReportContent &content, const std::function<bool()> &stopped)
{
    std::vector<PdfColumn> columns;
    for (const ReportColumn &column : reportColumns())
        columns.push_back({toQString(column.title), column.number});
    std::vector<QStringList> rows;
    for (const ReportLayer &layer : content.layers) {
        QStringList cells;
        for (const std::string &cell : reportCells(layer))
            cells << toQString(cell);
        rows.push_back(cells);
    }
    pages.heading(QStringLiteral("Layers"), 12, 60);
    if (!pages.table(columns, rows, stopped))
        return false;
    pages.space(4);
    pages.text(toQString(reportRest(content)), PdfPages::font(9), kText);
    return true;
}

void tradeOff(PdfPages &pages, const ReportContent &content)
{
    const std::string svg = tradeOffSvg(content);
    if (svg.empty())
        return;
    const double width = 430, height = width * kTradeOffHeight / kTradeOffWidth;
    pages.heading(QStringLiteral("Accuracy against size"), 12, height);
    pages.need(height);
    pages.picture(svg, 0, 0, width, height);
    pages.advance(height);
}

/// Two pictures side by side; a layer with one shares its row with the next.
bool plots(PdfPages &pages, const ReportContent &content, const std::function<bool()> &stopped)
{
    const double width = (pages.width() - kBetween) / 2, height = width * kHistogramHeight / kHistogramWidth;
    const double whole = kName + height + kCaption + kBetween;
    bool titled = false;
    int column = 0;
    for (const ReportLayer &layer : content.layers) {
        if (layer.plots.empty())
            continue;
        if (stopped && stopped())
            return false;
        if (!titled)
            pages.heading(QStringLiteral("Values and levels"), 12, whole);
        titled = true;
        if (column == 1 && layer.plots.size() > 1) {
            pages.advance(whole);
            column = 0;
        }
        for (const ReportPlot &plot : layer.plots) {
            if (column == 0)
                pages.need(whole);
            const double x = column * (width + kBetween);
            pages.line(toQString(layer.name), PdfPages::font(9, true), kText, x, 0, width);
            pages.picture(histogramSvg(plot, 8), x, kName, width, height);
            pages.line(toQString(plotCaption(plot)), PdfPages::font(7.5), kDim, x, kName + height, width);
            if (column == 1)
                pages.advance(whole);
            column = 1 - column;
        }
    }
    if (column == 1)
        pages.advance(whole);
    return true;
}

bool repeat(PdfPages &pages, const ReportContent &content, const std::function<bool()> &stopped)
{
    pages.heading(QStringLiteral("To repeat this"), 12, 60);
    facts(pages, reportOrigin(content));
    pages.space(4);
    for (const std::string &command : content.commands)
        pages.text(toQString(command), PdfPages::fixedFont(7.5), kText);
    bool shortened = false;
    const std::string printed = printableAssignment(content.assignment, shortened);
    pages.heading(QStringLiteral("Assignment"), 10, 40);
    pages.text(shortened ? QStringLiteral("Long lists are cut here; the whole assignment is attached to this file as assignment.json.")
                         : QStringLiteral("It is also attached to this file as assignment.json."), PdfPages::font(8), kDim);
    pages.space(4);
    for (const QString &line : toQString(printed).split(QChar(u'\n'))) {
        if (stopped && stopped())
            return false;
        pages.text(line, PdfPages::fixedFont(7), kText);
    }
    return true;
}

} // namespace

Result<QByteArray> reportPdf(const ReportContent &content, const std::function<bool()> &stopped)
{
    QBuffer buffer;
    buffer.open(QIODevice::WriteOnly);
    const QString title = toQString(reportTitle(content));
    {
        QPdfWriter writer(&buffer);
        writer.setResolution(kDotsPerInch);
        writer.setPageLayout(QPageLayout(QPageSize(QPageSize::A4), QPageLayout::Portrait, QMarginsF(kMargin, kMargin, kMargin, kMargin), QPageLayout::Point));
        writer.setTitle(title + QStringLiteral(" – Bitwright report"));
        writer.setCreator(QStringLiteral("Bitwright"));
        writer.addFileAttachment(QStringLiteral("assignment.json"), QByteArray::fromStdString(content.assignment), QStringLiteral("application/json"));
        PdfPages pages(writer, title + QStringLiteral(" – Bitwright report"));
        if (!pages.isActive())
            return fail(ErrorKind::Internal, "the PDF cannot be painted");
        pages.heading(title, 18, 60);
        facts(pages, reportFacts(content));
        bool whole = layers(pages, content, stopped);
        if (whole)
            tradeOff(pages, content);
        whole = whole && plots(pages, content, stopped) && repeat(pages, content, stopped);
        pages.end();
        if (!whole)
            return std::unexpected(Error{ErrorKind::Cancelled, "cancelled", {}});
    }
    return buffer.data();
}

Status writeReportPdf(const ReportContent &content, const std::string &path, const std::string &model, const std::function<bool()> &stopped)
{
    BW_CHECK(notOver(model, path));
    BW_ASSIGN(const QByteArray bytes, reportPdf(content, stopped));
    return replaceFile(path, [&](const std::string &temporary) -> Status {
        QFile file(toQString(temporary));
        if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size() || !file.flush())
            return fail(ErrorKind::Io, path + " cannot be written, " + file.errorString().toStdString() + "; choose another folder");
        file.close();
        if (!file.open(QIODevice::ReadOnly) || file.readAll() != bytes)
            return fail(ErrorKind::Io, path + ", what was written reads back differently; check the disk");
        return {};
    });
}

} // namespace bitwright
