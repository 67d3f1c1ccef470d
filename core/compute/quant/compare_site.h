// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "quant/preview.h"

namespace bitwright {

/// One method at one width on one site by itself: everything of CompareReady but job, index and size. Values that the spec
/// lacks are taken from the whole weight, or from what was streamed over the input. Errors and entropy are exact for weights
/// of up to 2^18 elements and for larger ones those of the preview's sample; for activations they are the fine histogram's,
/// each value at the centre of its bin. The entropy is that of the codes of all groups as one message.
/// Fails where the method refuses the site or the bits.
Result<CompareReady> compareSite(const PreviewSource &source, const QuantSpec &spec);

/// Its size: the layer's weight with its side data as the size model counts it.
double siteSizeBits(const LayerInfo &layer, const QuantSpec &spec, const Mask &mask);

} // namespace bitwright
