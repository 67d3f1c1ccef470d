// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine_factory.h"

namespace bitwright {

/// Decodes a picture with Qt: grey ones to one channel, others to three.
Result<DecodedImage> decodeImage(const std::string &path);

} // namespace bitwright
