// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/printable.h"
#include "base/replace_file.h"
#include "frontends/rows.h"

#include "tensor/guarded.h"
#include "tensor/mapped_file.h"
#include "tensor/memory.h"

#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace bitwright {

namespace {

const char *const kExport = "save the whole network with torch.export.save(torch.export.export(model.eval(), (example,), "
                            "dynamic_shapes=({0: torch.export.Dim(\"batch\")},)), \"model.pt2\")";

std::string headOf(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    std::string head(512, '\0');
    file.read(head.data(), std::streamsize(head.size()));
    head.resize(std::size_t(std::max<std::streamsize>(file.gcount(), 0)));
    return head;
}

/// A path that can be read at all.
Status checkReadable(const std::string &path)
{
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status))
        return fail(ErrorKind::Io, path + ", no such file; check the path");
    if (std::filesystem::is_directory(status))
        return fail(ErrorKind::Io, path + " is a folder; name the model file in it");
    if (!std::filesystem::is_regular_file(status))   // opening a pipe would wait for its writer
        return fail(ErrorKind::Io, path + " is a device or a pipe; name a file");
    if (!std::ifstream(path, std::ios::binary))
        return fail(ErrorKind::Io, path + " cannot be opened; check its permissions");
    if (std::filesystem::is_regular_file(status) && std::filesystem::file_size(path, error) == 0)
        return fail(ErrorKind::Parse, path + " is empty; copy or save it again");
    return {};
}

std::unexpected<Error> describeZip(const std::string &path)
{
    std::vector<std::string> records;
    const auto read = guarded(path, ErrorKind::Parse, [&] {
        caffe2::serialize::PyTorchStreamReader reader(path);
        records = reader.getAllRecords();
    });
    if (!read)
        return fail(ErrorKind::Parse, path + " is a zip archive, but truncated, damaged or not PyTorch's; copy or save it again",
                    read.error().context);
    const auto has = [&](const std::string &part) {
        return std::ranges::any_of(records, [&](const std::string &r) { return r.find(part) != std::string::npos; });
    };
    if (has("data.pkl") && !has("code/"))
        return fail(ErrorKind::Unsupported, path + " is a state dict or another pickled object (torch.save): weights without "
                                                   "the network; load it in Python and " + kExport);
    return fail(ErrorKind::Unsupported, path + " is a zip archive without a network in it; " + kExport);
}

/// What a file is that no front end wants.
std::unexpected<Error> describeForeign(const std::string &path)
{
    const std::string head = headOf(path);
    const auto at = [&](std::size_t offset, std::string_view magic) {
        return head.size() >= offset + magic.size() && std::string_view(head).substr(offset, magic.size()) == magic;
    };
    if (at(0, "PK\x03\x04") || at(0, "PK\x05\x06"))
        return describeZip(path);
    if (head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5)
        return fail(ErrorKind::Unsupported, path + " is a Python pickle (an old torch.save file?), not a network; load it in "
                                                   "Python and " + kExport);
    if (at(8, "{\"") && head.size() > 16)
        return fail(ErrorKind::Unsupported, path + " is a safetensors file: weights without the network; load them in Python and "
                                                + kExport);
    if (at(0, "\x89HDF"))
        return fail(ErrorKind::Unsupported, path + " is an HDF5 file (Keras?); convert it to ONNX or PyTorch first");
    if (at(4, "TFL3"))
        return fail(ErrorKind::Unsupported, path + " is a TensorFlow Lite file; convert it to ONNX or PyTorch first");
    if (at(0, "GGUF"))
        return fail(ErrorKind::Unsupported, path + " is a GGUF file; convert it to ONNX or PyTorch first");
    return fail(ErrorKind::Parse, path + " is no network file that Bitwright knows (.pt2, TorchScript, ONNX); " + kExport);
}

const Frontend *frontendOf(const std::string &path)
{
    for (const Frontend &frontend : frontends())
        if (frontend.probe(path))
            return &frontend;
    return nullptr;
}

} // namespace

const std::vector<Frontend> &frontends()
{
    static const std::vector<Frontend> table = [] {
        std::vector<Frontend> rows{pt2Frontend(), torchscriptFrontend(), onnxFrontend(), safetensorsFrontend(), checkpointFrontend()};
        std::erase_if(rows, [](const Frontend &row) { return !row.probe || !row.load; });
        return rows;
    }();
    return table;
}

Result<Graph> loadGraph(const std::string &path, const JobContext &context)
{
    BW_CHECK(checkReadable(path));
    const Frontend *frontend = frontendOf(path);
    if (!frontend)
        return describeForeign(path);
    const std::uint64_t before = mappedFileCount();
    const AllocationLimit limit(availableMemory() / 2);   // constants are computed, sample inputs tried
    auto graph = frontend->load(path, context);
    BW_CHECK(mappedFilesIntact(before));
    // Both name what the file names, and a file may name it with any bytes.
    if (!graph)
        return fail(graph.error().kind, printable(graph.error().message), graph.error().context);
    for (std::string &obstacle : graph->obstacles)
        obstacle = printable(obstacle);
    graph->source = path;
    return graph;
}

Status writeWithParameters(const std::string &source, const ParameterMap &replaced, const std::string &target)
{
    BW_CHECK(checkReadable(source));
    BW_CHECK(notOver(source, target));
    const Frontend *frontend = frontendOf(source);
    if (!frontend)
        return describeForeign(source);
    if (!frontend->writeWithParameters)
        return fail(ErrorKind::Unsupported, source + ", " + frontend->title + " cannot be written with new weights; export to ONNX");
    return frontend->writeWithParameters(source, replaced, target);
}

} // namespace bitwright
