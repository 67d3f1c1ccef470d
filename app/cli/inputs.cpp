// SPDX-License-Identifier: GPL-3.0-or-later
#include "inputs.h"

#include "quant/quantizer.h"

namespace bitwright::cli {

Result<std::shared_ptr<const Dataset>> openDataFor(const Network &network, const std::string &spec, Console &console)
{
    DataContext context;
    context.modelPath = network.summary().path;
    if (!network.summary().inputs.empty())
        context.inputShape = network.summary().inputs[0].shape;
    context.job = console.job();
    return openData(spec, context);
}

Result<ModelConfig> readConfigFor(const Network &network, const std::string &path, Console &console)
{
    BW_ASSIGN(auto config, readConfig(path, methodCatalog()));
    const auto &summary = network.summary();
    if (!config.modelSha.empty() && config.modelSha != summary.sha256)
        console.warn("warning: " + path + " was made for another file than " + summary.path + "; its values may not fit");
    if (auto resolved = resolve(config, summary, methodCatalog()); !resolved)
        return fail(resolved.error().kind, path + ": " + resolved.error().message, resolved.error().context);
    return config;
}

} // namespace bitwright::cli
