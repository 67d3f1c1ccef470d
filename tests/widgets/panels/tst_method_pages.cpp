// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "panels/method_pages.h"
#include "util/method_box.h"

#include <QComboBox>
#include <QDesktopServices>
#include <QStandardItemModel>
#include <QTextBrowser>
#include <QToolButton>
#include <QtTest>

using namespace bitwright;

/// Takes the place of the web browser.
class LinkCatcher : public QObject {
    Q_OBJECT
public:
    QList<QUrl> opened;
public slots:
    void open(const QUrl &url) { opened << url; }
};

class TstMethodPages : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin does not support).*"))); }
    void everyPageIsCompiledIn();
    void everyPageHasTextAndALeadingTitle();
    void linksBetweenPages();
    void webLinksLeave();
    void methodWithoutAPage();
    void backAndForward();
    void boxGroupsByFamily();
};

namespace {

void click(MethodPages &pages, const char *link)
{
    QMetaObject::invokeMethod(pages.browser(), "anchorClicked", Q_ARG(QUrl, QUrl(QString::fromLatin1(link))));
}

} // namespace

void TstMethodPages::everyPageIsCompiledIn()
{
    const QDir folder(qEnvironmentVariable("BITWRIGHT_SOURCE_DIR") + QStringLiteral("/docs/methods"));
    if (!folder.exists() || folder.dirName() != QStringLiteral("methods") || qEnvironmentVariableIsEmpty("BITWRIGHT_SOURCE_DIR"))
        QSKIP("the sources are not named");
    QStringList ids;
    for (const QString &file : folder.entryList({QStringLiteral("*.md")}, QDir::Files, QDir::Name))
        if (file != QStringLiteral("README.md"))
            ids << file.chopped(3);
    QCOMPARE(MethodPages::compiledIn(), ids);
}

void TstMethodPages::everyPageHasTextAndALeadingTitle()
{
    const Catalog catalog = fakeCatalog();
    QVERIFY(MethodPages::compiledIn().contains(QStringLiteral("uniform")));
    for (const QString &id : MethodPages::compiledIn()) {
        MethodPages pages(catalog);
        pages.showPage(id);
        QCOMPARE(pages.page(), id);
        QVERIFY2(pages.browser()->toPlainText().size() > 200, qPrintable(id));
        QVERIFY2(!pages.browser()->toPlainText().contains(QStringLiteral("<!--")), qPrintable(id));
        QVERIFY2(pages.browser()->document()->begin().blockFormat().headingLevel() == 1, qPrintable(id));
    }
}

void TstMethodPages::linksBetweenPages()
{
    const Catalog catalog = fakeCatalog();
    MethodPages pages(catalog);
    pages.showPage(QStringLiteral("training"));
    click(pages, "surgery.md");
    QCOMPARE(pages.page(), QStringLiteral("surgery"));
    click(pages, "../results.md");
    QCOMPARE(pages.page(), QStringLiteral("results"));
    click(pages, "surgery.md");
    click(pages, "no-such-page.md");
    QCOMPARE(pages.page(), QStringLiteral("surgery"));
}

void TstMethodPages::webLinksLeave()
{
    const Catalog catalog = fakeCatalog();
    LinkCatcher catcher;
    QDesktopServices::setUrlHandler(QStringLiteral("https"), &catcher, "open");
    MethodPages pages(catalog);
    pages.showPage(QStringLiteral("uniform"));
    click(pages, "https://arxiv.org/abs/1712.05877");
    QDesktopServices::unsetUrlHandler(QStringLiteral("https"));
    QCOMPARE(catcher.opened, QList<QUrl>{QUrl(QStringLiteral("https://arxiv.org/abs/1712.05877"))});
    QCOMPARE(pages.page(), QStringLiteral("uniform"));
}

void TstMethodPages::methodWithoutAPage()
{
    const Catalog catalog = fakeCatalog();
    MethodPages pages(catalog);
    pages.showPage(QStringLiteral("refuser"));
    const QString text = pages.browser()->toPlainText();
    QVERIFY(text.contains(QStringLiteral("Refuser")) && text.contains(QStringLiteral("Han et al.")) && text.contains(QStringLiteral("2 to 8")));
}

void TstMethodPages::backAndForward()
{
    const Catalog catalog = fakeCatalog();
    MethodPages pages(catalog);
    const auto button = [&](const QString &name) {
        for (auto *each : pages.findChildren<QToolButton *>())
            if (each->accessibleName() == name)
                return each;
        return static_cast<QToolButton *>(nullptr);
    };
    pages.showPage(QStringLiteral("uniform"));
    QVERIFY(!button(QStringLiteral("Page before"))->isEnabled());
    pages.showPage(QStringLiteral("kmeans"));
    button(QStringLiteral("Page before"))->click();
    QCOMPARE(pages.page(), QStringLiteral("uniform"));
    button(QStringLiteral("Page after"))->click();
    QCOMPARE(pages.page(), QStringLiteral("kmeans"));
    QCOMPARE(pages.findChild<QComboBox *>()->currentData().toString(), QStringLiteral("kmeans"));
}

void TstMethodPages::boxGroupsByFamily()
{
    const Catalog catalog = fakeCatalog();
    QComboBox box;
    fillMethodBox(&box, catalog, Role::Weight);
    QStringList lines;
    for (int i = 0; i < box.count(); ++i)
        lines << (box.itemData(i).isValid() ? box.itemData(i).toString() : u'[' + box.itemText(i) + u']');
    QCOMPARE(lines.join(u' '), QStringLiteral("float [Uniform] uniform [Binary] bwn [Codebook] kmeans [Learned] refuser"));
    const auto *items = qobject_cast<QStandardItemModel *>(box.model());
    QVERIFY(!(items->item(1)->flags() & Qt::ItemIsSelectable) && (items->item(2)->flags() & Qt::ItemIsSelectable));
    fillMethodBox(&box, catalog, Role::Activation);
    QCOMPARE(box.findData(QStringLiteral("bwn")), -1);
    QVERIFY(box.findData(QStringLiteral("refuser")) > 0);
}

QTEST_MAIN(TstMethodPages)
#include "tst_method_pages.moc"
