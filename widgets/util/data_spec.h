// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

namespace bitwright {

/// The fields of a --data SPEC, `KIND:PATH[,option=value…]`, for the dialog. The engine reads the text itself.
struct DataSpec {
    QString kind;                 ///< idx, images, cifar, npz, npy, sample, synthetic; empty for none
    QString path;                 ///< of `sample`: test or train
    QString split, size;          ///< idx: test or train; images: HxW
    QString mean, std;            ///< per channel, "|" between
    qint64 limit = 0, first = 0;  ///< 0: not given
    friend bool operator==(const DataSpec &, const DataSpec &) = default;
};

/// The SPEC as text; empty without a kind.
QString toText(const DataSpec &spec);
/// Reads what toText writes; keys that it does not know are lost.
DataSpec dataSpecFromText(const QString &text);
/// Why the fields cannot be right, as one sentence; empty when they may be.
QString dataSpecProblem(const DataSpec &spec);

} // namespace bitwright
