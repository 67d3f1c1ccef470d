// SPDX-License-Identifier: GPL-3.0-or-later
#include "delegates/layer_delegates.h"

#include "models/jobs_model.h"
#include "models/layer_table_model.h"
#include "util/theme.h"

#include <QApplication>
#include <QComboBox>
#include <QPainter>
#include <QPainterPath>

namespace bitwright {

namespace {

constexpr int kMostBits = 16;

/// The cell's background, selection and focus, without its text.
void paintBackground(QPainter *painter, const QStyleOptionViewItem &option)
{
    QStyleOptionViewItem plain(option);
    plain.text.clear();
    plain.icon = {};
    const QStyle *style = plain.widget ? plain.widget->style() : QApplication::style();
    style->drawControl(QStyle::CE_ItemViewItem, &plain, painter, plain.widget);
}

/// A choice in a list is made: no second Enter.
void commitOnActivate(QComboBox *box, const QStyledItemDelegate *delegate)
{
    auto *self = const_cast<QStyledItemDelegate *>(delegate);
    QObject::connect(box, &QComboBox::activated, self, [self, box] {
        emit self->commitData(box);
        emit self->closeEditor(box);
    });
}

} // namespace

QWidget *MethodDelegate::createEditor(QWidget *parent, const QStyleOptionViewItem &, const QModelIndex &index) const
{
    auto *box = new QComboBox(parent);
    box->setAccessibleName(tr("Method"));
    box->addItems(index.data(LayerTableModel::MethodsRole).toStringList());
    commitOnActivate(box, this);
    return box;
}

void MethodDelegate::setEditorData(QWidget *editor, const QModelIndex &index) const
{
    auto *box = qobject_cast<QComboBox *>(editor);
    box->setCurrentText(index.data(Qt::EditRole).toString());
}

void MethodDelegate::setModelData(QWidget *editor, QAbstractItemModel *model, const QModelIndex &index) const
{
    model->setData(index, qobject_cast<QComboBox *>(editor)->currentText());
}

void BitsDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    QStyleOptionViewItem opt(option);
    initStyleOption(&opt, index);
    const int bits = index.data(Qt::EditRole).toInt();
    const bool kept = index.data(LayerTableModel::KeptRole).toBool();
    if (!(index.flags() & Qt::ItemIsEditable) || (bits == 0 && !kept)) {
        QStyledItemDelegate::paint(painter, option, index);
        return;
    }
    const QString text = opt.text;
    paintBackground(painter, opt);
    const QColor colour = bits == 0 ? opt.palette.color(QPalette::Mid) : bitsColour(bits, opt.palette);
    QRectF chip = QRectF(opt.rect).adjusted(4, 3, -4, -3);
    const double width = std::max(chip.height() * 1.4, opt.fontMetrics.horizontalAdvance(text) + 14.0);
    if (chip.width() > width)
        chip.setLeft(chip.right() - width);
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    QColor fill = colour;
    fill.setAlphaF(opt.state & QStyle::State_Selected ? 0.9F : isDark(opt.palette) ? 0.26F : 0.18F);
    // Dashed: the policy says so, not the layer itself.
    painter->setPen(QPen(kept ? opt.palette.color(opt.state & QStyle::State_Selected ? QPalette::HighlightedText : QPalette::Text) : colour, 1,
                         kept ? Qt::DashLine : Qt::SolidLine));
    painter->setBrush(fill);
    painter->drawRoundedRect(chip.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4);
    painter->setFont(opt.font);
    painter->setPen(opt.palette.color(opt.state & QStyle::State_Selected ? QPalette::HighlightedText : QPalette::Text));
    painter->drawText(chip, Qt::AlignCenter, text);
    painter->restore();
}

QWidget *BitsDelegate::createEditor(QWidget *parent, const QStyleOptionViewItem &, const QModelIndex &) const
{
    auto *box = new QComboBox(parent);
    box->setAccessibleName(tr("Bits"));
    box->addItem(tr("float"), 0);
    for (int bits = 1; bits <= kMostBits; ++bits)
        box->addItem(QString::number(bits), bits);
    commitOnActivate(box, this);
    return box;
}

void BitsDelegate::setEditorData(QWidget *editor, const QModelIndex &index) const
{
    auto *box = qobject_cast<QComboBox *>(editor);
    box->setCurrentIndex(box->findData(index.data(Qt::EditRole).toInt()));
}

void BitsDelegate::setModelData(QWidget *editor, QAbstractItemModel *model, const QModelIndex &index) const
{
    model->setData(index, qobject_cast<QComboBox *>(editor)->currentData());
}

void StripDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    QStyleOptionViewItem opt(option);
    initStyleOption(&opt, index);
    paintBackground(painter, opt);
    const auto heights = index.data(LayerTableModel::StripRole).value<QList<double>>();
    if (heights.isEmpty())
        return;
    const QRectF area = QRectF(opt.rect).adjusted(4, 3, -4, -3);
    QPainterPath path(area.bottomLeft());
    const double step = area.width() / double(heights.size());
    for (qsizetype i = 0; i < heights.size(); ++i) {
        const double y = area.bottom() - heights[i] * area.height();
        path.lineTo(area.left() + double(i) * step, y);
        path.lineTo(area.left() + double(i + 1) * step, y);
    }
    path.lineTo(area.bottomRight());
    painter->save();
    const bool selected = opt.state & QStyle::State_Selected;
    QColor colour = selected ? opt.palette.color(QPalette::HighlightedText) : signalColours(opt.palette).weight;
    colour.setAlphaF(selected ? 0.85F : 0.7F);
    painter->fillPath(path, colour);
    painter->restore();
}

void CurveDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    const auto curve = index.data(LayerTableModel::CurveRole).value<QList<QPointF>>();
    if (curve.isEmpty()) {
        QStyledItemDelegate::paint(painter, option, index);
        return;
    }
    QStyleOptionViewItem opt(option);
    initStyleOption(&opt, index);
    paintBackground(painter, opt);
    const QRectF area = QRectF(opt.rect).adjusted(5, 4, -5, -4);
    const auto place = [&](const QPointF &point) {
        return QPointF(area.left() + point.x() * area.width(), area.bottom() - point.y() * area.height());
    };
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    painter->setPen(QPen(opt.palette.color(QPalette::Disabled, QPalette::Text), 0.5));
    painter->drawLine(area.bottomLeft(), area.bottomRight());
    QPolygonF line;
    for (const QPointF &point : curve)
        line << place(point);
    painter->setPen(QPen(opt.palette.color(opt.state & QStyle::State_Selected ? QPalette::HighlightedText : QPalette::Highlight), 1.5));
    painter->drawPolyline(line);
    for (const QPointF &point : line)
        painter->drawEllipse(point, 1.2, 1.2);
    painter->restore();
}

void ProgressDelegate::paint(QPainter *painter, const QStyleOptionViewItem &option, const QModelIndex &index) const
{
    QStyleOptionViewItem opt(option);
    initStyleOption(&opt, index);
    const QString phase = opt.text;
    paintBackground(painter, opt);
    const auto state = JobState(index.data(JobsModel::StateRole).toInt());
    const double fraction = index.data(JobsModel::FractionRole).toDouble();
    if (state == JobState::Waiting || state == JobState::Cancelled || state == JobState::Failed)
        return;
    painter->save();
    painter->setRenderHint(QPainter::Antialiasing);
    const QRectF bar = QRectF(opt.rect).adjusted(6, 5, -6, -5);
    const SignalColours colours = signalColours(opt.palette);
    const QColor colour = state == JobState::Finished ? colours.good
                          : state == JobState::Paused ? colours.warning
                                                      : opt.palette.color(QPalette::Highlight);
    painter->setPen(Qt::NoPen);
    painter->setBrush(opt.palette.color(QPalette::Midlight));
    painter->drawRoundedRect(bar, 3, 3);
    if (fraction > 0) {
        QColor fill = colour;
        fill.setAlphaF(0.75F);
        painter->setBrush(fill);
        QRectF done = bar;
        done.setWidth(bar.width() * fraction);
        painter->drawRoundedRect(done, 3, 3);
    }
    QString text = phase;
    if (fraction >= 0 && state != JobState::Finished)
        text = tr("%1 %2 %").arg(phase).arg(int(fraction * 100)).trimmed();
    painter->setPen(opt.palette.color(QPalette::Text));
    painter->setFont(opt.font);
    painter->drawText(bar.adjusted(6, 0, -6, 0), Qt::AlignVCenter | Qt::AlignLeft,
                      opt.fontMetrics.elidedText(text, Qt::ElideRight, int(bar.width()) - 12));
    painter->restore();
}

} // namespace bitwright
