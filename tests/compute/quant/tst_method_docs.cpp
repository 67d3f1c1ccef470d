// SPDX-License-Identifier: GPL-3.0-or-later
// The tables of methods in the documentation are the registry's, and every method has its page.
#include "base/text_file.h"
#include "catalog/method_table.h"
#include "quant/quantizer.h"
#include "sample_networks.h"

#include <QtTest/QtTest>

#include <set>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string fileText(const std::string &name)
{
    constexpr std::uint64_t kLargest = 1 << 24;
    return take(readTextFile(sourceFolder() + '/' + name, kLargest));
}

} // namespace

class TestMethodDocs : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void tablesAreTheRegistrys_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("flag");
        QTest::addColumn<QString>("table");
        QTest::newRow("pages") << QStringLiteral("docs/methods/README.md") << QString() << QString::fromStdString(methodTable(methodCatalog()));
        QTest::newRow("front page") << QStringLiteral("README.md") << QStringLiteral(" --short")
                                    << QString::fromStdString(familyTable(methodCatalog(), "docs/methods/"));
    }
    void tablesAreTheRegistrys()
    {
        QFETCH(QString, file);
        QFETCH(QString, flag);
        QFETCH(QString, table);
        const std::string found = take(markedTable(fileText(file.toStdString()), file.toStdString()));
        const QString mend = QStringLiteral("run bitwright-cli methods --markdown%1 --into %2").arg(flag, file);
        QVERIFY2(found == table.toStdString(), qPrintable(mend));
    }

    void everyMethodHasItsPage()
    {
        for (const QuantizerRow &row : quantizerRows()) {
            const std::string name = "docs/methods/" + row.traits.id + ".md";
            QVERIFY2(QFile::exists(QString::fromStdString(sourceFolder() + '/' + name)), (name + " is missing").c_str());
            const std::string text = fileText(name);
            QVERIFY2(text.starts_with("# ") && text.find('`' + row.traits.id + '`') != std::string::npos, name.c_str());
            QVERIFY2(text.find("easured") != std::string::npos, (name + " does not say what was measured").c_str());
        }
    }

    /// The table needs all of these.
    void everyRowSaysWhatItIs()
    {
        const std::set<std::string> families{"uniform", "binary", "ternary", "powers of two", "distribution", "learned", "codebook", "loss-aware"};
        for (const QuantizerRow &row : quantizerRows()) {
            const MethodTraits &t = row.traits;
            QVERIFY2(families.contains(t.family), (t.id + ": family \"" + t.family + '"').c_str());
            QVERIFY2(!t.title.empty() && !t.paper.empty() && !t.summary.empty() && !t.roles.empty(), t.id.c_str());
        }
    }

    void marksAreFoundOrMissed()
    {
        const std::string text = "a\n<!-- methods:begin -->\nold\n<!-- methods:end -->\nb\n";
        QCOMPARE(markedTable(text, "f").value(), std::string("old\n"));
        QCOMPARE(withMarkedTable(text, "new\n", "f").value(), std::string("a\n<!-- methods:begin -->\nnew\n<!-- methods:end -->\nb\n"));
        for (const char *bad : {"", "<!-- methods:begin -->\n", "<!-- methods:end -->\n<!-- methods:begin -->\n"}) {
            const auto missed = markedTable(bad, "f.md");
            QVERIFY(!missed.has_value() && missed.error().message.starts_with("f.md, "));
        }
    }

    void cellsStayCells()
    {
        MethodTraits odd;
        odd.id = "odd";
        odd.title = "a | b";
        odd.family = "binary";
        odd.paper = "c";
        odd.year = 1957;
        odd.roles = {Role::Activation};
        odd.minimumBits = odd.maximumBits = 1;
        odd.options = {{.name = "gradient_bits", .type = ParamType::Int, .fallback = std::int64_t(0)}};
        const Catalog catalog({odd});
        QVERIFY(methodTable(catalog).ends_with("| [`odd`](odd.md) | a \\| b | A, G | 1 | binary | c 1957 |\n"));
        odd.paper = "c 1957; d";
        QVERIFY(methodTable(Catalog({odd})).ends_with("| c 1957; d |\n"));
        QVERIFY(familyTable(catalog, "x/").ends_with("| binary | [`odd`](x/odd.md) (A, G) |\n"));
    }
};

QTEST_APPLESS_MAIN(TestMethodDocs)
#include "tst_method_docs.moc"
