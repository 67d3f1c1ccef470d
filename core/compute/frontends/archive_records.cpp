// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/archive_records.h"

#include "frontends/weights_file.h"
#include "tensor/guarded.h"
#include "tensor/mapped_file.h"

#include <ATen/ops/from_blob.h>
#include <caffe2/serialize/inline_container.h>
#include <zip.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

namespace bitwright {

namespace {

using caffe2::serialize::PyTorchStreamReader;
using Zip = std::unique_ptr<zip_t, decltype([](zip_t *archive) { zip_discard(archive); })>;

/// Program text and its debug records are the only ones that PyTorch compresses.
constexpr std::uint64_t kMostText = std::uint64_t(256) << 20;
constexpr std::size_t kWidestElement = 16;

/// Names of records that are stored without compression. LibTorch's reader does not tell.
std::set<std::string> storedRecords(const std::string &path)
{
    std::set<std::string> stored;
    const Zip archive(zip_open(path.c_str(), ZIP_RDONLY, nullptr));
    for (zip_int64_t i = 0; archive && i < zip_get_num_entries(archive.get(), 0); ++i) {
        zip_stat_t stat;
        zip_stat_init(&stat);
        if (zip_stat_index(archive.get(), zip_uint64_t(i), ZIP_FL_ENC_RAW, &stat) != 0 || (stat.valid & ZIP_STAT_COMP_METHOD) == 0 ||
            (stat.valid & ZIP_STAT_NAME) == 0 || stat.comp_method != ZIP_CM_STORE)
            continue;
        const std::string name = stat.name;
        if (const auto slash = name.find('/'); slash != std::string::npos)
            stored.insert(name.substr(slash + 1));
    }
    return stored;
}

/// Throws what the reader throws.
Status checkSizes(const std::string &path, PyTorchStreamReader &reader, const std::vector<std::string> &names)
{
    const std::uint64_t most = std::filesystem::file_size(path) + kMostText;
    std::uint64_t total = 0;
    for (const std::string &name : names) {
        const std::uint64_t size = reader.getRecordSize(name);
        if (size > most || (total += size) > most)
            return fail(ErrorKind::Parse, path + ", its records unpack to more than " + std::to_string(most >> 20) +
                                              " MB, which no PyTorch file of its size does; get the file again");
    }
    return {};
}

} // namespace

struct ArchiveRecords::Private {
    std::string path;
    std::shared_ptr<const MappedFile> file;
    std::unique_ptr<PyTorchStreamReader> reader;
    std::vector<std::string> names;
    std::set<std::string> known, stored;
};

ArchiveRecords::ArchiveRecords() : d(new Private) {}
ArchiveRecords::~ArchiveRecords() = default;
ArchiveRecords::ArchiveRecords(ArchiveRecords &&) noexcept = default;
ArchiveRecords &ArchiveRecords::operator=(ArchiveRecords &&) noexcept = default;

Result<ArchiveRecords> ArchiveRecords::open(const std::string &path)
{
    ArchiveRecords records;
    Private &d = *records.d;
    d.path = path;
    BW_ASSIGN(d.file, MappedFile::open(path));
    BW_CHECK(guarded(path, ErrorKind::Parse, [&]() -> Status {
        d.reader = std::make_unique<PyTorchStreamReader>(path);
        d.names = d.reader->getAllRecords();
        return checkSizes(path, *d.reader, d.names);
    }));
    d.known = {d.names.begin(), d.names.end()};
    d.stored = storedRecords(path);
    return records;
}

const std::vector<std::string> &ArchiveRecords::names() const { return d->names; }
bool ArchiveRecords::has(const std::string &name) const { return d->known.contains(name); }

Result<std::uint64_t> ArchiveRecords::size(const std::string &name) const
{
    if (!has(name))
        return fail(ErrorKind::Parse, d->path + ", it has no record " + name + "; copy or save the file again");
    return guarded(d->path, ErrorKind::Parse, [&] { return std::uint64_t(d->reader->getRecordSize(name)); });
}

Result<at::Tensor> ArchiveRecords::bytes(const std::string &name) const
{
    BW_ASSIGN(const std::uint64_t size, this->size(name));
    const std::string_view all = d->file->bytes();
    return guarded(d->path + ", " + name, ErrorKind::Parse, [&] {
        const auto options = at::TensorOptions().dtype(at::kByte);
        if (d->stored.contains(name)) {
            const std::uint64_t offset = d->reader->getRecordOffset(name);
            TORCH_CHECK(offset <= all.size() && size <= all.size() - offset, "it lies outside the file");
            char *data = const_cast<char *>(all.data() + offset);   // the mapping is private: a write never reaches the file
            if (reinterpret_cast<std::uintptr_t>(data) % kWidestElement == 0)
                return at::from_blob(data, {std::int64_t(size)}, [file = d->file](void *) {}, options);
            return at::from_blob(data, {std::int64_t(size)}, options).clone();   // no writer of PyTorch's puts it there
        }
        auto [data, got] = d->reader->getRecord(name);
        auto owner = std::make_shared<at::DataPtr>(std::move(data));
        return at::from_blob(owner->get(), {std::int64_t(got)}, [owner](void *) {}, options);
    });
}

Result<std::string> ArchiveRecords::text(const std::string &name) const
{
    BW_ASSIGN(const at::Tensor found, bytes(name));
    if (found.numel() == 0)
        return std::string();
    return std::string(static_cast<const char *>(found.const_data_ptr()), std::size_t(found.numel()));
}

Status checkPickleArchive(const std::vector<char> &bytes)
{
    return guarded("the archive", ErrorKind::Parse, [&]() -> Status {
        std::istringstream stream(std::string(bytes.data(), bytes.size()));
        PyTorchStreamReader reader(&stream);
        for (const std::string &name : reader.getAllRecords())
            if (reader.getRecordSize(name) > bytes.size())   // nothing in it is compressed
                return fail(ErrorKind::Parse, "its record " + name + " is longer than the file");
        const auto [data, size] = reader.getRecord("data.pkl");
        return checkPickle(std::string(static_cast<const char *>(data.get()), size), [&](const std::string &key) -> Result<std::uint64_t> {
            const std::string record = "data/" + key;
            if (!reader.hasRecord(record))
                return fail(ErrorKind::Parse, "the storage " + key + " is missing");
            return std::uint64_t(reader.getRecordSize(record));
        });
    });
}

Status checkUnpackedSize(const std::string &path)
{
    const Status status = guarded(path, ErrorKind::Parse, [&]() -> Status {
        PyTorchStreamReader reader(path);
        return checkSizes(path, reader, reader.getAllRecords());
    });
    if (!status && !status.error().context.empty())   // LibTorch's words
        return fail(ErrorKind::Parse, path + " is no readable archive, it is cut off or damaged; copy or export the file again", status.error().context);
    return status;
}

} // namespace bitwright
