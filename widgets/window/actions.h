// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "util/theme.h"

#include <QAction>
#include <QObject>

class QActionGroup;
class QMainWindow;
class QMenu;
class QMenuBar;
class QToolBar;

namespace bitwright {

class Document;
class EngineController;

/// Every action of the window with its text, icon, tip and key. Those that only edit or ask are connected here; the
/// window connects those that need it.
class Actions : public QObject {
    Q_OBJECT
public:
    Actions(Document &document, EngineController &controller, QMainWindow &window);

    QAction *open, *data, *openSession, *saveSession, *exportModel, *exportReport, *importReport, *quit;
    QAction *undo, *redo, *pinBaseline, *clearBaseline, *selectAll;
    QAction *weights, *activations, *fewerBits, *moreBits, *foldBatchNorm, *allFloat, *prune, *cutChannels, *clearMasks;
    QAction *takeStored{};
    QAction *presets, *compare, *compareNetwork;
    QMenu *firstLastMenu, *shortcutsMenu;   ///< the policy: what is kept out of low bits
    QList<QAction *> bits;   ///< float, 1 … 8
    QAction *evaluate, *fineTune, *calibrate, *sweep, *sweepSqnr, *sensitivity, *reestimate, *correctBias, *live, *cancel;
    QAction *back, *forward, *filter, *undoList;
    QList<QAction *> themes, metrics;
    QAction *keys, *pages, *about;

    /// Fills the menu bar; `recentModels` and `recentSessions` are kept up to date by the window.
    void fillMenus(QMenuBar *bar, QMenu *recentModels, QMenu *recentSessions, const QList<QAction *> &views);
    void fillToolBar(QToolBar *bar);
    /// What the layer table's context menu shows.
    [[nodiscard]] QList<QAction *> forLayers() const;
    void update();
    /// Every action that has a key, for the list of keys.
    [[nodiscard]] QList<QAction *> withKeys() const { return m_all; }

private:
    QAction *make(const QString &text, const QString &icon, const QKeySequence &key, const QString &tip);
    void makeFile();
    void makeEdit();
    void makeQuantize();
    void makePolicy();
    void makeRun();
    void makeView();
    void startSweep(const char *measure);

    Document &m_document;
    EngineController &m_controller;
    QMainWindow &m_window;
    QList<QAction *> m_all;
    QList<QAction *> m_firstLast, m_shortcuts;   ///< by LayerPolicy::Keep
};

} // namespace bitwright
