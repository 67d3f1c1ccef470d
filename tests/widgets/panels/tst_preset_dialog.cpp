// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "panels/preset_dialog.h"
#include "util/format.h"
#include "util/policy_text.h"

#include <QLineEdit>
#include <QPointer>
#include <QTreeWidget>
#include <QtTest>

using namespace bitwright;

class TstPresetDialog : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin does not support).*"))); }
    void listsEveryPreset();
    void filterNarrows();
    void appliesInOneStep();
    void unknownMethodIsGrey();
    void policyInWords_data();
    void policyInWords();
};

namespace {

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    QPointer<PresetDialog> dialog = new PresetDialog(document);
    Bench() { document.setModel(fakeModel()); }
    ~Bench() { delete dialog; }
};

/// The first preset whose methods the fake catalog has.
const Preset *possible(const Catalog &catalog)
{
    for (const Preset &preset : presets()) {
        const auto has = [&](const QuantPatch &patch) { return !patch.method || catalog.quantizer(*patch.method); };
        if (has(preset.weight) && has(preset.activation))
            return &preset;
    }
    return nullptr;
}

} // namespace

void TstPresetDialog::listsEveryPreset()
{
    Bench bench;
    QCOMPARE(std::size_t(bench.dialog->list().topLevelItemCount()), presets().size());
    for (const Preset &preset : presets()) {
        bench.dialog->choose(toQString(preset.id));
        QVERIFY(bench.dialog->detailsText().contains(toQString(preset.paper).toHtmlEscaped()));
        QVERIFY(bench.dialog->detailsText().contains(policyText(preset.policy)));
    }
}

void TstPresetDialog::filterNarrows()
{
    Bench bench;
    bench.dialog->findChild<QLineEdit *>()->setText(QStringLiteral("XNOR"));
    int shown = 0;
    for (int i = 0; i < bench.dialog->list().topLevelItemCount(); ++i)
        shown += !bench.dialog->list().topLevelItem(i)->isHidden();
    QVERIFY(shown > 0 && shown < bench.dialog->list().topLevelItemCount());
}

void TstPresetDialog::appliesInOneStep()
{
    Bench bench;
    const Preset *preset = possible(bench.engine.catalog());
    QVERIFY(preset);
    bench.document.setBits({"stem"}, Role::Weight, 4);
    const int steps = bench.document.undoStack()->count();
    bench.dialog->choose(toQString(preset->id));
    QVERIFY(bench.dialog->apply());
    QCOMPARE(bench.document.undoStack()->count(), steps + 1);
    QCOMPARE(bench.document.config().policy, preset->policy);
    QCOMPARE(bench.document.spec("stage2.1.conv1", Role::Weight)->method, preset->weight.method.value_or("float"));
    bench.document.undoStack()->undo();
    QCOMPARE(bench.document.config().policy, LayerPolicy{});
    QVERIFY(bench.document.spec("stage2.1.conv1", Role::Weight)->isFloat());
    QCOMPARE(bench.document.spec("stem", Role::Weight)->bits, 4);
}

void TstPresetDialog::unknownMethodIsGrey()
{
    Bench bench;
    bool any = false;
    for (const Preset &preset : presets()) {
        if (preset.weight.method && !bench.engine.catalog().quantizer(*preset.weight.method)) {
            any = true;
            bench.dialog->choose(toQString(preset.id));
            QVERIFY(!bench.dialog->apply());
        }
    }
    QVERIFY(any);
    QVERIFY(bench.document.isFloat());
}

void TstPresetDialog::policyInWords_data()
{
    using Keep = LayerPolicy::Keep;
    QTest::addColumn<int>("ends");
    QTest::addColumn<int>("shortcuts");
    QTest::addColumn<QString>("words");
    QTest::newRow("none") << int(Keep::Same) << int(Keep::Same) << QStringLiteral("every layer alike");
    QTest::newRow("ends") << int(Keep::Float) << int(Keep::Same) << QStringLiteral("first and last float");
    QTest::newRow("shortcuts") << int(Keep::Same) << int(Keep::EightBit) << QStringLiteral("shortcuts 8 bit");
    QTest::newRow("both alike") << int(Keep::Float) << int(Keep::Float) << QStringLiteral("first, last and shortcuts float");
    QTest::newRow("both") << int(Keep::EightBit) << int(Keep::Float) << QStringLiteral("first and last 8 bit, shortcuts float");
}

void TstPresetDialog::policyInWords()
{
    QFETCH(int, ends);
    QFETCH(int, shortcuts);
    QFETCH(QString, words);
    QCOMPARE(policyText({LayerPolicy::Keep(ends), LayerPolicy::Keep(shortcuts)}), words);
}

QTEST_MAIN(TstPresetDialog)
#include "tst_preset_dialog.moc"
