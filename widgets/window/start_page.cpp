// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/start_page.h"

#include "util/format.h"
#include "util/theme.h"

#include <nlohmann/json.hpp>

#include <QCommandLinkButton>
#include <QDir>
#include <QFileInfo>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>

#include <fstream>

namespace bitwright {

namespace {

constexpr int kColumnWidth = 400;
constexpr int kRowSpacing = 6;

QLabel *heading(const QString &text)
{
    auto *label = new QLabel(text);
    QFont font = label->font();
    font.setBold(true);
    label->setFont(font);
    label->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
    return label;
}

void clear(QVBoxLayout *layout)
{
    while (QLayoutItem *item = layout->takeAt(0)) {
        delete item->widget();
        delete item;
    }
}

QStringList stepTexts()
{
    return {
        StartPage::tr("See every layer's weights and activations with the quantization levels over them."),
        StartPage::tr("Select layers and press 1 to 8 for bits, 0 for float; W and A choose weights or activations."),
        StartPage::tr("Watch accuracy against size while it is measured; click any point to go back to it."),
        StartPage::tr("Press F to fine-tune, Ctrl+E to export ONNX that is run and compared at once."),
    };
}

QCommandLinkButton *link(const QString &title, const QString &description, const QString &tip)
{
    auto *button = new QCommandLinkButton(title, description);
    button->setIcon(themedIcon(QStringLiteral("forward")));
    button->setToolTip(tip);
    button->setFixedHeight(button->fontMetrics().height() * 2 + 26);
    return button;
}

} // namespace

StartPage::StartPage(QWidget *parent) : QWidget(parent), m_samples(new QVBoxLayout), m_recent(new QVBoxLayout)
{
    setAccessibleName(tr("Start page"));
    setAutoFillBackground(true);
    setBackgroundRole(QPalette::Base);
    auto *title = new QLabel(tr("Bitwright"));
    QFont big = title->font();
    big.setPointSizeF(big.pointSizeF() * 2.2);
    big.setBold(true);
    title->setFont(big);
    auto *subtitle = new QLabel(tr("See, quantize and shrink trained neural networks"));
    subtitle->setEnabled(false);
    title->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
    subtitle->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
    auto *open = new QPushButton(themedIcon(QStringLiteral("open")), tr("Open a network…"));
    open->setToolTip(tr("A .pt2 file from torch.export.save, or TorchScript; you can also drop it here"));
    connect(open, &QPushButton::clicked, this, &StartPage::openRequested);
    // Given here: a layout inside another one takes over the spacing of the outer one.
    m_samples->setSpacing(kRowSpacing);
    m_recent->setSpacing(kRowSpacing);
    auto *left = new QVBoxLayout;
    left->setSpacing(kRowSpacing);
    left->addWidget(heading(tr("Try a sample")));
    left->addLayout(m_samples);
    left->addStretch(1);
    auto *right = new QVBoxLayout;
    right->setSpacing(kRowSpacing);
    right->addWidget(heading(tr("Go on with")));
    right->addLayout(m_recent);
    right->addSpacing(14);
    right->addWidget(heading(tr("What you can do")));
    int number = 0;
    for (const QString &text : stepTexts()) {
        auto *step = new QLabel(tr("%1.  %2").arg(++number).arg(text));
        step->setWordWrap(true);
        step->setMinimumWidth(kColumnWidth);
        // A wrapped label does not tell an enclosing row how high it will be.
        step->setFixedHeight(step->heightForWidth(kColumnWidth) + 4);
        right->addWidget(step);
    }
    right->addStretch(1);
    auto *columns = new QHBoxLayout;
    columns->setSpacing(48);
    columns->addLayout(left, 1);
    columns->addLayout(right, 1);

    auto *page = new QWidget;
    page->setFixedWidth(2 * kColumnWidth + 60);
    auto *pageLayout = new QVBoxLayout(page);
    pageLayout->addWidget(title);
    pageLayout->addWidget(subtitle);
    pageLayout->addSpacing(14);
    pageLayout->addWidget(open, 0, Qt::AlignLeft);
    pageLayout->addSpacing(18);
    pageLayout->addLayout(columns);
    auto *across = new QHBoxLayout;
    across->addStretch(1);
    across->addWidget(page);
    across->addStretch(1);
    auto *inside = new QWidget;
    auto *insideLayout = new QVBoxLayout(inside);
    insideLayout->addStretch(1);
    insideLayout->addLayout(across);
    insideLayout->addStretch(2);
    // In a scroll area it does not dictate how narrow the centre of the window may become later.
    auto *scroll = new QScrollArea;
    scroll->setAccessibleName(tr("Start page"));
    scroll->setFrameShape(QFrame::NoFrame);
    scroll->setWidgetResizable(true);
    scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    scroll->setWidget(inside);
    scroll->setBackgroundRole(QPalette::Base);
    inside->setBackgroundRole(QPalette::Base);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(scroll);
}

void StartPage::setSamples(const QList<Sample> &samples)
{
    clear(m_samples);
    for (const Sample &sample : samples) {
        QCommandLinkButton *button = link(sample.title, sample.description, sample.path);
        connect(button, &QPushButton::clicked, this, [this, path = sample.path] { emit modelRequested(path); });
        m_samples->addWidget(button);
    }
    if (samples.isEmpty()) {
        auto *none = new QLabel(tr("The sample networks were not found beside the program."));
        none->setEnabled(false);
        none->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
        m_samples->addWidget(none);
    }
}

void StartPage::setRecent(const QStringList &models, const QList<Entry> &sessions)
{
    clear(m_recent);
    int shown = 0;
    for (const Entry &session : sessions) {
        if (shown++ == 4)
            break;
        QCommandLinkButton *button = link(tr("Session: %1").arg(QFileInfo(session.path).completeBaseName()), session.title, session.path);
        button->setText(session.title.section(QChar(u','), 0, 0));
        button->setDescription(tr("Session,%1").arg(session.title.section(QChar(u','), 1)));
        connect(button, &QPushButton::clicked, this, [this, path = session.path] { emit sessionRequested(path); });
        m_recent->addWidget(button);
    }
    for (const QString &model : models.mid(0, 3)) {
        const QFileInfo file(model);
        QCommandLinkButton *button = link(file.fileName(), file.exists() ? QDir::toNativeSeparators(file.path()) : tr("no longer there"), model);
        button->setEnabled(file.exists());
        connect(button, &QPushButton::clicked, this, [this, model] { emit modelRequested(model); });
        m_recent->addWidget(button);
        ++shown;
    }
    if (shown == 0) {
        auto *none = new QLabel(tr("Nothing was open yet."));
        none->setEnabled(false);
        none->setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Fixed);
        m_recent->addWidget(none);
    }
}

QList<StartPage::Sample> samplesIn(const QString &folder)
{
    QList<StartPage::Sample> samples;
    if (folder.isEmpty())
        return samples;
    for (const QFileInfo &file : QDir(folder).entryInfoList({QStringLiteral("*.pt2")}, QDir::Files, QDir::Name)) {
        StartPage::Sample sample{file.completeBaseName(), {}, file.absoluteFilePath()};
        const QString side = file.path() + QChar(u'/') + file.completeBaseName() + QStringLiteral(".json");
        std::ifstream stream(side.toStdString());
        const auto json = nlohmann::json::parse(stream, nullptr, false);
        if (json.is_object()) {
            sample.title = toQString(json.value("title", sample.title.toStdString()));
            sample.description = StartPage::tr("%1, %2 parameters, %3 correct")
                                     .arg(toQString(json.value("data", std::string("Fashion-MNIST"))),
                                          formatCount(json.value("parameters", 0.0)), formatShare(json.value("float_top1", 0.0), 1));
        }
        samples << sample;
    }
    return samples;
}

} // namespace bitwright
