// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "catalog/method_traits.h"

#include <QString>

#include <vector>

class QComboBox;

namespace bitwright {

/// Quantizers of one family that can do a role, in the catalog's order.
struct MethodFamily {
    QString title;   ///< "Powers of two"
    std::vector<const MethodTraits *> methods;
};
/// In the order in which the catalog names the families first; pointers live as long as the catalog.
std::vector<MethodFamily> methodFamilies(const Catalog &catalog, Role role);

/// Summary, paper and year: what a method's tooltip says.
QString methodTip(const MethodTraits &method);

/// Fills a box with "float" and every quantizer that can do the role under its family's heading, which cannot be chosen.
/// An entry's data is the method's id.
void fillMethodBox(QComboBox *box, const Catalog &catalog, Role role, bool withFloat = true);

} // namespace bitwright
