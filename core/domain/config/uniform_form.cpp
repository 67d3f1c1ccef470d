// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/uniform_form.h"

namespace bitwright {

UniformForm uniformForm(const QuantSpec &spec, Role role, bool nonNegative)
{
    const ParamValues &options = spec.options;
    const bool weight = role == Role::Weight, learned = boolParam(options, "learned_step");
    const bool symmetricByDefault = weight || learned || hasParam(options, "signed") || hasParam(options, "full_range");
    UniformForm form;
    form.symmetric = boolParam(options, "symmetric", symmetricByDefault);
    form.isSigned = boolParam(options, "signed", weight || !nonNegative);
    form.fullRange = boolParam(options, "full_range", learned);
    const std::int64_t levels = std::int64_t(1) << spec.bits;
    if (!form.symmetric || !form.isSigned) {
        form.qmax = levels - 1;
        return form;
    }
    form.qmax = levels / 2 - 1;
    form.qmin = form.fullRange ? -levels / 2 : -form.qmax;
    return form;
}

void spellOutSigns(ResolvedConfig &config, const ModelSummary &model)
{
    for (auto &[name, layer] : config) {
        QuantSpec &spec = layer.activation;
        const LayerInfo *info = model.layer(name);
        if (spec.method != "uniform" || !info || hasParam(spec.options, "signed"))
            continue;
        if (const UniformForm form = uniformForm(spec, Role::Activation, info->nonNegativeInput); form.symmetric)
            spec.options["signed"] = form.isSigned;
    }
}

} // namespace bitwright
