// SPDX-License-Identifier: GPL-3.0-or-later
#include "util/method_box.h"

#include "config/model_config.h"
#include "util/format.h"

#include <QAbstractItemView>
#include <QComboBox>
#include <QCoreApplication>
#include <QFont>
#include <QStandardItemModel>

#include <algorithm>

namespace bitwright {

namespace {

QString tr(const char *text)
{
    return QCoreApplication::translate("MethodBox", text);
}

void addHeading(QComboBox *box, const QString &title)
{
    box->addItem(title);
    auto *items = qobject_cast<QStandardItemModel *>(box->model());
    QStandardItem *item = items ? items->item(box->count() - 1) : nullptr;
    if (!item)
        return;
    item->setFlags(Qt::NoItemFlags);
    QFont font = item->font();
    font.setBold(true);
    item->setFont(font);
}

} // namespace

std::vector<MethodFamily> methodFamilies(const Catalog &catalog, Role role)
{
    std::vector<MethodFamily> families;
    for (const MethodTraits &method : catalog.methods()) {
        if (method.kind != MethodKind::Quantizer || method.id == kFloatMethod || !method.hasRole(role))
            continue;
        QString title = method.family.empty() ? tr("other") : toQString(method.family);
        title[0] = title[0].toUpper();
        auto family = std::ranges::find(families, title, &MethodFamily::title);
        if (family == families.end())
            family = families.insert(families.end(), MethodFamily{title, {}});
        family->methods.push_back(&method);
    }
    return families;
}

QString methodTip(const MethodTraits &method)
{
    QString tip = toQString(method.summary);
    if (!method.paper.empty())
        tip += QStringLiteral("\n%1").arg(toQString(method.paper));
    // Most papers say their year themselves.
    if (method.year > 0 && !toQString(method.paper).contains(QString::number(method.year)))
        tip += QStringLiteral(", %1").arg(method.year);
    return tip;
}

void fillMethodBox(QComboBox *box, const Catalog &catalog, Role role, bool withFloat)
{
    box->clear();
    if (withFloat) {
        box->addItem(tr("float"), QString::fromLatin1(kFloatMethod));
        box->setItemData(0, tr("Not quantized: 32-bit floating point"), Qt::ToolTipRole);
    }
    for (const MethodFamily &family : methodFamilies(catalog, role)) {
        addHeading(box, family.title);
        for (const MethodTraits *method : family.methods) {
            box->addItem(toQString(method->title.empty() ? method->id : method->title), toQString(method->id));
            box->setItemData(box->count() - 1, methodTip(*method), Qt::ToolTipRole);
        }
    }
    box->view()->setMinimumWidth(box->view()->sizeHintForColumn(0) + 12);
    // A box without "float" must not start on a heading.
    if (!withFloat && box->count() > 1)
        box->setCurrentIndex(1);
}

} // namespace bitwright
