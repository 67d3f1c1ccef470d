// SPDX-License-Identifier: GPL-3.0-or-later
#include "application.h"

#include "bridge/engine_controller.h"
#include "bridge/session_keeper.h"
#include "bridge/settings.h"
#include "engine_factory.h"
#include "image_decoder.h"
#include "panels/distribution_panel.h"
#include "panels/mask_panel.h"
#include "panels/tradeoff_panel.h"
#include "panels/training_curves.h"
#include "util/format.h"
#include "window/actions.h"
#include "window/main_window.h"
#include "window/message_bar.h"

#include <QCoreApplication>
#include <QDir>
#include <QFileInfo>
#include <QPixmap>
#include <QStandardPaths>

#include <cstdio>

namespace bitwright {

namespace {

/// The view is complete when nothing has been asked or repainted for this long.
constexpr int kQuietMs = 400;
constexpr int kPictureDeadlineMs = 180000;

QString recoveryFolder(const Launch &launch)
{
    // A picture is no session: it must not be offered at the next start.
    const QString folder = launch.screenshot.isEmpty() ? QStandardPaths::writableLocation(QStandardPaths::AppDataLocation)
                                                       : QDir::tempPath() + QStringLiteral("/bitwright-%1").arg(QCoreApplication::applicationPid());
    return folder + QStringLiteral("/recovery");
}

QString settingsFile(const Launch &launch)
{
    return launch.screenshot.isEmpty() ? QString()
                                       : QDir::tempPath() + QStringLiteral("/bitwright-%1/settings.ini").arg(QCoreApplication::applicationPid());
}

} // namespace

Application::Application(Launch launch)
    : m_launch(std::move(launch)), m_engine(makeGuiEngine(decodeImage, m_launch.threads)),
      m_document(std::make_unique<Document>(m_engine->catalog())),
      m_controller(std::make_unique<EngineController>(*m_engine, *m_document)),
      m_settings(std::make_unique<Settings>(settingsFile(m_launch))),
      m_session(std::make_unique<SessionKeeper>(*m_document, *m_controller, recoveryFolder(m_launch)))
{
    const int threads = m_launch.threads > 0 ? m_launch.threads : defaultThreads();
    auto *masks = new MaskPanel(*m_document, *m_controller);
    m_window = std::make_unique<MainWindow>(WindowParts{
        *m_document, *m_controller, *m_session, *m_settings,
        counted(threads, tr("CPU, %1 thread"), tr("CPU, %1 threads")), toQString(samplesFolder()),
        new DistributionPanel(*m_document, *m_controller), new TradeoffPanel(*m_document, *m_controller),
        new TrainingCurves(*m_document, *m_controller), masks});
    connect(masks, &MaskPanel::pruneRequested, m_window->actions()->prune, &QAction::trigger);
}

Application::~Application()
{
    m_window.reset();
    m_session.reset();
    m_controller.reset();   // detaches the sink before the engine goes
    m_document.reset();
    m_engine.reset();
    if (!m_launch.screenshot.isEmpty())
        QDir(QDir::tempPath() + QStringLiteral("/bitwright-%1").arg(QCoreApplication::applicationPid())).removeRecursively();
}

void Application::start()
{
    if (m_launch.theme)
        m_window->setTheme(*m_launch.theme);
    if (m_launch.screenshot.isEmpty() && m_launch.size.isEmpty() && !m_settings->geometry().isEmpty())
        m_window->restoreGeometry(m_settings->geometry());
    if (!m_launch.size.isEmpty())
        m_window->resize(m_launch.size);
    connect(m_window.get(), &MainWindow::modelShown, this, [this](bool ok, const QString &why) {
        if (!ok) {
            fail(why);
            return;
        }
        applyConfig();
        if (!m_launch.tab.isEmpty() && !m_window->showTab(m_launch.tab))
            fail(tr("--show %1, there is no such tab; use distributions, masks, compare, layers, trade-off, training or jobs").arg(m_launch.tab));
    });
    m_window->show();
    if (!m_launch.screenshot.isEmpty())
        waitForPicture();
    if (!m_launch.data.isEmpty())
        m_window->setNextData(companions(m_launch.data.toStdString()));
    if (!m_launch.layer.isEmpty())
        m_window->selectLayer(m_launch.layer);
    if (!m_launch.session.isEmpty() && QFileInfo::exists(m_launch.session)) {
        m_window->openSession(m_launch.session);
    } else if (!m_launch.model.isEmpty()) {
        m_window->openModel(m_launch.model);
        if (!m_launch.session.isEmpty()) {
            if (auto saved = m_session->saveAs(m_launch.session); !saved)
                fail(toQString(saved.error().message));
        }
    } else if (!m_launch.session.isEmpty()) {
        m_window->openSession(m_launch.session);   // says that it is not there
    } else if (m_launch.screenshot.isEmpty()) {
        m_window->offerRecovery();
    }
}

void Application::applyConfig()
{
    if (m_launch.config.isEmpty())
        return;
    auto config = readConfig(m_launch.config.toStdString(), m_engine->catalog());
    if (!config)
        fail(toQString(config.error().message));
    else
        m_document->setConfig(*config, tr("Open %1").arg(QFileInfo(m_launch.config).fileName()));
    m_launch.config.clear();
}

void Application::waitForPicture()
{
    m_quiet.setSingleShot(true);
    m_quiet.setInterval(kQuietMs);
    m_deadline.setSingleShot(true);
    connect(&m_quiet, &QTimer::timeout, this, &Application::takePicture);
    connect(&m_deadline, &QTimer::timeout, this, [this] { fail(tr("the view was not complete in time")); });
    connect(m_controller.get(), &EngineController::busyChanged, this, [this](bool busy) {
        if (busy)
            m_quiet.stop();
        else
            m_quiet.start();
    });
    m_deadline.start(kPictureDeadlineMs);
    if (m_launch.model.isEmpty() && m_launch.session.isEmpty())
        m_quiet.start();
}

void Application::takePicture()
{
    if (m_controller->isBusy())
        return;
    if (!m_window->grab().save(m_launch.screenshot)) {
        fail(tr("%1 cannot be written; choose another file").arg(m_launch.screenshot));
        return;
    }
    QCoreApplication::exit(0);
}

void Application::fail(const QString &why)
{
    if (m_launch.screenshot.isEmpty()) {
        m_window->messages()->showError(why);
        return;
    }
    std::fprintf(stderr, "error: %s\n", qPrintable(why));
    QCoreApplication::exit(1);
}

} // namespace bitwright
