// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Files made byte by byte, so that what is read is compared with the format's rules and not with our writers.

#include "base/result.h"

#include <QtCore/QString>

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <zlib.h>

namespace bitwright::testing {

inline std::string writeBytes(const std::string &path, const std::string &bytes)
{
    std::filesystem::remove(path);   // a truncated file is flushed to the disk when it is closed (ext4), a new one is not
    std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
    return path;
}

inline std::string readBytes(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// The numbers one after the other, in either byte order.
template <typename Number>
std::string packed(const std::vector<Number> &numbers, bool bigEndian = false)
{
    std::string bytes;
    for (const Number number : numbers) {
        std::string one(sizeof(Number), '\0');
        std::memcpy(one.data(), &number, sizeof(Number));
        if (bigEndian)
            std::reverse(one.begin(), one.end());
        bytes += one;
    }
    return bytes;
}

/// A .npy file around any header text, as numpy/lib/format.py lays it out.
inline std::string npyAround(std::string header, const std::string &body, int version = 1)
{
    const std::size_t prefix = version == 1 ? 10 : 12;
    header.resize((prefix + header.size() + 1 + 63) / 64 * 64 - prefix - 1, ' ');
    header += '\n';
    std::string bytes = "\x93NUMPY";
    bytes += char(version);
    bytes += '\0';
    bytes += version == 1 ? packed<std::uint16_t>({std::uint16_t(header.size())}) : packed<std::uint32_t>({std::uint32_t(header.size())});
    return bytes + header + body;
}

inline std::string npyFile(const std::string &type, const std::string &shape, const std::string &body, bool fortran = false,
                           int version = 1)
{
    return npyAround("{'descr': '" + type + "', 'fortran_order': " + (fortran ? "True" : "False") + ", 'shape': " + shape + ", }",
                     body, version);
}

/// An IDX file: number type, sizes, body (big-endian already).
inline std::string idxFile(int type, const std::vector<std::uint32_t> &sizes, const std::string &body)
{
    return std::string{'\0', '\0', char(type), char(sizes.size())} + packed(sizes, true) + body;
}

inline std::string deflated(const std::string &bytes, int windowBits)
{
    z_stream stream{};
    deflateInit2(&stream, 9, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY);
    std::string result(deflateBound(&stream, uLong(bytes.size())) + 64, '\0');
    stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(bytes.data()));
    stream.avail_in = uInt(bytes.size());
    stream.next_out = reinterpret_cast<Bytef *>(result.data());
    stream.avail_out = uInt(result.size());
    deflate(&stream, Z_FINISH);
    result.resize(stream.total_out);
    deflateEnd(&stream);
    return result;
}

inline std::string gzipped(const std::string &bytes)
{
    return deflated(bytes, 15 + 16);
}

/// A zip archive that holds these names, whatever they are, stored or deflated (APPNOTE 4.3).
inline std::string zipFile(const std::vector<std::pair<std::string, std::string>> &entries, bool compress = false)
{
    std::string files, directory;
    for (const auto &[name, bytes] : entries) {
        const std::string stored = compress ? deflated(bytes, -15) : bytes;
        const auto sum = std::uint32_t(crc32(0, reinterpret_cast<const Bytef *>(bytes.data()), uInt(bytes.size())));
        const std::string common = packed<std::uint16_t>({20, 0, std::uint16_t(compress ? 8 : 0), 0, 0x21}) +
                                   packed<std::uint32_t>({sum, std::uint32_t(stored.size()), std::uint32_t(bytes.size())}) +
                                   packed<std::uint16_t>({std::uint16_t(name.size()), 0});
        directory += std::string("PK\x01\x02", 4) + packed<std::uint16_t>({20}) + common +
                     packed<std::uint16_t>({0, 0, 0}) + packed<std::uint32_t>({0, std::uint32_t(files.size())}) + name;
        files += std::string("PK\x03\x04", 4) + common + name + stored;
    }
    const auto count = std::uint16_t(entries.size());
    return files + directory + std::string("PK\x05\x06", 4) + packed<std::uint16_t>({0, 0, count, count}) +
           packed<std::uint32_t>({std::uint32_t(directory.size()), std::uint32_t(files.size())}) + packed<std::uint16_t>({0});
}

inline std::int64_t peakMemoryKiB()
{
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/// What became of a file that was cut at, or flipped in, each of its bytes.
struct Damage {
    int errors = 0, reads = 0;
    std::string silent;     ///< the first error without a message, or the first read that `acceptable` refused
};

using ReadTensor = std::function<Result<at::Tensor>(const std::string &path)>;
using Acceptable = std::function<bool(const at::Tensor &)>;

namespace detail {

inline void tryOne(Damage &damage, const std::string &what, const std::string &path, const ReadTensor &read, const Acceptable &acceptable)
{
    const auto got = read(path);
    ++(got ? damage.reads : damage.errors);
    const bool good = got ? acceptable(*got) : got.error().message.find(path) != std::string::npos;
    if (!good && damage.silent.empty())
        damage.silent = what + (got ? ": read " + QString::number(got->numel()).toStdString() + " numbers" : ": " + got.error().message);
}

} // namespace detail

/// The file shortened to every length below its own.
inline Damage cutEverywhere(const std::string &bytes, const std::string &path, const ReadTensor &read, const Acceptable &acceptable,
                            std::size_t step = 1)
{
    Damage damage;
    for (std::size_t length = 0; length < bytes.size(); length += step)
        detail::tryOne(damage, "cut at " + std::to_string(length), writeBytes(path, bytes.substr(0, length)), read, acceptable);
    return damage;
}

/// Every byte inverted, set to 0 and changed in its lowest bit, one at a time.
inline Damage flipEverywhere(const std::string &bytes, const std::string &path, const ReadTensor &read, const Acceptable &acceptable,
                             std::size_t step = 1)
{
    Damage damage;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        for (const char changed : {char(~bytes[at]), '\0', char(bytes[at] ^ 1)}) {
            if (changed == bytes[at])
                continue;
            std::string broken = bytes;
            broken[at] = changed;
            detail::tryOne(damage, "byte " + std::to_string(at), writeBytes(path, broken), read, acceptable);
        }
    }
    return damage;
}

} // namespace bitwright::testing
