// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/params.h"

#include <QWidget>

#include <map>
#include <optional>
#include <string>
#include <vector>

class QFormLayout;

namespace bitwright {

/// A form made from declared parameters: a check box, a spin box, a combo box or a line for each, with the parameter's
/// own help and unit. It knows no method. Setting values never signals; only the person's edits do.
class ParamForm : public QWidget {
    Q_OBJECT
public:
    explicit ParamForm(QWidget *parent = nullptr);

    /// Rebuilds the fields only where `params` are others than before, so that an edit keeps its focus.
    void setParams(const std::vector<ParamSpec> &params, const ParamValues &values);
    [[nodiscard]] QWidget *field(const std::string &name) const;
    /// A parameter's name as people read it: "full range".
    [[nodiscard]] static QString label(const std::string &name);

signals:
    /// What was typed is not possible; one sentence. The field shows the old value again.
    void refused(const QString &why);
    /// nullopt takes an optional parameter away.
    void edited(const std::string &name, const std::optional<bitwright::ParamValue> &value);

private:
    void rebuild();
    QWidget *makeField(const ParamSpec &param);
    QWidget *makeSwitch(const ParamSpec &param);
    QWidget *makeLine(const ParamSpec &param);
    void show(const ParamSpec &param, const ParamValues &values);
    void enableDependents(const ParamValues &values);

    std::vector<ParamSpec> m_params;
    ParamValues m_values;
    std::map<std::string, QWidget *> m_fields;
    QFormLayout *m_layout;
};

} // namespace bitwright
