// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "simulate/network.h"

#include <memory>
#include <string>

namespace bitwright {

/// Writes a network with these parameters and buffers in place, in the format that it came in: a copy of the file in which
/// nothing else changes. Errors as of writeWithParameters() and of the ONNX exporter.
Status writeTrained(const std::shared_ptr<const Network> &network, const ParameterMap &tensors, const std::string &target,
                    const JobContext &context);

} // namespace bitwright
