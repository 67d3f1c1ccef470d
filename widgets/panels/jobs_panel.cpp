// SPDX-License-Identifier: GPL-3.0-or-later
#include "panels/jobs_panel.h"

#include "bridge/engine_controller.h"
#include "delegates/layer_delegates.h"
#include "models/jobs_model.h"
#include "models/log_model.h"
#include "util/table_text.h"
#include "util/theme.h"

#include <QHBoxLayout>
#include <QHeaderView>
#include <QScrollBar>
#include <QSplitter>
#include <QTableView>
#include <QToolButton>

namespace bitwright {

namespace {

QTableView *makeTable(QAbstractItemModel *model, const QString &name)
{
    auto *table = new QTableView;
    table->setModel(model);
    table->setAccessibleName(name);
    table->setSelectionBehavior(QAbstractItemView::SelectRows);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setShowGrid(false);
    table->setWordWrap(false);
    table->setTabKeyNavigation(false);
    table->verticalHeader()->hide();
    table->verticalHeader()->setDefaultSectionSize(table->fontMetrics().height() + 8);
    table->horizontalHeader()->setHighlightSections(false);
    table->horizontalHeader()->setDefaultAlignment(Qt::AlignLeft | Qt::AlignVCenter);
    return table;
}

QToolButton *makeButton(const QString &icon, const QString &name, const QString &tip)
{
    auto *button = new QToolButton;
    button->setIcon(themedIcon(icon));
    button->setAccessibleName(name);
    button->setToolTip(tip);
    button->setAutoRaise(true);
    return button;
}

} // namespace

JobsPanel::JobsPanel(Document &document, EngineController &controller, QWidget *parent)
    : QWidget(parent), m_document(document), m_controller(controller)
{
    setAccessibleName(tr("Jobs and log"));
    auto *splitter = new QSplitter;
    splitter->setAccessibleName(tr("Jobs beside log"));
    splitter->setHandleWidth(7);
    splitter->addWidget(makeJobs());
    splitter->addWidget(makeLog());
    splitter->setStretchFactor(0, 1);
    splitter->setStretchFactor(1, 1);
    splitter->setChildrenCollapsible(false);
    auto *layout = new QVBoxLayout(this);
    layout->setContentsMargins(6, 4, 6, 4);
    layout->addWidget(splitter);
    updateButtons();
}

QWidget *JobsPanel::makeJobs()
{
    auto *panel = new QWidget;
    auto *layout = new QHBoxLayout(panel);
    layout->setContentsMargins(0, 0, 0, 0);
    layout->setSpacing(2);
    JobsModel *model = m_controller.jobs();
    m_jobs = makeTable(model, tr("Jobs"));
    m_jobs->setItemDelegateForColumn(JobsModel::Done, new ProgressDelegate(m_jobs));
    QHeaderView *header = m_jobs->horizontalHeader();
    header->setSectionResizeMode(JobsModel::Title, QHeaderView::Stretch);
    const int character = fontMetrics().averageCharWidth();
    m_jobs->setColumnWidth(JobsModel::State, character * 11);
    m_jobs->setColumnWidth(JobsModel::Done, character * 22);
    m_jobs->setColumnWidth(JobsModel::Time, character * 15);
    addCopyActions(m_jobs, QStringLiteral("jobs"));
    layout->addWidget(m_jobs, 1);

    m_pause = makeButton(QStringLiteral("pause"), tr("Pause or go on"), tr("Pause the selected job, or let it go on"));
    m_cancel = makeButton(QStringLiteral("cancel"), tr("Cancel job"), tr("Cancel the selected job; what it has finished is kept (Esc cancels the running one)"));
    m_clear = makeButton(QStringLiteral("columns"), tr("Clear finished jobs"), tr("Take finished jobs off the list"));
    m_clear->setIcon({});
    m_clear->setText(tr("Clear"));
    auto *buttons = new QVBoxLayout;
    buttons->setSpacing(2);
    buttons->addWidget(m_pause);
    buttons->addWidget(m_cancel);
    buttons->addStretch();
    buttons->addWidget(m_clear);
    layout->addLayout(buttons);

    connect(m_pause, &QToolButton::clicked, this, [this] {
        const JobsModel::Job *job = m_controller.jobs()->job(currentJob());
        if (job)
            m_controller.setPaused(job->id, job->state != JobState::Paused);
    });
    connect(m_cancel, &QToolButton::clicked, this, [this] { m_controller.cancel(currentJob()); });
    connect(m_clear, &QToolButton::clicked, model, &JobsModel::clearFinished);
    connect(m_jobs->selectionModel(), &QItemSelectionModel::selectionChanged, this, &JobsPanel::updateButtons);
    connect(model, &JobsModel::activityChanged, this, &JobsPanel::updateButtons);
    connect(model, &QAbstractItemModel::rowsRemoved, this, &JobsPanel::updateButtons);
    return panel;
}

QWidget *JobsPanel::makeLog()
{
    LogModel *model = m_controller.log();
    m_log = makeTable(model, tr("Log"));
    m_log->horizontalHeader()->setStretchLastSection(true);
    const int character = fontMetrics().averageCharWidth();
    m_log->setColumnWidth(LogModel::Time, character * 11);
    m_log->setColumnWidth(LogModel::Level, character * 9);
    addCopyActions(m_log, QStringLiteral("log"));
    connect(m_log, &QTableView::doubleClicked, this, [this](const QModelIndex &index) {
        const QString layer = index.data(LogModel::LayerRole).toString();
        if (!layer.isEmpty())
            m_document.setSelection({layer.toStdString()});
    });
    connect(model, &QAbstractItemModel::rowsInserted, m_log, [this] {
        QScrollBar *bar = m_log->verticalScrollBar();
        if (bar->value() >= bar->maximum() - 1)   // whoever reads further up is left there
            QMetaObject::invokeMethod(m_log, &QTableView::scrollToBottom, Qt::QueuedConnection);
    });
    return m_log;
}

quint64 JobsPanel::currentJob() const
{
    const QModelIndexList rows = m_jobs->selectionModel()->selectedRows();
    if (!rows.isEmpty()) {
        const quint64 id = rows.first().data(JobsModel::JobRole).toULongLong();
        const JobsModel::Job *job = m_controller.jobs()->job(id);
        if (job && !job->ended())
            return id;
    }
    const JobsModel::Job *foremost = m_controller.jobs()->foremost();
    return foremost ? foremost->id : 0;
}

void JobsPanel::updateButtons()
{
    const JobsModel *model = m_controller.jobs();
    const JobsModel::Job *job = model->job(currentJob());
    m_pause->setEnabled(job != nullptr);
    m_pause->setIcon(themedIcon(job && job->state == JobState::Paused ? QStringLiteral("evaluate") : QStringLiteral("pause")));
    m_cancel->setEnabled(job != nullptr);
    m_clear->setEnabled(model->rowCount() > model->activeCount());
}

} // namespace bitwright
