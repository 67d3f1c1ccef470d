// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/array_file.h"

#include "base/names.h"
#include "base/replace_file.h"
#include "base/text_file.h"
#include "data/byte_source.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>

#include <zip.h>

namespace bitwright {

namespace {

struct DiscardZip { void operator()(zip_t *zip) const { zip_discard(zip); } };
struct CloseEntry { void operator()(zip_file_t *file) const { zip_fclose(file); } };
using Zip = std::unique_ptr<zip_t, DiscardZip>;
using Entry = std::unique_ptr<zip_file_t, CloseEntry>;

class ZipSource final : public ByteSource {
public:
    /// The archive must live as long.
    ZipSource(std::string name, std::int64_t bound, Entry entry) : ByteSource(std::move(name), bound), m_entry(std::move(entry)) {}
    Result<std::int64_t> read(void *target, std::int64_t count) override
    {
        std::int64_t done = 0;
        while (done < count) {
            const auto got = zip_fread(m_entry.get(), static_cast<char *>(target) + done, zip_uint64_t(count - done));
            if (got < 0)
                return fail(ErrorKind::Parse, name() + ", damaged or truncated; get the file again",
                            zip_file_strerror(m_entry.get()));
            if (got == 0)
                break;
            done += got;
        }
        return done;
    }

private:
    Entry m_entry;
};

Result<Zip> openZip(const std::string &path)
{
    std::error_code code;
    if (!std::filesystem::exists(path, code))
        return fail(ErrorKind::Io, path + ", no such file; check the path");
    int error = 0;
    Zip zip(zip_open(path.c_str(), ZIP_RDONLY, &error));
    if (!zip)
        return fail(ErrorKind::Parse, path + ", not a readable .npz archive; save it with numpy.savez");
    return zip;
}

std::string arrayName(std::string entry)
{
    if (entry.ends_with(".npy"))
        entry.resize(entry.size() - 4);
    return entry;
}

bool isZip(const std::string &path)
{
    std::array<char, 4> start{};
    if (std::FILE *file = std::fopen(path.c_str(), "rb")) {
        const auto got = std::fread(start.data(), 1, start.size(), file);
        std::fclose(file);
        return got == 4 && (std::memcmp(start.data(), "PK\x03\x04", 4) == 0 || std::memcmp(start.data(), "PK\x05\x06", 4) == 0);
    }
    return false;
}

std::vector<std::string> namesOf(zip_t *zip)
{
    std::vector<std::string> names;
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip, 0); ++i)
        if (const char *name = zip_get_name(zip, zip_uint64_t(i), 0))
            names.push_back(arrayName(name));
    return names;
}

Result<at::Tensor> readEntry(zip_t *zip, zip_uint64_t index, const std::string &path, const std::string &name, std::int64_t first = 0,
                             std::int64_t limit = -1, std::int64_t *total = nullptr)
{
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(zip, index, 0, &stat) != 0 || (stat.valid & ZIP_STAT_SIZE) == 0 || (stat.valid & ZIP_STAT_COMP_SIZE) == 0)
        return fail(ErrorKind::Parse, path + ", its list of arrays is damaged; get the file again");
    Entry entry(zip_fopen_index(zip, index, 0));
    if (!entry)
        return fail(ErrorKind::Parse, path + ", array '" + name + "' cannot be unpacked; save it with numpy.savez", zip_strerror(zip));
    // the sizes in the archive may lie: no entry is longer than the file allows
    std::error_code code;
    const auto fileBytes = std::filesystem::file_size(path, code);
    constexpr std::uint64_t kRatio = 1040;
    const auto bound = std::min<std::uint64_t>(stat.size, std::min<std::uint64_t>(stat.comp_size, fileBytes) * kRatio);
    ZipSource source(path + " (" + name + ")", std::int64_t(bound), std::move(entry));
    return readNpy(source, first, limit, total);
}

} // namespace

Result<std::vector<std::string>> npzNames(const std::string &path)
{
    BW_ASSIGN(const auto zip, openZip(path));
    return namesOf(zip.get());
}

Result<at::Tensor> readNpz(const std::string &path, const std::string &name, std::int64_t first, std::int64_t limit,
                           std::int64_t *total)
{
    BW_ASSIGN(const auto zip, openZip(path));
    auto index = zip_name_locate(zip.get(), (name + ".npy").c_str(), 0);
    if (index < 0)
        index = zip_name_locate(zip.get(), name.c_str(), 0);
    if (index < 0)
        return fail(ErrorKind::Invalid, path + ", has no array '" + name + "', it has: " + joinNames(namesOf(zip.get())));
    return readEntry(zip.get(), zip_uint64_t(index), path, name, first, limit, total);
}

Result<std::vector<NamedTensor>> readArrays(const std::string &path)
{
    std::vector<NamedTensor> arrays;
    if (!isZip(path)) {
        BW_ASSIGN(auto tensor, readNpy(path));
        arrays.emplace_back("", std::move(tensor));
        return arrays;
    }
    BW_ASSIGN(const auto zip, openZip(path));   // once: an archive may list 65,535 entries
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip.get(), 0); ++i) {
        const char *entry = zip_get_name(zip.get(), zip_uint64_t(i), 0);
        const std::string name = entry != nullptr ? arrayName(entry) : std::string();
        BW_ASSIGN(auto tensor, readEntry(zip.get(), zip_uint64_t(i), path, name));
        arrays.emplace_back(name, std::move(tensor));
    }
    return arrays;
}

Status writeNpz(const std::string &path, const std::vector<NamedTensor> &tensors)
{
    return guarded(path, ErrorKind::Io, [&] { return replaceFile(path, [&](const std::string &part) -> Status {
        int error = 0;
        Zip zip(zip_open(part.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error));
        if (!zip)
            return fail(ErrorKind::Io, path + ", cannot be written; check that the folder is there and writable");
        std::vector<std::string> bytes;   // libzip reads them when it closes
        bytes.reserve(tensors.size());
        std::set<std::string> seen;
        for (const auto &[name, tensor] : tensors) {
            bytes.push_back(npyBytes(tensor));
            std::string entry = seen.insert(name).second ? name : name + "_" + std::to_string(bytes.size());
            auto *source = zip_source_buffer(zip.get(), bytes.back().data(), bytes.back().size(), 0);
            const auto index = zip_file_add(zip.get(), (entry + ".npy").c_str(), source, ZIP_FL_ENC_UTF_8);
            if (index < 0) {
                zip_source_free(source);
                return fail(ErrorKind::Io, path + ", array '" + name + "' cannot be written", zip_strerror(zip.get()));
            }
            zip_set_file_compression(zip.get(), zip_uint64_t(index), ZIP_CM_STORE, 0);
            zip_file_set_mtime(zip.get(), zip_uint64_t(index), 315532800, 0);   // same content, same bytes
        }
        if (zip_close(zip.get()) != 0)
            return fail(ErrorKind::Io, path + ", cannot be written: " + zip_strerror(zip.get()) + "; check the disk");
        (void)zip.release();
        return {};
    }); });
}

} // namespace bitwright
