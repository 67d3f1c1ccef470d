// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/main_window.h"

#include "models/jobs_model.h"
#include "panels/compare_panel.h"
#include "panels/data_dialog.h"
#include "panels/export_dialog.h"
#include "panels/jobs_panel.h"
#include "panels/layers_panel.h"
#include "panels/method_pages.h"
#include "panels/network_compare.h"
#include "panels/preset_dialog.h"
#include "panels/prune_dialog.h"
#include "panels/training_panel.h"
#include "store/session_store.h"
#include "util/format.h"
#include "window/actions.h"
#include "window/import_report_dialog.h"
#include "window/keys_dialog.h"
#include "window/message_bar.h"
#include "window/start_page.h"
#include "window/status_line.h"

#include <QAbstractButton>
#include <QApplication>
#include <QCloseEvent>
#include <QComboBox>
#include <QDockWidget>
#include <QFileDialog>
#include <QFileInfo>
#include <QLineEdit>
#include <QMenu>
#include <QMenuBar>
#include <QMessageBox>
#include <QMimeData>
#include <QStackedWidget>
#include <QStatusBar>
#include <QTabBar>
#include <QTabWidget>
#include <QTimer>
#include <QToolBar>
#include <QUndoView>
#include <QVBoxLayout>

#include <algorithm>
#include <utility>

namespace bitwright {

namespace {

constexpr int kLayoutVersion = 1;
/// Saved sessions that are opened for a look at the start; each costs some milliseconds.
constexpr int kLookedAtSessions = 3;
const char *const kSessionSuffix = "bitwright";

QString modelFilter()
{
    return MainWindow::tr("Networks (*.pt2 *.pt *.pth *.ts *.onnx *.safetensors);;All files (*)");
}

QString sessionFilter()
{
    return MainWindow::tr("Sessions (*.bitwright)");
}

/// A second request shows the dialog that is open already.
template <class Dialog>
bool raiseOpen(const QWidget *window)
{
    auto *dialog = window->findChild<Dialog *>();
    if (!dialog || !dialog->isVisible())
        return false;
    dialog->raise();
    dialog->activateWindow();
    return true;
}

void replace(std::string &text, const std::string &from, const std::string &to)
{
    if (const auto at = text.find(from); at != std::string::npos)
        text.replace(at, from.size(), to);
}

} // namespace

DataSelection companions(const std::string &evaluation)
{
    std::string training = evaluation;
    replace(training, "split=test", "split=train");
    replace(training, "sample:test", "sample:train");
    return {evaluation, training, training};
}

DataSelection defaultData(const ModelSummary &model)
{
    const Shape grey{1, 28, 28};
    // A side file says how a network wants its data; without one the samples would be a guess, and a wrong accuracy.
    const QFileInfo file(toQString(model.path));
    if (!QFile::exists(file.path() + QChar(u'/') + file.completeBaseName() + QStringLiteral(".json")))
        return {};
    if (model.inputs.size() == 1 && model.inputs[0].shape.size() == 4 && std::equal(grey.begin(), grey.end(), model.inputs[0].shape.begin() + 1))
        return companions("sample:test");
    return {};
}

MainWindow::MainWindow(const WindowParts &parts, QWidget *parent)
    : QMainWindow(parent), m_document(parts.document), m_controller(parts.controller), m_session(parts.session),
      m_settings(parts.settings), m_samplesFolder(parts.samplesFolder)
{
    setObjectName(QStringLiteral("mainWindow"));
    setAccessibleName(tr("Bitwright"));
    setAcceptDrops(true);
    setDockNestingEnabled(true);
    setTabPosition(Qt::AllDockWidgetAreas, QTabWidget::North);
    resize(1440, 900);
    setupCentre(parts);
    setupDocks(parts);
    setupActions();
    setupMessages();
    new StatusLine(statusBar(), m_document, m_controller, parts.device);
    connect(&m_controller, &EngineController::modelOpened, this, &MainWindow::showModel);
    connect(&m_controller, &EngineController::jobEnded, this, &MainWindow::onJobEnded);
    connect(&m_document, &Document::changed, this, &MainWindow::updateTitle);
    connect(&m_session, &SessionKeeper::pathChanged, this, &MainWindow::updateTitle);
    connect(&m_settings, &Settings::recentChanged, this, &MainWindow::updateRecent);
    qApp->installEventFilter(this);
    setTheme(m_settings.theme());
    updateRecent();
    showStart();
}

MainWindow::~MainWindow() = default;

// ---- building ----

void MainWindow::setupCentre(const WindowParts &parts)
{
    m_start = new StartPage;
    connect(m_start, &StartPage::openRequested, this, &MainWindow::openFile);
    connect(m_start, &StartPage::modelRequested, this, &MainWindow::openModel);
    connect(m_start, &StartPage::sessionRequested, this, &MainWindow::openSession);

    m_tabs = new QTabWidget;
    m_tabs->setAccessibleName(tr("Views of the network"));
    m_tabs->setDocumentMode(true);
    m_tabs->addTab(parts.distributions ? parts.distributions : new QWidget, tr("Distributions"));
    if (parts.masks)
        m_tabs->addTab(parts.masks, tr("Masks"));
    m_compare = new ComparePanel(m_document, m_controller);
    m_tabs->addTab(m_compare, tr("Compare"));

    m_stack = new QStackedWidget;
    m_stack->addWidget(m_start);
    m_stack->addWidget(m_tabs);
    m_messages = new MessageBar;
    auto *centre = new QWidget;
    auto *layout = new QVBoxLayout(centre);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(0);
    layout->addWidget(m_messages);
    layout->addWidget(m_stack, 1);
    setCentralWidget(centre);
}

QDockWidget *MainWindow::addPanel(const QString &title, const QString &name, QWidget *panel, Qt::DockWidgetArea area)
{
    auto *dock = new QDockWidget(title, this);
    dock->setObjectName(name);
    dock->setAccessibleName(title);
    dock->setWidget(panel);
    addDockWidget(area, dock);
    m_docks << dock;
    return dock;
}

void MainWindow::setupDocks(const WindowParts &parts)
{
    setCorner(Qt::BottomLeftCorner, Qt::LeftDockWidgetArea);
    setCorner(Qt::BottomRightCorner, Qt::BottomDockWidgetArea);
    m_layers = new LayersPanel(m_document, m_controller);
    m_jobs = new JobsPanel(m_document, m_controller);
    m_training = new TrainingPanel(m_document, m_controller);
    if (parts.curves)
        m_training->setCurves(parts.curves);
    m_compare->network().setTraining([this] { return m_training->options(); });
    addPanel(tr("Layers"), QStringLiteral("layers"), m_layers, Qt::LeftDockWidgetArea);
    QDockWidget *tradeoff = addPanel(tr("Trade-off"), QStringLiteral("tradeoff"), parts.tradeoff ? parts.tradeoff : new QWidget, Qt::RightDockWidgetArea);
    QDockWidget *training = addPanel(tr("Training"), QStringLiteral("training"), m_training, Qt::RightDockWidgetArea);
    addPanel(tr("Jobs and log"), QStringLiteral("jobs"), m_jobs, Qt::BottomDockWidgetArea);
    auto *undoView = new QUndoView(m_document.undoStack());
    undoView->setAccessibleName(tr("Undo list"));
    undoView->setEmptyLabel(tr("As opened"));
    m_undoDock = addPanel(tr("Undo list"), QStringLiteral("undo"), undoView, Qt::RightDockWidgetArea);
    tabifyDockWidget(tradeoff, training);
    tabifyDockWidget(training, m_undoDock);
    // Their tabs say the title already.
    for (QDockWidget *dock : {tradeoff, training, m_undoDock})
        dock->setTitleBarWidget(new QWidget(dock));
    m_undoDock->hide();
    connect(m_undoDock->toggleViewAction(), &QAction::triggered, this, [this](bool shown) {
        if (shown)
            m_undoDock->raise();
    });
    tradeoff->raise();
}

void MainWindow::setupActions()
{
    m_actions = new Actions(m_document, m_controller, *this);
    m_recentModels = new QMenu(tr("Open &recent"), this);
    m_recentSessions = new QMenu(tr("Re&cent sessions"), this);
    QList<QAction *> views;
    for (QDockWidget *dock : m_docks)
        views << dock->toggleViewAction();
    m_actions->fillMenus(menuBar(), m_recentModels, m_recentSessions, views);
    menuBar()->setAccessibleName(tr("Menus"));
    auto *bar = addToolBar(tr("Actions"));
    bar->setObjectName(QStringLiteral("toolbar"));
    bar->setAccessibleName(tr("Actions"));
    bar->setMovable(false);
    m_actions->fillToolBar(bar);
    m_layers->setContextActions(m_actions->forLayers());
    m_layers->setPolicyMenus(m_actions->firstLastMenu, m_actions->shortcutsMenu);

    connect(m_actions->open, &QAction::triggered, this, &MainWindow::openFile);
    connect(m_actions->data, &QAction::triggered, this, &MainWindow::showData);
    connect(m_actions->openSession, &QAction::triggered, this, &MainWindow::openSessionFile);
    connect(m_actions->saveSession, &QAction::triggered, this, &MainWindow::saveSession);
    connect(m_actions->importReport, &QAction::triggered, this, [this] {
        if (m_document.model())
            (new ImportReportDialog(*m_document.model(), this))->show();
    });
    connect(m_actions->exportModel, &QAction::triggered, this, [this] { showExport(); });
    connect(m_actions->exportReport, &QAction::triggered, this, [this] {
        if (ExportDialog *dialog = showExport())
            dialog->setDocument();
    });
    connect(m_actions->prune, &QAction::triggered, this, [this] {
        if (!raiseOpen<PruneDialog>(this))
            (new PruneDialog(m_document, m_controller, this))->show();
    });
    connect(m_actions->presets, &QAction::triggered, this, [this] {
        if (!raiseOpen<PresetDialog>(this))
            (new PresetDialog(m_document, this))->show();
    });
    connect(m_actions->compare, &QAction::triggered, this, [this] { m_tabs->setCurrentWidget(m_compare); });
    connect(m_actions->compareNetwork, &QAction::triggered, this, [this] {
        m_tabs->setCurrentWidget(m_compare);
        m_compare->showNetwork();
    });
    connect(m_actions->pages, &QAction::triggered, this, [this] {
        const QuantSpec *spec = m_document.spec(m_document.currentLayer(), Role::Weight);
        MethodPages::open(this, m_document.catalog(), spec && !spec->isFloat() ? toQString(spec->method) : QStringLiteral("uniform"));
    });
    connect(m_actions->quit, &QAction::triggered, this, &QWidget::close);
    connect(m_actions->fineTune, &QAction::triggered, this, [this] {
        showTab(QStringLiteral("training"));
        m_training->start();
    });
    connect(m_actions->filter, &QAction::triggered, this, [this] {
        m_layers->filter()->setFocus();
        m_layers->filter()->selectAll();
    });
    const Theme themes[] = {Theme::System, Theme::Light, Theme::Dark};
    for (qsizetype i = 0; i < m_actions->themes.size(); ++i) {
        const Theme theme = themes[i];
        m_actions->themes[i]->setChecked(m_settings.theme() == theme);
        connect(m_actions->themes[i], &QAction::triggered, this, [this, theme] {
            m_settings.setTheme(theme);
            setTheme(theme);
        });
    }
    connect(m_actions->keys, &QAction::triggered, this, [this] { (new KeysDialog(m_actions->withKeys(), this))->show(); });
    connect(m_actions->about, &QAction::triggered, this, &MainWindow::showAbout);
}

void MainWindow::setupMessages()
{
    connect(&m_document, &Document::refused, m_messages, &MessageBar::showNotice);
    connect(&m_controller, &EngineController::previewFailed, m_messages,
            [this](const std::string &, Role, const QString &why) { m_messages->showNotice(why); });
    connect(&m_session, &SessionKeeper::failed, this, [this](const QString &why) { m_messages->showError(why); });
}

void MainWindow::arrange()
{
    const int width = this->width(), height = this->height();
    QDockWidget *layers = m_docks[0], *tradeoff = m_docks[1], *jobs = m_docks[3];
    resizeDocks({layers, tradeoff}, {std::clamp(width * 34 / 100, 450, 640), std::clamp(width * 27 / 100, 372, 520)}, Qt::Horizontal);
    resizeDocks({jobs}, {std::clamp(height * 18 / 100, 120, 220)}, Qt::Vertical);
}

void MainWindow::restoreLayout()
{
    m_layers->restoreState(m_settings.layersTable());
    m_training->restoreState(m_settings.training());
    // Sizes count only once the docks that were just shown have been laid out.
    if (!restoreState(m_settings.layout(), kLayoutVersion))
        QTimer::singleShot(0, this, &MainWindow::arrange);
    m_arranged = true;
}

// ---- showing ----

void MainWindow::showStart()
{
    m_start->setSamples(samplesIn(m_samplesFolder));
    m_stack->setCurrentWidget(m_start);
    for (QDockWidget *dock : m_docks)
        dock->hide();
    updateTitle();
}

void MainWindow::showModel(const std::shared_ptr<const ModelSummary> &model, const Document::Networks &cut)
{
    const bool first = m_stack->currentWidget() == m_start;
    m_messages->hide();   // what stood there was about what was open before
    if (const std::string other = m_nextState ? modelMismatch(m_nextState->config, *model) : std::string(); !other.empty())
        m_messages->showError(tr("The network is not the one that the session was saved with: %1").arg(toQString(other)));
    m_document.setModel(model, m_nextState.value_or(DocumentState{}), cut);
    m_nextState.reset();
    if (first) {
        m_stack->setCurrentWidget(m_tabs);
        for (QDockWidget *dock : m_docks)
            dock->setVisible(dock != m_undoDock);
        if (!m_arranged)
            restoreLayout();
        m_docks[1]->raise();
    }
    if (!m_nextTrials.empty())
        m_controller.setTrials(std::exchange(m_nextTrials, {}));
    m_settings.addRecentModel(toQString(model->path));
    auto layer = std::ranges::find(model->layers, LayerStatus::Quantizable, &LayerInfo::status);
    if (layer == model->layers.end())   // codes can be looked at
        layer = std::ranges::find_if(model->layers, [](const LayerInfo &info) { return info.storedWeight.has_value(); });
    if (!m_nextLayer.isEmpty() && m_document.layer(m_nextLayer.toStdString()))
        m_document.setSelection({m_nextLayer.toStdString()});
    else if (layer != model->layers.end())
        m_document.setSelection({layer->name});
    m_nextLayer.clear();
    const DataSelection selection = m_nextData.value_or(defaultData(*model));
    m_nextData.reset();
    if (const QString missing = missingToRun(*model); !missing.isEmpty())
        m_messages->showOffer(missing, {});
    else if (!selection.empty())
        m_dataJob = m_controller.openData(selection);
    else
        offerData();
    updateTitle();
    emit modelShown(true, {});
}

/// Data can be chosen, or made up where the network tells all that is needed for it.
void MainWindow::offerData()
{
    QList<MessageBar::Choice> choices{{tr("Choose data…"), [this] { showData(); }}};
    const auto &inputs = m_controller.results().inputs;
    if (isRandomDataKnown(inputs))
        choices.append({tr("Use random data"), [this, spec = toText(guessedRandomData(inputs)).toStdString()] { m_dataJob = m_controller.openData({spec, {}, {}}); }});
    const QString text = tr("No data is open: only the weights can be looked at.");
    m_messages->showOffer(text, choices);
    const auto answered = [this, text] {
        if (m_messages->text() == text)
            m_messages->hide();
    };
    connect(&m_controller, &EngineController::dataOpened, m_messages, answered, Qt::SingleShotConnection);
}

void MainWindow::updateTitle()
{
    const ModelSummary *model = m_document.model();
    QString title = model ? QFileInfo(toQString(model->path)).fileName() : QString();
    if (model && !m_session.path().isEmpty() && !m_session.isRecovery())
        title += QStringLiteral(" – ") + QFileInfo(m_session.path()).fileName();
    setWindowTitle(title.isEmpty() ? tr("Bitwright") : tr("%1 – Bitwright").arg(title));
}

bool MainWindow::showTab(const QString &name)
{
    const QString wanted = name.toLower().remove(QChar(u'-'));
    const auto matches = [&wanted](const QString &title) { return title.toLower().remove(QChar(u'-')).startsWith(wanted); };
    for (int i = 0; i < m_tabs->count(); ++i) {
        if (matches(m_tabs->tabText(i))) {
            m_tabs->setCurrentIndex(i);
            return true;
        }
    }
    for (QDockWidget *dock : m_docks) {
        if (matches(dock->windowTitle())) {
            dock->show();
            dock->raise();
            return true;
        }
    }
    return false;
}

void MainWindow::selectLayer(const QString &name)
{
    if (m_document.layer(name.toStdString()))
        m_document.setSelection({name.toStdString()});
    else
        m_nextLayer = name;
}

void MainWindow::setTheme(Theme theme)
{
    applyTheme(*qApp, theme);
}

void MainWindow::updateRecent()
{
    fillRecent(m_recentModels, m_settings.recentModels(), &MainWindow::openModel);
    fillRecent(m_recentSessions, m_settings.recentSessions(), &MainWindow::openSession);
    QList<StartPage::Entry> sessions;
    bool first = true;
    for (const auto &found : m_session.recoverable(m_settings.recentSessions().mid(0, kLookedAtSessions))) {
        sessions << StartPage::Entry{found.saved ? QFileInfo(found.path).fileName() + QStringLiteral(", ") + found.content.description
                                                 : found.content.description, found.path};
        if (found.saved)
            continue;
        if (std::exchange(first, false))
            m_recentSessions->addSeparator();
        QAction *action = m_recentSessions->addAction(tr("Unsaved: %1").arg(found.content.description));
        connect(action, &QAction::triggered, this, [this, path = found.path] { openSession(path); });
    }
    m_recentSessions->setEnabled(!m_recentSessions->isEmpty());
    m_start->setRecent(m_settings.recentModels(), sessions);
}

void MainWindow::fillRecent(QMenu *menu, const QStringList &paths, void (MainWindow::*open)(const QString &))
{
    menu->clear();
    for (const QString &path : paths) {
        QAction *action = menu->addAction(QFileInfo(path).fileName());
        action->setToolTip(path);
        action->setStatusTip(path);
        action->setEnabled(QFileInfo::exists(path));
        connect(action, &QAction::triggered, this, [this, open, path] { (this->*open)(path); });
    }
    menu->setEnabled(!paths.isEmpty());
}

// ---- files ----

void MainWindow::openModel(const QString &path)
{
    if (path.endsWith(QStringLiteral(".") + QLatin1String(kSessionSuffix))) {
        openSession(path);
        return;
    }
    m_nextState.reset();
    m_nextData.reset();
    m_nextTrials.clear();
    if (m_session.path().isEmpty() || m_document.model()) {
        // Another network is another session; the old one stays where it was kept.
        if (auto started = m_session.startRecovery(); !started)
            m_messages->showError(toQString(started.error().message));
    }
    m_openJob = m_controller.openModel(path);
}

void MainWindow::openSession(const QString &path)
{
    auto content = m_session.open(path);
    if (!content) {
        m_messages->showError(toQString(content.error().message));
        emit modelShown(false, toQString(content.error().message));
        return;
    }
    applySession(*content, path);
}

void MainWindow::applySession(const SessionContent &content, const QString &path)
{
    if (!m_session.isRecovery())
        m_settings.addRecentSession(path);
    m_nextState = content.state;
    m_nextData = content.data;
    m_nextTrials.clear();
    if (auto store = SessionStore::open(path.toStdString(), false)) {
        if (auto trials = (*store)->trials())
            m_nextTrials = std::move(*trials);
    }
    if (content.modelPath.isEmpty()) {
        const QString why = tr("%1 names no network; open one and go on").arg(QFileInfo(path).fileName());
        m_messages->showNotice(why);
        emit modelShown(false, why);
        return;
    }
    m_openJob = m_controller.openModel(content.modelPath);
}

void MainWindow::openFile()
{
    auto *dialog = new QFileDialog(this, tr("Open network"), m_document.model() ? QFileInfo(toQString(m_document.model()->path)).path() : m_samplesFolder, modelFilter());
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setFileMode(QFileDialog::ExistingFile);
    connect(dialog, &QFileDialog::fileSelected, this, &MainWindow::openModel);
    dialog->open();
}

/// Another place for the network of the session that is being opened.
void MainWindow::findModel()
{
    auto *dialog = new QFileDialog(this, tr("Find the session's network"), {}, modelFilter());
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setFileMode(QFileDialog::ExistingFile);
    connect(dialog, &QFileDialog::fileSelected, this, [this](const QString &path) { m_openJob = m_controller.openModel(path); });
    dialog->open();
}

void MainWindow::openSessionFile()
{
    auto *dialog = new QFileDialog(this, tr("Open session"), {}, sessionFilter());
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setFileMode(QFileDialog::ExistingFile);
    connect(dialog, &QFileDialog::fileSelected, this, &MainWindow::openSession);
    dialog->open();
}

void MainWindow::saveSession()
{
    auto *dialog = new QFileDialog(this, tr("Save session as"), m_session.isRecovery() ? QString() : m_session.path(), sessionFilter());
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->setAcceptMode(QFileDialog::AcceptSave);
    dialog->setDefaultSuffix(QLatin1String(kSessionSuffix));
    connect(dialog, &QFileDialog::fileSelected, this, [this](const QString &path) {
        if (auto saved = m_session.saveAs(path); !saved)
            m_messages->showError(toQString(saved.error().message));
        else
            m_settings.addRecentSession(path);
    });
    dialog->open();
}

ExportDialog *MainWindow::showExport()
{
    if (!m_document.model())
        return nullptr;
    if (raiseOpen<ExportDialog>(this))
        return findChild<ExportDialog *>();
    auto *dialog = new ExportDialog(m_document, m_controller, this);
    dialog->show();
    return dialog;
}

void MainWindow::showData()
{
    if (!raiseOpen<DataDialog>(this))
        (new DataDialog(m_controller, this))->show();
}

void MainWindow::showAbout()
{
    auto *box = new QMessageBox(QMessageBox::NoIcon, tr("About Bitwright"),
                                tr("<h3>Bitwright %1</h3><p>See, quantize and shrink trained neural networks.</p>"
                                   "<p>Free software under the GNU General Public License, version 3 or later. "
                                   "Stands on LibTorch, Qt, QCustomPlot and SQLite.</p>").arg(QCoreApplication::applicationVersion()),
                                QMessageBox::Close, this);
    box->setAttribute(Qt::WA_DeleteOnClose);
    box->setModal(false);
    box->show();
}

void MainWindow::offerRecovery()
{
    const auto found = m_session.recoverable(m_settings.recentSessions().mid(0, kLookedAtSessions));
    const auto lost = std::ranges::find_if(found, [](const auto &each) { return !each.content.closedCleanly; });
    if (lost == found.end())
        return;
    m_messages->showOffer(tr("Bitwright was not closed properly. Nothing is lost: %1.").arg(lost->content.description),
                          {{tr("Restore"), [this, path = lost->path] { openSession(path); }}});
}

void MainWindow::onJobEnded(quint64 job, JobOutcome outcome, const Error &error)
{
    const bool opening = job == m_openJob;
    if (outcome == JobOutcome::Failed && (opening || job == m_dataJob)) {
        const QString why = toQString(error.message);
        const bool ofSession = opening && m_nextState;
        const MessageBar::Choice choice = ofSession ? MessageBar::Choice{tr("Find it…"), [this] { findModel(); }}
                                          : opening ? MessageBar::Choice{tr("Open another…"), [this] { openFile(); }}
                                                    : MessageBar::Choice{tr("Choose data…"), [this] { showData(); }};
        m_messages->showError(ofSession ? tr("The session's network cannot be opened: %1").arg(why) : why, {choice});
        if (opening)
            emit modelShown(false, why);
    } else if (outcome == JobOutcome::Failed && m_controller.jobs()->job(job)) {
        m_messages->showError(toQString(error.message));
    }
}

// ---- events ----

void MainWindow::closeEvent(QCloseEvent *event)
{
    m_settings.setGeometry(saveGeometry());
    if (m_arranged) {
        m_settings.setLayout(saveState(kLayoutVersion));
        m_settings.setLayersTable(m_layers->saveState());
        m_settings.setTraining(m_training->saveState());
    }
    QMainWindow::closeEvent(event);
}

void MainWindow::dragEnterEvent(QDragEnterEvent *event)
{
    if (event->mimeData()->hasUrls() && event->mimeData()->urls().first().isLocalFile())
        event->acceptProposedAction();
}

void MainWindow::dropEvent(QDropEvent *event)
{
    openModel(event->mimeData()->urls().first().toLocalFile());
    event->acceptProposedAction();
}

void MainWindow::changeEvent(QEvent *event)
{
    QMainWindow::changeEvent(event);
}

bool MainWindow::eventFilter(QObject *watched, QEvent *event)
{
    // Space belongs to the button or box that has the focus, then to "Evaluate": keyboards alone must reach everything.
    if (event->type() == QEvent::ShortcutOverride && static_cast<QKeyEvent *>(event)->key() == Qt::Key_Space &&
        static_cast<QKeyEvent *>(event)->modifiers() == Qt::NoModifier &&
        (qobject_cast<QAbstractButton *>(watched) || qobject_cast<QComboBox *>(watched))) {
        event->accept();
        return true;
    }
    // A line that has nothing of its own to undo leaves Ctrl+Z to the window.
    if (event->type() == QEvent::ShortcutOverride) {
        const auto *line = qobject_cast<QLineEdit *>(watched);
        const auto *key = static_cast<QKeyEvent *>(event);
        const bool undo = key->matches(QKeySequence::Undo), redo = key->matches(QKeySequence::Redo);
        if (line && ((undo && !line->isUndoAvailable()) || (redo && !line->isRedoAvailable()))) {
            event->ignore();
            return true;
        }
    }
    return QMainWindow::eventFilter(watched, event);
}

} // namespace bitwright
