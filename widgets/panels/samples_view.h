// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <QImage>
#include <QScrollArea>
#include <QWidget>

class QLabel;
class QVBoxLayout;

namespace bitwright {

/// One sample of one input: a picture, a curve, or the first of its numbers.
class SamplePicture : public QWidget {
    Q_OBJECT
public:
    enum class Kind { Picture, Curve, Numbers };
    /// At most `width` pixels wide.
    SamplePicture(const InputSamples &input, std::size_t sample, int width, QWidget *parent = nullptr);
    [[nodiscard]] Kind kind() const { return m_kind; }
    [[nodiscard]] QSize sizeHint() const override { return minimumSizeHint(); }
    [[nodiscard]] QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent *) override;

private:
    void paintCurve(QPainter &painter) const;
    void paintNumbers(QPainter &painter) const;

    Kind m_kind = Kind::Numbers;
    QImage m_image;
    std::vector<float> m_values;
    bool m_whole = false;
    int m_width;
};

/// The first samples of data that may be opened and what the network says about each.
class SamplesView : public QWidget {
    Q_OBJECT
public:
    explicit SamplesView(QWidget *parent = nullptr);
    void showSamples(const DataPreviewReady &preview);
    /// Instead of samples: a sentence, with `bad` in the colour of errors.
    void showMessage(const QString &text, bool bad = false);
    /// What is shown is about to be replaced.
    void setWaiting(bool waiting);
    /// The sentence above the samples, and the text of a row.
    [[nodiscard]] QString headline() const;
    [[nodiscard]] QString answerText(std::size_t sample) const;

private:
    void clear();
    void addRow(const DataPreviewReady &preview, std::size_t sample);

    QLabel *m_headline, *m_outputs;
    QScrollArea *m_area;
    QWidget *m_rows = nullptr;
    std::vector<QLabel *> m_answers;
};

/// "Ankle boot 97.1 %, Sneaker 2.2 %", or the range of an answer that is no score vector.
QString answerTextOf(const SampleAnswer &answer, const std::vector<std::string> &classes);

} // namespace bitwright
