// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/torch_archive.h"

#include "tensor/guarded.h"

#include <caffe2/serialize/inline_container.h>

#include <fstream>

namespace bitwright {

std::string_view bytesOf(const at::Tensor &tensor)
{
    return {static_cast<const char *>(tensor.const_data_ptr()), tensor.nbytes()};
}

Status writeTorchArchive(const std::string &path, const std::vector<ArchiveRecord> &records)
{
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    if (!out)
        return fail(ErrorKind::Io, path + " cannot be written; choose another folder");
    BW_CHECK(guarded(path, ErrorKind::Io, [&] {
        caffe2::serialize::PyTorchStreamWriter writer([&](const void *data, std::size_t size) {
            out.write(static_cast<const char *>(data), std::streamsize(size));
            return out ? size : 0;
        });
        for (const ArchiveRecord &record : records)
            writer.writeRecord(record.name, record.bytes.data(), record.bytes.size());
        writer.writeEndOfFile();
    }));
    out.close();
    if (!out)
        return fail(ErrorKind::Io, path + " could not be written to the end; is the disk full?");
    return {};
}

} // namespace bitwright
