// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <QAbstractTableModel>

#include <vector>

namespace bitwright {

enum class JobState { Waiting, Running, Paused, Finished, Failed, Cancelled };

/// Running, waiting and finished jobs, newest first. Old finished ones fall off the end.
class JobsModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { Title, State, Done, Time, ColumnCount };
    enum Role { JobRole = Qt::UserRole, StateRole, FractionRole, ErrorRole };

    using QAbstractTableModel::QAbstractTableModel;
    int rowCount(const QModelIndex &parent = {}) const override;
    int columnCount(const QModelIndex &parent = {}) const override;
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

    void add(JobId job, const QString &title);
    void setTitle(JobId job, const QString &title);
    void setStarted(JobId job);
    void setProgress(const JobProgress &progress);
    void setPaused(JobId job, bool paused);
    void setEnded(const JobEnded &event);
    void clearFinished();

    struct Job {
        JobId id = 0;
        QString title, error;
        JobState state = JobState::Waiting;
        Progress progress;
        double elapsed = 0;
        [[nodiscard]] bool ended() const { return state >= JobState::Finished; }
        /// 0 to 1, or -1 while unknown.
        [[nodiscard]] double fraction() const;
        /// Seconds, or -1 while unknown.
        [[nodiscard]] double timeLeft() const;
    };
    /// Null when it was never added or fell off.
    [[nodiscard]] const Job *job(JobId id) const;
    /// The newest job that runs, else the newest that waits; null when none.
    [[nodiscard]] const Job *foremost() const;
    [[nodiscard]] int activeCount() const;

signals:
    /// Something about running or waiting jobs changed; for the status bar.
    void activityChanged();

private:
    [[nodiscard]] int rowOf(JobId job) const;
    void touch(int row);
    std::vector<Job> m_jobs;
};

} // namespace bitwright
