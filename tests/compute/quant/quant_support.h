// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/quantize_tensor.h"
#include "quant/quantizer.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>
#include <c10/core/GradMode.h>

#include <cmath>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

namespace bitwright::testing {

/// The shared vectors of methods.md, section 0.
inline at::Tensor w8() { return at::tensor({-1.2f, -0.7f, -0.3f, -0.05f, 0.1f, 0.4f, 0.9f, 1.5f}); }
inline at::Tensor g8() { return at::tensor({0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f}); }
constexpr double kMeanAbs = 0.64375;   ///< of w8()

using Options = std::map<std::string, std::string>;

/// One quantizer on one tensor, options as on the command line.
inline Result<QuantizedTensor> tried(const std::string &id, int bits, Role role, const at::Tensor &x, const Options &options = {},
                                     const at::Tensor &g = {}, std::uint64_t seed = 0)
{
    auto spec = specFromText(id, bits, role, options);
    if (!spec)
        return std::unexpected(spec.error());
    return quantizeTensor(x, *spec, role, g, seed);
}
/// The same where it must work; the message of the error fails the test.
inline QuantizedTensor quantized(const std::string &id, int bits, Role role, const at::Tensor &x, const Options &options = {},
                                 const at::Tensor &g = {}, std::uint64_t seed = 0)
{
    auto result = tried(id, bits, role, x, options, g, seed);
    if (!result)
        qFatal("%s", result.error().message.c_str());
    return *std::move(result);
}
inline QuantizedTensor weight(const std::string &id, int bits, const Options &options = {}, const at::Tensor &g = g8())
{
    return quantized(id, bits, Role::Weight, w8(), options, g);
}

inline bool near(double a, double b, double tolerance = 1e-4) { return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(b)); }
inline bool near(const at::Tensor &x, const std::vector<double> &wanted, double tolerance = 1e-4)
{
    const at::Tensor flat = x.to(at::kDouble).contiguous().reshape({-1});
    if (flat.numel() != std::int64_t(wanted.size()))
        return false;
    for (std::size_t i = 0; i < wanted.size(); ++i)
        if (!near(flat[std::int64_t(i)].item<double>(), wanted[i], tolerance)) {
            qWarning("entry %zu is %g, not %g", i, flat[std::int64_t(i)].item<double>(), wanted[i]);
            return false;
        }
    return true;
}
inline bool near(const std::vector<double> &x, const std::vector<double> &wanted, double tolerance = 1e-4)
{
    return near(at::tensor(x, at::kDouble), wanted, tolerance);
}
/// Sum of squared errors.
inline double objective(const QuantizedTensor &q) { return q.mse * double(q.quantized.numel()); }

/// Refused as a combination that cannot be, as wrong or not supported, in a sentence that names the method, what it refuses (an
/// option that was given or its value; without options the bits or the role) and a way out.
inline bool refused(const std::string &id, int bits, Role role, const Options &options = {})
{
    const auto result = tried(id, bits, role, w8(), options);
    if (result) {
        qWarning("%s took it", id.c_str());
        return false;
    }
    const std::string &text = result.error().message;
    const auto says = [&](const std::string &part) { return text.find(part) != std::string::npos; };
    bool named = options.empty() && (says(" bit") || says(std::string("the role ") + roleName(role)));
    for (const auto &[name, value] : options)
        named = named || says(name);
    const bool kind = result.error().kind == ErrorKind::Invalid || result.error().kind == ErrorKind::Unsupported;
    const bool fine = kind && named && says(id) && says("; ");
    if (!fine)
        qWarning("kind %d: %s", int(result.error().kind), text.c_str());
    return fine;
}

/// A quantizer of a named layer, for the hooks of training.
inline std::unique_ptr<Quantizer> made(const std::string &id, int bits, Role role, const Options &options = {}, bool nonNegative = false)
{
    auto spec = specFromText(id, bits, role, options);
    if (!spec)
        qFatal("%s", spec.error().message.c_str());
    auto quantizer = makeQuantizer(*spec, {"layer", role, 0, nonNegative});
    if (!quantizer)
        qFatal("%s", quantizer.error().message.c_str());
    return *std::move(quantizer);
}

} // namespace bitwright::testing
