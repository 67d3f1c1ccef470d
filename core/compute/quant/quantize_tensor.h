// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/quantizer.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// What one quantizer makes of one raw tensor: all that `bitwright-cli quantize` reports.
struct QuantizedTensor {
    QuantSpec spec;                       ///< with its values
    at::Tensor quantized;                 ///< shape and floating type of the input
    at::Tensor gradInput;                 ///< defined when a gradient was given
    QuantGrid grid;                       ///< levels and thresholds per group
    double mse = 0;                       ///< over the finite values; 0 when there are none
    std::optional<double> sqnrDb;         ///< absent when signal or error is 0
    double bitsPerValue = 0;
    double sideInformationBits = 0;
    std::map<std::string, std::vector<double>> parameters;
    std::map<std::string, std::vector<double>> parameterGradients;   ///< of what training learns; empty otherwise
    std::uint64_t nanCount = 0, infCount = 0;   ///< in the input; they have no part in scales and errors
    std::string warning;                  ///< for people; may be empty
};

/// Quantizes `x` by itself: values that `spec` lacks come from x, those it has are used as they are. With `gradient`
/// (shape of x) also the backward pass by the method's rule.
/// Methods with chance in them (stochastic rounding, gradient noise) draw from `seed`.
Result<QuantizedTensor> quantizeTensor(const at::Tensor &x, const QuantSpec &spec, Role role,
                                       const at::Tensor &gradient = {}, std::uint64_t seed = 0);

/// A spec from text as on the command line: names that are the method's values ("scale") go to the values, lists use
/// `|`. Unknown names, impossible values, bits or roles are errors that name them.
Result<QuantSpec> specFromText(const std::string &method, int bits, Role role,
                               const std::map<std::string, std::string> &options);

/// "2 bits symmetric has 3 levels" where a grid has fewer levels than its bits promise and that matters, else empty.
std::string gridWarning(const QuantSpec &spec, const QuantGrid &grid);
/// "3 values are not numbers and 1 is infinite; they were left out", or empty.
std::string nonFiniteWarning(std::uint64_t nanCount, std::uint64_t infCount);

} // namespace bitwright
