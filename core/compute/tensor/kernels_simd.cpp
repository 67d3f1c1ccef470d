// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/kernels_simd.h"

#include <algorithm>
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

/// 1/s, or NaN where it is not a normal float: then everything is divided.
HWY_INLINE float inverseOf(float scale)
{
    const float inverse = 1 / scale;
    return std::isnormal(inverse) ? inverse : NAN;
}

/// How far from its nearest integer a product with 1/s may lie so that the rounded quotient has the same one. The two
/// differ by less than 2e-7 of their size, and what lies more than one beyond the outermost code is clamped anyhow.
HWY_INLINE float marginOf(float low, float high)
{
    return 0.5f - 4e-7f * (1 + std::max(std::abs(low), std::abs(high)));
}

/// The careful way; NaN stays NaN, which min and max alone drop on some machines. By value: a group whose address is
/// taken would live in memory.
template <class V>
HWY_NOINLINE V divided(V x, V scale, V low, V high)
{
    const V q = hn::Max(low, hn::Min(high, hn::Round(hn::Div(x, scale))));
    return hn::IfThenElse(hn::IsNaN(x), x, q);
}

/// One group. The result is that of clamp(round(x / s)), bit for bit, mostly without dividing: division alone takes
/// longer than a copy of the data. Where the product lies too close to a midpoint, or is NaN or infinite, the whole
/// vector is divided. Low and high count from the zero point: clamp(q + z) - z without the detour.
template <class Tag>
struct Group {
    using V = hn::Vec<Tag>;
    Tag d;
    V scale, inverse, low, high, margin;
    Group(Tag tag, Affine g)
        : d(tag), scale(hn::Set(d, g.scale)), inverse(hn::Set(d, inverseOf(g.scale))),
          low(hn::Set(d, g.qmin - g.zeroPoint)), high(hn::Set(d, g.qmax - g.zeroPoint)),
          margin(hn::Set(d, marginOf(g.qmin - g.zeroPoint, g.qmax - g.zeroPoint)))
    {
    }
    HWY_INLINE V clamped(V q) const { return hn::Max(low, hn::Min(high, q)); }
    HWY_INLINE auto safe(V product, V nearest) const { return hn::Lt(hn::Abs(hn::Sub(product, nearest)), margin); }
    /// The code less the zero point.
    HWY_INLINE V code(V x) const
    {
        const V product = hn::Mul(x, inverse), nearest = hn::Round(product);
        return HWY_LIKELY(hn::AllTrue(d, safe(product, nearest))) ? clamped(nearest) : divided(x, scale, low, high);
    }
    /// The added zero turns -0 into the +0 that an integer code stands for.
    HWY_INLINE V value(V code) const { return hn::MulAdd(code, scale, hn::Zero(d)); }
    HWY_INLINE V quantize(V x) const { return value(code(x)); }
    /// Two vectors with one branch.
    HWY_INLINE void quantizeTwo(V a, V b, float *y) const
    {
        const V productA = hn::Mul(a, inverse), nearestA = hn::Round(productA);
        const V productB = hn::Mul(b, inverse), nearestB = hn::Round(productB);
        const bool quick = hn::AllTrue(d, hn::And(safe(productA, nearestA), safe(productB, nearestB)));
        V codeA = clamped(nearestA), codeB = clamped(nearestB);
        if (HWY_UNLIKELY(!quick)) {
            codeA = divided(a, scale, low, high);
            codeB = divided(b, scale, low, high);
        }
        hn::StoreU(value(codeA), d, y);
        hn::StoreU(value(codeB), d, y + hn::Lanes(d));
    }
};

void fakeQuant(const float *x, float *y, std::size_t n, Affine group)
{
    const F d;
    const Group<F> g(d, group);
    const std::size_t lanes = hn::Lanes(d);
    const std::size_t block = 2 * lanes, blocks = n / block;
    if (runsDownwards(x, y))
        for (std::size_t k = blocks; k-- > 0;)
            g.quantizeTwo(hn::LoadU(d, x + k * block), hn::LoadU(d, x + k * block + lanes), y + k * block);
    else
        for (std::size_t k = 0; k < blocks; ++k)
            g.quantizeTwo(hn::LoadU(d, x + k * block), hn::LoadU(d, x + k * block + lanes), y + k * block);
    std::size_t i = blocks * block;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(g.quantize(hn::LoadU(d, x + i)), d, y + i);
    if (i < n)
        storeTail(d, g.quantize(loadTail(d, x + i, n - i, 0.0f)), y + i, n - i);
}

void fakeQuantEach(const float *x, float *y, std::size_t n, const Each &each)
{
    const F d;
    Group<F> g(d, {1, 0, each.lowest, each.highest});
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        g.scale = hn::LoadU(d, each.scale + i);
        g.inverse = hn::LoadU(d, each.inverse + i);
        g.low = hn::LoadU(d, each.low + i);
        g.high = hn::LoadU(d, each.high + i);
        hn::StoreU(g.quantize(hn::LoadU(d, x + i)), d, y + i);
    }
    if (i < n) {
        g.scale = loadTail(d, each.scale + i, n - i, 1.0f);
        g.inverse = loadTail(d, each.inverse + i, n - i, 1.0f);
        g.low = loadTail(d, each.low + i, n - i, 0.0f);
        g.high = loadTail(d, each.high + i, n - i, 0.0f);
        storeTail(d, g.quantize(loadTail(d, x + i, n - i, 0.0f)), y + i, n - i);
    }
}

void stepBySelects(const float *x, float *y, std::size_t n, const Steps &steps)
{
    const F d;
    const std::size_t lanes = hn::Lanes(d);
    // thresholds ascend: the last one that is passed decides, whatever the answers
    std::size_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        const VF a = hn::LoadU(d, x + i), b = hn::LoadU(d, x + i + lanes);
        VF u = hn::Set(d, steps.levels[0]), v = u;
        for (std::int32_t j = 1; j < steps.count; ++j) {
            const VF first = hn::Set(d, steps.firsts[j - 1]), level = hn::Set(d, steps.levels[j]);
            u = hn::IfThenElse(hn::Ge(a, first), level, u);
            v = hn::IfThenElse(hn::Ge(b, first), level, v);
        }
        hn::StoreU(hn::IfThenElse(hn::IsNaN(a), a, u), d, y + i);
        hn::StoreU(hn::IfThenElse(hn::IsNaN(b), b, v), d, y + i + lanes);
    }
    for (; i < n; i += lanes) {
        const std::size_t left = std::min(lanes, n - i);
        const VF a = loadTail(d, x + i, left, 0.0f);
        VF u = hn::Set(d, steps.levels[0]);
        for (std::int32_t j = 1; j < steps.count; ++j)
            u = hn::IfThenElse(hn::Ge(a, hn::Set(d, steps.firsts[j - 1])), hn::Set(d, steps.levels[j]), u);
        storeTail(d, hn::IfThenElse(hn::IsNaN(a), a, u), y + i, left);
    }
}

void stepByCells(const float *x, float *y, std::size_t n, const Steps &steps)
{
    const F d;
    const I di;
    const std::size_t lanes = hn::Lanes(d);
    const VF low = hn::Set(d, steps.low), inverse = hn::Set(d, steps.inverseWidth), top = hn::Set(d, float(steps.cells - 1));
    const auto one = [&](VF v) HWY_ATTR {
        const auto missing = hn::IsNaN(v);
        const VF place = hn::IfThenZeroElse(missing, hn::Mul(hn::Sub(v, low), inverse));
        auto code = hn::GatherIndex(di, steps.starts, hn::ConvertTo(di, hn::Max(hn::Zero(d), hn::Min(place, top))));
        for (std::int32_t k = 0; k < steps.advance; ++k) {
            const auto passed = hn::Ge(v, hn::GatherIndex(d, steps.firsts, code));
            code = hn::Sub(code, hn::VecFromMask(di, hn::RebindMask(di, passed)));   // a mask is -1
        }
        return hn::IfThenElse(missing, v, hn::GatherIndex(d, steps.levels, code));
    };
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(one(hn::LoadU(d, x + i)), d, y + i);
    if (i < n)
        storeTail(d, one(loadTail(d, x + i, n - i, 0.0f)), y + i, n - i);
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
    const VF zero = hn::Set(d, group.zeroPoint);
    const std::size_t lanes = hn::Lanes(d);
    auto code = [&](VF v) HWY_ATTR {
        const VF offset = g.code(v);
        return hn::ConvertTo(di, hn::Add(hn::IfThenElse(hn::IsNaN(offset), hn::Zero(d), offset), zero));
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
    constexpr std::size_t kVectors = 4;
    HWY_ALIGN std::int32_t index[kVectors * HWY_MAX_BYTES / sizeof(std::int32_t)];
    auto bin = [&](VF v, std::int32_t *to) HWY_ATTR {
        const auto inside = hn::And(hn::Ge(v, lo), hn::Le(v, hi));
        // only the upper end needs a clamp: what is inside is not below the first bin
        const VF raw = hn::Min(last, hn::Add(hn::Floor(hn::Mul(hn::Sub(v, base), inverse)), offset));
        hn::Store(hn::ConvertTo(di, hn::IfThenElse(inside, raw, outside)), di, to);
        if (HWY_UNLIKELY(!hn::AllTrue(d, inside))) {
            below += hn::CountTrue(d, hn::Lt(v, lo));
            above += hn::CountTrue(d, hn::Gt(v, hi));
        }
    };
    std::size_t i = 0;
    // indices first, then counts: the stores of a vector are long done when its lanes are read
    for (; i + kVectors * lanes <= n; i += kVectors * lanes) {
        for (std::size_t k = 0; k < kVectors; ++k)
            bin(hn::LoadU(d, x + i + k * lanes), index + k * lanes);
        for (std::size_t k = 0; k < kVectors * lanes; k += 4) {
            ++tables[0][std::uint32_t(index[k])];
            ++tables[1][std::uint32_t(index[k + 1])];
            ++tables[2][std::uint32_t(index[k + 2])];
            ++tables[3][std::uint32_t(index[k + 3])];
        }
    }
    for (; i < n; i += lanes) {
        const std::size_t valid = std::min(lanes, n - i);
        bin(valid == lanes ? hn::LoadU(d, x + i) : loadTail(d, x + i, valid, NAN), index);
        for (std::size_t k = 0; k < valid; ++k)
            ++tables[k & 3][index[k]];
    }
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
HWY_EXPORT(stepBySelects);
HWY_EXPORT(stepByCells);
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
void fakeQuantEach(const float *x, float *y, std::size_t n, const Each &each)
{
    HWY_DYNAMIC_DISPATCH(fakeQuantEach)(x, y, n, each);
}
void passInside(const float *g, const float *x, float *dx, std::size_t n, float lo, float hi)
{
    HWY_DYNAMIC_DISPATCH(passInside)(g, x, dx, n, lo, hi);
}
void stepBySelects(const float *x, float *y, std::size_t n, const Steps &steps)
{
    HWY_DYNAMIC_DISPATCH(stepBySelects)(x, y, n, steps);
}
void stepByCells(const float *x, float *y, std::size_t n, const Steps &steps)
{
    HWY_DYNAMIC_DISPATCH(stepByCells)(x, y, n, steps);
}
std::int32_t cellOf(float x, const Steps &steps)
{
    const float place = (x - steps.low) * steps.inverseWidth;
    return std::int32_t(std::max(0.0f, std::min(place, float(steps.cells - 1))));
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
