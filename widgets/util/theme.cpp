// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/theme.h"

#include <QApplication>
#include <QFile>
#include <QIconEngine>
#include <QPainter>
#include <QProxyStyle>
#include <QStyleFactory>
#include <QStyleOption>
#include <QSvgRenderer>

#include <algorithm>
#include <array>

// Resources of a static library are not registered by themselves; outside of any namespace as the macro demands.
static void initResources()
{
    Q_INIT_RESOURCE(bitwright);
}

namespace bitwright {

namespace {

QPalette lightPalette()
{
    QPalette p;
    const QColor text(0x1f, 0x24, 0x2b), faint(0x8a, 0x93, 0x9e);
    p.setColor(QPalette::Window, QColor(0xf3, 0xf4, 0xf6));
    p.setColor(QPalette::WindowText, text);
    p.setColor(QPalette::Base, Qt::white);
    p.setColor(QPalette::AlternateBase, QColor(0xf8, 0xf9, 0xfb));
    p.setColor(QPalette::Text, text);
    p.setColor(QPalette::Button, QColor(0xfb, 0xfb, 0xfc));
    p.setColor(QPalette::ButtonText, text);
    p.setColor(QPalette::BrightText, Qt::white);
    p.setColor(QPalette::Highlight, QColor(0x1f, 0x6f, 0xc4));
    p.setColor(QPalette::HighlightedText, Qt::white);
    p.setColor(QPalette::Link, QColor(0x0b, 0x5c, 0xad));
    p.setColor(QPalette::LinkVisited, QColor(0x6a, 0x4c, 0x9c));
    p.setColor(QPalette::ToolTipBase, QColor(0x2b, 0x31, 0x3a));
    p.setColor(QPalette::ToolTipText, QColor(0xf3, 0xf4, 0xf6));
    p.setColor(QPalette::PlaceholderText, faint);
    p.setColor(QPalette::Light, Qt::white);
    p.setColor(QPalette::Midlight, QColor(0xe6, 0xe8, 0xec));
    p.setColor(QPalette::Mid, QColor(0xcd, 0xd2, 0xd9));
    p.setColor(QPalette::Dark, QColor(0xb4, 0xbb, 0xc5));
    p.setColor(QPalette::Shadow, QColor(0x60, 0x68, 0x72));
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        p.setColor(QPalette::Disabled, role, faint);
    p.setColor(QPalette::Disabled, QPalette::Highlight, QColor(0xb4, 0xbb, 0xc5));
    return p;
}

QPalette darkPalette()
{
    QPalette p;
    const QColor text(0xe3, 0xe6, 0xea), faint(0x7d, 0x87, 0x93);
    p.setColor(QPalette::Window, QColor(0x1f, 0x23, 0x29));
    p.setColor(QPalette::WindowText, text);
    p.setColor(QPalette::Base, QColor(0x17, 0x1a, 0x1f));
    p.setColor(QPalette::AlternateBase, QColor(0x1b, 0x1f, 0x25));
    p.setColor(QPalette::Text, text);
    p.setColor(QPalette::Button, QColor(0x2a, 0x2f, 0x37));
    p.setColor(QPalette::ButtonText, text);
    p.setColor(QPalette::BrightText, Qt::white);
    p.setColor(QPalette::Highlight, QColor(0x2f, 0x7d, 0xd1));
    p.setColor(QPalette::HighlightedText, Qt::white);
    p.setColor(QPalette::Link, QColor(0x6c, 0xb2, 0xf5));
    p.setColor(QPalette::LinkVisited, QColor(0xb7, 0x9c, 0xe8));
    p.setColor(QPalette::ToolTipBase, QColor(0x3a, 0x41, 0x4b));
    p.setColor(QPalette::ToolTipText, text);
    p.setColor(QPalette::PlaceholderText, faint);
    p.setColor(QPalette::Light, QColor(0x3a, 0x41, 0x4b));
    p.setColor(QPalette::Midlight, QColor(0x33, 0x39, 0x42));
    p.setColor(QPalette::Mid, QColor(0x3b, 0x42, 0x4c));
    p.setColor(QPalette::Dark, QColor(0x12, 0x15, 0x19));
    p.setColor(QPalette::Shadow, Qt::black);
    for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText})
        p.setColor(QPalette::Disabled, role, faint);
    p.setColor(QPalette::Disabled, QPalette::Highlight, QColor(0x3b, 0x42, 0x4c));
    return p;
}

QString styleSheet(const QPalette &p)
{
    const QString sheet = QStringLiteral(
        "QDockWidget { titlebar-close-icon: none; titlebar-normal-icon: none; }"
        "QDockWidget::title { padding: 6px 8px; background: @window; font-weight: bold; }"
        "QToolTip { color: @tiptext; background: @tip; border: 1px solid @mid; padding: 4px 6px; }"
        "QMainWindow::separator { background: @mid; width: 1px; height: 1px; margin: 2px; }"
        "QMainWindow::separator:hover { background: @highlight; }"
        "QHeaderView { background: @window; }"
        "QHeaderView::section { background: @window; color: @text; border: none; border-right: 1px solid @midlight;"
        "  border-bottom: 1px solid @mid; padding: 4px 6px; }"
        "QAbstractItemView { border: 1px solid @mid; }"
        "QTabWidget::pane { border: none; border-top: 1px solid @mid; }"
        "QTabBar { qproperty-drawBase: 0; }"
        "QTabBar::tab { padding: 6px 14px; border: none; border-bottom: 2px solid transparent; color: @faint; }"
        "QTabBar::tab:selected { color: @text; border-bottom: 2px solid @highlight; }"
        "QTabBar::tab:hover:!selected { color: @text; border-bottom: 2px solid @mid; }"
        "QStatusBar { border-top: 1px solid @mid; }"
        "QStatusBar::item { border: none; }"
        "QStatusBar QLabel { padding: 2px 10px; border-right: 1px solid @midlight; }"
        "QStatusBar QLabel#activity { border: none; }"
        "QToolBar { border: none; border-bottom: 1px solid @mid; spacing: 3px; padding: 3px 6px; }");
    const std::array<std::pair<const char *, QColor>, 8> colours{{
        {"@window", p.color(QPalette::Window)}, {"@tiptext", p.color(QPalette::ToolTipText)},
        {"@tip", p.color(QPalette::ToolTipBase)}, {"@midlight", p.color(QPalette::Midlight)},
        {"@mid", p.color(QPalette::Mid)}, {"@highlight", p.color(QPalette::Highlight)},
        {"@text", p.color(QPalette::WindowText)}, {"@faint", p.color(QPalette::Disabled, QPalette::WindowText)},
    }};
    QString result = sheet;
    for (const auto &[name, colour] : colours)
        result.replace(QLatin1String(name), colour.name());
    return result;
}

QColor mix(const QColor &a, const QColor &b, double share)
{
    const auto part = [share](int x, int y) { return int(x + (y - x) * share + 0.5); };
    return {part(a.red(), b.red()), part(a.green(), b.green()), part(a.blue(), b.blue())};
}

/// Fusion outlines controls in a darker shade of the window, which nobody sees on a dark one: there it is given a
/// lighter window to start from.
class OutlinedStyle : public QProxyStyle {
public:
    OutlinedStyle() : QProxyStyle(QStyleFactory::create(QStringLiteral("Fusion"))) {}

    void drawPrimitive(PrimitiveElement element, const QStyleOption *option, QPainter *painter, const QWidget *widget) const override
    {
        const bool outlined = element == PE_IndicatorCheckBox || element == PE_IndicatorRadioButton || element == PE_FrameLineEdit ||
                              element == PE_PanelLineEdit;
        if (outlined && isDark(option->palette)) {
            if (const auto *frame = qstyleoption_cast<const QStyleOptionFrame *>(option))
                QProxyStyle::drawPrimitive(element, &lightened(QStyleOptionFrame(*frame)), painter, widget);
            else if (const auto *button = qstyleoption_cast<const QStyleOptionButton *>(option))
                QProxyStyle::drawPrimitive(element, &lightened(QStyleOptionButton(*button)), painter, widget);
            else
                QProxyStyle::drawPrimitive(element, &lightened(QStyleOption(*option)), painter, widget);
            return;
        }
        QProxyStyle::drawPrimitive(element, option, painter, widget);
    }

    void drawComplexControl(ComplexControl control, const QStyleOptionComplex *option, QPainter *painter, const QWidget *widget) const override
    {
        const auto *spin = qstyleoption_cast<const QStyleOptionSpinBox *>(option);
        const auto *combo = qstyleoption_cast<const QStyleOptionComboBox *>(option);
        if (control == CC_SpinBox && spin && isDark(option->palette))
            QProxyStyle::drawComplexControl(control, &lightened(QStyleOptionSpinBox(*spin)), painter, widget);
        else if (control == CC_ComboBox && combo && isDark(option->palette))
            QProxyStyle::drawComplexControl(control, &lightened(QStyleOptionComboBox(*combo)), painter, widget);
        else
            QProxyStyle::drawComplexControl(control, option, painter, widget);
    }

private:
    template <typename Option>
    static const Option &lightened(Option &&option)
    {
        option.palette.setColor(QPalette::Window, QColor(0x82, 0x8c, 0x98));
        return option;
    }
};

/// Draws an SVG whose strokes say "currentColor" in the palette's colour of the moment.
class SvgIconEngine : public QIconEngine {
public:
    explicit SvgIconEngine(QByteArray svg) : m_svg(std::move(svg)) {}
    void paint(QPainter *painter, const QRect &rect, QIcon::Mode mode, QIcon::State) override
    {
        const QPalette palette = QApplication::palette();
        const auto group = mode == QIcon::Disabled ? QPalette::Disabled : QPalette::Active;
        const auto role = mode == QIcon::Selected ? QPalette::HighlightedText : QPalette::ButtonText;
        QByteArray svg = m_svg;
        svg.replace("currentColor", palette.color(group, role).name().toLatin1());
        QSvgRenderer(svg).render(painter, QRectF(rect));
    }
    QPixmap pixmap(const QSize &size, QIcon::Mode mode, QIcon::State state) override
    {
        QPixmap pixmap(size);
        pixmap.fill(Qt::transparent);
        QPainter painter(&pixmap);
        paint(&painter, QRect(QPoint(), size), mode, state);
        return pixmap;
    }
    QIconEngine *clone() const override { return new SvgIconEngine(*this); }

private:
    QByteArray m_svg;
};

} // namespace

bool isDark(const QPalette &palette)
{
    return palette.color(QPalette::WindowText).lightness() > palette.color(QPalette::Window).lightness();
}

void applyTheme(QApplication &application, Theme theme)
{
    // Asked once, before the first palette of ours hides the desktop's.
    static const bool systemDark = isDark(QApplication::palette());
    QApplication::setStyle(new OutlinedStyle);
    const bool dark = theme == Theme::Dark || (theme == Theme::System && systemDark);
    const QPalette palette = dark ? darkPalette() : lightPalette();
    QApplication::setPalette(palette);
    application.setStyleSheet(styleSheet(palette));
}

SignalColours signalColours(const QPalette &palette)
{
    if (isDark(palette)) {
        return {.weight = QColor(0x56, 0xb4, 0xe9), .activation = QColor(0xe6, 0x9f, 0x00), .good = QColor(0x3f, 0xc1, 0x97),
                .warning = QColor(0xf0, 0xc0, 0x4a), .bad = QColor(0xf0, 0x7a, 0x4b), .accent = QColor(0xcc, 0x79, 0xa7)};
    }
    return {.weight = QColor(0x00, 0x72, 0xb2), .activation = QColor(0xc4, 0x7f, 0x00), .good = QColor(0x00, 0x8a, 0x65),
            .warning = QColor(0xb0, 0x7b, 0x00), .bad = QColor(0xc9, 0x4a, 0x00), .accent = QColor(0xa8, 0x4f, 0x83)};
}

QColor bitsColour(int bits, const QPalette &palette)
{
    if (bits <= 0 || bits > 16)
        return palette.color(QPalette::Mid);
    const bool dark = isDark(palette);
    const QColor low = dark ? QColor(0xf0, 0x7a, 0x4b) : QColor(0xd5, 0x5e, 0x00);
    const QColor middle = dark ? QColor(0xe6, 0xb8, 0x3c) : QColor(0xc4, 0x92, 0x00);
    const QColor high = dark ? QColor(0x56, 0xb4, 0xe9) : QColor(0x00, 0x72, 0xb2);
    const double at = std::clamp((bits - 1) / 7.0, 0.0, 1.0);
    return at < 0.43 ? mix(low, middle, at / 0.43) : mix(middle, high, (at - 0.43) / 0.57);
}

QIcon themedIcon(const QString &name)
{
    initResources();
    QFile file(QStringLiteral(":/icons/") + name + QStringLiteral(".svg"));
    if (!file.open(QIODevice::ReadOnly))
        return {};
    return QIcon(new SvgIconEngine(file.readAll()));
}

} // namespace bitwright
