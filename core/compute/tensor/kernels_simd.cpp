// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/kernels_simd.h"

#include <cmath>
#include <cstring>
#include <limits>

// These two add compile time and nothing that the loops below would use.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/kernels_simd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace bitwright::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using D = hn::ScalableTag<double>;
using H = hn::Rebind<float, D>;   // as many floats as a vector of doubles has lanes
using I = hn::RebindToSigned<F>;
using VF = hn::Vec<F>;
using VD = hn::Vec<D>;
using VH = hn::Vec<H>;

constexpr float kLargest = std::numeric_limits<float>::max();

/// Loads the last, incomplete vector; missing lanes are `fill`.
template <class Tag>
HWY_INLINE hn::Vec<Tag> loadTail(Tag d, const float *x, std::size_t count, float fill)
{
    HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
    for (float &b : buffer)
        b = fill;
    std::memcpy(buffer, x, count * sizeof(float));
    return hn::Load(d, buffer);
}

template <class Tag>
HWY_INLINE void storeTail(Tag d, hn::Vec<Tag> v, hn::TFromD<Tag> *y, std::size_t count)
{
    HWY_ALIGN hn::TFromD<Tag> buffer[HWY_MAX_BYTES / sizeof(hn::TFromD<Tag>)];
    hn::Store(v, d, buffer);
    std::memcpy(y, buffer, count * sizeof(hn::TFromD<Tag>));
}

template <class Tag>
struct Group {
    using V = hn::Vec<Tag>;
    V scale, zero, low, high;
    Group(Tag d, Affine g)
        : scale(hn::Set(d, g.scale)), zero(hn::Set(d, g.zeroPoint)), low(hn::Set(d, g.qmin)), high(hn::Set(d, g.qmax))
    {
    }
    HWY_INLINE V code(V x) const
    {
        return hn::Max(low, hn::Min(high, hn::Add(hn::Round(hn::Div(x, scale)), zero)));
    }
    HWY_INLINE V quantize(V x) const
    {
        // min and max drop a NaN on some machines and keep it on others
        return hn::IfThenElse(hn::IsNaN(x), x, hn::Mul(hn::Sub(code(x), zero), scale));
    }
};

void fakeQuant(const float *x, float *y, std::size_t n, Affine group)
{
    const F d;
    const Group<F> g(d, group);
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(g.quantize(hn::LoadU(d, x + i)), d, y + i);
    if (i < n)
        storeTail(d, g.quantize(loadTail(d, x + i, n - i, 0.0f)), y + i, n - i);
}

void fakeQuantEach(const float *x, float *y, std::size_t n, const float *scale, const float *zeroPoint, float qmin,
                   float qmax)
{
    const F d;
    Group<F> g(d, {1, 0, qmin, qmax});
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        g.scale = hn::LoadU(d, scale + i);
        g.zero = hn::LoadU(d, zeroPoint + i);
        hn::StoreU(g.quantize(hn::LoadU(d, x + i)), d, y + i);
    }
    if (i < n) {
        g.scale = loadTail(d, scale + i, n - i, 1.0f);
        g.zero = loadTail(d, zeroPoint + i, n - i, 0.0f);
        storeTail(d, g.quantize(loadTail(d, x + i, n - i, 0.0f)), y + i, n - i);
    }
}

void passInside(const float *g, const float *x, float *dx, std::size_t n, float lo, float hi)
{
    const F d;
    const VF low = hn::Set(d, lo), high = hn::Set(d, hi);
    const std::size_t lanes = hn::Lanes(d);
    auto pass = [&](VF gradient, VF value) HWY_ATTR {
        return hn::IfThenElseZero(hn::And(hn::Ge(value, low), hn::Le(value, high)), gradient);
    };
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(pass(hn::LoadU(d, g + i), hn::LoadU(d, x + i)), d, dx + i);
    if (i < n)
        storeTail(d, pass(loadTail(d, g + i, n - i, 0.0f), loadTail(d, x + i, n - i, 0.0f)), dx + i, n - i);
}

double lsqBackward(const float *g, const float *x, float *dx, std::size_t n, float scale, float low, float high)
{
    const D dd;
    const H d;
    const VH s = hn::Set(d, scale), qn = hn::Set(d, low), qp = hn::Set(d, high);
    const std::size_t lanes = hn::Lanes(d);
    VD total = hn::Zero(dd);
    auto step = [&](VH gradient, VH value) HWY_ATTR {
        const VH v = hn::Div(value, s);
        const auto above = hn::Gt(v, qn), below = hn::Lt(v, qp);
        const auto inside = hn::And(above, below);
        // a NaN is neither inside nor outside: it passes nothing
        const VH outside = hn::IfThenElse(above, qp, qn);
        const VH term = hn::IfThenElse(inside, hn::Sub(hn::Round(v), v), outside);
        const VH share = hn::IfThenElse(hn::IsNaN(v), hn::Zero(d), hn::Mul(gradient, term));
        total = hn::Add(total, hn::PromoteTo(dd, share));
        return hn::IfThenElseZero(inside, gradient);
    };
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(step(hn::LoadU(d, g + i), hn::LoadU(d, x + i)), d, dx + i);
    if (i < n)
        storeTail(d, step(loadTail(d, g + i, n - i, 0.0f), loadTail(d, x + i, n - i, 0.0f)), dx + i, n - i);
    return hn::GetLane(hn::SumOfLanes(dd, total));
}

void codes(const float *x, std::int32_t *q, std::size_t n, Affine group)
{
    const F d;
    const I di;
    const Group<F> g(d, group);
    const std::size_t lanes = hn::Lanes(d);
    auto code = [&](VF v) HWY_ATTR {
        return hn::ConvertTo(di, hn::IfThenElse(hn::IsNaN(v), g.zero, g.code(v)));
    };
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(code(hn::LoadU(d, x + i)), di, q + i);
    if (i < n)
        storeTail(di, code(loadTail(d, x + i, n - i, 0.0f)), q + i, n - i);
}

/// Sum over the finite x of `term`, which gets x - fakeQuant(x) in double precision.
template <class Term>
HWY_INLINE double errorSum(const float *x, std::size_t n, Affine group, const Term &term)
{
    const D dd;
    const H d;
    const Group<H> g(d, group);
    const VH largest = hn::Set(d, kLargest);
    const std::size_t lanes = hn::Lanes(d);
    VD first = hn::Zero(dd), second = hn::Zero(dd);
    auto error = [&](VH v) HWY_ATTR {
        const VH e = hn::IfThenElseZero(hn::Le(hn::Abs(v), largest), hn::Sub(v, g.quantize(v)));
        return term(dd, hn::PromoteTo(dd, e));
    };
    std::size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        first = hn::Add(first, error(hn::LoadU(d, x + i)));
        second = hn::Add(second, error(hn::LoadU(d, x + i + lanes)));
    }
    // zero is a level of every uniform grid, so the filling adds no error
    for (; i < n; i += lanes)
        first = hn::Add(first, error(i + lanes <= n ? hn::LoadU(d, x + i) : loadTail(d, x + i, n - i, 0.0f)));
    return hn::GetLane(hn::SumOfLanes(dd, hn::Add(first, second)));
}

double squaredError(const float *x, std::size_t n, Affine group)
{
    return errorSum(x, n, group, [](D, VD e) HWY_ATTR { return hn::Mul(e, e); });
}

double powerError(const float *x, std::size_t n, Affine group, double power)
{
    return errorSum(x, n, group, [power](D dd, VD e) HWY_ATTR {
        const VD magnitude = hn::Abs(e);
        const VD safe = hn::Max(magnitude, hn::Set(dd, 1e-300));
        const VD raised = hn::Exp(dd, hn::Mul(hn::Set(dd, power), hn::Log(dd, safe)));
        return hn::IfThenElseZero(hn::Gt(magnitude, hn::Zero(dd)), raised);
    });
}

double squaredDifference(const float *a, const float *b, std::size_t n, double *signal, std::uint64_t *count)
{
    const D dd;
    const H d;
    const VH largest = hn::Set(d, kLargest);
    const std::size_t lanes = hn::Lanes(d);
    VD error = hn::Zero(dd), power = hn::Zero(dd);
    std::uint64_t finite = 0;
    auto add = [&](VH va, VH vb) HWY_ATTR {
        const auto both = hn::And(hn::Le(hn::Abs(va), largest), hn::Le(hn::Abs(vb), largest));
        const VD wa = hn::PromoteTo(dd, hn::IfThenElseZero(both, va));
        const VD wb = hn::PromoteTo(dd, hn::IfThenElseZero(both, vb));
        const VD e = hn::Sub(wa, wb);
        error = hn::Add(error, hn::Mul(e, e));
        power = hn::Add(power, hn::Mul(wa, wa));
        finite += hn::CountTrue(d, both);
    };
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        add(hn::LoadU(d, a + i), hn::LoadU(d, b + i));
    if (i < n)
        add(loadTail(d, a + i, n - i, NAN), loadTail(d, b + i, n - i, NAN));
    *signal += hn::GetLane(hn::SumOfLanes(dd, power));
    *count += finite;
    return hn::GetLane(hn::SumOfLanes(dd, error));
}

void histogram(const float *x, std::size_t n, const Binning &b, std::uint32_t *counts, std::uint64_t *under,
               std::uint64_t *over)
{
    const F d;
    const I di;
    const VF lo = hn::Set(d, b.lo), hi = hn::Set(d, b.hi), base = hn::Set(d, b.base), inverse = hn::Set(d, b.inverseWidth);
    const VF offset = hn::Set(d, float(b.offset)), last = hn::Set(d, float(b.bins - 1)), outside = hn::Set(d, float(b.bins));
    const std::size_t lanes = hn::Lanes(d);
    const std::size_t stride = std::size_t(b.bins) + 1, turn = b.banks == 4 ? 3 : 0;
    std::uint32_t *tables[4] = {counts, counts + (turn ? 1 : 0) * stride, counts + (turn ? 2 : 0) * stride,
                                counts + (turn ? 3 : 0) * stride};
    std::uint64_t below = 0, above = 0;
    HWY_ALIGN std::int32_t index[HWY_MAX_BYTES / sizeof(std::int32_t)];
    auto bin = [&](VF v, std::size_t valid) HWY_ATTR {
        const auto isUnder = hn::Lt(v, lo), isOver = hn::Gt(v, hi);
        const auto inside = hn::And(hn::Ge(v, lo), hn::Le(v, hi));
        const VF raw = hn::Add(hn::Floor(hn::Mul(hn::Sub(v, base), inverse)), offset);
        const VF clamped = hn::Max(hn::Zero(d), hn::Min(last, raw));
        hn::Store(hn::ConvertTo(di, hn::IfThenElse(inside, clamped, outside)), di, index);
        below += hn::CountTrue(d, isUnder);
        above += hn::CountTrue(d, isOver);
        for (std::size_t k = 0; k < valid; ++k)
            ++tables[k & 3][index[k]];
    };
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        bin(hn::LoadU(d, x + i), lanes);
    if (i < n)
        bin(loadTail(d, x + i, n - i, NAN), n - i);
    *under += below;
    *over += above;
}

Sums sums(const float *x, std::size_t n)
{
    const D dd;
    const H d;
    const VH largest = hn::Set(d, kLargest);
    const std::size_t lanes = hn::Lanes(d);
    VD sum = hn::Zero(dd), squares = hn::Zero(dd), magnitudes = hn::Zero(dd);
    VH least = hn::Set(d, std::numeric_limits<float>::infinity()), most = hn::Neg(least);
    std::uint64_t finite = 0, nan = 0, zero = 0;
    auto add = [&](VH v) HWY_ATTR {
        const auto isFinite = hn::Le(hn::Abs(v), largest);
        finite += hn::CountTrue(d, isFinite);
        nan += hn::CountTrue(d, hn::IsNaN(v));
        zero += hn::CountTrue(d, hn::Eq(v, hn::Zero(d)));
        least = hn::Min(least, hn::IfThenElse(isFinite, v, least));
        most = hn::Max(most, hn::IfThenElse(isFinite, v, most));
        const VD w = hn::PromoteTo(dd, hn::IfThenElseZero(isFinite, v));
        sum = hn::Add(sum, w);
        squares = hn::Add(squares, hn::Mul(w, w));
        magnitudes = hn::Add(magnitudes, hn::Abs(w));
    };
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        add(hn::LoadU(d, x + i));
    if (i < n) {
        add(loadTail(d, x + i, n - i, NAN));
        nan -= lanes - (n - i);
    }
    Sums out;
    out.sum = hn::GetLane(hn::SumOfLanes(dd, sum));
    out.sumSquares = hn::GetLane(hn::SumOfLanes(dd, squares));
    out.sumAbs = hn::GetLane(hn::SumOfLanes(dd, magnitudes));
    out.min = hn::GetLane(hn::MinOfLanes(d, least));
    out.max = hn::GetLane(hn::MaxOfLanes(d, most));
    out.finite = finite;
    out.nan = nan;
    out.zero = zero;
    return out;
}

} // namespace bitwright::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bitwright::simd {

HWY_EXPORT(fakeQuant);
HWY_EXPORT(fakeQuantEach);
HWY_EXPORT(passInside);
HWY_EXPORT(lsqBackward);
HWY_EXPORT(codes);
HWY_EXPORT(squaredError);
HWY_EXPORT(powerError);
HWY_EXPORT(squaredDifference);
HWY_EXPORT(histogram);
HWY_EXPORT(sums);

void fakeQuant(const float *x, float *y, std::size_t n, Affine group)
{
    HWY_DYNAMIC_DISPATCH(fakeQuant)(x, y, n, group);
}
void fakeQuantEach(const float *x, float *y, std::size_t n, const float *scale, const float *zeroPoint, float qmin,
                   float qmax)
{
    HWY_DYNAMIC_DISPATCH(fakeQuantEach)(x, y, n, scale, zeroPoint, qmin, qmax);
}
void passInside(const float *g, const float *x, float *dx, std::size_t n, float lo, float hi)
{
    HWY_DYNAMIC_DISPATCH(passInside)(g, x, dx, n, lo, hi);
}
double lsqBackward(const float *g, const float *x, float *dx, std::size_t n, float scale, float low, float high)
{
    return HWY_DYNAMIC_DISPATCH(lsqBackward)(g, x, dx, n, scale, low, high);
}
void codes(const float *x, std::int32_t *q, std::size_t n, Affine group)
{
    HWY_DYNAMIC_DISPATCH(codes)(x, q, n, group);
}
double squaredError(const float *x, std::size_t n, Affine group)
{
    return HWY_DYNAMIC_DISPATCH(squaredError)(x, n, group);
}
double powerError(const float *x, std::size_t n, Affine group, double power)
{
    return HWY_DYNAMIC_DISPATCH(powerError)(x, n, group, power);
}
double squaredDifference(const float *a, const float *b, std::size_t n, double *signal, std::uint64_t *count)
{
    return HWY_DYNAMIC_DISPATCH(squaredDifference)(a, b, n, signal, count);
}
void histogram(const float *x, std::size_t n, const Binning &binning, std::uint32_t *counts, std::uint64_t *under,
               std::uint64_t *over)
{
    HWY_DYNAMIC_DISPATCH(histogram)(x, n, binning, counts, under, over);
}
Sums sums(const float *x, std::size_t n)
{
    return HWY_DYNAMIC_DISPATCH(sums)(x, n);
}

} // namespace bitwright::simd
#endif
