// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tensor/kernels.h"
#include "tensor/pieces.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <array>
#include <cstdint>
#include <vector>

// Backward rules in one pass over memory: the rule of a method is a small function of one element, inlined here. CPU
// tensors of any floating type and strides; the same bits on any number of threads.

namespace bitwright {

/// dx[i] = rule(x[i], g[i], group), float32, contiguous. axis -1 is one group.
template <class Rule>
at::Tensor fusedGradient(const at::Tensor &g, const at::Tensor &x, int axis, const Rule &rule)
{
    c10::NoGradGuard noGrad;
    const at::Tensor value = floatContiguous(x), gradient = floatContiguous(g);
    at::Tensor dx = at::empty_like(value);
    const float *px = value.const_data_ptr<float>(), *pg = gradient.const_data_ptr<float>();
    float *out = dx.mutable_data_ptr<float>();
    forPieces(Pieces::of(value, axis), [&](std::int64_t, std::int64_t group, std::int64_t offset, std::int64_t length) {
        for (std::int64_t i = offset; i < offset + length; ++i)
            out[i] = rule(px[i], pg[i], group);
    });
    return dx;
}

/// One pass: `dx` (may be null) gets what rule(x[i], g[i], group, sums) returns; the sums per group come back.
template <std::size_t K, class Rule>
std::vector<std::array<double, K>> fusedPass(const at::Tensor &g, const at::Tensor &x, int axis, float *dx, const Rule &rule)
{
    c10::NoGradGuard noGrad;
    const at::Tensor value = floatContiguous(x), gradient = floatContiguous(g);
    const float *px = value.const_data_ptr<float>(), *pg = gradient.const_data_ptr<float>();
    const Pieces pieces = Pieces::of(value, axis);
    std::vector<std::array<double, K>> partial(std::size_t(pieces.count()), std::array<double, K>{});
    forPieces(pieces, [&](std::int64_t piece, std::int64_t group, std::int64_t offset, std::int64_t length) {
        std::array<double, K> sums{};
        for (std::int64_t i = offset; i < offset + length; ++i) {
            const float d = rule(px[i], pg[i], group, sums);
            if (dx)
                dx[i] = d;
        }
        partial[std::size_t(piece)] = sums;
    });
    std::vector<std::array<double, K>> total(std::size_t(pieces.groups), std::array<double, K>{});
    for (std::int64_t piece = 0; piece < pieces.count(); ++piece)
        for (std::size_t k = 0; k < K; ++k)
            total[std::size_t(pieces.groupOf(piece))][k] += partial[std::size_t(piece)][k];
    return total;
}

/// K sums per group of what `term` adds for each element: term(x[i], g[i], group, std::array<double, K> &).
template <std::size_t K, class Term>
std::vector<std::array<double, K>> fusedSums(const at::Tensor &g, const at::Tensor &x, int axis, const Term &term)
{
    return fusedPass<K>(g, x, axis, nullptr, [&](float value, float gradient, std::int64_t group, std::array<double, K> &sums) {
        term(value, gradient, group, sums);
        return 0.0f;
    });
}

/// Both in one pass: rule(x[i], g[i], group, std::array<double, K> &) returns dx[i] and adds its terms.
template <std::size_t K>
struct GradientAndSums {
    at::Tensor dx;                             ///< float32, contiguous
    std::vector<std::array<double, K>> sums;   ///< per group
};
template <std::size_t K, class Rule>
GradientAndSums<K> fusedGradientAndSums(const at::Tensor &g, const at::Tensor &x, int axis, const Rule &rule)
{
    GradientAndSums<K> out{at::empty(x.sizes(), at::kFloat), {}};
    out.sums = fusedPass<K>(g, x, axis, out.dx.template mutable_data_ptr<float>(), rule);
    return out;
}

} // namespace bitwright
