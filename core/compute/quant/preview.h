// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/quantizer.h"
#include "session/engine_api.h"

#include <ATen/core/Tensor.h>

#include <vector>

namespace bitwright {

/// What previews of one site are drawn from, made once and kept: then each preview takes a few milliseconds, whatever
/// the size of the tensor. A value; hold it per layer until the weights or the statistics change.
struct PreviewSource {
    Site site;
    SiteStatistics statistics;   ///< of the whole tensor, or what was streamed
    at::Tensor rows;             ///< weights: [groups, elements], all of them; undefined for activations
    at::Tensor sample;           ///< weights: the same rows, every k-th element, at most 2^18 in all
    std::int64_t numel = 0;
};

/// One pass over the weight for its statistics, and the sample.
Result<PreviewSource> previewSource(const at::Tensor &weight, const Site &site);
PreviewSource previewSource(const SiteStatistics &statistics, const Site &site);

/// The grid, both histograms on the same bins (shownBins() of the values, at most request.bins), and the errors of `request.spec` at that site. `job` stays 0.
/// Exact for weights of up to 2^18 elements. For larger ones the values are those of the whole tensor where the range is
/// minmax, average or scaled (else from the fine histogram or the sample), and histograms and errors are the sample's,
/// scaled up. Activations come from the fine histogram, each value at the centre of its bin; their extremes are exact.
/// errorByBits uses at most 2^15 elements, except that the request's own bits get the exact figure. An error or signal
/// of zero gives a sqnrDb that is not a number.
Result<PreviewReady> previewSite(const PreviewSource &source, const PreviewRequest &request);

} // namespace bitwright
