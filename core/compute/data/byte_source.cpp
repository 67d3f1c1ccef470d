// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/byte_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <zlib.h>

namespace bitwright {

namespace {

/// zlib reads plain files too, so one class serves both.
class GzipSource final : public ByteSource {
public:
    GzipSource(std::string name, std::int64_t bound, gzFile file) : ByteSource(std::move(name), bound), m_file(file) {}
    ~GzipSource() override { gzclose_r(m_file); }

    Result<std::int64_t> read(void *target, std::int64_t count) override
    {
        std::int64_t done = 0;
        while (done < count) {
            const auto wanted = unsigned(std::min<std::int64_t>(count - done, 1 << 24));
            const int got = gzread(m_file, static_cast<char *>(target) + done, wanted);
            if (got < 0)
                return damaged();
            done += got;
            if (got < int(wanted))
                break;
        }
        int code = Z_OK;
        gzerror(m_file, &code);
        if (done < count && code != Z_OK && code != Z_STREAM_END)
            return damaged();
        return done;
    }

private:
    [[nodiscard]] std::unexpected<Error> damaged() const
    {
        int code = Z_OK;
        const char *text = gzerror(m_file, &code);
        return fail(ErrorKind::Parse, name() + ", damaged or truncated; get the file again",
                    code == Z_ERRNO ? std::strerror(errno) : text);
    }
    gzFile m_file;
};

} // namespace

Status ByteSource::readAll(void *target, std::int64_t count)
{
    BW_ASSIGN(const auto got, read(target, count));
    if (got < count)
        return fail(ErrorKind::Parse, name() + ", truncated, " + std::to_string(count - got) +
                                          " bytes are missing; get the file again");
    return {};
}

Status ByteSource::skip(std::int64_t count)
{
    std::array<char, 1 << 16> buffer;
    while (count > 0) {
        const auto piece = std::min<std::int64_t>(count, buffer.size());
        BW_CHECK(readAll(buffer.data(), piece));
        count -= piece;
    }
    return {};
}

Status ByteSource::expectEnd()
{
    char more = 0;
    BW_ASSIGN(const auto got, read(&more, 1));
    if (got > 0)
        return fail(ErrorKind::Parse, name() + ", holds more bytes than its header says; get the file again");
    return {};
}

Result<std::unique_ptr<ByteSource>> openFile(const std::string &path)
{
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status))
        return fail(ErrorKind::Io, path + ", no such file; check the path");
    if (!std::filesystem::is_regular_file(status))
        return fail(ErrorKind::Io, path + ", not a file; name a file");
    const auto bytes = std::filesystem::file_size(path, error);
    gzFile file = gzopen(path.c_str(), "rb");
    if (file == nullptr)
        return fail(ErrorKind::Io, path + ", cannot be read: " + std::strerror(errno) + "; check its permissions");
    gzbuffer(file, 1 << 17);
    // deflate makes at most 1032 bytes of one
    const std::int64_t ratio = gzdirect(file) != 0 ? 1 : 1040;
    return std::make_unique<GzipSource>(path, std::int64_t(bytes) * ratio, file);
}

} // namespace bitwright
