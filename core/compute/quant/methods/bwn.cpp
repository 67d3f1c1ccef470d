// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/binary.h"

namespace bitwright {
namespace {

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    return std::make_unique<BinaryWeight>(spec, site);
}

MethodTraits traits()
{
    MethodTraits t = binaryTraits("bwn", "BWN", "Rastegari et al., ECCV", 2016, {Role::Weight});
    t.summary = "The sign times the mean magnitude of each filter, which is the scale of least squared error.";
    t.options = {granularityOption({"channel", "tensor"}), binaryGradientOption()};
    return t;
}

} // namespace

QuantizerRow bwnRow()
{
    return {traits(), make};
}

} // namespace bitwright
