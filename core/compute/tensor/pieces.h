// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "tensor/parallel.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bitwright {

/// A tensor cut into rows of neighbours that share a group, and rows into pieces of work. Sums are kept per piece and added
/// in order, so that threads do not change them.
struct Pieces {
    static constexpr std::int64_t kLength = 1 << 15;      ///< elements of one piece
    static constexpr std::int64_t kParallel = 1 << 18;    ///< below this many elements the second thread costs more than it gives

    std::int64_t groups = 1, rows = 1, inner = 0, piecesPerRow = 1;

    /// Of a contiguous tensor; axis -1 (or a scalar) is one group, else groups run over that dimension.
    static Pieces of(const at::Tensor &x, int axis)
    {
        Pieces p;
        p.inner = x.numel();
        if (axis >= 0 && x.dim() > 0) {
            TORCH_CHECK(axis < x.dim(), "channel axis ", axis, " of a tensor with ", x.dim(), " dimensions");
            p.groups = x.size(axis);
            p.inner = 1;
            for (std::int64_t d = axis + 1; d < x.dim(); ++d)
                p.inner *= x.size(d);
            p.rows = p.inner ? x.numel() / p.inner : 0;
        }
        p.piecesPerRow = std::max<std::int64_t>(1, (p.inner + kLength - 1) / kLength);
        return p;
    }
    [[nodiscard]] std::int64_t count() const { return inner ? rows * piecesPerRow : 0; }
    [[nodiscard]] std::int64_t grain() const
    {
        return std::max<std::int64_t>(1, kParallel / std::max<std::int64_t>(1, std::min(inner, kLength)));
    }
    [[nodiscard]] std::int64_t groupOf(std::int64_t piece) const { return piece / piecesPerRow % groups; }
};

/// Calls body(piece, group, offset, length) for each piece, on several threads where it pays; the last piece first when
/// `downwards` (simd::runsDownwards).
template <class Body>
void forPieces(const Pieces &pieces, const Body &body, bool downwards = false)
{
    if (pieces.count() == 0)
        return;
    parallelRanges(pieces.count(), pieces.grain(), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t piece = downwards ? begin + end - 1 - i : i;
            const std::int64_t row = piece / pieces.piecesPerRow, start = piece % pieces.piecesPerRow * Pieces::kLength;
            body(piece, row % pieces.groups, row * pieces.inner + start, std::min(Pieces::kLength, pieces.inner - start));
        }
    });
}

} // namespace bitwright
