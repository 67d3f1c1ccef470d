// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/checkpoint.h"

#include "base/replace_file.h"
#include "frontends/archive_records.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <cstring>
#include <fstream>

namespace bitwright {

namespace {
constexpr const char *kTextKey = "bitwright/text";
}

Result<std::vector<char>> packTensors(const TensorArchive &archive)
{
    return guarded("checkpoint", ErrorKind::Internal, [&] {
        c10::Dict<std::string, at::Tensor> dictionary;
        for (const auto &[name, tensor] : archive.tensors)
            dictionary.insert(name, tensor.detach().to(at::kCPU).contiguous().clone());
        at::Tensor text = at::empty({std::int64_t(archive.text.size())}, at::kByte);
        std::memcpy(text.mutable_data_ptr(), archive.text.data(), archive.text.size());
        dictionary.insert(kTextKey, text);
        return torch::jit::pickle_save(c10::IValue(dictionary));
    });
}

Result<TensorArchive> unpackTensors(const std::vector<char> &bytes, const std::string &what)
{
    return guarded(what, ErrorKind::Parse, [&]() -> Result<TensorArchive> {
        if (const Status status = checkPickleArchive(bytes); !status)
            return fail(ErrorKind::Parse, what + ", damaged, " + status.error().message + "; train again or give another file");
        const c10::IValue value = torch::jit::pickle_load(bytes);
        if (!value.isGenericDict())
            return fail(ErrorKind::Parse, what + ", not a checkpoint of this program; give one that finetune wrote");
        TensorArchive archive;
        for (const auto &item : value.toGenericDict()) {
            if (!item.key().isString() || !item.value().isTensor())
                return fail(ErrorKind::Parse, what + ", not a checkpoint of this program; give one that finetune wrote");
            const at::Tensor tensor = item.value().toTensor();
            if (item.key().toStringRef() == kTextKey)
                archive.text.assign(static_cast<const char *>(tensor.const_data_ptr()), std::size_t(tensor.nbytes()));
            else
                archive.tensors[item.key().toStringRef()] = tensor;
        }
        return archive;
    });
}

Status writeArchive(const TensorArchive &archive, const std::string &path)
{
    BW_ASSIGN(const std::vector<char> bytes, packTensors(archive));
    return replaceFile(path, [&](const std::string &temporary) -> Status {
        std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
        file.write(bytes.data(), std::streamsize(bytes.size()));
        file.close();
        if (!file)
            return fail(ErrorKind::Io, path + ", cannot be written; check the folder and the free space");
        return {};
    });
}

Result<TensorArchive> readArchive(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return fail(ErrorKind::Io, path + ", cannot be read; check the path");
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    return unpackTensors(bytes, path);
}

} // namespace bitwright
