// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "config/model_config.h"

#include <QString>

namespace bitwright {

/// "first and last layer float, shortcuts 8 bit"; "every layer alike".
QString policyText(const LayerPolicy &policy);

} // namespace bitwright
