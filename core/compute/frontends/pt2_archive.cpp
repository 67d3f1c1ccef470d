// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/pt2_archive.h"

#include "frontends/archive_records.h"
#include "tensor/guarded.h"

#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <fstream>

namespace bitwright {

namespace {

using caffe2::serialize::PyTorchStreamWriter;
using nlohmann::json;

constexpr int kDeepestProgram = 512;                              // sub-graphs nest by about ten levels each
constexpr std::int64_t kSmallTensor = 1024;                       // copied: its page is not worth keeping
constexpr std::int64_t kMostRepeated = std::int64_t(64) << 20;    // bytes that a view may make of fewer

const char *const kSaveAgain = "save it again with torch.export.save of PyTorch 2.9 or newer";

/// Follows keys through objects; null where one is missing.
const json &field(const json &value, std::initializer_list<const char *> keys)
{
    static const json kNothing;
    const json *here = &value;
    for (const char *key : keys) {
        if (!here->is_object())
            return kNothing;
        const auto found = here->find(key);
        if (found == here->end())
            return kNothing;
        here = &*found;
    }
    return *here;
}

/// Whether brackets nest deeper than any program's: what walks the document calls itself once a level.
bool nestsTooDeep(const std::string &text)
{
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            i += c == '\\' ? 1 : 0;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            if (++depth > kDeepestProgram)
                return true;
        } else if (c == ']' || c == '}') {
            --depth;
        }
    }
    return false;
}

Result<std::vector<std::int64_t>> sizesOf(const json &list, const std::string &name)
{
    std::vector<std::int64_t> sizes;
    if (!list.is_array() || list.size() > 64)
        return fail(ErrorKind::Parse, "weight " + name + " has no sizes");
    for (const json &size : list) {
        const json &value = field(size, {"as_int"});
        if (!value.is_number_integer())
            return fail(ErrorKind::Parse, "weight " + name + " has a size that is not a number");
        sizes.push_back(value.get<std::int64_t>());
    }
    return sizes;
}

Result<Pt2Weight> weightOf(const json &entry, const std::string &folder, const std::string &name)
{
    const json &path = field(entry, {"path_name"}), &meta = field(entry, {"tensor_meta"});
    if (field(entry, {"use_pickle"}) == json(true))
        return fail(ErrorKind::Unsupported, "weight " + name + " is pickled; " + kSaveAgain);
    if (!path.is_string() || !meta.is_object() || !field(meta, {"dtype"}).is_number_integer())
        return fail(ErrorKind::Parse, "weight " + name + " is not described");
    Pt2Weight weight;
    weight.record = folder + path.get<std::string>();
    BW_ASSIGN(weight.dtype, pt2ScalarType(field(meta, {"dtype"}).get<std::int64_t>()));
    BW_ASSIGN(weight.sizes, sizesOf(field(meta, {"sizes"}), name));
    BW_ASSIGN(weight.strides, sizesOf(field(meta, {"strides"}), name));
    const json &offset = field(meta, {"storage_offset", "as_int"});
    weight.offset = offset.is_number_integer() ? offset.get<std::int64_t>() : 0;
    if (weight.sizes.size() != weight.strides.size())
        return fail(ErrorKind::Parse, "weight " + name + " has unequal numbers of sizes and strides");
    return weight;
}

} // namespace

Result<at::ScalarType> pt2ScalarType(std::int64_t code)
{
    if (code == 13)
        return at::kBFloat16;
    if (code < 1)
        return fail(ErrorKind::Unsupported, "tensors of dtype code " + std::to_string(code) + " are not supported");
    // The other codes are c10's plus one.
    const std::int64_t value = code - 1;
    const bool plain = value >= 0 && value <= 11;
    const bool late = value >= std::int64_t(at::ScalarType::UInt16) && value <= std::int64_t(at::ScalarType::UInt64);
    if (plain || late)
        return at::ScalarType(value);
    return fail(ErrorKind::Unsupported, "tensors of dtype code " + std::to_string(code) + " are not supported");
}

Status checkView(std::int64_t bytes, const Pt2Weight &weight)
{
    std::int64_t last = weight.offset, elements = 1;
    const auto impossible = [&] { return fail(ErrorKind::Parse, weight.record + " is shorter than its description says"); };
    if (weight.offset < 0)
        return impossible();
    for (std::size_t i = 0; i < weight.sizes.size(); ++i) {
        std::int64_t reach = 0;
        if (weight.sizes[i] < 0 || weight.strides[i] < 0
            || __builtin_mul_overflow(elements, std::max<std::int64_t>(weight.sizes[i], 1), &elements)
            || __builtin_mul_overflow(std::max<std::int64_t>(weight.sizes[i] - 1, 0), weight.strides[i], &reach)
            || __builtin_add_overflow(last, reach, &last))
            return impossible();
    }
    const auto itemSize = std::int64_t(c10::elementSize(weight.dtype));
    const bool empty = std::ranges::find(weight.sizes, 0) != weight.sizes.end();
    if (!empty && last >= bytes / itemSize)
        return impossible();
    // Strides of 0 would make a few bytes look like any amount of weights.
    if (!empty && elements > std::max(bytes, kMostRepeated) / itemSize)
        return fail(ErrorKind::Unsupported, weight.record + ", its description repeats the values to more than there are; save it "
                                                            "after .contiguous()");
    return {};
}

Result<at::Tensor> pt2View(const at::Tensor &bytes, const Pt2Weight &weight)
{
    BW_CHECK(checkView(bytes.numel(), weight));
    const bool empty = std::ranges::find(weight.sizes, 0) != weight.sizes.end();
    const bool isBool = weight.dtype == at::kBool;   // any byte but 0 is true; anything else than 0 and 1 in a bool is undefined
    at::Tensor tensor = at::empty({0}, at::TensorOptions().dtype(isBool ? at::kByte : weight.dtype));
    if (empty)
        return tensor.reshape(weight.sizes).to(weight.dtype);
    tensor.set_(bytes.storage(), weight.offset, weight.sizes, weight.strides);
    return isBool ? tensor.ne(0) : tensor;
}

struct Pt2Archive::Private {
    std::string path, name;
    std::optional<ArchiveRecords> records;
    std::string program;
    std::map<std::string, Pt2Weight> weights;

    [[nodiscard]] bool has(const std::string &record) const { return records->has(record); }
    [[nodiscard]] Status findProgram();
};

/// The record of the model, or what else this archive is.
Status Pt2Archive::Private::findProgram()
{
    const auto startsWith = [&](const std::string &prefix) {
        return std::ranges::any_of(records->names(), [&](const std::string &r) { return r.starts_with(prefix); });
    };
    for (const std::string &record : records->names())
        if (record.starts_with("models/") && record.ends_with(".json")) {
            if (!program.empty())
                return fail(ErrorKind::Unsupported, path + " holds several models; save one per file");
            program = record;
        }
    if (!program.empty())
        return {};
    if (startsWith("data/aotinductor/"))
        return fail(ErrorKind::Unsupported, path + " is a compiled package (AOTInductor) without the network's graph; "
                                                   "save the exported program itself with torch.export.save");
    if (has("serialized_exported_program.json"))
        return fail(ErrorKind::Unsupported, path + " has the older layout of .pt2; " + kSaveAgain);
    return fail(ErrorKind::Parse, path + " is a .pt2 archive without a model; " + kSaveAgain);
}

Pt2Archive::Pt2Archive() : d(new Private) {}
Pt2Archive::~Pt2Archive() = default;
Pt2Archive::Pt2Archive(Pt2Archive &&) noexcept = default;
Pt2Archive &Pt2Archive::operator=(Pt2Archive &&) noexcept = default;

Result<Pt2Archive> Pt2Archive::open(const std::string &path)
{
    Pt2Archive archive;
    archive.d->path = path;
    auto records = ArchiveRecords::open(path);
    if (!records && !records.error().context.empty())   // LibTorch's words
        return fail(ErrorKind::Parse, path + " is a damaged or truncated .pt2 file; copy or save it again", records.error().context);
    if (!records)
        return std::unexpected(records.error());
    archive.d->records = std::move(*records);
    BW_CHECK(archive.d->findProgram());
    if (archive.d->has("byteorder")) {
        BW_ASSIGN(const std::string order, archive.bytes("byteorder"));
        if (order == "big")
            return fail(ErrorKind::Unsupported, path + ", its numbers are big-endian; save it again on a little-endian machine");
    }
    archive.d->name = archive.d->program.substr(7, archive.d->program.size() - 7 - 5);
    const std::string weights = "data/weights/", constants = "data/constants/";
    BW_CHECK(archive.readConfig(weights + archive.d->name + "_weights_config.json", weights));
    BW_CHECK(archive.readConfig(constants + archive.d->name + "_constants_config.json", constants));
    return archive;
}

Status Pt2Archive::readConfig(const std::string &record, const std::string &folder)
{
    if (!d->has(record)) {
        if (d->has("data/weights/" + d->name + ".pt"))
            return fail(ErrorKind::Unsupported, d->path + " has the older layout of .pt2; " + kSaveAgain);
        return fail(ErrorKind::Parse, d->path + ", " + record + " is missing; copy or save the file again");
    }
    BW_ASSIGN(const std::string text, bytes(record));
    if (nestsTooDeep(text))
        return fail(ErrorKind::Parse, d->path + ", " + record + " is not the list of weights; copy or save the file again");
    const json document = json::parse(text, nullptr, false);
    const json &config = field(document, {"config"});
    if (!config.is_object())
        return fail(ErrorKind::Parse, d->path + ", " + record + " is not the list of weights; copy or save the file again");
    for (const auto &[name, entry] : config.items()) {
        auto weight = weightOf(entry, folder, name);
        if (!weight)
            return fail(weight.error().kind, d->path + ", " + weight.error().message);
        d->weights.emplace(name, std::move(*weight));
    }
    return {};
}

Result<json> Pt2Archive::program() const
{
    BW_ASSIGN(const std::string text, bytes(d->program));
    if (nestsTooDeep(text))
        return fail(ErrorKind::Parse, d->path + ", " + d->program + " nests deeper than any program; copy or save the file again");
    json document = json::parse(text, nullptr, false);
    if (!document.is_object())
        return fail(ErrorKind::Parse, d->path + ", " + d->program + " is not JSON; copy or save the file again");
    return document;
}

const std::map<std::string, Pt2Weight> &Pt2Archive::weights() const { return d->weights; }
const std::vector<std::string> &Pt2Archive::records() const { return d->records->names(); }

Result<std::string> Pt2Archive::bytes(const std::string &record) const
{
    auto read = d->records->text(record);
    if (!read)
        return fail(ErrorKind::Parse, d->path + ", " + record + " cannot be read; copy or save the file again", read.error().context);
    return read;
}

Result<at::Tensor> Pt2Archive::tensor(const Pt2Weight &weight) const
{
    auto storage = d->records->bytes(weight.record);
    if (!storage)
        return fail(ErrorKind::Parse, d->path + ", " + weight.record + " cannot be read; copy or save the file again", storage.error().context);
    auto view = pt2View(*storage, weight);
    if (!view)
        return fail(view.error().kind, d->path + ", " + view.error().message +
                                           (view.error().kind == ErrorKind::Parse ? "; copy or save the file again" : ""));
    if (view->is_contiguous() && view->numel() > kSmallTensor)
        return *view;
    return guarded(d->path, ErrorKind::Internal, [&] { return view->clone(at::MemoryFormat::Contiguous); });
}

Status Pt2Archive::copyTo(const std::string &target, const std::map<std::string, std::string> &replaced) const
{
    static const std::vector<std::string> kWritten{".data/serialization_id", ".data/version", "version",
                                                   ".format_version", ".storage_alignment"};
    std::ofstream out(target, std::ios::binary | std::ios::trunc);
    if (!out)
        return fail(ErrorKind::Io, target + " cannot be written; choose another folder");
    const auto written = guarded(target, ErrorKind::Io, [&]() -> Status {
        PyTorchStreamWriter writer([&](const void *data, std::size_t size) {
            out.write(static_cast<const char *>(data), std::streamsize(size));
            return out ? size : 0;
        });
        for (const std::string &record : d->records->names()) {
            if (std::ranges::find(kWritten, record) != kWritten.end())
                continue;
            const auto found = replaced.find(record);
            if (found != replaced.end()) {
                writer.writeRecord(record, found->second.data(), found->second.size());
                continue;
            }
            BW_ASSIGN(const at::Tensor content, d->records->bytes(record));
            writer.writeRecord(record, content.const_data_ptr(), std::size_t(content.numel()));
        }
        writer.writeEndOfFile();
        return {};
    });
    BW_CHECK(written);
    out.close();
    if (!out)
        return fail(ErrorKind::Io, target + " could not be written to the end; is the disk full?");
    return {};
}

} // namespace bitwright
