// SPDX-License-Identifier: GPL-3.0-or-later
// What torch.save writes of a state dict or checkpoint: a zip of data.pkl and one record per storage.
#include "frontends/archive_records.h"
#include "frontends/rows.h"
#include "frontends/weights_file.h"

#include <caffe2/serialize/inline_container.h>

#include <algorithm>
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
    Records(const ArchiveRecords &records, const JobContext &context) : m_records(records), m_context(context) {}

    Result<at::Tensor> bytes(const std::string &key) override
    {
        if (m_context.stopped())
            return cancelled();
        if (const auto known = m_known.find(key); known != m_known.end())
            return known->second;
        const std::string record = "data/" + key;
        if (!m_records.has(record))
            return fail(ErrorKind::Parse, "the storage " + key + " is missing");
        BW_ASSIGN(const at::Tensor tensor, m_records.bytes(record));
        return m_known.emplace(key, tensor).first->second;
    }

private:
    const ArchiveRecords &m_records;
    const JobContext &m_context;
    std::map<std::string, at::Tensor> m_known;
};

Result<Graph> read(const std::string &path, const JobContext &context)
{
    BW_ASSIGN(const ArchiveRecords archive, ArchiveRecords::open(path));
    BW_ASSIGN(const std::uint64_t size, archive.size("data.pkl"));
    if (size > kLongestPickle)
        return fail(ErrorKind::Parse, "its data.pkl is larger than that of any state dict");
    if (archive.has("byteorder")) {
        BW_ASSIGN(const std::string order, archive.text("byteorder"));
        if (order == "big")
            return fail(ErrorKind::Unsupported, "its numbers are big-endian; save it again on a little-endian machine");
    }
    BW_ASSIGN(const std::string pickle, archive.text("data.pkl"));
    Records records(archive, context);
    BW_ASSIGN(NamedTensors tensors, unpickleTensors(pickle, records));
    return weightsGraph("state_dict", std::move(tensors));
}

Result<Graph> loadCheckpoint(const std::string &path, const JobContext &context)
{
    return loadWeights(path, "a state dict or checkpoint", context, read);
}

} // namespace

Frontend checkpointFrontend()
{
    return {"state_dict", "PyTorch state dict", probeCheckpoint, loadCheckpoint, nullptr};
}

} // namespace bitwright
