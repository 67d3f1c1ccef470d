// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"

#include "data/array_file.h"
#include "base/replace_file.h"
#include "exporters/pack_file.h"

#include <ATen/ATen.h>

#include <CLI/CLI.hpp>

namespace bitwright::cli {

namespace {

using nlohmann::json;

struct Options { std::string file, output; };

Result<Output> unpack(const Options &options, Console &)
{
    BW_ASSIGN(const pack::PackFile file, pack::readPack(options.file));
    BW_CHECK(notOver(options.file, options.output));
    std::vector<NamedTensor> arrays;
    Output output;
    output.firstKeys = {"path", "tensors", "name", "shape", "bits", "encoding", "bytes", "bits_per_weight", "assignment"};
    output.json = {{"path", options.output}, {"tensors", json::array()}, {"assignment", file.assignment}};
    TextTable table({{"tensor"}, {"bits", TextTable::Align::Right}, {"bytes", TextTable::Align::Right},
                     {"bits/value", TextTable::Align::Right}, {"encoding"}});
    for (const auto &packed : file.tensors) {
        auto tensor = pack::unpackTensor(packed);
        if (!tensor)
            return fail(tensor.error().kind, options.file + ", " + tensor.error().message);
        // NPY has no bfloat16
        arrays.emplace_back(packed.name, tensor->scalar_type() == at::kBFloat16 ? tensor->to(at::kFloat) : *tensor);
        output.json["tensors"].push_back({{"name", packed.name}, {"shape", packed.shape}, {"bits", packed.bits}, {"encoding", packed.describe()},
                                          {"bytes", packed.payload.size()}, {"bits_per_weight", packed.bitsPerWeight()}});
        table.add({packed.name, std::to_string(packed.bits), grouped(std::int64_t(packed.payload.size())),
                   fixed(packed.bitsPerWeight(), 3), packed.describe()});
    }
    BW_CHECK(writeNpz(options.output, arrays));
    output.text = table.text();
    return output;
}

} // namespace

Work declareUnpack(CLI::App &app)
{
    auto options = std::make_shared<Options>();
    app.add_option("F", options->file, "The pack")->required();
    app.add_option("-o,--output", options->output, "Arrays to write, .npz")->required();
    return [options](Console &console) { return unpack(*options, console); };
}

} // namespace bitwright::cli
