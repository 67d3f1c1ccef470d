// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "models/jobs_model.h"
#include "panels/compare_panel.h"
#include "panels/data_dialog.h"
#include "panels/distribution_panel.h"
#include "panels/export_dialog.h"
#include "panels/layers_panel.h"
#include "panels/network_compare.h"
#include "panels/tradeoff_panel.h"
#include "panels/training_curves.h"
#include "panels/training_panel.h"
#include "window/actions.h"
#include "window/keys_dialog.h"
#include "window/main_window.h"
#include "window/message_bar.h"

#include <QAbstractButton>
#include <QComboBox>
#include <QDockWidget>
#include <QLineEdit>
#include <QMenu>
#include <QPushButton>
#include <QTableView>
#include <QTemporaryDir>
#include <QTest>
#include <QToolButton>

using namespace bitwright;

namespace {

struct Fixture {
    QTemporaryDir folder;
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    Settings settings{folder.filePath(QStringLiteral("settings.ini"))};
    SessionKeeper session{document, controller, folder.filePath(QStringLiteral("recovery"))};
    std::unique_ptr<MainWindow> window;

    Fixture()
    {
        engine.automatic = true;
        window = std::make_unique<MainWindow>(WindowParts{document, controller, session, settings, QStringLiteral("CPU"),
                                                          QStringLiteral(BITWRIGHT_TEST_DATA "/../sample_models"),
                                                          new DistributionPanel(document, controller),
                                                          new TradeoffPanel(document, controller), new TrainingCurves(document, controller)});
    }
    void open()
    {
        window->openModel(QStringLiteral("models/resnet20.pt2"));
        QTRY_VERIFY(document.model());
        controller.openData(companions("sample:test"));   // the fake network has no side file to say so
        QTRY_VERIFY(controller.results().estimate && !controller.isBusy());
    }
    void key(Qt::Key key, Qt::KeyboardModifiers modifiers = Qt::NoModifier) { QTest::keyClick(window.get(), key, modifiers); }
};

} // namespace

class TstMainWindow : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral(".*"))); }
    void everyControlHasAName();
    void keysSetBitsOfTheSelection();
    void spaceStaysWithTheFocusedButton();
    void themesChange();
    void showTabFindsDocks();
    void policyIsShownAndChanged();
    void comparisonIsATab();
    void errorsAreShownInPlace();
    void lineWithNothingToUndoLeavesTheKeyToTheWindow();
    void exportAsksBeforeItReplaces();
    void exportFollowsTheFormat();
    void defaultDataFollowsTheShape();
    void pictures();
};

static QString nameOf(const QWidget *widget)
{
    QString name = widget->accessibleName();
    if (name.isEmpty())
        name = widget->property("text").toString();
    if (name.isEmpty())
        name = widget->windowTitle();
    if (name.isEmpty() && widget->parentWidget() && widget->parentWidget()->inherits("QAbstractSpinBox"))
        name = nameOf(widget->parentWidget());
    return name;
}

void TstMainWindow::everyControlHasAName()
{
    Fixture f;
    f.window->show();
    f.open();
    DataDialog data(f.controller);
    data.setAttribute(Qt::WA_DeleteOnClose, false);
    ExportDialog exporting(f.document, f.controller);
    exporting.setAttribute(Qt::WA_DeleteOnClose, false);
    KeysDialog keys(f.window->actions()->withKeys());
    keys.setAttribute(Qt::WA_DeleteOnClose, false);
    QStringList nameless;
    for (const QWidget *top : {static_cast<QWidget *>(f.window.get()), static_cast<QWidget *>(&data),
                               static_cast<QWidget *>(&exporting), static_cast<QWidget *>(&keys)}) {
        for (const QWidget *widget : top->findChildren<QWidget *>()) {
            const bool inner = widget->objectName().startsWith(QStringLiteral("qt_"));   // parts of Qt's own widgets
            const QByteArray type = widget->metaObject()->className();
            const bool control = widget->focusPolicy() != Qt::NoFocus && !type.startsWith("QHeaderView") &&
                                 !type.startsWith("QComboBox") && !type.startsWith("QLineEditIconButton") &&
                                 !type.startsWith("QTabBar") && !type.startsWith("QTableCorner");
            if (control && !inner && nameOf(widget).isEmpty())
                nameless << QString::fromLatin1(type) + QChar(u' ') + widget->objectName();
        }
    }
    QCOMPARE(nameless, QStringList());
}

void TstMainWindow::keysSetBitsOfTheSelection()
{
    Fixture f;
    f.window->show();
    f.open();
    f.document.setSelection({"stem", "head"});
    f.key(Qt::Key_4);
    QCOMPARE(f.document.spec("stem", Role::Weight)->bits, 4);
    QCOMPARE(f.document.spec("head", Role::Activation)->bits, 4);
    f.key(Qt::Key_A);   // activations off
    f.key(Qt::Key_BracketLeft);
    QCOMPARE(f.document.spec("stem", Role::Weight)->bits, 3);
    QCOMPARE(f.document.spec("stem", Role::Activation)->bits, 4);
    f.key(Qt::Key_Z, Qt::ControlModifier);
    QCOMPARE(f.document.spec("stem", Role::Weight)->bits, 4);
    f.key(Qt::Key_Z, Qt::ControlModifier | Qt::ShiftModifier);
    QCOMPARE(f.document.spec("stem", Role::Weight)->bits, 3);
    f.key(Qt::Key_0);
    QVERIFY(f.document.spec("head", Role::Weight)->isFloat());
}

void TstMainWindow::spaceStaysWithTheFocusedButton()
{
    Fixture f;
    f.window->show();
    f.open();
    const auto asked = f.engine.asked<EvaluateRequest>().size();
    f.key(Qt::Key_Space);
    QCOMPARE(f.engine.asked<EvaluateRequest>().size(), asked + 1);
    QVERIFY(QTest::qWaitForWindowExposed(f.window.get()));
    auto *box = f.window->findChild<QAbstractButton *>(QString(), Qt::FindChildrenRecursively);
    QVERIFY(box);
    QKeyEvent space(QEvent::ShortcutOverride, Qt::Key_Space, Qt::NoModifier);
    space.ignore();
    QCoreApplication::sendEvent(box, &space);
    QVERIFY(space.isAccepted());
}

void TstMainWindow::themesChange()
{
    Fixture f;
    f.window->setTheme(Theme::Dark);
    QVERIFY(isDark(QApplication::palette()));
    f.window->setTheme(Theme::Light);
    QVERIFY(!isDark(QApplication::palette()));
}

void TstMainWindow::showTabFindsDocks()
{
    Fixture f;
    f.open();
    QVERIFY(f.window->showTab(QStringLiteral("training")));
    QVERIFY(f.window->showTab(QStringLiteral("tradeoff")));
    QVERIFY(f.window->showTab(QStringLiteral("Distributions")));
    QVERIFY(!f.window->showTab(QStringLiteral("nothing")));
}

void TstMainWindow::policyIsShownAndChanged()
{
    Fixture f;
    f.open();
    QToolButton *button = nullptr;
    for (QToolButton *each : f.window->findChildren<QToolButton *>())
        if (each->accessibleName() == QStringLiteral("What is kept out of low bits"))
            button = each;
    QVERIFY(button);
    QCOMPARE(button->text(), QStringLiteral("Policy: every layer alike"));
    QCOMPARE(button->menu()->actions().size(), 2);
    f.document.setBits({"stem", "stage1.0.conv1"}, Role::Weight, 2);
    f.window->actions()->firstLastMenu->actions().at(int(LayerPolicy::Keep::EightBit))->trigger();
    QCOMPARE(f.document.spec("stem", Role::Weight)->bits, 8);
    QCOMPARE(button->text(), QStringLiteral("Policy: first and last 8 bit"));
    f.window->actions()->undo->trigger();
    QCOMPARE(f.document.spec("stem", Role::Weight)->bits, 2);
    QCOMPARE(button->text(), QStringLiteral("Policy: every layer alike"));
    QVERIFY(f.window->actions()->firstLastMenu->actions().at(int(LayerPolicy::Keep::Same))->isChecked());
}

void TstMainWindow::comparisonIsATab()
{
    Fixture f;
    QVERIFY(!f.window->actions()->compareNetwork->isEnabled() && !f.window->actions()->presets->isEnabled());
    f.open();
    QVERIFY(f.window->showTab(QStringLiteral("compare")));
    f.window->training()->setOptions({.epochs = 5, .optimizer = "adam", .learningRate = 0.003});
    // Training of a comparison follows the Training tab, its epochs apart.
    const FineTuneOptions training = f.window->compare()->network().request().training;
    QCOMPARE(training.optimizer, std::string("adam"));
    QCOMPARE(training.learningRate, 0.003);
    QCOMPARE(training.epochs, 0);
}

void TstMainWindow::errorsAreShownInPlace()
{
    Fixture f;
    f.engine.automatic = false;
    f.window->show();
    f.window->openModel(QStringLiteral("broken.pt2"));
    const JobId job = f.engine.asked<OpenModelRequest>().back().first;
    f.engine.emitEvent(JobEnded{job, JobOutcome::Failed, {ErrorKind::Parse, "broken.pt2, it ends early; save it again", {}}, 0.1});
    QTRY_COMPARE(f.window->messages()->text(), QStringLiteral("broken.pt2, it ends early; save it again"));
    QVERIFY(f.window->messages()->isVisible());
}

void TstMainWindow::lineWithNothingToUndoLeavesTheKeyToTheWindow()
{
    Fixture f;
    f.window->show();
    QVERIFY(QTest::qWaitForWindowExposed(f.window.get()));
    f.open();
    f.document.setBits({f.document.currentLayer()}, Role::Weight, 4);
    auto *line = f.window->findChild<LayersPanel *>()->filter();
    line->setFocus();
    QTest::keyClick(line, Qt::Key_Z, Qt::ControlModifier);
    QVERIFY(f.document.isFloat());
    f.document.setBits({f.document.currentLayer()}, Role::Weight, 4);
    QTest::keyClicks(line, QStringLiteral("ab"));
    QTest::keyClick(line, Qt::Key_Z, Qt::ControlModifier);   // its own typing first
    QVERIFY(line->text() != QStringLiteral("ab"));
    QVERIFY(!f.document.isFloat());
}

void TstMainWindow::exportAsksBeforeItReplaces()
{
    Fixture f;
    f.open();
    ExportDialog dialog(f.document, f.controller);
    const QString path = f.folder.filePath(QStringLiteral("there.onnx"));
    QFile file(path);
    QVERIFY(file.open(QIODevice::WriteOnly));
    file.close();
    dialog.setPath(path);
    dialog.show();
    const auto buttons = dialog.findChildren<QPushButton *>();
    auto *write = *std::ranges::find_if(buttons, [](QPushButton *button) { return button->text() == QStringLiteral("Export"); });
    write->click();
    QCOMPARE(f.engine.asked<ExportRequest>().size(), std::size_t(0));
    QCOMPARE(write->text(), QStringLiteral("Replace"));
    write->click();
    QTRY_COMPARE(f.engine.asked<ExportRequest>().size(), std::size_t(1));
    QTRY_COMPARE(write->text(), QStringLiteral("Export"));   // its own file may be written again
}

void TstMainWindow::exportFollowsTheFormat()
{
    Fixture f;
    f.open();
    ExportDialog dialog(f.document, f.controller);
    auto *format = dialog.findChild<QComboBox *>();
    auto *path = dialog.findChild<QLineEdit *>();
    dialog.setPath(f.folder.filePath(QStringLiteral("mine.onnx")));
    for (const auto &[id, suffix] : std::map<QString, QString>{{QStringLiteral("torchscript"), QStringLiteral("pt")}, {QStringLiteral("pt2"), QStringLiteral("pt2")},
                                                                  {QStringLiteral("pack"), QStringLiteral("pack")}, {QStringLiteral("state_dict"), QStringLiteral("pth")},
                                                                  {QStringLiteral("onnx"), QStringLiteral("onnx")}}) {
        QVERIFY2(format->findData(id) >= 0, qPrintable(id));
        format->setCurrentIndex(format->findData(id));
        QCOMPARE(path->text(), f.folder.filePath(QStringLiteral("mine.") + suffix));
    }
    format->setCurrentIndex(format->findData(QStringLiteral("pt2")));
    const auto buttons = dialog.findChildren<QPushButton *>();
    (*std::ranges::find_if(buttons, [](QPushButton *button) { return button->text() == QStringLiteral("Export"); }))->click();
    QTRY_COMPARE(f.engine.asked<ExportRequest>().size(), std::size_t(1));
    QCOMPARE(f.engine.asked<ExportRequest>()[0].second.format, std::string("pt2"));
}

void TstMainWindow::defaultDataFollowsTheShape()
{
    const DataSelection samples{"sample:test", "sample:train", "sample:train"};
    QTemporaryDir folder;
    ModelSummary grey = *fakeModel();
    grey.path = folder.filePath(QStringLiteral("net.pt2")).toStdString();
    QVERIFY(defaultData(grey).empty());   // nothing says how it wants its data: a guess would measure nonsense
    QFile side(folder.filePath(QStringLiteral("net.json")));
    QVERIFY(side.open(QIODevice::WriteOnly));
    side.close();
    QCOMPARE(defaultData(grey), samples);
    ModelSummary colour = grey;
    colour.inputs[0].shape = {-1, 3, 224, 224};
    QVERIFY(defaultData(colour).empty());
    QCOMPARE(companions("idx:folder,split=test,limit=10").training, std::string("idx:folder,split=train,limit=10"));
}

/// Writes pictures to look at when BITWRIGHT_PICTURES names a folder.
void TstMainWindow::pictures()
{
    const QString folder = qEnvironmentVariable("BITWRIGHT_PICTURES");
    if (folder.isEmpty())
        QSKIP("set BITWRIGHT_PICTURES to a folder to get pictures");
    for (const QSize size : {QSize(1280, 800), QSize(1600, 1000)}) {
        for (const Theme theme : {Theme::Light, Theme::Dark}) {
            Fixture f;
            f.window->setTheme(theme);
            f.window->resize(size);
            f.window->show();
            const QString name = QStringLiteral("%1/%2-%3-").arg(folder).arg(size.width()).arg(theme == Theme::Dark ? QStringLiteral("dark") : QStringLiteral("light"));
            f.window->grab().save(name + QStringLiteral("start.png"));
            f.open();
            LayerNames names;
            for (const auto &[layer, config] : f.document.resolved())
                names.push_back(layer);
            f.document.setBits(names, std::vector{Role::Weight, Role::Activation}, 4);
            f.document.setBits({"stage2.1.conv1", "stage3.0.conv2"}, Role::Weight, 2);
            f.document.setBits({"stem", "head"}, std::vector{Role::Weight, Role::Activation}, 8);
            f.document.setSelection({"stage2.1.conv1"});
            QTRY_VERIFY(!f.controller.isBusy());
            QTest::qWait(200);
            f.window->grab().save(name + QStringLiteral("main.png"));
            f.controller.fineTune({.epochs = 3});
            f.window->showTab(QStringLiteral("training"));
            QTRY_VERIFY(!f.controller.isBusy());
            QTest::qWait(200);
            f.window->grab().save(name + QStringLiteral("training.png"));
            ExportDialog exporting(f.document, f.controller);
            exporting.setAttribute(Qt::WA_DeleteOnClose, false);
            exporting.grab().save(name + QStringLiteral("export.png"));
            DataDialog data(f.controller);
            data.setAttribute(Qt::WA_DeleteOnClose, false);
            data.grab().save(name + QStringLiteral("data.png"));
        }
    }
}

QTEST_MAIN(TstMainWindow)
#include "tst_main_window.moc"
