// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/checkpoint.h"

#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <torch/csrc/jit/serialization/pickle.h>

#include <cstring>
#include <filesystem>
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
    const std::string temporary = path + ".part";
    {
        std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
        file.write(bytes.data(), std::streamsize(bytes.size()));
        file.flush();
        if (!file) {
            std::error_code ignored;
            std::filesystem::remove(temporary, ignored);
            return fail(ErrorKind::Io, path + ", cannot be written; check the folder and the free space");
        }
    }
    std::error_code code;
    std::filesystem::rename(temporary, path, code);
    if (code)
        return fail(ErrorKind::Io, path + ", cannot be replaced (" + code.message() + "); check the folder's permissions");
    return {};
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
