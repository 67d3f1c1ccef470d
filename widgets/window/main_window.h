// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "bridge/engine_controller.h"
#include "bridge/session_keeper.h"
#include "bridge/settings.h"

#include <QMainWindow>

class QStackedWidget;
class QTabWidget;

namespace bitwright {

class Actions;
class ComparePanel;
class ExportDialog;
class JobsPanel;
class LayersPanel;
class MessageBar;
class StartPage;
class TrainingPanel;

/// What the window is built from and does not make itself; all but the widgets must outlive it.
struct WindowParts {
    Document &document;
    EngineController &controller;
    SessionKeeper &session;
    Settings &settings;
    QString device;                     ///< "CPU, 2 threads"
    QString samplesFolder;              ///< may be empty
    QWidget *distributions = nullptr;   ///< taken over
    QWidget *tradeoff = nullptr;        ///< taken over
    QWidget *curves = nullptr;          ///< taken over
    QWidget *masks = nullptr;           ///< taken over
};

/// Docks, menus and what happens between them. Panels come from outside or are made here from the parts.
class MainWindow : public QMainWindow {
    Q_OBJECT
public:
    explicit MainWindow(const WindowParts &parts, QWidget *parent = nullptr);
    ~MainWindow() override;

    void openModel(const QString &path);
    void openSession(const QString &path);
    /// Data for the next network instead of what would be chosen for it.
    void setNextData(const DataSelection &selection) { m_nextData = selection; }
    void setNextState(const DocumentState &state) { m_nextState = state; }
    /// Brings a dock or tab to the front by a part of its title: "distributions", "training", "jobs". False if unknown.
    bool showTab(const QString &name);
    void selectLayer(const QString &name);
    void setTheme(Theme theme);
    /// Offers what was open when the program ended without being closed.
    void offerRecovery();
    [[nodiscard]] MessageBar *messages() const { return m_messages; }
    [[nodiscard]] Actions *actions() const { return m_actions; }
    [[nodiscard]] TrainingPanel *training() const { return m_training; }
    [[nodiscard]] ComparePanel *compare() const { return m_compare; }

signals:
    /// A network was opened and the window shows it, or it could not be (then `why` says so).
    void modelShown(bool ok, const QString &why);

protected:
    void closeEvent(QCloseEvent *event) override;
    void dragEnterEvent(QDragEnterEvent *event) override;
    void dropEvent(QDropEvent *event) override;
    void changeEvent(QEvent *event) override;
    bool eventFilter(QObject *watched, QEvent *event) override;

private:
    void setupCentre(const WindowParts &parts);
    void setupDocks(const WindowParts &parts);
    void setupActions();
    void setupMessages();
    QDockWidget *addPanel(const QString &title, const QString &name, QWidget *panel, Qt::DockWidgetArea area);
    void arrange();
    void showModel(const std::shared_ptr<const ModelSummary> &model, const Document::Networks &cut);
    void showStart();
    void updateTitle();
    void updateRecent();
    void fillRecent(QMenu *menu, const QStringList &paths, void (MainWindow::*open)(const QString &));
    void openFile();
    void findModel();
    void openSessionFile();
    void saveSession();
    /// The open or newly opened dialog; null without a network.
    ExportDialog *showExport();
    void showData();
    void offerData();
    void showAbout();
    void restoreLayout();
    void applySession(const SessionContent &content, const QString &path);
    void onJobEnded(quint64 job, JobOutcome outcome, const Error &error);

    Document &m_document;
    EngineController &m_controller;
    SessionKeeper &m_session;
    Settings &m_settings;
    QString m_samplesFolder;
    Actions *m_actions = nullptr;
    QStackedWidget *m_stack = nullptr;
    QTabWidget *m_tabs = nullptr;
    StartPage *m_start = nullptr;
    MessageBar *m_messages = nullptr;
    LayersPanel *m_layers = nullptr;
    JobsPanel *m_jobs = nullptr;
    TrainingPanel *m_training = nullptr;
    ComparePanel *m_compare = nullptr;
    QList<QDockWidget *> m_docks;
    QDockWidget *m_undoDock = nullptr;
    QMenu *m_recentModels = nullptr, *m_recentSessions = nullptr;
    JobId m_openJob = 0, m_dataJob = 0, m_exportJob = 0;
    std::optional<DataSelection> m_nextData;
    std::optional<DocumentState> m_nextState;
    std::vector<TrialRecord> m_nextTrials;
    QString m_nextLayer;
    bool m_arranged = false;
};

/// The data that goes with an evaluation SPEC when nothing else is said: the training part of the same set.
DataSelection companions(const std::string &evaluation);
/// What a network with this input starts with: the samples for 1x28x28, else nothing.
DataSelection defaultData(const ModelSummary &model);

} // namespace bitwright
