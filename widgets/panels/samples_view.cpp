// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/samples_view.h"

#include "util/elided_label.h"
#include "util/format.h"
#include "util/theme.h"

#include <QFontDatabase>
#include <QHBoxLayout>
#include <QLabel>
#include <QLocale>
#include <QPainter>
#include <QPainterPath>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace bitwright {

namespace {

constexpr int kPictureSide = 76, kStripWidth = 168, kStripHeight = 56, kMost = 8, kRowWidth = 470;
constexpr int kMinimumWidth = 380;
constexpr std::size_t kNumbers = 18;

/// The finite values' smallest and largest.
std::pair<float, float> rangeOf(const std::vector<float> &values)
{
    float low = 0, high = 0;
    bool any = false;
    for (const float value : values) {
        if (!std::isfinite(value))
            continue;
        low = any ? std::min(low, value) : value;
        high = any ? std::max(high, value) : value;
        any = true;
    }
    return {low, high};
}

/// Channels x height x width as an image, its darkest value black and its brightest white.
QImage imageOf(const std::vector<float> &values, std::int64_t channels, std::int64_t height, std::int64_t width)
{
    const auto [low, high] = rangeOf(values);
    const float scale = high > low ? 255.0F / (high - low) : 0;
    const auto byte = [&, low = low](std::int64_t c, std::int64_t y, std::int64_t x) {
        const float value = values[std::size_t((c * height + y) * width + x)];
        return std::isfinite(value) ? int(std::lround((value - low) * scale)) : 0;
    };
    QImage image(int(width), int(height), QImage::Format_RGB32);
    for (std::int64_t y = 0; y < height; ++y)
        for (std::int64_t x = 0; x < width; ++x) {
            const int red = byte(0, y, x);
            image.setPixel(int(x), int(y), channels == 3 ? qRgb(red, byte(1, y, x), byte(2, y, x)) : qRgb(red, red, red));
        }
    return image;
}

std::int64_t countOf(const Shape &shape)
{
    std::int64_t count = 1;
    for (const std::int64_t size : shape)
        count *= size;
    return count;
}

QString classText(std::int64_t index, const std::vector<std::string> &classes)
{
    return index >= 0 && index < std::int64_t(classes.size()) ? toQString(classes[std::size_t(index)]) : SamplesView::tr("class %1").arg(index);
}

QString numberText(float value, bool whole)
{
    return whole ? QString::number(qint64(value)) : formatReal(value, 3);   // ids are names, not amounts
}

QString sharedText(const InputSamples &input)
{
    if (input.samples.empty() || input.samples[0].empty())
        return {};
    const bool whole = input.dtype.find("int") != std::string::npos;
    return countOf(input.shape) == 1
               ? SamplesView::tr("%1 is %2 for all samples.").arg(toQString(input.name), numberText(input.samples[0][0], whole))
               : SamplesView::tr("%1 (%2) is the same for all samples.").arg(toQString(input.name), formatShape(input.shape));
}

} // namespace

QString answerTextOf(const SampleAnswer &answer, const std::vector<std::string> &classes)
{
    if (answer.top.empty())
        return answer.low == answer.high ? formatReal(answer.low)
                                         : SamplesView::tr("%1 to %2, mean %3").arg(formatReal(answer.low), formatReal(answer.high), formatReal(answer.mean));
    QStringList parts;
    for (const auto &[index, share] : answer.top)
        parts << SamplesView::tr("%1 %2").arg(classText(index, classes), formatShare(share, 1));
    return parts.join(QStringLiteral(", "));
}

SamplePicture::SamplePicture(const InputSamples &input, std::size_t sample, int width, QWidget *parent)
    : QWidget(parent), m_values(input.samples[sample]), m_width(width)
{
    m_whole = input.dtype.find("int") != std::string::npos || input.dtype == "bool";
    const Shape &shown = input.shown;
    const bool filled = std::size_t(countOf(shown)) == m_values.size() && !m_values.empty();
    if (input.picture && filled && shown.size() == 3) {
        m_kind = Kind::Picture;
        m_image = imageOf(m_values, shown[0], shown[1], shown[2]);
    } else if (!m_whole && filled && shown.size() == 2 && shown[0] > 4 && shown[1] > 1) {
        m_kind = Kind::Picture;   // frames by features
        m_image = imageOf(m_values, 1, shown[0], shown[1]);
    } else if (!m_whole && m_values.size() > kNumbers) {
        m_kind = Kind::Curve;
    }
    const auto [low, high] = rangeOf(m_values);
    setAccessibleName(tr("Sample %1 of %2: %3, from %4 to %5").arg(sample + 1).arg(toQString(input.name), formatShape(input.shape), numberText(low, m_whole), numberText(high, m_whole)));
    setToolTip(accessibleName());
    setSizePolicy(QSizePolicy::Fixed, QSizePolicy::Fixed);
}

QSize SamplePicture::minimumSizeHint() const
{
    if (m_kind != Kind::Picture)
        return {m_width, m_values.size() == 1 ? fontMetrics().height() : kStripHeight};
    // Wide pictures (lines of text, spectrograms) keep their form.
    const double ratio = m_image.height() > 0 ? double(m_image.width()) / m_image.height() : 1;
    return ratio > 1 ? QSize(int(std::min(kPictureSide * ratio, double(m_width))), std::max(12, int(std::min(double(kPictureSide), m_width / ratio))))
                     : QSize(std::max(12, int(kPictureSide * ratio)), kPictureSide);
}

void SamplePicture::paintCurve(QPainter &painter) const
{
    const auto [low, high] = rangeOf(m_values);
    const QRectF area = QRectF(rect()).adjusted(1, 3, -1, -3);
    const double scale = high > low ? area.height() / double(high - low) : 0;
    // One column a pixel, from its smallest to its largest value: a peak is never stepped over.
    const int columns = std::max(1, int(area.width()));
    QPainterPath path;
    for (int column = 0; column < columns; ++column) {
        const std::size_t begin = m_values.size() * std::size_t(column) / std::size_t(columns);
        const std::size_t end = std::max(begin + 1, m_values.size() * std::size_t(column + 1) / std::size_t(columns));
        const auto [least, most] = std::minmax_element(m_values.begin() + std::ptrdiff_t(begin), m_values.begin() + std::ptrdiff_t(std::min(end, m_values.size())));
        for (const float value : {*least, *most}) {
            const QPointF at(area.left() + column, scale > 0 && std::isfinite(value) ? area.bottom() - double(value - low) * scale : area.center().y());
            path.elementCount() == 0 ? path.moveTo(at) : path.lineTo(at);
        }
    }
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(QPen(signalColours(palette()).activation, 1));
    painter.drawPath(path);
}

void SamplePicture::paintNumbers(QPainter &painter) const
{
    if (m_values.size() == 1) {
        painter.drawText(rect(), Qt::AlignLeft | Qt::AlignVCenter, numberText(m_values[0], m_whole));
        return;
    }
    QFont font = QFontDatabase::systemFont(QFontDatabase::FixedFont);
    font.setPointSizeF(std::max(6.0, painter.font().pointSizeF() - 1.5));
    painter.setFont(font);
    // As many columns as the widest number leaves, ending in … where there are more.
    int widest = 1;
    const std::size_t most = std::min(kNumbers, m_values.size());
    for (std::size_t i = 0; i < most; ++i)
        widest = std::max(widest, painter.fontMetrics().horizontalAdvance(numberText(m_values[i], m_whole)));
    const int step = widest + painter.fontMetrics().horizontalAdvance(QLatin1Char(' ')), line = painter.fontMetrics().lineSpacing();
    const int columns = std::max(1, (width() - 8) / std::max(1, step)), rows = std::max(1, (height() - 3) / std::max(1, line));
    const std::size_t room = std::min(most, std::size_t(columns * rows));
    for (std::size_t i = 0; i < room; ++i) {
        const bool last = i + 1 == room && m_values.size() > room;
        const QRect cell(4 + int(i % std::size_t(columns)) * step, 3 + int(i / std::size_t(columns)) * line, widest, line);
        painter.drawText(cell, Qt::AlignRight | Qt::AlignVCenter, last ? QStringLiteral("…") : numberText(m_values[i], m_whole));
    }
}

void SamplePicture::paintEvent(QPaintEvent *)
{
    QPainter painter(this);
    if (m_kind == Kind::Picture) {
        painter.setRenderHint(QPainter::SmoothPixmapTransform, m_image.width() > width());
        painter.drawImage(rect(), m_image);
        return;
    }
    if (m_values.size() > 1)
        painter.fillRect(rect(), palette().alternateBase());
    painter.setPen(palette().color(QPalette::Text));
    m_kind == Kind::Curve ? paintCurve(painter) : paintNumbers(painter);
}

SamplesView::SamplesView(QWidget *parent) : QWidget(parent), m_headline(new QLabel), m_outputs(new QLabel), m_area(new QScrollArea)
{
    setAccessibleName(tr("First samples"));
    for (QLabel *label : {m_headline, m_outputs}) {
        label->setWordWrap(true);
        label->setTextFormat(Qt::PlainText);
        label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    }
    m_headline->setAccessibleName(tr("About the samples"));
    m_outputs->setAccessibleName(tr("What the network gives"));
    m_area->setAccessibleName(tr("Samples"));
    m_area->setWidgetResizable(true);
    m_area->setFrameShape(QFrame::NoFrame);
    m_area->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    setMinimumWidth(kMinimumWidth);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_headline);
    layout->addWidget(m_area, 1);
    layout->addWidget(m_outputs);
    clear();
}

void SamplesView::clear()
{
    m_answers.clear();
    m_rows = new QWidget;
    auto *rows = new QVBoxLayout(m_rows);
    rows->setContentsMargins(0, 0, 6, 0);
    rows->setSpacing(8);
    m_area->setWidget(m_rows);   // the old one goes
    m_area->setVisible(false);
    m_outputs->clear();
    m_outputs->setVisible(false);
    m_headline->setEnabled(true);
}

QString SamplesView::headline() const { return m_headline->text(); }

QString SamplesView::answerText(std::size_t sample) const
{
    return sample < m_answers.size() ? m_answers[sample]->text() : QString();
}

void SamplesView::showMessage(const QString &text, bool bad)
{
    clear();
    QPalette colours = palette();
    if (bad)
        colours.setColor(QPalette::WindowText, signalColours(palette()).bad);
    m_headline->setPalette(colours);
    m_headline->setText(text);
}

void SamplesView::setWaiting(bool waiting)
{
    m_area->setEnabled(!waiting);
    if (waiting && m_answers.empty())
        showMessage(tr("Looking at the data…"));
}

void SamplesView::addRow(const DataPreviewReady &preview, std::size_t sample)
{
    auto *row = new QHBoxLayout;
    row->setSpacing(10);
    const int pictures = int(std::ranges::count(preview.inputs, false, &InputSamples::shared));
    const int widest = std::clamp((kRowWidth - 10 * (pictures - 1)) / std::max(1, pictures), kPictureSide, kStripWidth);
    for (const InputSamples &input : preview.inputs) {
        if (input.shared || sample >= input.samples.size())
            continue;
        auto *picture = new SamplePicture(input, sample, widest);
        auto *column = new QVBoxLayout;
        column->setSpacing(2);
        if (pictures > 1 && sample == 0) {   // which is which
            auto *name = new ElidedLabel(toQString(input.name));
            name->setFixedWidth(picture->sizeHint().width());
            name->setEnabled(false);
            name->setToolTip(toQString(input.name));
            column->addWidget(name);
        }
        column->addWidget(picture);
        column->addStretch(1);   // names on one line
        row->addLayout(column);
    }
    QStringList lines;
    const bool labelled = sample < preview.labels.size();
    if (labelled)
        lines << tr("Label: %1").arg(classText(preview.labels[sample], preview.classes));
    if (sample < preview.answers.size()) {
        const SampleAnswer &answer = preview.answers[sample];
        const QString said = answerTextOf(answer, preview.classes);
        const bool right = labelled && !answer.top.empty() && answer.top.front().first == preview.labels[sample];
        lines << tr("Network: %1%2").arg(said, !labelled || answer.top.empty() ? QString() : right ? QStringLiteral("  ✓") : QStringLiteral("  ✗"));
    }
    auto *text = new QLabel(lines.join(QChar(u'\n')));
    text->setTextFormat(Qt::PlainText);
    text->setWordWrap(true);
    text->setAccessibleName(tr("Sample %1").arg(sample + 1));
    text->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_answers.push_back(text);
    auto *rows = static_cast<QVBoxLayout *>(m_rows->layout());
    // One input stands beside what is said of it; several leave no room for that.
    if (pictures == 1)
        row->addWidget(text, 1, Qt::AlignVCenter);
    else
        row->addStretch(1);
    rows->addLayout(row);
    if (pictures != 1)
        rows->addWidget(text);
    rows->addSpacing(4);
}

void SamplesView::showSamples(const DataPreviewReady &preview)
{
    clear();
    std::size_t samples = 0;
    QStringList shared;
    for (const InputSamples &input : preview.inputs) {
        if (input.shared)
            shared << sharedText(input);
        else
            samples = std::max(samples, input.samples.size());
    }
    const bool random = isRandomData(preview.request.spec);
    QString headline = random ? tr("Random data: made up, without labels. What is measured on it tells how close the network stays to its float self, nothing about its task.")
                              : preview.labels.empty() ? tr("The first %1 samples; they have no labels.").arg(samples) : tr("The first %1 samples.").arg(samples);
    if (!shared.isEmpty())
        headline += QChar(u' ') + shared.join(QChar(u' '));
    QPalette colours = palette();
    if (random)
        colours.setColor(QPalette::WindowText, signalColours(palette()).warning);
    m_headline->setPalette(colours);
    m_headline->setText(headline);
    for (std::size_t sample = 0; sample < std::min<std::size_t>(samples, kMost); ++sample)
        addRow(preview, sample);
    static_cast<QVBoxLayout *>(m_rows->layout())->addStretch(1);
    m_area->setEnabled(true);
    m_area->setVisible(true);
    QStringList outputs;
    for (const OutputRange &output : preview.outputs) {
        QString text = tr("%1: %2, %3 to %4").arg(toQString(output.name), formatShape(output.shape), formatReal(output.low), formatReal(output.high));
        if (output.nonFinite > 0)
            text += tr(", %1 of its values are no numbers").arg(QLocale().toString(qint64(output.nonFinite)));
        outputs << text;
    }
    if (!preview.problem.empty())
        outputs = {tr("The network could not be run on them: %1").arg(toQString(preview.problem))};
    QPalette outputColours = palette();
    if (!preview.problem.empty())
        outputColours.setColor(QPalette::WindowText, signalColours(palette()).bad);
    m_outputs->setPalette(outputColours);
    m_outputs->setText(outputs.join(QChar(u'\n')));
    m_outputs->setVisible(!outputs.isEmpty());
}

} // namespace bitwright
