// SPDX-License-Identifier: GPL-3.0-or-later
// TorchScript files, traced or scripted.
#include "base/replace_file.h"
#include "frontends/rows.h"
#include "frontends/torchscript_archive.h"
#include "frontends/torchscript_shapes.h"
#include "frontends/torchscript_walker.h"
#include "graph/node_builder.h"
#include "graph/shape_probe.h"
#include "tensor/deep_stack.h"
#include "tensor/guarded.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/import.h>
#include <zip.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>

namespace bitwright {

namespace {

using namespace torchscript;
namespace jit = torch::jit;

using Zip = std::unique_ptr<zip_t, decltype([](zip_t *archive) { zip_discard(archive); })>;

bool probeTorchScript(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    std::array<char, 4> magic{};
    if (!file.read(magic.data(), magic.size()) || std::string_view(magic.data(), 4) != "PK\3\4")
        return false;
    const Zip archive(zip_open(path.c_str(), ZIP_RDONLY, nullptr));
    bool constants = false, code = false;
    for (zip_int64_t i = 0; archive && i < zip_get_num_entries(archive.get(), 0); ++i) {
        const char *entry = zip_get_name(archive.get(), zip_uint64_t(i), 0);
        const std::string name = entry ? entry : "";
        constants = constants || name == "constants.pkl" || name.ends_with("/constants.pkl");
        code = code || name.find("/code/") != std::string::npos;
    }
    return constants && code;
}

/// The operator that the loader does not know, with its place in the file's program, out of the loader's message.
std::optional<std::string> unknownOperator(const std::string &message)
{
    const std::string mark = "Unknown builtin op: ";
    const auto at = message.find(mark);
    if (at == std::string::npos)
        return {};
    const auto from = at + mark.size();
    std::string name = message.substr(from, message.find_first_of(" \n", from) - from);
    if (name.ends_with('.'))
        name.pop_back();
    const auto file = message.find("File \"", from), quote = file == std::string::npos ? file : message.find('"', file + 6);
    if (quote == std::string::npos || message.compare(quote, 8, "\", line ") != 0)
        return name;
    const std::string path = message.substr(file + 6, quote - file - 6);
    const auto number = quote + 8;
    return name + " (" + path.substr(path.find_last_of('/') + 1) + " line "
        + message.substr(number, message.find_first_not_of("0123456789", number) - number) + ")";
}

Result<jit::Module> loadModule(const std::string &path)
{
    BW_CHECK(checkArchive(path));
    auto module = guarded("cannot read " + path + " as TorchScript", ErrorKind::Parse,
                          [&] { return jit::load(path, c10::Device(c10::kCPU)); });
    if (!module)
        if (const auto name = unknownOperator(module.error().context))
            return fail(ErrorKind::Unsupported, path + " uses an operator that cannot be run here: " + *name +
                                                    "; export it with this written in PyTorch's own operators",
                        module.error().context);
    return module;
}

std::string listed(const std::vector<std::string> &parts)
{
    std::string text;
    for (const std::string &part : parts)
        text += (text.empty() ? "" : "; ") + part;
    return text;
}

/// Batch sizes worth a try: usual ones, then those that a trace has written into its reshapes.
std::vector<std::int64_t> candidateBatches(const Graph &graph)
{
    std::vector<std::int64_t> batches{3, 1};
    static const std::set<std::string> kReshapes{"aten::view", "aten::reshape", "aten::expand", "aten::zeros",
                                                 "aten::unflatten.int"};
    for (const Node &node : graph.nodes)
        if (kReshapes.contains(node.op))
            for (const Argument &argument : node.arguments) {
                std::int64_t first = 0;
                if (argument.kind == Argument::Kind::Constant && argument.constant.isIntList() &&
                    !argument.constant.toIntVector().empty())
                    first = argument.constant.toIntVector().front();
                if (first > 1 && first <= 4096 && std::ranges::find(batches, first) == batches.end())
                    batches.push_back(first);
            }
    return batches;
}

std::optional<WalkResult> tryWalk(const jit::Module &module, const TensorTable &tensors, WalkOptions options,
                                  std::string &refusal)
{
    try {
        return Walker(module, tensors, std::move(options)).run();
    } catch (const SampleRefused &refused) {
        refusal = refused.what();
        return {};
    }
}

void describeInputs(Graph &graph, const FoundInputs &found)
{
    for (std::size_t i = 0; i < graph.inputs.size() && i < found.inputs.size(); ++i) {
        TensorInfo &info = graph.inputs[i].info;
        if (!info.dtype.empty())
            continue;   // a number
        info.shape = found.inputs[i].shape;
        const std::int64_t first = found.inputs[i].first;
        info.shape.insert(info.shape.begin(), first > 0 ? first : found.fixedBatch ? found.batch : -1);
        info.dtype = dtypeName(found.inputs[i].dtype);
        for (const std::int64_t dimension : found.inputs[i].free)
            info.freeDimensions.push_back(dimension + 1);   // the batch comes first
    }
    graph.fixedBatch = found.fixedBatch ? found.batch : 0;
}

Result<Graph> convert(const std::string &path, jit::Module &module, const JobContext &context)
{
    const std::string &name = path;
    if (!module.find_method("forward"))
        return fail(ErrorKind::Unsupported, name + " has no forward method; export the network itself with torch.jit.script");
    module.eval();
    const TensorTable tensors(module);
    // Without samples first: shows what reads the input, and is all there is where no sample goes through.
    std::string refusal;
    std::optional<WalkResult> walked = tryWalk(module, tensors, {}, refusal);
    FoundInputs found;
    if (!walked || !walked->graph.inputs.empty()) {
        const std::vector<Guesses> guesses =
            walked ? guessInputs(walked->graph, tensors) : std::vector<Guesses>{guessInputs({}, tensors)};
        const StatedInputs stated = statedInputs(path);
        std::vector<std::int64_t> batches =
            walked ? candidateBatches(walked->graph) : std::vector<std::int64_t>{3, 1};
        if (stated.batch > 0 && std::ranges::find(batches, stated.batch) == batches.end())
            batches.push_back(stated.batch);
        found = findInputs(module, tensors, stated.inputs, guesses, batches, context);
    }
    if (context.stopped())
        return cancelled();
    if (!found.inputs.empty()) {
        walked = tryWalk(module, tensors, {makeSamples(found.inputs, found.batch, found.meta), true}, refusal);
        if (!walked || walked->sampleIncomplete)
            walked = tryWalk(module, tensors, {makeSamples(found.inputs, found.batch, false), true}, refusal);
    } else if (!found.refusal.empty()) {
        refusal = found.refusal;
    }
    if (!walked)
        return fail(ErrorKind::Unsupported, name + " does not run on any input that was tried, " + refusal +
                                                "; export it with torch.export.save");
    if (!walked->issues.empty())
        return fail(ErrorKind::Unsupported, name + " cannot become a fixed graph, it has " + listed(walked->issues) +
                                                "; trace it with torch.jit.trace or export it with torch.export.save",
                    refusal);
    findFreeSizes(found, module, tensors, context);
    describeInputs(walked->graph, found);
    walked->graph.format = "torchscript";
    BW_CHECK(normalize(walked->graph));
    return std::move(walked->graph);
}

Result<Graph> loadTorchScript(const std::string &path, const JobContext &context)
{
    Result<Graph> graph = fail(ErrorKind::Internal, "cannot read " + path);
    onDeepStack([&] {
        graph = [&]() -> Result<Graph> {
            BW_ASSIGN(jit::Module module, loadModule(path));
            return guarded("cannot read " + path + " as TorchScript", ErrorKind::Parse,
                           [&]() -> Result<Graph> { return convert(path, module, context); });
        }();
    });
    return graph;
}

/// Copies a newly saved archive without its debug records, which name the files and folders that the network was
/// written in, and with the sizes of the traced inputs, which LibTorch does not keep.
void copyRecords(const std::string &saved, const std::string &source, const std::string &target)
{
    caffe2::serialize::PyTorchStreamReader reader(saved), original(source);
    caffe2::serialize::PyTorchStreamWriter writer(target);
    const std::vector<std::string> records = reader.getAllRecords();
    for (const std::string &record : records) {
        if (record.ends_with(".debug_pkl") || record == ".data/serialization_id")
            continue;
        const auto [data, size] = reader.getRecord(record);
        writer.writeRecord(record, data.get(), size);
    }
    for (const std::string &record : original.getAllRecords()) {
        if (!record.starts_with("traced_inputs") || std::ranges::find(records, record) != records.end())
            continue;
        const auto [data, size] = original.getRecord(record);
        writer.writeRecord(record, data.get(), size);
    }
    writer.writeEndOfFile();
}

Status replaceTensors(jit::Module &module, const ParameterMap &replaced, const std::string &name)
{
    const at::NoGradGuard noGrad;
    std::set<std::string> missing;
    for (const auto &entry : replaced)
        missing.insert(entry.first);
    for (const auto &attribute : module.named_attributes(true)) {
        const auto found = replaced.find(attribute.name);
        if (found == replaced.end() || !attribute.value.isTensor())
            continue;
        at::Tensor tensor = attribute.value.toTensor().detach();
        if (tensor.sizes() != found->second.sizes())
            return fail(ErrorKind::Invalid, name + ", tensor " + attribute.name +
                                                " has another shape in the file; train the network of this file");
        tensor.copy_(found->second);
        missing.erase(attribute.name);
    }
    std::erase_if(missing, [](const std::string &lifted) { return lifted.starts_with("constant_"); });
    if (!missing.empty())
        return fail(ErrorKind::Invalid, name + " has no tensor " + *missing.begin() + "; train the network of this file");
    return {};
}

Status writeTorchScript(const std::string &source, const ParameterMap &replaced, const std::string &target)
{
    BW_ASSIGN(jit::Module module, loadModule(source));
    return replaceFile(target, [&](const std::string &temporary) {
        const std::string raw = temporary + ".raw";
        Status status = guarded("cannot write " + target, ErrorKind::Io, [&]() -> Status {
            BW_CHECK(replaceTensors(module, replaced, source));
            module.save(raw);
            copyRecords(raw, source, temporary);
            return {};
        });
        std::error_code ignored;
        std::filesystem::remove(raw, ignored);
        return status;
    });
}

} // namespace

Frontend torchscriptFrontend()
{
    return {"torchscript", "TorchScript", probeTorchScript, loadTorchScript, writeTorchScript};
}

} // namespace bitwright
