// SPDX-License-Identifier: GPL-3.0-or-later
#include "window/actions.h"

#include "bridge/document.h"
#include "bridge/engine_controller.h"
#include "util/format.h"

#include <QActionGroup>
#include <QMainWindow>
#include <QMenu>
#include <QMenuBar>
#include <QToolBar>
#include <QToolButton>

#include <algorithm>

namespace bitwright {

namespace {

constexpr int kKeyBits = 8;

LayerNames allLayers(const Document &document)
{
    LayerNames names;
    if (document.model()) {
        for (const LayerInfo &layer : document.model()->layers) {
            if (layer.status == LayerStatus::Quantizable)
                names.push_back(layer.name);
        }
    }
    return names;
}

} // namespace

Actions::Actions(Document &document, EngineController &controller, QMainWindow &window)
    : QObject(&window), m_document(document), m_controller(controller), m_window(window)
{
    makeFile();
    makeEdit();
    makeQuantize();
    makeRun();
    makeView();
    connect(&document, &Document::modelChanged, this, &Actions::update);
    connect(&document, &Document::changed, this, &Actions::update);
    connect(&document, &Document::selectionChanged, this, &Actions::update);
    connect(&document, &Document::baselineChanged, this, &Actions::update);
    connect(&document, &Document::editedRolesChanged, this, &Actions::update);
    connect(&controller, &EngineController::dataOpened, this, &Actions::update);
    connect(&controller, &EngineController::busyChanged, this, &Actions::update);
    connect(&controller, &EngineController::jobEnded, this, &Actions::update);
    update();
}

QAction *Actions::make(const QString &text, const QString &icon, const QKeySequence &key, const QString &tip)
{
    auto *action = new QAction(text, this);
    if (!icon.isEmpty())
        action->setIcon(themedIcon(icon));
    action->setShortcut(key);
    QString hint = tip.isEmpty() ? QString(text).remove(QChar(u'&')).remove(QChar(u'…')) : tip;
    action->setStatusTip(hint);
    if (!key.isEmpty())
        hint += QStringLiteral(" (%1)").arg(key.toString(QKeySequence::NativeText));
    action->setToolTip(hint);
    m_window.addAction(action);
    m_all << action;
    return action;
}

void Actions::makeFile()
{
    open = make(tr("&Open network…"), QStringLiteral("open"), QKeySequence::Open, tr("Open a trained network: .pt2, TorchScript or ONNX, or a file of weights"));
    data = make(tr("&Data…"), QStringLiteral("data"), tr("Ctrl+D"), tr("Choose evaluation, calibration and training data"));
    openSession = make(tr("Open s&ession…"), {}, tr("Ctrl+Shift+O"), tr("Go on with a saved session"));
    saveSession = make(tr("&Save session as…"), QStringLiteral("save"), QKeySequence::Save, tr("Keep the session, with all its trials, in a file of your own"));
    importReport = make(tr("&Import Report…"), {}, {}, tr("Every layer of the file with its status and the reason"));
    exportModel = make(tr("&Export…"), QStringLiteral("export"), tr("Ctrl+E"), tr("Write the quantized network and check what was written"));
    exportReport = make(tr("Export &Report…"), {}, tr("Ctrl+Shift+E"), tr("Write a page and a PDF about this configuration: layers, histograms with levels, trade-off, settings"));
    quit = make(tr("&Quit"), {}, QKeySequence(Qt::CTRL | Qt::Key_Q), {});
    quit->setMenuRole(QAction::QuitRole);
}

void Actions::makeEdit()
{
    undo = m_document.undoStack()->createUndoAction(this, tr("&Undo"));
    undo->setIcon(themedIcon(QStringLiteral("undo")));
    undo->setShortcut(QKeySequence::Undo);
    redo = m_document.undoStack()->createRedoAction(this, tr("&Redo"));
    redo->setIcon(themedIcon(QStringLiteral("redo")));
    redo->setShortcut(QKeySequence(Qt::CTRL | Qt::SHIFT | Qt::Key_Z));
    for (QAction *action : {undo, redo}) {
        m_window.addAction(action);
        m_all << action;
    }
    selectAll = make(tr("Select all &layers"), {}, tr("Ctrl+Shift+A"), tr("Select every layer that can be quantized"));
    connect(selectAll, &QAction::triggered, this, [this] { m_document.setSelection(allLayers(m_document), m_document.currentLayer()); });
    pinBaseline = make(tr("&Pin as baseline"), QStringLiteral("pin"), tr("Ctrl+B"), tr("Compare from now on with the present configuration"));
    connect(pinBaseline, &QAction::triggered, &m_document, &Document::pinBaseline);
    clearBaseline = make(tr("Compare with the &float network"), {}, {}, tr("Take the pinned baseline away"));
    connect(clearBaseline, &QAction::triggered, &m_document, &Document::clearBaseline);
}

void Actions::makeQuantize()
{
    weights = make(tr("Keys set &weights"), {}, tr("W"), tr("The keys 0 to 8, [ and ] act on weights"));
    activations = make(tr("Keys set &activations"), {}, tr("A"), tr("The keys 0 to 8, [ and ] act on activations"));
    for (QAction *action : {weights, activations})
        action->setCheckable(true);
    connect(weights, &QAction::triggered, this, [this](bool on) { m_document.setEditsRole(Role::Weight, on); update(); });
    connect(activations, &QAction::triggered, this, [this](bool on) { m_document.setEditsRole(Role::Activation, on); update(); });
    for (int count = 0; count <= kKeyBits; ++count) {
        QAction *action = make(count == 0 ? tr("&Float") : counted(count, tr("&%1 bit"), tr("&%1 bits")), {}, QKeySequence(Qt::Key_0 + count),
                               count == 0 ? tr("Leave the selected layers in float") : counted(count, tr("Quantize the selected layers to %1 bit"), tr("Quantize the selected layers to %1 bits")));
        connect(action, &QAction::triggered, this, [this, count] {
            m_document.setBits(m_document.selection(), m_document.editedRoles(), count);
        });
        bits << action;
    }
    fewerBits = make(tr("One bit &less"), {}, QKeySequence(Qt::Key_BracketLeft), tr("One bit less for each selected layer"));
    moreBits = make(tr("One bit &more"), {}, QKeySequence(Qt::Key_BracketRight), tr("One bit more for each selected layer"));
    connect(fewerBits, &QAction::triggered, this, [this] { m_document.stepBits(m_document.selection(), m_document.editedRoles(), -1); });
    connect(moreBits, &QAction::triggered, this, [this] { m_document.stepBits(m_document.selection(), m_document.editedRoles(), 1); });
    foldBatchNorm = make(tr("Fold &batch norm first"), {}, {}, tr("Merge each batch norm into the layer before it, then quantize the folded weights"));
    foldBatchNorm->setCheckable(true);
    connect(foldBatchNorm, &QAction::triggered, &m_document, &Document::setFoldBatchNorm);
    prune = make(tr("&Prune…"), {}, QKeySequence(Qt::Key_P), tr("Take weights or channels away by a criterion"));
    clearMasks = make(tr("Take &masks away"), {}, {}, tr("Keep everything of the selected layers again"));
    connect(clearMasks, &QAction::triggered, this, [this] { m_document.clearMasks(m_document.selection()); });
    cutChannels = make(tr("Remove pruned &channels"), {}, tr("Ctrl+Shift+X"), tr("Take out of the network what structured masks have emptied: the same answers from a smaller network"));
    connect(cutChannels, &QAction::triggered, &m_controller, &EngineController::cutChannels);
    presets = make(tr("Apply a &paper's assignment…"), {}, tr("Ctrl+Shift+P"), tr("Methods, bits and kept layers as a paper has them, on the whole network"));
    takeStored = make(tr("Take the file's &quantization"), {}, {}, tr("Make what the file itself quantizes the assignment of the selected layers (of all, where none of them has any), to go on from it layer by layer"));
    connect(takeStored, &QAction::triggered, this, [this] { m_document.takeStored(m_document.selection()); });
    makePolicy();
    allFloat = make(tr("Everything to &float"), {}, {}, tr("Back to the network as it was opened"));
    connect(allFloat, &QAction::triggered, this, [this] { m_document.setState({}, tr("Everything to float")); });
}

void Actions::makePolicy()
{
    using Keep = LayerPolicy::Keep;
    const std::pair<QString, Keep> choices[] = {{tr("&Same as the others"), Keep::Same}, {tr("&8 bit"), Keep::EightBit}, {tr("&Float"), Keep::Float}};
    const auto fill = [&](QMenu *menu, QList<QAction *> &actions, Keep LayerPolicy::*part) {
        auto *group = new QActionGroup(menu);
        for (const auto &[title, keep] : choices) {
            auto *action = new QAction(title, group);
            action->setCheckable(true);
            connect(action, &QAction::triggered, this, [this, part, keep = keep] {
                LayerPolicy policy = m_document.config().policy;
                policy.*part = keep;
                m_document.setPolicy(policy);
            });
            actions << action;
        }
        menu->addActions(actions);
    };
    firstLastMenu = new QMenu(tr("&First and last layer"), &m_window);
    firstLastMenu->setToolTip(tr("Most papers keep the first and the last layer out of low bits"));
    fill(firstLastMenu, m_firstLast, &LayerPolicy::firstLast);
    shortcutsMenu = new QMenu(tr("S&hortcut layers"), &m_window);
    shortcutsMenu->setToolTip(tr("1×1 convolutions on the skip path of residual blocks"));
    fill(shortcutsMenu, m_shortcuts, &LayerPolicy::shortcuts);
}

void Actions::makeRun()
{
    compare = make(tr("Compare &methods on the layer"), {}, tr("Ctrl+M"), tr("Every method and width on the selected layer: error, entropy, size"));
    compareNetwork = make(tr("Compare methods on the &network…"), {}, tr("Ctrl+Shift+M"), tr("Every method and width on the whole network: accuracy after calibration or training"));
    evaluate = make(tr("&Evaluate"), QStringLiteral("evaluate"), QKeySequence(Qt::Key_Space), tr("Measure the present configuration on all evaluation data"));
    connect(evaluate, &QAction::triggered, &m_controller, &EngineController::evaluate);
    fineTune = make(tr("&Fine-tune"), QStringLiteral("finetune"), tr("F"), tr("Train the quantized network with the options of the Training tab"));
    calibrate = make(tr("&Calibrate activations"), {}, tr("Ctrl+K"), tr("Find the ranges of quantized activations on the calibration data"));
    connect(calibrate, &QAction::triggered, &m_controller, &EngineController::calibrate);
    sweep = make(tr("&Sweep layers by the metric"), QStringLiteral("sweep"), tr("Ctrl+L"), tr("Quantize one layer at a time to 8, 4 and 2 bits and measure what each costs"));
    connect(sweep, &QAction::triggered, this, [this] { startSweep("metric"); });
    sweepSqnr = make(tr("Sweep layers by &SQNR"), {}, {}, tr("The same, measured by the noise at the output; needs no labels"));
    connect(sweepSqnr, &QAction::triggered, this, [this] { startSweep("sqnr"); });
    sensitivity = make(tr("Measure &pruning sensitivity"), QStringLiteral("sweep"), tr("Ctrl+Shift+L"), tr("Prune one layer at a time to several sparsities and draw what each costs into the table"));
    connect(sensitivity, &QAction::triggered, this, [this] { m_controller.measureSensitivity({}); });
    reestimate = make(tr("Re-estimate &batch norm"), QStringLiteral("repair"), tr("Ctrl+Shift+B"), tr("Take the statistics of the batch norms anew under the present configuration: what pruning and quantizing moved, without training"));
    connect(reestimate, &QAction::triggered, this, [this] { m_controller.correct(CorrectRequest::Step::BatchNorm); });
    correctBias = make(tr("Correct b&iases"), QStringLiteral("repair"), tr("Ctrl+Shift+I"), tr("Give every channel the mean that it has in the float network, layer by layer, without training"));
    connect(correctBias, &QAction::triggered, this, [this] { m_controller.correct(CorrectRequest::Step::Bias); });
    live = make(tr("Measure &live"), QStringLiteral("live"), tr("Ctrl+Space"), tr("Every change is followed by a measurement"));
    live->setCheckable(true);
    live->setChecked(m_controller.isLive());
    connect(live, &QAction::toggled, &m_controller, &EngineController::setLive);
    cancel = make(tr("&Cancel"), QStringLiteral("cancel"), QKeySequence(Qt::Key_Escape), tr("Cancel the running job; what it has finished is kept"));
    connect(cancel, &QAction::triggered, &m_controller, &EngineController::cancelNewest);
    auto *group = new QActionGroup(this);
    const std::pair<QString, const char *> choices[] = {{tr("Top-&1 accuracy"), "top1"}, {tr("Top-&5 accuracy"), "top5"},
                                                        {tr("&Agreement with the float network"), "agreement"}, {tr("Output &SQNR"), "sqnr"}};
    for (const auto &[title, id] : choices) {
        auto *action = new QAction(title, group);
        action->setCheckable(true);
        action->setChecked(m_controller.metric() == id);
        connect(action, &QAction::triggered, this, [this, metric = std::string(id)] { m_controller.setMetric(metric); });
        metrics << action;
    }
}

void Actions::makeView()
{
    back = make(tr("Selection &back"), QStringLiteral("back"), tr("Alt+Left"), tr("To the layers that were selected before"));
    forward = make(tr("Selection &forward"), QStringLiteral("forward"), tr("Alt+Right"), tr("To the layers that were selected after"));
    connect(back, &QAction::triggered, &m_document, &Document::goBack);
    connect(forward, &QAction::triggered, &m_document, &Document::goForward);
    filter = make(tr("Find &layer"), QStringLiteral("filter"), QKeySequence::Find, tr("Type a part of a layer's name, operator or method"));
    undoList = nullptr;   // the dock's own action, set by the window
    auto *group = new QActionGroup(this);
    for (const QString &title : {tr("After the &system"), tr("&Light"), tr("&Dark")}) {
        auto *action = new QAction(title, group);
        action->setCheckable(true);
        themes << action;
    }
    pages = make(tr("Pages about the &methods"), {}, tr("Shift+F1"), tr("Formula, paper and options of each method"));
    keys = make(tr("&Keys"), QStringLiteral("keys"), QKeySequence::HelpContents, tr("The list of keys"));
    keys->setShortcut(QKeySequence(Qt::Key_F1));
    about = make(tr("&About Bitwright"), {}, {}, {});
    about->setMenuRole(QAction::AboutRole);
}

void Actions::startSweep(const char *measure)
{
    SweepRequest request;
    request.measure = measure;
    for (const Role role : {Role::Weight, Role::Activation}) {
        if (const auto spec = m_document.defaultSpec(role, 8)) {
            request.spec.of(role).method = spec->method;
            request.spec.of(role).options = spec->options;
        }
    }
    m_controller.sweep(request);
}

void Actions::fillMenus(QMenuBar *bar, QMenu *recentModels, QMenu *recentSessions, const QList<QAction *> &views)
{
    QMenu *file = bar->addMenu(tr("&File"));
    file->addAction(open);
    file->addMenu(recentModels);
    file->addAction(data);
    file->addSeparator();
    file->addAction(openSession);
    file->addMenu(recentSessions);
    file->addAction(saveSession);
    file->addSeparator();
    file->addActions({importReport, exportModel, exportReport});
    file->addSeparator();
    file->addAction(quit);

    QMenu *edit = bar->addMenu(tr("&Edit"));
    edit->addActions({undo, redo});
    edit->addSeparator();
    edit->addActions({selectAll, filter});
    edit->addSeparator();
    edit->addActions({pinBaseline, clearBaseline});

    QMenu *quantize = bar->addMenu(tr("&Quantize"));
    quantize->addActions({weights, activations});
    quantize->addSeparator();
    quantize->addActions(bits);
    quantize->addActions({fewerBits, moreBits});
    quantize->addSeparator();
    quantize->addActions({presets, takeStored});
    quantize->addMenu(firstLastMenu);
    quantize->addMenu(shortcutsMenu);
    quantize->addSeparator();
    quantize->addActions({foldBatchNorm, prune, clearMasks, cutChannels, allFloat});

    QMenu *run = bar->addMenu(tr("&Run"));
    run->addActions({evaluate, fineTune, calibrate});
    run->addSeparator();
    run->addActions({compare, compareNetwork});
    run->addSeparator();
    run->addActions({sweep, sweepSqnr, sensitivity});
    run->addSeparator();
    run->addActions({reestimate, correctBias});
    run->addSeparator();
    run->addAction(live);
    run->addMenu(tr("&Metric"))->addActions(metrics);
    run->addSeparator();
    run->addAction(cancel);

    QMenu *view = bar->addMenu(tr("&View"));
    view->addActions({back, forward});
    view->addSeparator();
    view->addActions(views);
    view->addSeparator();
    view->addMenu(tr("&Theme"))->addActions(themes);

    QMenu *help = bar->addMenu(tr("&Help"));
    help->addActions({keys, pages, about});
}

void Actions::fillToolBar(QToolBar *bar)
{
    bar->setToolButtonStyle(Qt::ToolButtonIconOnly);
    bar->setIconSize({18, 18});
    bar->addActions({open, data, saveSession});
    bar->addSeparator();
    bar->addActions({undo, redo});
    bar->addSeparator();
    bar->addActions({back, forward});
    bar->addSeparator();
    bar->addActions({evaluate, sweep, fineTune, reestimate, live, cancel});
    bar->addSeparator();
    bar->addActions({pinBaseline, exportModel});
    for (QAction *action : {open, data, evaluate, sweep, fineTune, live, exportModel}) {
        auto *button = qobject_cast<QToolButton *>(bar->widgetForAction(action));
        button->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
    }
    open->setIconText(tr("Open"));
    data->setIconText(tr("Data"));
    sweep->setIconText(tr("Sweep"));
    live->setIconText(tr("Live"));
    exportModel->setIconText(tr("Export"));
    for (QAction *action : bar->actions()) {
        if (QWidget *button = bar->widgetForAction(action); button && !action->isSeparator())
            button->setAccessibleName(action->text().remove(QChar(u'&')).remove(QChar(u'…')));
    }
}

QList<QAction *> Actions::forLayers() const
{
    QList<QAction *> actions = bits;
    actions << fewerBits << moreBits << takeStored << weights << activations << prune << selectAll << pinBaseline;
    return actions;
}

void Actions::update()
{
    const bool model = m_document.model() != nullptr;
    const bool measurable = model && m_controller.results().data.has_value();
    const bool selected = !m_document.selection().empty();
    for (QAction *action : {data, saveSession, exportModel, exportReport, importReport, selectAll, pinBaseline, weights, activations, foldBatchNorm, prune, filter,
                            presets, compare, compareNetwork})
        action->setEnabled(model);
    for (QMenu *menu : {firstLastMenu, shortcutsMenu})
        menu->setEnabled(model);
    m_firstLast[int(m_document.config().policy.firstLast)]->setChecked(true);
    m_shortcuts[int(m_document.config().policy.shortcuts)]->setChecked(true);
    for (QAction *action : bits)
        action->setEnabled(selected);
    fewerBits->setEnabled(selected);
    moreBits->setEnabled(selected);
    clearMasks->setEnabled(std::ranges::any_of(m_document.selection(), [this](const std::string &name) { return !m_document.mask(name).empty(); }));
    allFloat->setEnabled(model && !m_document.isFloat());
    clearBaseline->setEnabled(m_document.hasBaseline());
    for (QAction *action : {evaluate, sweep, sweepSqnr, sensitivity})
        action->setEnabled(measurable);
    calibrate->setEnabled(measurable && !m_document.quantizedLayers().empty());
    fineTune->setEnabled(model && !m_controller.data().training.empty() && !m_controller.trainingJob());
    takeStored->setEnabled(m_document.hasStored());
    cutChannels->setEnabled(!m_document.prunedLayers().empty());
    const bool changed = !m_document.state().weights.empty() || !(m_document.quantizedLayers().empty() && m_document.prunedLayers().empty());
    reestimate->setEnabled(measurable && changed && !m_document.config().foldBatchNorm);
    correctBias->setEnabled(measurable && changed);
    cancel->setEnabled(m_controller.isBusy());
    back->setEnabled(m_document.canGoBack());
    forward->setEnabled(m_document.canGoForward());
    weights->setChecked(m_document.editsRole(Role::Weight));
    activations->setChecked(m_document.editsRole(Role::Activation));
    foldBatchNorm->setChecked(m_document.config().foldBatchNorm);
}

} // namespace bitwright
