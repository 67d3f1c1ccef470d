// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/quantize_tensor.h"

#include "catalog/options_text.h"
#include "stats/divergence.h"
#include "tensor/guarded.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace bitwright {
namespace {

/// "1|2.5" as numbers.
Result<std::vector<double>> numbers(const std::string &name, const std::string &text)
{
    std::vector<double> out;
    const char *at = text.data(), *end = at + text.size();
    while (true) {
        double value = 0;
        const auto [next, error] = std::from_chars(at, end, value);
        if (error != std::errc() || (next != end && *next != '|') || !std::isfinite(value))
            return fail(ErrorKind::Invalid, "option " + name + ", \"" + text + "\" is not a number or a list of numbers; "
                                                "write 0.5 or 0.5|0.25");
        out.push_back(value);
        if (next == end)
            return out;
        at = next + 1;
    }
}

/// One backward pass with `gradient` as what comes from above.
void backward(Quantizer &quantizer, const at::Tensor &x, const at::Tensor &gradient, QuantizedTensor &out)
{
    const c10::AutoGradMode withGradient(true);
    at::Tensor leaf = x.detach().to(at::kFloat).clone();
    leaf.set_requires_grad(true);
    const at::Tensor y = quantizer.forward(leaf);
    std::vector<Learnable> learnables = quantizer.learnables();
    y.backward(gradient.to(y.scalar_type()));
    out.gradInput = leaf.grad().defined() ? leaf.grad() : at::zeros_like(x, at::kFloat);
    for (const Learnable &l : learnables) {
        auto &target = out.parameterGradients[l.name];
        const at::Tensor g = (l.tensor.grad().defined() ? l.tensor.grad() : at::zeros_like(l.tensor)).to(at::kDouble).contiguous();
        target.assign(g.const_data_ptr<double>(), g.const_data_ptr<double>() + g.numel());
    }
}

std::string counted(std::uint64_t n, const char *one, const char *many)
{
    return std::to_string(n) + ' ' + (n == 1 ? one : many);
}

} // namespace

Result<QuantizedTensor> quantizeTensor(const at::Tensor &x, const QuantSpec &spec, Role role, const at::Tensor &gradient,
                                       std::uint64_t seed)
{
    if (gradient.defined() && gradient.sizes() != x.sizes())
        return fail(ErrorKind::Invalid, "the gradient has another shape than the tensor; give arrays of equal shape");
    BW_ASSIGN(auto quantizer, makeQuantizer(spec, Site{{}, role, 0, false}));
    return guarded(spec.method, ErrorKind::Numeric, [&]() -> Result<QuantizedTensor> {
        QuantizedTensor out;
        quantizer->beginStep({seed, 0, 0, 1, 0});
        if (!quantizer->calibrated())
            BW_CHECK(quantizer->calibrate(x));
        {
            const c10::NoGradGuard noGrad;
            out.quantized = quantizer->apply(x, false);
        }
        out.grid = quantizer->grid();
        out.parameters = quantizer->values();
        out.spec = spec;
        out.spec.values = out.parameters;
        out.bitsPerValue = spec.bits;
        out.sideInformationBits = out.grid.sideBits;
        const Moments moments = momentsOf(x);
        out.nanCount = moments.nanCount;
        out.infCount = moments.infCount;
        const Difference difference = compare(x, out.quantized);
        out.mse = difference.count ? difference.error / double(difference.count) : 0;
        if (const double db = signalToNoiseDb(difference.signal, difference.error); std::isfinite(db))
            out.sqnrDb = db;
        if (gradient.defined())
            backward(*quantizer, x, gradient, out);
        out.warning = gridWarning(spec, out.grid);
        const std::string nonFinite = nonFiniteWarning(out.nanCount, out.infCount);
        if (!nonFinite.empty())
            out.warning += (out.warning.empty() ? "" : "; ") + nonFinite;
        return out;
    });
}

Result<QuantSpec> specFromText(const std::string &method, int bits, Role role,
                               const std::map<std::string, std::string> &options)
{
    const MethodTraits *traits = methodCatalog().quantizer(method);
    if (!traits)
        return fail(ErrorKind::Unsupported, "method " + method + ", there is no such method; see the list of methods");
    QuantSpec spec{method, bits, {}, {}};
    for (const auto &[name, text] : options) {
        if (!traits->option(name) && std::ranges::find(traits->values, name) != traits->values.end()) {
            BW_ASSIGN(spec.values[name], numbers(name, text));
        } else {
            BW_ASSIGN(spec.options[name], optionFromText(*traits, name, text));
        }
    }
    BW_ASSIGN(spec.options, completeParams(traits->options, spec.options, method));
    // also finds what the method refuses about bits, role and their combination
    BW_ASSIGN(const auto quantizer, makeQuantizer(spec, Site{{}, role, 0, false}));
    return spec;
}

std::string gridWarning(const QuantSpec &spec, const QuantGrid &grid)
{
    constexpr int kWorthSaying = 2;   // one level of sixteen is no news, one of four makes the tensor ternary
    if (spec.bits > kWorthSaying || grid.empty() || grid.levelCount() >= (std::size_t(1) << spec.bits))
        return {};
    const char *form = spec.method == "uniform" ? " symmetric has " : " has ";
    return std::to_string(spec.bits) + (spec.bits == 1 ? " bit" : " bits") + form + std::to_string(grid.levelCount()) + " levels";
}

std::string nonFiniteWarning(std::uint64_t nanCount, std::uint64_t infCount)
{
    if (nanCount == 0 && infCount == 0)
        return {};
    std::string text;
    if (nanCount > 0)
        text = counted(nanCount, "value is not a number", "values are not numbers");
    if (infCount > 0)
        text += (text.empty() ? "" : " and ") + counted(infCount, "value is infinite", "values are infinite");
    return text + ", left out of range and error";
}

} // namespace bitwright
