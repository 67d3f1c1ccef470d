// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/training_panel.h"

#include "models/jobs_model.h"
#include "panels/recipes_form.h"
#include "util/format.h"
#include "util/theme.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QFormLayout>
#include <QLabel>
#include <QLocale>
#include <QProgressBar>
#include <QPushButton>
#include <QScrollArea>
#include <QScrollBar>
#include <QSpinBox>
#include <QSplitter>
#include <QVBoxLayout>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace bitwright {

namespace {

constexpr const char *kLearnedStep = "learned_step";

QSpinBox *makeInt(const QString &name, int low, int high, const QString &tip)
{
    auto *box = new QSpinBox;
    box->setRange(low, high);
    box->setAccessibleName(name);
    box->setToolTip(tip);
    box->setAlignment(Qt::AlignRight);
    return box;
}

constexpr double kSgdRate = 0.01, kAdamRate = 0.001;

QDoubleSpinBox *makeReal(const QString &name, double low, double high, int decimals, double step, const QString &tip)
{
    auto *box = new QDoubleSpinBox;
    box->setRange(low, high);
    box->setDecimals(decimals);
    box->setSingleStep(step);
    box->setAccessibleName(name);
    box->setToolTip(tip);
    box->setAlignment(Qt::AlignRight);
    return box;
}

QComboBox *makeChoice(const QString &name, const QList<std::pair<QString, QString>> &choices, const QString &tip)
{
    auto *box = new QComboBox;
    for (const auto &[title, id] : choices)
        box->addItem(title, id);
    box->setAccessibleName(name);
    box->setToolTip(tip);
    return box;
}

nlohmann::json toJson(const FineTuneOptions &options)
{
    nlohmann::json saved{{"epochs", options.epochs}, {"batch", options.batch}, {"optimizer", options.optimizer}, {"lr", options.learningRate},
                         {"momentum", options.momentum}, {"decay", options.weightDecay}, {"schedule", options.schedule},
                         {"smoothing", options.labelSmoothing}, {"shift", options.shift}, {"flip", options.flip},
                         {"reestimate", options.reestimateBatchNorm}, {"seed", options.seed}, {"teacher", options.teacher},
                         {"recipes", nlohmann::json::array()}};
    for (const RecipeChoice &recipe : options.recipes) {
        nlohmann::json values = nlohmann::json::object();
        for (const auto &[name, value] : recipe.options)
            values[name] = paramToJson(value);
        saved["recipes"].push_back({{"id", recipe.id}, {"options", values}});
    }
    return saved;
}

/// What is missing or of another kind keeps its default: settings of another version are no error.
FineTuneOptions fromJson(const nlohmann::json &saved, const Catalog &catalog)
{
    FineTuneOptions options{.epochs = 2};
    const auto read = [&](const char *key, auto &target) {
        try {
            if (saved.contains(key))
                target = saved.at(key).get<std::decay_t<decltype(target)>>();
        } catch (const nlohmann::json::exception &) {
            // The default stays.
        }
    };
    read("epochs", options.epochs);
    read("batch", options.batch);
    read("optimizer", options.optimizer);
    read("lr", options.learningRate);
    read("momentum", options.momentum);
    read("decay", options.weightDecay);
    read("schedule", options.schedule);
    read("smoothing", options.labelSmoothing);
    read("shift", options.shift);
    read("flip", options.flip);
    read("reestimate", options.reestimateBatchNorm);
    read("seed", options.seed);
    read("teacher", options.teacher);
    nlohmann::json recipes;
    read("recipes", recipes);
    for (const nlohmann::json &each : recipes) {
        const auto id = each.is_object() ? each.find("id") : each.end();
        const MethodTraits *recipe = id != each.end() && id->is_string() ? catalog.recipe(id->get<std::string>()) : nullptr;
        if (!recipe)
            continue;
        RecipeChoice choice{recipe->id};
        for (const ParamSpec &option : recipe->options)
            if (const auto given = each.find("options"); given != each.end() && given->is_object() && given->contains(option.name))
                if (const auto value = paramFromJson(option, given->at(option.name)))
                    choice.options[option.name] = *value;
        options.recipes.push_back(std::move(choice));
    }
    return options;
}

QCheckBox *makeCheck(const QString &text, const QString &tip)
{
    auto *box = new QCheckBox(text);
    box->setToolTip(tip);
    return box;
}

QWidget *pair(QWidget *left, const QString &between, QWidget *right)
{
    auto *row = new QWidget;
    auto *layout = new QHBoxLayout(row);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(8);
    // A spin box asks for the width of its largest number; most numbers are short.
    for (QWidget *box : {left, right})
        box->setMinimumWidth(box->fontMetrics().averageCharWidth() * 10);
    layout->addWidget(left, 1);
    auto *label = new QLabel(between);
    label->setBuddy(right);
    layout->addWidget(label);
    layout->addWidget(right, 1);
    return row;
}

} // namespace

TrainingPanel::TrainingPanel(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller),
      m_epochs(makeInt(tr("Epochs"), 1, 10000, tr("Passes over the training data"))),
      m_batch(makeInt(tr("Batch size"), 1, 4096, tr("Samples in one step"))),
      m_seed(makeInt(tr("Seed"), 0, std::numeric_limits<int>::max(), tr("Same seed, same data and threads: same result"))),
      m_optimizer(makeChoice(tr("Optimizer"), {{tr("SGD"), QStringLiteral("sgd")}, {tr("Adam"), QStringLiteral("adam")}},
                             tr("How gradients move the weights"))),
      m_schedule(makeChoice(tr("Learning rate over time"),
                            {{tr("Cosine"), QStringLiteral("cosine")}, {tr("Steps"), QStringLiteral("step")}, {tr("Constant"), QStringLiteral("constant")}},
                            tr("How the learning rate goes on from its start"))),
      m_rate(makeReal(tr("Learning rate"), 0, 10, 5, 0.001, tr("Length of the steps at the start"))),
      m_momentum(makeReal(tr("Momentum"), 0, 0.9999, 3, 0.05, tr("Of SGD: share of the last step that goes into the next"))),
      m_decay(makeReal(tr("Weight decay"), 0, 1, 6, 0.0001, tr("Pull of the weights towards zero"))),
      m_smoothing(makeReal(tr("Label smoothing"), 0, 0.9, 2, 0.05, tr("Share of the target that is spread over all classes"))),
      m_recipes(new RecipesForm(controller.catalog())),
      m_learnedStep(makeCheck(tr("Learn step sizes (LSQ)"), tr("The scales of the quantized tensors are trained with the weights (Esser et al., ICLR 2020); otherwise gradients pass straight through fixed grids"))),
      m_shift(makeCheck(tr("Shift"), tr("Training images are moved by a few pixels at random"))),
      m_flip(makeCheck(tr("Flip"), tr("Training images are mirrored left to right at random"))),
      m_reestimate(makeCheck(tr("Re-estimate batch norm at the end"), tr("Mean and variance are measured again on the quantized network"))),
      m_progress(new QProgressBar), m_now(new QLabel), m_doing(new QLabel), m_hint(new QLabel)
{
    setAccessibleName(tr("Training"));
    setupHalves();
    auto *form = new QFormLayout;
    setupForm(form);
    m_layout->addLayout(form);
    setupRecipes();
    m_layout->addStretch(1);
    setupButtons(m_lower);
    m_lower->addStretch(1);
    setOptions(FineTuneOptions{.epochs = 2});
    // It scrolls downwards only: the panel is never narrower than the form.
    m_scroll->setMinimumWidth(m_scroll->widget()->minimumSizeHint().width() + m_scroll->verticalScrollBar()->sizeHint().width());

    connect(&controller, &EngineController::trainingStarted, this, [this] { m_paused = false; updateState(); });
    connect(&controller, &EngineController::trainingStep, this, &TrainingPanel::showStep);
    connect(&controller, &EngineController::trainingEpoch, this, &TrainingPanel::showEpoch);
    connect(&controller, &EngineController::jobProgress, this, &TrainingPanel::onProgress);
    connect(&controller, &EngineController::trainingStarted, this, [this](quint64 job) { m_job = job; });
    connect(&controller, &EngineController::jobEnded, this, [this](quint64 job, JobOutcome outcome) {
        if (job == m_job && outcome == JobOutcome::Cancelled)
            m_now->setText(tr("Cancelled. Finished epochs are points of the trade-off; a click takes one."));
        updateState();
    });
    connect(&controller, &EngineController::dataOpened, this, [this] { updateState(); });
    connect(controller.jobs(), &JobsModel::activityChanged, this, [this] { updateState(); });
    connect(&document, &Document::changed, this, [this] { updateState(); });
    connect(&document, &Document::modelChanged, this, [this] {
        m_now->clear();
        m_doing->clear();
        updateState();
    });
    updateState();
}

/// What is chosen above, where it scrolls; what happens below. Open recipes take no room from the curves.
void TrainingPanel::setupHalves()
{
    auto *form = new QWidget;
    m_layout = new QVBoxLayout(form);
    m_layout->setContentsMargins(10, 10, 10, 6);
    m_layout->setSpacing(8);
    m_scroll = new QScrollArea;
    m_scroll->setAccessibleName(tr("Options of the training"));
    m_scroll->setWidgetResizable(true);
    m_scroll->setFrameShape(QFrame::NoFrame);
    m_scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
    m_scroll->setWidget(form);
    auto *lower = new QWidget;
    m_lower = new QVBoxLayout(lower);
    m_lower->setContentsMargins(10, 6, 10, 6);
    m_lower->setSpacing(8);
    m_halves = new QSplitter(Qt::Vertical);
    m_halves->setChildrenCollapsible(false);
    m_halves->addWidget(m_scroll);
    m_halves->addWidget(lower);
    m_halves->setStretchFactor(0, 1);
    m_halves->setStretchFactor(1, 1);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->addWidget(m_halves);
}

void TrainingPanel::setupRecipes()
{
    auto *title = new QLabel(tr("Recipes"));
    title->setToolTip(tr("What joins plain training; several work together"));
    m_layout->addWidget(title);
    m_layout->addWidget(m_recipes);
    connect(m_recipes, &RecipesForm::changed, this, &TrainingPanel::updateState);
    connect(m_recipes, &RecipesForm::refused, this, [this](const QString &why) {
        m_hint->setText(why);
        m_hint->show();
    });
}

void TrainingPanel::setupForm(QFormLayout *form)
{
    form->setVerticalSpacing(6);
    form->setHorizontalSpacing(10);
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow);
    form->addRow(tr("Epochs"), pair(m_epochs, tr("Batch"), m_batch));
    form->addRow(tr("Optimizer"), pair(m_optimizer, tr("Momentum"), m_momentum));
    form->addRow(tr("Learning rate"), pair(m_rate, tr("over time"), m_schedule));
    form->addRow(tr("Weight decay"), pair(m_decay, tr("Smoothing"), m_smoothing));
    form->addRow(tr("Seed"), m_seed);
    form->addRow(tr("Augment"), [this] {
        auto *row = new QWidget;
        auto *layout = new QHBoxLayout(row);
        layout->setContentsMargins(0, 0, 0, 0);
        layout->addWidget(m_shift);
        layout->addWidget(m_flip);
        layout->addStretch();
        return row;
    }());
    form->addRow(QString(), m_learnedStep);
    form->addRow(QString(), m_reestimate);
    connect(m_optimizer, &QComboBox::currentIndexChanged, this, [this] {
        const bool sgd = m_optimizer->currentData().toString() == QStringLiteral("sgd");
        m_momentum->setEnabled(sgd);
        // Each has its own usual rate; one that was chosen by hand stays.
        if (m_rate->value() == (sgd ? kAdamRate : kSgdRate))
            m_rate->setValue(sgd ? kSgdRate : kAdamRate);
    });
    connect(m_learnedStep, &QCheckBox::clicked, this, &TrainingPanel::applyLearnedStep);
}

void TrainingPanel::setupButtons(QVBoxLayout *layout)
{
    auto *row = new QHBoxLayout;
    m_start = new QPushButton(themedIcon(QStringLiteral("finetune")), tr("Fine-tune"));
    m_start->setToolTip(tr("Train the quantized network on the training data; the float weights stay untouched (F)"));
    m_pause = new QPushButton(themedIcon(QStringLiteral("pause")), tr("Pause"));
    m_pause->setToolTip(tr("Let the training rest, or go on"));
    m_cancel = new QPushButton(themedIcon(QStringLiteral("cancel")), tr("Cancel"));
    m_cancel->setToolTip(tr("Stop; epochs that are finished stay in Trade-off"));
    row->addWidget(m_start, 2);
    row->addWidget(m_pause, 1);
    row->addWidget(m_cancel, 1);
    layout->addLayout(row);
    m_progress->setAccessibleName(tr("Progress of the training"));
    m_progress->setTextVisible(true);
    m_progress->setRange(0, 1000);
    layout->addWidget(m_progress);
    for (QLabel *label : {m_now, m_doing, m_hint}) {
        label->setWordWrap(true);
        layout->addWidget(label);
    }
    m_now->setAccessibleName(tr("State of the training"));
    m_doing->setAccessibleName(tr("What the recipes are doing"));
    m_hint->setAccessibleName(tr("What is missing"));
    m_hint->setEnabled(false);
    connect(m_start, &QPushButton::clicked, this, &TrainingPanel::start);
    connect(m_pause, &QPushButton::clicked, this, [this] {
        m_paused = !m_paused;
        m_controller.setPaused(m_controller.trainingJob(), m_paused);
        updateState();
    });
    connect(m_cancel, &QPushButton::clicked, this, [this] { m_controller.cancel(m_controller.trainingJob()); });
}

void TrainingPanel::setCurves(QWidget *curves)
{
    QLayoutItem *stretch = m_lower->takeAt(m_lower->count() - 1);
    delete stretch;
    m_lower->addWidget(curves, 1);
    m_halves->setSizes({210, 400});
}

FineTuneOptions TrainingPanel::options() const
{
    FineTuneOptions options;
    options.epochs = m_epochs->value();
    options.batch = m_batch->value();
    options.optimizer = m_optimizer->currentData().toString().toStdString();
    options.learningRate = m_rate->value();
    options.momentum = m_momentum->value();
    options.weightDecay = m_decay->value();
    options.schedule = m_schedule->currentData().toString().toStdString();
    options.labelSmoothing = m_smoothing->value();
    options.shift = m_shift->isChecked();
    options.flip = m_flip->isChecked();
    options.reestimateBatchNorm = m_reestimate->isChecked();
    options.seed = std::uint64_t(m_seed->value());
    options.recipes = m_recipes->choices();
    options.teacher = m_recipes->teacher();
    return options;
}

void TrainingPanel::setOptions(const FineTuneOptions &options)
{
    m_epochs->setValue(options.epochs);
    m_batch->setValue(int(options.batch));
    m_optimizer->setCurrentIndex(m_optimizer->findData(toQString(options.optimizer)));
    m_rate->setValue(options.learningRate);
    m_momentum->setValue(options.momentum);
    m_decay->setValue(options.weightDecay);
    m_schedule->setCurrentIndex(m_schedule->findData(toQString(options.schedule)));
    m_smoothing->setValue(options.labelSmoothing);
    m_shift->setChecked(options.shift);
    m_flip->setChecked(options.flip);
    m_reestimate->setChecked(options.reestimateBatchNorm);
    m_seed->setValue(int(options.seed));
    m_recipes->setChoices(options.recipes);
    m_recipes->setTeacher(options.teacher);
}

QByteArray TrainingPanel::saveState() const
{
    return QByteArray::fromStdString(toJson(options()).dump());
}

void TrainingPanel::restoreState(const QByteArray &state)
{
    const auto saved = nlohmann::json::parse(state.toStdString(), nullptr, false);
    if (saved.is_object())
        setOptions(fromJson(saved, m_controller.catalog()));
}

QString TrainingPanel::obstacle() const
{
    if (!m_document.model())
        return tr("Open a network first.");
    if (m_controller.data().training.empty())
        return tr("Choose training data first (File, Data…).");
    if (const QString clash = m_recipes->clash(); !clash.isEmpty())
        return clash;
    if (m_document.isFloat() && m_recipes->choices().empty())
        return tr("Everything is float; set bits of some layers or choose a recipe first.");
    if (m_controller.trainingJob())
        return tr("A training is running.");
    return {};
}

void TrainingPanel::start()
{
    if (obstacle().isEmpty())
        m_controller.fineTune(options());
    updateState();
}

bool TrainingPanel::learnsSteps() const
{
    return std::ranges::any_of(m_document.resolved(), [](const auto &entry) {
        return boolParam(entry.second.weight.options, "learned_step") || boolParam(entry.second.activation.options, "learned_step");
    });
}

void TrainingPanel::applyLearnedStep()
{
    // An option of the method, so an edit like any other: undoable, and part of the assignment.
    m_document.setOption(m_document.quantizedLayers(), std::vector{Role::Weight, Role::Activation},
                         kLearnedStep, ParamValue(m_learnedStep->isChecked()));
    updateState();
}

void TrainingPanel::showStep(const TrainingStep &step)
{
    // Without labels there is no accuracy of a step.
    const QString accuracy = std::isnan(step.metric) ? QString() : tr("accuracy %1, ").arg(formatShare(step.metric, 1));
    m_now->setText(tr("Epoch %1, step %2 of %3: loss %4, %5learning rate %6")
                       .arg(step.epoch).arg(step.step).arg(step.totalSteps)
                       .arg(QLocale().toString(step.loss, 'f', 4), accuracy, formatReal(step.learningRate, 3)));
    QString doing = toQString(step.recipes);
    if (!doing.isEmpty())
        doing[0] = doing[0].toUpper();
    m_doing->setText(doing);
    m_doing->setVisible(!doing.isEmpty());
}

void TrainingPanel::showEpoch(const TrainingEpoch &epoch)
{
    m_now->setText(tr("Epoch %1 done: training loss %2, %3 %4").arg(epoch.epoch)
                       .arg(QLocale().toString(epoch.trainLoss, 'f', 4), metricTitle(epoch.trial.metric),
                            formatMetric(epoch.trial.metric, epoch.trial.value, epoch.trial.low, epoch.trial.high)));
}

void TrainingPanel::onProgress(const JobProgress &progress)
{
    if (progress.job != m_controller.trainingJob())
        return;
    const JobsModel::Job *job = m_controller.jobs()->job(progress.job);
    if (!job)
        return;
    m_progress->setValue(int(std::max(0.0, job->fraction()) * 1000));
    const double left = job->timeLeft();
    m_progress->setFormat(left < 0 ? tr("%p %") : tr("%p %, %1 left").arg(formatDuration(left)));
}

void TrainingPanel::updateState()
{
    const bool running = m_controller.trainingJob() != 0;
    const QString why = obstacle();
    m_start->setEnabled(why.isEmpty());
    m_pause->setEnabled(running);
    m_cancel->setEnabled(running);
    const JobsModel::Job *job = m_controller.jobs()->job(m_controller.trainingJob());
    m_paused = job && job->state == JobState::Paused;
    m_pause->setText(m_paused ? tr("Go on") : tr("Pause"));
    m_pause->setIcon(themedIcon(m_paused ? QStringLiteral("evaluate") : QStringLiteral("pause")));
    m_progress->setVisible(running);
    if (!running) {
        m_progress->setValue(0);
        m_progress->setFormat(tr("%p %"));
    }
    m_hint->setText(running ? QString() : why);
    m_hint->setVisible(!m_hint->text().isEmpty());
    m_now->setVisible(!m_now->text().isEmpty());
    m_doing->setVisible(!m_doing->text().isEmpty());
    m_recipes->setEnabled(!running);
    m_learnedStep->setEnabled(!running && !m_document.quantizedLayers().empty());
    m_learnedStep->setChecked(learnsSteps());
}

} // namespace bitwright
