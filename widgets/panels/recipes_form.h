// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "session/engine_api.h"

#include <QWidget>

#include <string>
#include <vector>

class QCheckBox;
class QLineEdit;

namespace bitwright {

class ParamForm;

/// The training recipes of a catalog: a check box each, its options below while it is ticked. Knows no recipe by itself.
class RecipesForm : public QWidget {
    Q_OBJECT
public:
    /// `catalog` must outlive the form.
    explicit RecipesForm(const Catalog &catalog, QWidget *parent = nullptr);

    /// Those ticked, in the order of the catalog, with the options that were set by hand.
    [[nodiscard]] std::vector<RecipeChoice> choices() const;
    /// Ticks these and no others; recipes and options that the catalog does not have are left out.
    void setChoices(const std::vector<RecipeChoice> &choices);
    /// The file of the teacher; empty for the network itself, or while no recipe has a teacher.
    [[nodiscard]] std::string teacher() const;
    void setTeacher(const std::string &path);
    /// Why these cannot run together; empty where they can.
    [[nodiscard]] QString clash() const;

signals:
    void changed();
    /// What was typed is not possible; one sentence.
    void refused(const QString &why);

private:
    struct Row {
        const MethodTraits *recipe = nullptr;
        QCheckBox *box = nullptr;
        QWidget *options = nullptr;   ///< all that shows while it is ticked
        ParamForm *form = nullptr;
        ParamValues values;
    };
    void addRow(const MethodTraits &recipe);
    QWidget *makeTeacher();
    void chooseTeacher();

    std::vector<Row> m_rows;
    QLineEdit *m_teacher = nullptr;
};

} // namespace bitwright
