// SPDX-License-Identifier: GPL-3.0-or-later
#include "models/jobs_model.h"

#include "util/format.h"

#include <algorithm>

namespace bitwright {

namespace {

constexpr std::size_t kKept = 100;

QString stateText(JobState state)
{
    switch (state) {
    case JobState::Waiting: return JobsModel::tr("Waiting");
    case JobState::Running: return JobsModel::tr("Running");
    case JobState::Paused: return JobsModel::tr("Paused");
    case JobState::Finished: return JobsModel::tr("Finished");
    case JobState::Failed: return JobsModel::tr("Failed");
    case JobState::Cancelled: return JobsModel::tr("Cancelled");
    }
    return {};
}

QString timeText(const JobsModel::Job &job)
{
    if (job.state == JobState::Waiting)
        return {};
    if (job.ended())
        return formatDuration(job.elapsed);
    const double left = job.timeLeft();
    return left < 0 ? formatDuration(job.elapsed) : JobsModel::tr("%1 left").arg(formatDuration(left));
}

} // namespace

double JobsModel::Job::fraction() const
{
    if (state == JobState::Finished)
        return 1;
    return progress.total > 0 ? std::clamp(double(progress.done) / double(progress.total), 0.0, 1.0) : -1;
}

double JobsModel::Job::timeLeft() const
{
    if (progress.total <= 0 || progress.done <= 0 || elapsed <= 0)
        return -1;
    return elapsed * double(progress.total - progress.done) / double(progress.done);
}

int JobsModel::rowCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(m_jobs.size());
}

int JobsModel::columnCount(const QModelIndex &parent) const
{
    return parent.isValid() ? 0 : int(ColumnCount);
}

QVariant JobsModel::data(const QModelIndex &index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid))
        return {};
    const Job &job = m_jobs[std::size_t(index.row())];
    switch (role) {
    case Qt::DisplayRole:
        switch (index.column()) {
        case Title: return job.title;
        case State: return stateText(job.state);
        case Done: return job.ended() ? QString() : toQString(job.progress.phase);
        case Time: return timeText(job);
        default: return {};
        }
    case Qt::ToolTipRole:
        return job.error.isEmpty() ? job.title : job.error;
    case Qt::TextAlignmentRole:
        return index.column() == Time ? QVariant(Qt::AlignRight | Qt::AlignVCenter) : QVariant();
    case JobRole: return QVariant::fromValue<quint64>(job.id);
    case StateRole: return int(job.state);
    case FractionRole: return job.fraction();
    case ErrorRole: return job.error;
    default: return {};
    }
}

QVariant JobsModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || role != Qt::DisplayRole)
        return {};
    switch (section) {
    case Title: return tr("Job");
    case State: return tr("State");
    case Done: return tr("Progress");
    case Time: return tr("Time");
    default: return {};
    }
}

int JobsModel::rowOf(JobId id) const
{
    const auto it = std::ranges::find(m_jobs, id, &Job::id);
    return it == m_jobs.end() ? -1 : int(it - m_jobs.begin());
}

const JobsModel::Job *JobsModel::job(JobId id) const
{
    const int row = rowOf(id);
    return row < 0 ? nullptr : &m_jobs[std::size_t(row)];
}

const JobsModel::Job *JobsModel::foremost() const
{
    const Job *waiting = nullptr;
    for (const Job &each : m_jobs) {
        if (each.state == JobState::Running || each.state == JobState::Paused)
            return &each;
        if (each.state == JobState::Waiting && !waiting)
            waiting = &each;
    }
    return waiting;
}

int JobsModel::activeCount() const
{
    return int(std::ranges::count_if(m_jobs, [](const Job &each) { return !each.ended(); }));
}

void JobsModel::touch(int row)
{
    emit dataChanged(index(row, 0), index(row, ColumnCount - 1));
    emit activityChanged();
}

void JobsModel::add(JobId id, const QString &title)
{
    const auto oldest = std::find_if(m_jobs.rbegin(), m_jobs.rend(), [](const Job &each) { return each.ended(); });
    if (m_jobs.size() >= kKept && oldest != m_jobs.rend()) {
        const int row = int(m_jobs.rend() - oldest) - 1;
        beginRemoveRows({}, row, row);
        m_jobs.erase(m_jobs.begin() + row);
        endRemoveRows();
    }
    beginInsertRows({}, 0, 0);
    Job job;
    job.id = id;
    job.title = title;
    m_jobs.insert(m_jobs.begin(), std::move(job));
    endInsertRows();
    emit activityChanged();
}

void JobsModel::setTitle(JobId id, const QString &title)
{
    if (const int row = rowOf(id); row >= 0 && !title.isEmpty() && m_jobs[std::size_t(row)].title != title) {
        m_jobs[std::size_t(row)].title = title;
        touch(row);
    }
}

void JobsModel::setStarted(JobId id)
{
    if (const int row = rowOf(id); row >= 0 && m_jobs[std::size_t(row)].state == JobState::Waiting) {
        m_jobs[std::size_t(row)].state = JobState::Running;
        touch(row);
    }
}

void JobsModel::setProgress(const JobProgress &event)
{
    const int row = rowOf(event.job);
    if (row < 0 || m_jobs[std::size_t(row)].ended())
        return;
    Job &job = m_jobs[std::size_t(row)];
    job.progress = event.progress;
    job.elapsed = event.elapsedSeconds;
    if (job.state == JobState::Waiting)
        job.state = JobState::Running;
    touch(row);
}

void JobsModel::setPaused(JobId id, bool paused)
{
    const int row = rowOf(id);
    if (row < 0 || m_jobs[std::size_t(row)].ended())
        return;
    m_jobs[std::size_t(row)].state = paused ? JobState::Paused : JobState::Running;
    touch(row);
}

void JobsModel::setEnded(const JobEnded &event)
{
    const int row = rowOf(event.job);
    if (row < 0)
        return;
    Job &job = m_jobs[std::size_t(row)];
    job.state = event.outcome == JobOutcome::Finished ? JobState::Finished
                : event.outcome == JobOutcome::Failed ? JobState::Failed
                                                      : JobState::Cancelled;
    job.elapsed = event.seconds;
    if (event.outcome == JobOutcome::Failed)
        job.error = toQString(event.error.message);
    touch(row);
}

void JobsModel::clearFinished()
{
    for (int row = int(m_jobs.size()) - 1; row >= 0; --row) {
        if (!m_jobs[std::size_t(row)].ended())
            continue;
        beginRemoveRows({}, row, row);
        m_jobs.erase(m_jobs.begin() + row);
        endRemoveRows();
    }
}

} // namespace bitwright
