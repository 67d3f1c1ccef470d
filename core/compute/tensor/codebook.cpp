// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/codebook.h"

#include "tensor/kernels.h"
#include "tensor/kernels_simd.h"
#include "tensor/parallel.h"
#include "tensor/pieces.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>

namespace bitwright {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr std::size_t kBlock = 512;
constexpr std::int64_t kGrain = 1 << 17;
constexpr std::int64_t kPiece = 1 << 15;

/// Binary search in `steps` halvings, the same number for each element, so that a block runs without a branch.
class Search {
public:
    Search(const LevelTable &table)
    {
        m_steps = std::bit_width(table.firsts.size());
        // nothing is at or above a NaN: the padding is never reached
        m_firsts.assign((std::size_t(1) << m_steps), std::numeric_limits<float>::quiet_NaN());
        std::ranges::copy(table.firsts, m_firsts.begin());
    }
    void codes(const float *x, std::uint32_t *code, std::size_t n) const
    {
        std::fill_n(code, n, 0U);
        for (int step = m_steps - 1; step >= 0; --step) {
            const std::uint32_t half = std::uint32_t(1) << step;
            for (std::size_t i = 0; i < n; ++i)
                code[i] += x[i] >= m_firsts[code[i] + half - 1] ? half : 0;
        }
    }

private:
    int m_steps = 0;
    std::vector<float> m_firsts;
};

constexpr std::size_t kSelects = 16;                    // up to here one comparison a level is the fastest
constexpr std::int32_t kCells = 4096, kMostInACell = 4;
constexpr std::int64_t kWorthCells = 1 << 13;           // elements that pay for making the cells

/// One group's step function as the vector kernels want it; answers as Search does, NaN stays.
class FastSteps {
public:
    FastSteps(const LevelTable &table, std::int64_t elements) : m_table(table), m_firsts(table.firsts)
    {
        m_firsts.push_back(std::numeric_limits<float>::quiet_NaN());
        m_steps = {m_firsts.data(), m_table.levels.data(), std::int32_t(m_table.levels.size())};
        if (table.levels.size() > kSelects && elements >= kWorthCells)
            makeCells();
    }
    FastSteps(const FastSteps &) = delete;
    [[nodiscard]] bool vectorized() const { return m_table.levels.size() <= kSelects || m_steps.starts; }
    void run(const float *from, float *to, std::size_t n) const
    {
        if (m_steps.starts)
            simd::stepByCells(from, to, n, m_steps);
        else
            simd::stepBySelects(from, to, n, m_steps);
    }

private:
    /// Left out where thresholds crowd: then the search by halves is no slower.
    void makeCells()
    {
        const float low = m_table.firsts.front(), high = m_table.firsts.back();
        m_steps.low = low;
        m_steps.cells = kCells;
        m_steps.inverseWidth = float(kCells - 1) / (high - low);
        if (!std::isnormal(m_steps.inverseWidth))
            return;
        std::vector<std::int32_t> inCell(std::size_t(kCells), 0);
        for (const float first : m_table.firsts)
            ++inCell[std::size_t(simd::cellOf(first, m_steps))];
        m_steps.advance = *std::ranges::max_element(inCell);
        if (m_steps.advance > kMostInACell)
            return;
        m_starts.reserve(inCell.size());
        std::int32_t before = 0;
        for (const std::int32_t here : inCell) {
            m_starts.push_back(before);
            before += here;
        }
        m_steps.starts = m_starts.data();
    }

    const LevelTable &m_table;
    std::vector<float> m_firsts;
    std::vector<std::int32_t> m_starts;
    simd::Steps m_steps{};
};

/// Calls body(begin, length, codes) for blocks of x.
template <class Body>
void forCodes(const float *x, std::int64_t n, const LevelTable &table, const Body &body)
{
    const Search search(table);
    parallelRanges(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
        std::array<std::uint32_t, kBlock> codes;
        for (std::int64_t at = begin; at < end; at += std::int64_t(kBlock)) {
            const std::size_t length = std::min(kBlock, std::size_t(end - at));
            search.codes(x + at, codes.data(), length);
            body(at, length, codes.data());
        }
    });
}

/// Sum of g per code; pieces are added in their order, so that threads do not change the result.
at::Tensor sumByCode(const at::Tensor &g, const at::Tensor &codes, std::int64_t levels)
{
    const at::Tensor gradient = floatContiguous(g);
    const float *pg = gradient.const_data_ptr<float>();
    const auto *pc = codes.const_data_ptr<std::uint8_t>();
    const std::int64_t n = gradient.numel(), pieces = (n + kPiece - 1) / kPiece;
    std::vector<double> partial(std::size_t(pieces * levels), 0.0);
    parallelRanges(pieces, kGrain / kPiece, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t piece = begin; piece < end; ++piece) {
            double *sums = partial.data() + piece * levels;
            for (std::int64_t i = piece * kPiece; i < std::min(n, (piece + 1) * kPiece); ++i)
                sums[pc[i]] += double(pg[i]);
        }
    });
    std::vector<double> total(std::size_t(levels), 0.0);
    for (std::int64_t piece = 0; piece < pieces; ++piece)
        for (std::int64_t j = 0; j < levels; ++j)
            total[std::size_t(j)] += partial[std::size_t(piece * levels + j)];
    return at::tensor(total, at::kDouble).to(at::kFloat);
}

class SharedValues : public torch::autograd::Function<SharedValues> {
public:
    static Variable forward(AutogradContext *context, const Variable &x, const Variable &codebook, const at::Tensor &codes)
    {
        context->save_for_backward({codes});
        context->saved_data["levels"] = codebook.numel();
        context->saved_data["learned"] = x.requires_grad();
        return lookUp(codes, codebook);
    }
    static variable_list backward(AutogradContext *context, const variable_list &gradients)
    {
        const at::Tensor codes = context->get_saved_variables()[0];
        const at::Tensor dx = context->saved_data["learned"].toBool() ? at::zeros_like(gradients[0]) : at::Tensor();
        return {dx, sumByCode(gradients[0], codes, context->saved_data["levels"].toInt()), Variable()};
    }
};

} // namespace

float firstFrom(double t)
{
    const auto first = float(t);
    return double(first) < t ? std::nextafter(first, std::numeric_limits<float>::infinity()) : first;
}

float firstAbove(double t)
{
    const auto first = float(t);
    return double(first) <= t ? std::nextafter(first, std::numeric_limits<float>::infinity()) : first;
}

LevelTable nearestLevels(std::span<const float> levels)
{
    LevelTable table{{levels.begin(), levels.end()}, {}};
    for (std::size_t i = 1; i < levels.size(); ++i) {
        const double middle = (double(levels[i - 1]) + double(levels[i])) / 2;
        table.firsts.push_back(firstAbove(middle));
    }
    return table;
}

at::Tensor levelCodes(const at::Tensor &x, const LevelTable &table)
{
    c10::NoGradGuard noGrad;
    const at::Tensor value = floatContiguous(x);
    at::Tensor codes = at::empty(value.sizes(), at::kByte);
    auto *to = codes.mutable_data_ptr<std::uint8_t>();
    forCodes(value.const_data_ptr<float>(), value.numel(), table, [&](std::int64_t at, std::size_t length, const std::uint32_t *code) {
        for (std::size_t i = 0; i < length; ++i)
            to[at + std::int64_t(i)] = std::uint8_t(code[i]);
    });
    return codes;
}

at::Tensor toLevels(const at::Tensor &x, const LevelTable &table, bool mayOverwrite)
{
    return toLevels(x, StepTables{{table}, -1}, mayOverwrite);
}

at::Tensor toLevels(const at::Tensor &x, const StepTables &tables, bool mayOverwrite)
{
    c10::NoGradGuard noGrad;
    if (x.scalar_type() != at::kFloat) {
        const at::Tensor y = toLevels(x.to(at::kFloat), tables, true);
        return x.is_floating_point() ? y.to(x.scalar_type()) : y;
    }
    const bool anyOrder = (tables.axis < 0 || x.dim() == 0) && x.is_non_overlapping_and_dense();
    const at::Tensor in = anyOrder ? x.detach() : floatContiguous(x);
    const at::Tensor out = mayOverwrite || !in.is_alias_of(x) ? in : at::empty_like(in);
    const float *from = in.const_data_ptr<float>();
    float *to = out.mutable_data_ptr<float>();
    const Pieces pieces = Pieces::of(in, tables.axis);
    TORCH_CHECK(std::int64_t(tables.groups.size()) == pieces.groups, "there are levels for ", tables.groups.size(),
                " groups and the tensor has ", pieces.groups);
    const std::int64_t perGroup = pieces.groups ? in.numel() / pieces.groups : 0;
    std::vector<std::unique_ptr<const FastSteps>> fast;
    for (const LevelTable &table : tables.groups)
        fast.push_back(std::make_unique<const FastSteps>(table, perGroup));
    if (std::ranges::all_of(fast, [](const auto &each) { return each->vectorized(); })) {
        forPieces(pieces, [&](std::int64_t, std::int64_t group, std::int64_t offset, std::int64_t length) {
            fast[std::size_t(group)]->run(from + offset, to + offset, std::size_t(length));
        });
        return out;
    }
    const std::vector<Search> searches(tables.groups.begin(), tables.groups.end());
    forPieces(pieces, [&](std::int64_t, std::int64_t group, std::int64_t offset, std::int64_t length) {
        std::array<std::uint32_t, kBlock> codes;
        const std::vector<float> &levels = tables.groups[std::size_t(group)].levels;
        for (std::int64_t at = offset; at < offset + length; at += std::int64_t(kBlock)) {
            const std::size_t count = std::min(kBlock, std::size_t(offset + length - at));
            searches[std::size_t(group)].codes(from + at, codes.data(), count);
            for (std::size_t i = 0; i < count; ++i) {
                const float value = from[at + std::int64_t(i)];
                to[at + std::int64_t(i)] = std::isnan(value) ? value : levels[codes[i]];
            }
        }
    });
    return out;
}

at::Tensor lookUp(const at::Tensor &codes, const at::Tensor &codebook)
{
    c10::NoGradGuard noGrad;
    at::Tensor out = at::empty(codes.sizes(), at::kFloat);
    const at::Tensor values = floatContiguous(codebook);
    const float *level = values.const_data_ptr<float>();
    const auto *code = codes.const_data_ptr<std::uint8_t>();
    float *to = out.mutable_data_ptr<float>();
    parallelRanges(codes.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            to[i] = level[code[i]];
    });
    return out;
}

at::Tensor sharedValues(const at::Tensor &x, const at::Tensor &codebook, const at::Tensor &codes)
{
    return SharedValues::apply(x, codebook, codes);
}

} // namespace bitwright
