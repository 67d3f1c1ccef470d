// SPDX-License-Identifier: GPL-3.0-or-later
#include "catalog/recipes.h"
#include "prune/pruner.h"
#include "quant/grid_quantizer.h"
#include "quant/methods/methods.h"
#include "quant/normalized.h"

#include <algorithm>

namespace bitwright {
namespace {

constexpr int kWidestNormalized = 8;   // its levels are looked up, not computed

/// `surrogate`, `normalize` and `restore` mean the same for every method that has them.
std::vector<QuantizerRow> withSharedOptions(std::vector<QuantizerRow> rows)
{
    for (QuantizerRow &row : rows) {
        if (row.surrogates) {
            row.traits.options.push_back({"surrogate", ParamType::Choice, ParamValue(std::string()), 0, 0, surrogateNames(), {},
                                          "Gradient that training passes back instead of the method's own.", true});
        }
        if (row.normalizes && row.traits.hasRole(Role::Weight)) {
            row.traits.options.push_back(boolOption("normalize", row.normalizedByDefault,
                                                    "Weights: mean 0 and deviation 1 before they are quantized."));
            row.traits.options.push_back(boolOption("restore", false, "Of normalize=true: map the levels back to the weight's own mean and "
                                                    "deviation, so that no batch norm has to.", "normalize=true"));
        }
    }
    return rows;
}

} // namespace

const std::vector<QuantizerRow> &quantizerRows()
{
    static const std::vector<QuantizerRow> rows = withSharedOptions({
        uniformRow(),
        binaryconnectRow(),
        bnnRow(),
        bwnRow(),
        xnorRow(),
        birealRow(),
        abcRow(),
        horqRow(),
        twnRow(),
        ttqRow(),
        inqRow(),
        apotRow(),
        hwgqRow(),
        dorefaRow(),
        wrpnRow(),
        balancedRow(),
        pactRow(),
        sawbRow(),
        qilRow(),
        kmeansRow(),
        lloydRow(),
        lqnetsRow(),
        quantnetRow(),
        laqRow(),
    });
    return rows;
}

const Catalog &methodCatalog()
{
    static const Catalog catalog = [] {
        std::vector<MethodTraits> methods;
        for (const QuantizerRow &row : quantizerRows())
            methods.push_back(row.traits);
        for (const PrunerRow &row : prunerRows()) {
            methods.push_back(row.traits);
            methods.back().structured = row.structured;
        }
        std::vector<std::string> criteria;
        for (const MethodTraits &method : methods) {
            if (method.kind == MethodKind::Pruner && !method.needsData)
                criteria.push_back(method.id);
        }
        for (MethodTraits &recipe : recipeTraits(criteria))
            methods.push_back(std::move(recipe));
        return Catalog(std::move(methods));
    }();
    return catalog;
}

std::string siteLabel(const Site &site, const std::string &method)
{
    return site.layer.empty() ? method : site.layer + " (" + roleName(site.role) + "), " + method;
}

Result<std::unique_ptr<Quantizer>> makeQuantizer(const QuantSpec &spec, const Site &site)
{
    const auto &rows = quantizerRows();
    const auto row = std::ranges::find_if(rows, [&](const QuantizerRow &r) { return r.traits.id == spec.method; });
    const std::string label = siteLabel(site, spec.method);
    if (row == rows.end())
        return fail(ErrorKind::Unsupported, label + ", there is no such method; see the list of methods");
    const MethodTraits &traits = row->traits;
    if (!traits.hasRole(site.role))
        return fail(ErrorKind::Unsupported, label + ", the method is not for the role " + roleName(site.role)
                                                + "; choose another method");
    if (spec.bits < traits.minimumBits || spec.bits > traits.maximumBits)
        return fail(ErrorKind::Unsupported, label + ", " + std::to_string(spec.bits) + " bits is outside "
                                                + std::to_string(traits.minimumBits) + " to "
                                                + std::to_string(traits.maximumBits) + "; choose bits in that range");
    for (const auto &[name, numbers] : spec.values)
        if (std::ranges::find(traits.values, name) == traits.values.end())
            return fail(ErrorKind::Invalid, label + ", the value " + name + " is not one of this method's; remove it");
    QuantSpec complete = spec;
    BW_ASSIGN(complete.options, completeParams(traits.options, spec.options, label));
    const bool normalize = site.role == Role::Weight && boolParam(complete.options, "normalize");
    if (site.role == Role::Activation && boolParam(spec.options, "normalize") && !row->normalizedByDefault)
        return fail(ErrorKind::Unsupported, label + ", only weights are normalised; set normalize=false");
    BW_ASSIGN(auto quantizer, row->make(complete, site));
    if (!normalize)
        return quantizer;
    if (spec.bits > kWidestNormalized)
        return fail(ErrorKind::Unsupported, label + ", normalize=true is for up to " + std::to_string(kWidestNormalized)
                                                + " bits; use fewer bits or normalize=false");
    return normalized(std::move(quantizer), site, textParam(complete.options, "granularity", "tensor") == "channel",
                      boolParam(complete.options, "restore"), label);
}

} // namespace bitwright
