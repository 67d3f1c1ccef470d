// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "panels/param_form.h"
#include "panels/recipes_form.h"
#include "panels/training_curves.h"
#include "panels/training_panel.h"
#include "plots/level_history_plot.h"

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QtTest>

#include <limits>

using namespace bitwright;

class TstTrainingPanel : public QObject {
    Q_OBJECT
private slots:
    // The offscreen plugin says so of every window that is shown.
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin does not support propagateSizeHints)"))); }
    void recipesGoIntoTheRequest();
    void optionsShowWithTheirRecipe();
    void clashKeepsFromStarting();
    void pruningRecipeTrainsAFloatNetwork();
    void aSmallerNetworkMayBeTrained();
    void teacherNeedsItsRecipe();
    void saysWhatTheRecipeIsDoing();
    void stepsWithoutLabelsHaveNoAccuracy();
    void levelsOverTheEpochs();
    void optionsDependOnABox();
    void aChoiceMayBeLeftToTheMethod();
    void settingsRoundTrip();
    void settingsOfAnotherVersion();
    void everyControlHasAName();
};

namespace {

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    TrainingPanel panel{document, controller};

    Bench()
    {
        engine.automatic = true;
        controller.setLive(false);
        QObject::connect(&controller, &EngineController::modelOpened, &document, [this](const auto &model) { document.setModel(model); });
        controller.openModel(QStringLiteral("resnet20.pt2"));
        QTRY_VERIFY(document.model());
        controller.openData({"sample:test", "sample:train", "sample:train"});
        QTRY_COMPARE(controller.data().training, std::string("sample:train"));
    }

    QCheckBox *box(const QString &title) const
    {
        for (QCheckBox *each : panel.findChildren<QCheckBox *>())
            if (each->text() == title)
                return each;
        return nullptr;
    }
    QLabel *label(const QString &name) const
    {
        for (QLabel *each : panel.findChildren<QLabel *>())
            if (each->accessibleName() == name)
                return each;
        return nullptr;
    }
    /// The field of a recipe's option: forms stand in the order of the catalog.
    QWidget *field(int recipe, const char *option) const { return panel.findChildren<ParamForm *>()[recipe]->field(option); }
};

void type(QWidget *field, const QString &text)
{
    auto *line = qobject_cast<QLineEdit *>(field);
    line->selectAll();
    QTest::keyClicks(line, text);
    QTest::keyClick(line, Qt::Key_Return);
}

enum { Distill, Gradual, Alternate, Slimming };

} // namespace

void TstTrainingPanel::recipesGoIntoTheRequest()
{
    Bench bench;
    bench.document.setBits({"head"}, Role::Weight, 4);
    QVERIFY(bench.panel.options().recipes.empty());
    bench.box(QStringLiteral("Gradual pruning"))->setChecked(true);
    bench.box(QStringLiteral("Distillation"))->setChecked(true);
    type(bench.field(Distill, "temperature"), QStringLiteral("2.5"));
    qobject_cast<QCheckBox *>(bench.field(Gradual, "regrow"))->setChecked(true);
    bench.panel.start();
    const auto asked = bench.engine.asked<FineTuneRequest>();
    QCOMPARE(asked.size(), std::size_t(1));
    const std::vector<RecipeChoice> expected{{"distill", {{"temperature", 2.5}}}, {"gradual", {{"regrow", true}}}};
    QVERIFY(asked.back().second.options.recipes == expected);
}

void TstTrainingPanel::optionsShowWithTheirRecipe()
{
    Bench bench;
    bench.panel.show();
    QVERIFY(!bench.field(Slimming, "strength")->isVisible());
    bench.box(QStringLiteral("Slimming term"))->setChecked(true);
    QVERIFY(bench.field(Slimming, "strength")->isVisible());
    QVERIFY(!bench.field(Gradual, "final")->isVisible());
    type(bench.field(Slimming, "strength"), QStringLiteral("minus"));
    QVERIFY2(bench.label(QStringLiteral("What is missing"))->text().contains(QStringLiteral("strength")),
             qPrintable(bench.label(QStringLiteral("What is missing"))->text()));
    bench.box(QStringLiteral("Slimming term"))->setChecked(false);
    QVERIFY(!bench.field(Slimming, "strength")->isVisible());
    QVERIFY(bench.panel.options().recipes.empty());
}

void TstTrainingPanel::clashKeepsFromStarting()
{
    Bench bench;
    bench.box(QStringLiteral("Gradual pruning"))->setChecked(true);
    QVERIFY(bench.panel.obstacle().isEmpty());
    bench.box(QStringLiteral("Prune and recover in turn"))->setChecked(true);
    QCOMPARE(bench.panel.obstacle(), QStringLiteral("Recipes gradual and alternate, both decide what is pruned; choose one of them."));
    QCOMPARE(bench.label(QStringLiteral("What is missing"))->text(), bench.panel.obstacle());
    bench.panel.start();
    QVERIFY(bench.engine.asked<FineTuneRequest>().empty());
}

void TstTrainingPanel::pruningRecipeTrainsAFloatNetwork()
{
    Bench bench;
    QVERIFY(bench.panel.obstacle().contains(QStringLiteral("float")));
    bench.box(QStringLiteral("Gradual pruning"))->setChecked(true);
    QVERIFY2(bench.panel.obstacle().isEmpty(), qPrintable(bench.panel.obstacle()));
}

/// What surgery leaves need not be quantized or pruned any more; it wants training all the same.
void TstTrainingPanel::aSmallerNetworkMayBeTrained()
{
    Bench bench;
    const std::string name = "cut 2026 job 7";
    bench.document.addNetwork(name, fakeModel());
    bench.document.setState({bench.document.config(), name}, QStringLiteral("Remove pruned channels"));
    QVERIFY2(bench.panel.obstacle().isEmpty(), qPrintable(bench.panel.obstacle()));
}

void TstTrainingPanel::teacherNeedsItsRecipe()
{
    Bench bench;
    QLineEdit *teacher = nullptr;
    for (QLineEdit *line : bench.panel.findChildren<QLineEdit *>())
        if (line->accessibleName() == QStringLiteral("Teacher"))
            teacher = line;
    QVERIFY(teacher);
    teacher->setText(QStringLiteral("other.pt2"));
    QCOMPARE(bench.panel.options().teacher, std::string());
    bench.box(QStringLiteral("Distillation"))->setChecked(true);
    QCOMPARE(bench.panel.options().teacher, std::string("other.pt2"));
}

void TstTrainingPanel::saysWhatTheRecipeIsDoing()
{
    Bench bench;
    QLabel *doing = bench.label(QStringLiteral("What the recipes are doing"));
    bench.box(QStringLiteral("Gradual pruning"))->setChecked(true);
    QVERIFY(doing->text().isEmpty());
    bench.panel.start();
    QTRY_COMPARE(doing->text(), QStringLiteral("Pruned 43 %, goal 60 %"));
}

void TstTrainingPanel::stepsWithoutLabelsHaveNoAccuracy()
{
    Bench bench;
    bench.document.setBits({"head"}, Role::Weight, 4);
    bench.engine.automatic = false;
    bench.panel.start();
    const JobId job = bench.engine.asked<FineTuneRequest>().back().first;
    QLabel *now = bench.label(QStringLiteral("State of the training"));
    bench.engine.emitEvent(TrainingStep{job, 1, 10, 1, 0.5, 0.25, 0.01});
    QTRY_VERIFY(now->text().contains(QStringLiteral("accuracy 25.0")));
    bench.engine.emitEvent(TrainingStep{job, 2, 10, 1, 0.5, std::numeric_limits<double>::quiet_NaN(), 0.01});
    QTRY_VERIFY(now->text().contains(QStringLiteral("step 2")));
    QVERIFY2(!now->text().contains(QStringLiteral("accuracy")), qPrintable(now->text()));
}

void TstTrainingPanel::levelsOverTheEpochs()
{
    Bench bench;
    TrainingCurves curves(bench.document, bench.controller);
    QVERIFY(curves.levels().isHidden());
    bench.document.setBits({"stem"}, Role::Weight, 2);
    bench.document.setSelection({"stem"});
    bench.controller.fineTune({.epochs = 3});
    QTRY_COMPARE(curves.levels().history().size(), std::size_t(3));
    QVERIFY(!curves.levels().isHidden());
    QCOMPARE(curves.levels().history()[2].epoch, 3);
    QCOMPARE(curves.levels().history()[0].levels, (std::vector<double>{-1, 2.0 / 3 - 1, 4.0 / 3 - 1, 1}));
    QCOMPARE(curves.levels().history()[1].levels.back(), 0.9);
    QCOMPARE(curves.levels().table().rows.size(), std::size_t(12));
    bench.document.setSelection({"head"});   // stayed in float
    QVERIFY(curves.levels().history().empty());
    QVERIFY(curves.levels().accessibleDescription().contains(QStringLiteral("head had no quantized weight")));
}

void TstTrainingPanel::optionsDependOnABox()
{
    ParamSpec normalize, restore;
    normalize.name = "normalize";
    normalize.type = ParamType::Bool;
    normalize.fallback = false;
    restore.name = "restore";
    restore.type = ParamType::Bool;
    restore.fallback = true;
    restore.onlyWith = "normalize=true";
    ParamForm form;
    form.setParams({normalize, restore}, {});
    QVERIFY(!form.field("restore")->isEnabled());
    form.setParams({normalize, restore}, {{"normalize", true}});
    QVERIFY(form.field("restore")->isEnabled());
    normalize.fallback = true;   // as apot has it
    ParamForm other;
    other.setParams({normalize, restore}, {});
    QVERIFY(other.field("restore")->isEnabled());
}

void TstTrainingPanel::aChoiceMayBeLeftToTheMethod()
{
    ParamSpec surrogate;
    surrogate.name = "surrogate";
    surrogate.type = ParamType::Choice;
    surrogate.choices = {"identity", "clipped"};
    surrogate.fallback = std::string();
    surrogate.optional = true;
    ParamForm form;
    form.setParams({surrogate}, {});
    auto *box = qobject_cast<QComboBox *>(form.field("surrogate"));
    QCOMPARE(box->currentText(), QStringLiteral("automatic"));
    std::vector<std::optional<ParamValue>> edits;
    connect(&form, &ParamForm::edited, this, [&](const std::string &, const std::optional<ParamValue> &value) { edits.push_back(value); });
    emit box->activated(2);
    emit box->activated(0);
    QCOMPARE(edits.size(), std::size_t(2));
    QCOMPARE(*edits[0], ParamValue(std::string("clipped")));
    QVERIFY(!edits[1]);
    form.setParams({surrogate}, {{"surrogate", std::string("identity")}});
    QCOMPARE(box->currentText(), QStringLiteral("identity"));
}

void TstTrainingPanel::settingsRoundTrip()
{
    FineTuneOptions options{.epochs = 7, .batch = 32, .optimizer = "adam", .learningRate = 0.002, .momentum = 0.8, .weightDecay = 0.001,
                            .schedule = "step", .labelSmoothing = 0.1, .shift = false, .flip = true, .reestimateBatchNorm = false, .seed = 3};
    options.recipes = {{"distill", {{"weight", 0.5}}}, {"gradual", {{"criterion", std::string("l1")}, {"every", std::int64_t(5)}}}};
    options.teacher = "other.pt2";
    Bench first, second;
    first.panel.setOptions(options);
    QVERIFY(first.panel.options() == options);
    second.panel.restoreState(first.panel.saveState());
    QVERIFY(second.panel.options() == options);
    QCOMPARE(qobject_cast<QComboBox *>(second.field(Gradual, "criterion"))->currentData().toString(), QStringLiteral("l1"));
}

void TstTrainingPanel::settingsOfAnotherVersion()
{
    Bench bench;
    const FineTuneOptions before = bench.panel.options();
    for (const char *text : {"", "no JSON", "[1]", "{}", R"({"epochs": "many", "recipes": 3})",
                             R"({"recipes": [{"id": "gone"}, 4, {"id": 2}], "optimizer": 5})"}) {
        bench.panel.restoreState(text);
        QVERIFY2(bench.panel.options() == before, text);
    }
    bench.panel.restoreState(R"({"recipes": [{"id": "gradual", "options": {"final": 7, "every": 3, "gone": 1}}]})");
    const std::vector<RecipeChoice> expected{{"gradual", {{"every", std::int64_t(3)}}}};
    QVERIFY(bench.panel.options().recipes == expected);
}

void TstTrainingPanel::everyControlHasAName()
{
    Bench bench;
    for (QWidget *each : bench.panel.findChildren<QWidget *>()) {
        if (each->focusPolicy() == Qt::NoFocus || each->objectName().startsWith(QStringLiteral("qt_")))
            continue;
        auto *button = qobject_cast<QAbstractButton *>(each);
        QVERIFY2(!each->accessibleName().isEmpty() || (button && !button->text().isEmpty()), each->metaObject()->className());
    }
}

QTEST_MAIN(TstTrainingPanel)
#include "tst_training_panel.moc"
