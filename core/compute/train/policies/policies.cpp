// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/policies/policies.h"

#include "catalog/recipes.h"
#include "quant/quantizer.h"

#include <algorithm>

namespace bitwright {

const std::vector<PolicyRow> &policyRows()
{
    static const std::vector<PolicyRow> rows{distillRow(), gradualRow(), alternateRow(), slimmingTermRow()};
    return rows;
}

Result<std::vector<std::unique_ptr<TrainingPolicy>>> makePolicies(const FineTuneInput &input)
{
    std::vector<std::string> ids;
    std::vector<std::unique_ptr<TrainingPolicy>> policies;
    for (const RecipeChoice &choice : input.options.recipes) {
        const MethodTraits *traits = methodCatalog().recipe(choice.id);
        const auto row = std::ranges::find(policyRows(), choice.id, &PolicyRow::id);
        if (!traits || row == policyRows().end())
            return fail(ErrorKind::Invalid, "recipe " + choice.id + ", there is no such recipe; `methods` lists them");
        ids.push_back(choice.id);
        if (std::string clash = recipeClash(ids); !clash.empty())
            return fail(ErrorKind::Invalid, std::move(clash));
        BW_ASSIGN(const ParamValues options, completeParams(traits->options, choice.options, "recipe " + choice.id));
        BW_ASSIGN(auto policy, row->make(options, input));
        policies.push_back(std::move(policy));
    }
    return policies;
}

} // namespace bitwright
