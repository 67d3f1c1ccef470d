// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

class QVBoxLayout;

namespace bitwright {

/// What a person sees before a network is open: samples, what was open last, and what can be done.
class StartPage : public QWidget {
    Q_OBJECT
public:
    struct Sample {
        QString title, description, path;
    };
    struct Entry {
        QString title, path;
    };
    explicit StartPage(QWidget *parent = nullptr);
    void setSamples(const QList<Sample> &samples);
    void setRecent(const QStringList &models, const QList<Entry> &sessions);

signals:
    void openRequested();
    void modelRequested(const QString &path);
    void sessionRequested(const QString &path);

private:
    QVBoxLayout *m_samples, *m_recent;
};

/// The networks in a folder of samples (each .pt2 with its .json beside it), in the order of their names.
QList<StartPage::Sample> samplesIn(const QString &folder);

} // namespace bitwright
