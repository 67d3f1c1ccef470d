// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "util/theme.h"

#include <QObject>
#include <QSize>
#include <QString>
#include <QTimer>

#include <memory>
#include <optional>

namespace bitwright {

class Document;
class EngineApi;
class EngineController;
class MainWindow;
class SessionKeeper;
class Settings;

/// What the command line asks for.
struct Launch {
    QString model, session, data, config;
    QString screenshot, tab, layer;
    QSize size;
    std::optional<Theme> theme;
    int threads = 0;
};

/// Builds engine, document, controller, panels and window, and takes them apart in the right order.
class Application : public QObject {
    Q_OBJECT
public:
    explicit Application(Launch launch);
    ~Application() override;
    void start();

private:
    void applyConfig();
    void waitForPicture();
    void takePicture();
    void fail(const QString &why);

    Launch m_launch;
    std::unique_ptr<EngineApi> m_engine;
    std::unique_ptr<Document> m_document;
    std::unique_ptr<EngineController> m_controller;
    std::unique_ptr<Settings> m_settings;
    std::unique_ptr<SessionKeeper> m_session;
    std::unique_ptr<MainWindow> m_window;
    QTimer m_quiet, m_deadline;
};

} // namespace bitwright
