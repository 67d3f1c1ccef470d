// SPDX-License-Identifier: GPL-3.0-or-later
// What torch.save writes of a state dict or checkpoint: a zip of data.pkl and one record per storage.
#include "frontends/rows.h"
#include "frontends/weights_file.h"
#include "tensor/guarded.h"

#include <ATen/ops/from_blob.h>
#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace bitwright {

namespace {

using caffe2::serialize::PyTorchStreamReader;

constexpr std::size_t kLongestPickle = std::size_t(64) << 20;

bool probeCheckpoint(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    char magic[4];
    if (!file.read(magic, sizeof magic) || std::string_view(magic, 4) != "PK\3\4")
        return false;
    try {
        PyTorchStreamReader reader(path);
        const auto records = reader.getAllRecords();
        const auto has = [&](const std::string &prefix) {
            return std::ranges::any_of(records, [&](const std::string &record) { return record.starts_with(prefix); });
        };
        return has("data.pkl") && !has("code/") && !has("models/") && !has("constants.pkl");
    } catch (const std::exception &) {
        return false;   // the refusal says that it is damaged
    }
}

class Records : public StorageSource {
public:
    Records(PyTorchStreamReader &reader, std::uintmax_t fileSize, const JobContext &context)
        : m_reader(reader), m_fileSize(fileSize), m_context(context) {}

    Result<at::Tensor> bytes(const std::string &key) override
    {
        if (m_context.stopped())
            return cancelled();
        if (const auto known = m_known.find(key); known != m_known.end())
            return known->second;
        const std::string record = "data/" + key;
        if (!m_reader.hasRecord(record))
            return fail(ErrorKind::Parse, "the storage " + key + " is missing");
        // Records are stored as they are: one that claims more than the file holds is a bomb.
        m_read += m_reader.getRecordSize(record);
        if (m_read > m_fileSize)
            return fail(ErrorKind::Parse, "its storages are larger than the file");
        auto [data, size] = m_reader.getRecord(record);
        auto shared = std::make_shared<at::DataPtr>(std::move(data));
        at::Tensor tensor = at::from_blob(shared->get(), {std::int64_t(size)}, [shared](void *) {}, at::TensorOptions().dtype(at::kByte));
        return m_known.emplace(key, tensor).first->second;
    }

private:
    PyTorchStreamReader &m_reader;
    std::uintmax_t m_fileSize;
    const JobContext &m_context;
    std::uintmax_t m_read = 0;
    std::map<std::string, at::Tensor> m_known;
};

Result<Graph> read(const std::string &path, const JobContext &context)
{
    PyTorchStreamReader reader(path);
    const auto fileSize = std::filesystem::file_size(path);
    if (reader.getRecordSize("data.pkl") > std::min<std::uintmax_t>(kLongestPickle, fileSize))
        return fail(ErrorKind::Parse, "its data.pkl is larger than that of any state dict");
    if (reader.hasRecord("byteorder")) {
        const auto [order, size] = reader.getRecord("byteorder");
        if (std::string_view(static_cast<const char *>(order.get()), size) == "big")
            return fail(ErrorKind::Unsupported, "its numbers are big-endian; save it again on a little-endian machine");
    }
    const auto [data, size] = reader.getRecord("data.pkl");
    Records records(reader, fileSize, context);
    BW_ASSIGN(NamedTensors tensors, unpickleTensors(std::string(static_cast<const char *>(data.get()), size), records));
    return weightsGraph("state_dict", std::move(tensors));
}

Result<Graph> loadCheckpoint(const std::string &path, const JobContext &context)
{
    auto graph = guarded(path, ErrorKind::Parse, [&] { return read(path, context); });
    if (!graph && !isCancelled(graph.error()) && !graph.error().message.starts_with(path))
        return fail(graph.error().kind, path + " (a state dict or checkpoint), " + graph.error().message +
                                            (graph.error().kind == ErrorKind::Parse ? "; copy or save it again" : ""));
    return graph;
}

} // namespace

Frontend checkpointFrontend()
{
    return {"state_dict", "PyTorch state dict", probeCheckpoint, loadCheckpoint, nullptr};
}

} // namespace bitwright
