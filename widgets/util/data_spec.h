// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/data_preview.h"

#include <QList>
#include <QPair>
#include <QString>

namespace bitwright {

/// The fields of a --data SPEC, `KIND:PATH[,option=value…]`, for the dialog. The engine reads the text itself.
struct DataFields {
    QString kind;                 ///< idx, images, cifar, npz, npy, sample, random, synthetic; empty for none
    QString path;                 ///< of `sample`: test or train
    QString split, size;          ///< idx: test or train; images: HxW
    QString mean, std;            ///< per channel, "|" between
    qint64 limit = 0, first = 0;  ///< 0: not given
    qint64 count = 0, seed = 0;   ///< random
    QList<QPair<QString, QString>> wishes;   ///< random: what else it says, sizes and ranges by input; an empty value has to be filled in
    friend bool operator==(const DataFields &, const DataFields &) = default;
};

/// The SPEC as text; empty without a kind.
QString toText(const DataFields &spec);
/// Reads what toText writes; keys that it does not know are lost.
DataFields dataSpecFromText(const QString &text);
/// Random data for these inputs as far as the network tells, with guesses where it does not.
DataFields guessedRandomData(const std::vector<InputNeed> &inputs);
/// True where nothing of it is a guess: no free size, no unknown range.
bool isRandomDataKnown(const std::vector<InputNeed> &inputs);
/// "N × 3 × ? × ?": the batch as N, sizes that are free as ?.
QString inputText(const InputNeed &need);
/// "1x3x224x224" of the sizes that an input is guessed to have.
QString guessText(const InputNeed &need);
/// Why the fields cannot be right, as one sentence; empty when they may be.
QString dataSpecProblem(const DataFields &spec);

} // namespace bitwright
