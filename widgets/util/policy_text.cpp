// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/policy_text.h"

#include <QCoreApplication>

namespace bitwright {

namespace {

using Keep = LayerPolicy::Keep;

QString tr(const char *text)
{
    return QCoreApplication::translate("PolicyText", text);
}

QString keepText(Keep keep)
{
    return keep == Keep::Float ? tr("float") : tr("8 bit");
}

} // namespace

QString policyText(const LayerPolicy &policy)
{
    if (policy == LayerPolicy{})
        return tr("every layer alike");
    if (policy.firstLast == policy.shortcuts)
        return tr("first, last and shortcuts %1").arg(keepText(policy.firstLast));
    if (policy.firstLast == Keep::Same)
        return tr("shortcuts %1").arg(keepText(policy.shortcuts));
    const QString ends = tr("first and last %1").arg(keepText(policy.firstLast));
    return policy.shortcuts == Keep::Same ? ends : tr("%1, shortcuts %2").arg(ends, keepText(policy.shortcuts));
}

} // namespace bitwright
