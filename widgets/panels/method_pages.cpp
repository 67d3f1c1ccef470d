// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/method_pages.h"

#include "util/format.h"
#include "util/method_box.h"
#include "util/theme.h"

#include <QComboBox>
#include <QDesktopServices>
#include <QDir>
#include <QEvent>
#include <QFile>
#include <QHBoxLayout>
#include <QLocale>
#include <QRegularExpression>
#include <QTextBlock>
#include <QTextBrowser>
#include <QTextCursor>
#include <QTextDocument>
#include <QTextFragment>
#include <QTextTable>
#include <QToolButton>
#include <QUrl>
#include <QVBoxLayout>

#include <algorithm>
#include <vector>

// In a static library resources come in only where they are named; outside any namespace.
static void initPages()
{
    Q_INIT_RESOURCE(method_pages);
}

namespace bitwright {

namespace {

constexpr int kLineWidth = 760;
/// The page that lists the others.
constexpr const char *kIndex = "README";
/// The table of results, beside the folder of the methods.
constexpr const char *kResults = "results";

QString pathOf(const QString &id)
{
    initPages();
    return QStringLiteral(":/methods/%1.md").arg(id);
}

QString optionLine(const ParamSpec &option)
{
    QString accepts;
    if (!option.choices.empty()) {
        QStringList choices;
        for (const std::string &choice : option.choices)
            choices << toQString(choice);
        accepts = choices.join(QStringLiteral(", "));
    } else if (option.minimum != 0 || option.maximum != 0) {
        accepts = MethodPages::tr("%1 to %2").arg(formatReal(option.minimum), formatReal(option.maximum));
    }
    QString line = QStringLiteral("- `%1`: %2").arg(toQString(option.name), toQString(option.help));
    return accepts.isEmpty() ? line : line + QStringLiteral(" (%1)").arg(accepts);
}

/// What the catalog itself knows.
QString fromTraits(const MethodTraits &method)
{
    QStringList lines{QStringLiteral("# %1 (`%2`)").arg(toQString(method.title), toQString(method.id)), QString(),
                      toQString(method.summary), QString()};
    if (!method.paper.empty())
        lines << MethodPages::tr("**Source.** %1").arg(toQString(method.paper)) << QString();
    if (method.kind == MethodKind::Quantizer)
        lines << MethodPages::tr("**Bits.** %1 to %2").arg(method.minimumBits).arg(method.maximumBits) << QString();
    if (!method.options.empty()) {
        lines << MethodPages::tr("**Options**") << QString();
        for (const ParamSpec &option : method.options)
            lines << optionLine(option);
    }
    return lines.join(QChar(u'\n'));
}

/// Words of the code stand out in running text. In a heading they are as large as the rest, which Qt's reader makes small
/// from there on.
void dressCode(const QTextBlock &block, const QPalette &palette)
{
    struct Piece { int from, length; QTextCharFormat format; };
    std::vector<Piece> pieces;
    const int heading = block.blockFormat().headingLevel();
    for (auto at = block.begin(); !at.atEnd(); ++at)
        if (const QTextFragment piece = at.fragment(); heading > 0 || piece.charFormat().fontFixedPitch())
            pieces.push_back({piece.position(), piece.length(), piece.charFormat()});
    for (Piece &piece : pieces) {
        if (heading > 0) {
            piece.format.clearProperty(QTextFormat::FontPointSize);
            piece.format.clearProperty(QTextFormat::FontPixelSize);
            piece.format.setProperty(QTextFormat::FontSizeAdjustment, 4 - heading);
            piece.format.setFontWeight(QFont::Bold);
        } else {
            piece.format.setBackground(palette.brush(QPalette::AlternateBase));
        }
        QTextCursor cursor(block);
        cursor.setPosition(piece.from);
        cursor.setPosition(piece.from + piece.length, QTextCursor::KeepAnchor);
        cursor.setCharFormat(piece.format);
    }
}

/// Tables with lines between rows and some air; Qt's own have neither.
void dress(QTextDocument &document, const QPalette &palette)
{
    for (QTextFrame *frame : document.rootFrame()->childFrames()) {
        auto *table = qobject_cast<QTextTable *>(frame);
        if (!table)
            continue;
        QTextTableFormat format = table->format();
        format.setBorder(1);
        format.setBorderCollapse(true);
        format.setBorderStyle(QTextFrameFormat::BorderStyle_Solid);
        format.setBorderBrush(palette.brush(QPalette::Mid));
        format.setBottomMargin(8);
        format.setCellPadding(4);
        format.setCellSpacing(0);
        table->setFormat(format);
    }
    for (QTextBlock block = document.begin(); block.isValid(); block = block.next()) {
        QTextCursor cursor(block);
        QTextBlockFormat format = block.blockFormat();
        format.setLineHeight(120, QTextBlockFormat::ProportionalHeight);
        cursor.setBlockFormat(format);
        dressCode(block, palette);
    }
}

} // namespace

MethodPages::MethodPages(const Catalog &catalog, QWidget *parent)
    : QDialog(parent), m_catalog(catalog), m_browser(new QTextBrowser), m_back(new QToolButton), m_forward(new QToolButton)
{
    setWindowTitle(tr("Methods"));
    setAccessibleName(tr("Pages about the methods"));
    setAttribute(Qt::WA_DeleteOnClose);
    m_browser->setAccessibleName(tr("Page"));
    m_browser->setOpenLinks(false);
    m_browser->document()->setDocumentMargin(18);
    auto *pages = new QComboBox;
    pages->setAccessibleName(tr("Choose a page"));
    pages->addItem(tr("All methods"), QString::fromLatin1(kIndex));
    pages->addItem(tr("What we measured"), QString::fromLatin1(kResults));
    for (const QString &id : compiledIn())
        pages->addItem(id, id);
    for (const MethodTraits &method : catalog.methods())
        if (method.kind == MethodKind::Quantizer && pages->findData(toQString(method.id)) < 0)
            pages->addItem(toQString(method.id), toQString(method.id));
    pages->setSizeAdjustPolicy(QComboBox::AdjustToContents);
    for (const auto &[button, icon, text, step] : {std::tuple{m_back, "back", tr("Page before"), -1}, std::tuple{m_forward, "forward", tr("Page after"), 1}}) {
        button->setIcon(themedIcon(QString::fromLatin1(icon)));
        button->setAccessibleName(text);
        button->setToolTip(text);
        button->setAutoRaise(true);
        connect(button, &QToolButton::clicked, this, [this, step = step] { go(step); });
    }
    auto *row = new QHBoxLayout;
    row->addWidget(m_back);
    row->addWidget(m_forward);
    row->addStretch(1);
    row->addWidget(pages);
    auto *layout = new QVBoxLayout(this);
    layout->addLayout(row);
    layout->addWidget(m_browser, 1);
    resize(kLineWidth, 640);
    connect(m_browser, &QTextBrowser::anchorClicked, this, &MethodPages::follow);
    connect(pages, &QComboBox::activated, this, [this, pages](int index) { showPage(pages->itemData(index).toString()); });
    connect(m_browser, &QTextBrowser::textChanged, pages, [this, pages] { pages->setCurrentIndex(pages->findData(m_page)); });
}

QStringList MethodPages::compiledIn()
{
    initPages();
    QStringList ids;
    for (const QString &file : QDir(QStringLiteral(":/methods")).entryList({QStringLiteral("*.md")}, QDir::Files, QDir::Name))
        ids << file.chopped(3);
    ids.removeAll(QString::fromLatin1(kIndex));
    ids.removeAll(QString::fromLatin1(kResults));
    return ids;
}

MethodPages *MethodPages::open(QWidget *parent, const Catalog &catalog, const QString &id)
{
    QWidget *window = parent->window();
    auto *pages = window->findChild<MethodPages *>();
    if (!pages)
        pages = qobject_cast<MethodPages *>(window);
    if (!pages)
        pages = new MethodPages(catalog, window);
    pages->showPage(id);
    pages->show();
    pages->raise();
    return pages;
}

QString MethodPages::markdown(const QString &id) const
{
    QFile file(pathOf(id));
    if (file.open(QIODevice::ReadOnly)) {
        // Comments mark what a program writes; the reader would make a row of a table of them.
        static const QRegularExpression comment(QStringLiteral("<!--.*?-->\\n?"), QRegularExpression::DotMatchesEverythingOption);
        return QString::fromUtf8(file.readAll()).remove(comment);
    }
    for (const MethodTraits &method : m_catalog.methods())
        if (method.id == id.toStdString())
            return fromTraits(method);
    return {};
}

void MethodPages::showPage(const QString &id)
{
    if (markdown(id).isEmpty() || id == m_page)
        return;
    m_history = m_history.mid(0, m_at + 1);
    m_history << id;
    m_at = int(m_history.size()) - 1;
    go(0);
}

void MethodPages::go(int step)
{
    m_at = std::clamp(m_at + step, 0, int(m_history.size()) - 1);
    m_page = m_history[m_at];
    m_back->setEnabled(m_at > 0);
    m_forward->setEnabled(m_at + 1 < m_history.size());
    render();
}

void MethodPages::render()
{
    m_browser->setMarkdown(markdown(m_page));
    dress(*m_browser->document(), palette());
    const MethodTraits *method = m_catalog.quantizer(m_page.toStdString());
    setWindowTitle(m_page == QLatin1String(kIndex) ? tr("Methods") : tr("%1 – Methods").arg(method ? toQString(method->title) : m_page));
    m_browser->moveCursor(QTextCursor::Start);
}

void MethodPages::follow(const QUrl &link)
{
    if (!link.isRelative()) {
        QDesktopServices::openUrl(link);
        return;
    }
    const QString name = link.fileName();
    if (name.isEmpty() && link.hasFragment())
        m_browser->scrollToAnchor(link.fragment());
    else if (name.endsWith(QStringLiteral(".md")))
        showPage(name.chopped(3));
}

void MethodPages::changeEvent(QEvent *event)
{
    QDialog::changeEvent(event);
    if (event->type() == QEvent::PaletteChange && !m_page.isEmpty())
        render();
}

QToolButton *makeHelpButton(const QString &tip)
{
    auto *button = new QToolButton;
    button->setText(QStringLiteral("?"));
    button->setAccessibleName(QToolButton::tr("About this method"));
    button->setToolTip(tip);
    return button;
}

} // namespace bitwright
