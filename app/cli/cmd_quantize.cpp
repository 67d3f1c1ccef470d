// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"
#include "inputs.h"

#include "data/array_file.h"
#include "quant/quantize_tensor.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>

#include <filesystem>
#include <map>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options {
    std::string input, method, role, gradient, folder;
    int bits = 0;
    std::vector<std::string> pairs;
    std::map<std::string, std::string> named;   ///< the pairs, split
};

/// `--option a=1 b=2 X.npy`: what has no "=" is no option of the method but the array, where that is missing.
void splitOptions(Options &options)
{
    std::vector<std::string> pairs;
    for (const auto &pair : options.pairs) {
        if (options.input.empty() && pair.find('=') == std::string::npos)
            options.input = pair;
        else
            pairs.push_back(pair);
    }
    addOptionPairs(pairs, options.named);
    if (options.input.empty())
        throw CLI::ValidationError("X.npy is missing");
}

Result<at::Tensor> readFloats(const std::string &path)
{
    BW_ASSIGN(auto tensor, readNpy(path));
    // The work is done in float32; half precision could not hold the levels, and beyond float32 there is nothing to hold.
    const at::Tensor value = tensor.to(at::kFloat);
    if (tensor.scalar_type() == at::kDouble && at::isinf(value).logical_and(at::isfinite(tensor)).any().item<bool>())
        return fail(ErrorKind::Numeric, path + ", it has values beyond 3.4e38, the largest of float32; scale the array");
    return value;
}

/// Groups as lists under per-channel granularity, lists of lists where a group has several numbers; else the one value, or
/// its list where it has several or is a list by its nature.
json valuesJson(const std::map<std::string, std::vector<double>> &values, bool perChannel, std::size_t groups)
{
    json object = json::object();
    for (const auto &[name, numbers] : values) {
        const bool list = name == "codebook" || name == "basis";
        const std::size_t each = groups > 0 ? numbers.size() / groups : 0;
        if (!perChannel) {
            object[name] = list || numbers.size() != 1 ? json(numbers) : json(numbers[0]);
        } else if ((list || each > 1) && each > 0 && numbers.size() % groups == 0) {
            object[name] = json::array();
            for (std::size_t at = 0; at < numbers.size(); at += each)
                object[name].push_back(std::vector<double>(numbers.begin() + std::ptrdiff_t(at), numbers.begin() + std::ptrdiff_t(at + each)));
        } else {
            object[name] = numbers;
        }
    }
    return object;
}

json levelsJson(const QuantGrid &grid, bool perChannel, bool thresholds)
{
    json list = json::array();
    for (std::size_t group = 0; group < grid.groups.size(); ++group)
        list.push_back(thresholds ? grid.thresholds(group) : grid.levels(group));
    if (perChannel)
        return list;
    return list.empty() ? json::array() : list[0];
}

std::string numbersText(const std::vector<double> &numbers)
{
    constexpr std::size_t kShown = 16;
    std::string text;
    for (std::size_t i = 0; i < std::min(numbers.size(), kShown); ++i)
        text += (i > 0 ? " " : "") + json(numbers[i]).dump();
    return numbers.size() > kShown ? text + " … (" + std::to_string(numbers.size()) + ")" : text;
}

std::string resultText(const QuantizedTensor &result)
{
    TextTable table({{""}, {""}});
    if (!result.grid.empty()) {
        table.add({"levels", numbersText(result.grid.levels(0)) + (result.grid.groups.size() > 1 ? "  (first of " +
                   std::to_string(result.grid.groups.size()) + " channels)" : "")});
        table.add({"thresholds", numbersText(result.grid.thresholds(0))});
    }
    for (const auto &[name, numbers] : result.parameters)
        table.add({name, numbersText(numbers)});
    for (const auto &[name, numbers] : result.parameterGradients)
        table.add({"gradient of " + name, numbersText(numbers)});
    table.add({"mse", json(result.mse).dump()});
    table.add({"sqnr", result.sqnrDb ? fixed(*result.sqnrDb, 3) + " dB" : "-"});
    table.add({"bits per value", json(result.bitsPerValue).dump()});
    table.add({"side information", json(result.sideInformationBits).dump() + " bits"});
    const auto text = table.text();
    return text.substr(text.find('\n') + 1);
}

Result<std::string> outputFolder(const std::string &folder)
{
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    if (!std::filesystem::is_directory(folder, code))
        return fail(ErrorKind::Io, folder + ", cannot be made a folder; choose another place for -o");
    return folder + "/";
}

Result<Output> quantize(const Options &options, Console &console)
{
    const Role role = options.role == "activation" ? Role::Activation : Role::Weight;
    BW_ASSIGN(const auto spec, specFromText(options.method, options.bits, role, options.named));
    BW_ASSIGN(const auto x, readFloats(options.input));
    at::Tensor gradient;
    if (!options.gradient.empty()) {
        BW_ASSIGN(gradient, readFloats(options.gradient));
        if (gradient.sizes() != x.sizes())
            return fail(ErrorKind::Invalid, options.gradient + ", its shape is " + shapeText(gradient.sizes().vec()) + ", that of " +
                                                options.input + " is " + shapeText(x.sizes().vec()) + "; they must be the same");
        gradient = gradient.to(x.scalar_type());
    }
    BW_ASSIGN(const auto result, quantizeTensor(x, spec, role, gradient, console.options().seed));
    if (!result.warning.empty())
        console.warn("warning: " + result.warning);
    if (!options.folder.empty()) {
        BW_ASSIGN(const auto folder, outputFolder(options.folder));
        BW_CHECK(writeNpy(folder + "quantized.npy", result.quantized));
        if (result.gradInput.defined())
            BW_CHECK(writeNpy(folder + "grad_input.npy", result.gradInput));
    }
    const bool perChannel = result.grid.perChannel || textParam(result.spec.options, "granularity") == "channel";
    const std::size_t groups = result.grid.groups.size();
    Output output;
    output.firstKeys = {"levels", "thresholds", "mse", "sqnr_db", "bits_per_value", "side_information_bits", "parameters"};
    output.json = {{"levels", levelsJson(result.grid, perChannel, false)},
                   {"thresholds", levelsJson(result.grid, perChannel, true)},
                   {"mse", result.mse},
                   {"sqnr_db", result.sqnrDb ? json(*result.sqnrDb) : json(nullptr)},
                   {"bits_per_value", result.bitsPerValue},
                   {"side_information_bits", result.sideInformationBits},
                   {"parameters", valuesJson(result.parameters, perChannel, groups)},
                   {"parameter_gradients", valuesJson(result.parameterGradients, perChannel, groups)}};
    output.text = resultText(result);
    return output;
}

} // namespace

Work declareQuantize(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("X.npy", options->input, "Array to quantize");
    app.add_option("--method", options->method, "Quantizer (see methods)")->required();
    app.add_option("--bits", options->bits, "Bits")->required();
    app.add_option("--role", options->role, "weight or activation")->required()->check(CLI::IsMember({"weight", "activation"}));
    app.add_option("--option", options->pairs, "Options of the method, NAME=VALUE");
    app.add_option("--grad", options->gradient, "Gradient to pass back (.npy, shape of X)");
    app.add_option("-o,--output", options->folder, "Folder for quantized.npy and grad_input.npy");
    app.parse_complete_callback([options] { splitOptions(*options); });
    return [options](Console &console) { return quantize(*options, console); };
}

} // namespace bitwright::cli
