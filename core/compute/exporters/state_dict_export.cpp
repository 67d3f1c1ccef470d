// SPDX-License-Identifier: GPL-3.0-or-later
// What torch.save writes of a dictionary of tensors: a zip of one pickle and one raw file per tensor.
#include "base/replace_file.h"
#include "exporters/fake_quant_graph.h"
#include "exporters/torch_archive.h"
#include "exporters/torch_exporters.h"
#include "tensor/guarded.h"
#include "tensor/mapped_file.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <caffe2/serialize/inline_container.h>

#include <cstring>
#include <filesystem>
#include <set>

namespace bitwright {

namespace {

/// The few words of Python's pickle, protocol 2, that such a dictionary needs.
class Pickle {
public:
    Pickle() : m_bytes("\x80\x02", 2) {}
    void code(char letter) { m_bytes += letter; }
    void global(const std::string &module, const std::string &name) { m_bytes += 'c' + module + '\n' + name + '\n'; }
    void text(const std::string &value)
    {
        m_bytes += 'X';
        little(value.size(), 4);
        m_bytes += value;
    }
    void number(std::int64_t value)
    {
        m_bytes += '\x8a';   // LONG1: a length and that many bytes
        m_bytes += '\x08';
        little(std::uint64_t(value), 8);
    }
    void numbers(at::IntArrayRef values)
    {
        m_bytes += '(';
        for (const std::int64_t value : values)
            number(value);
        m_bytes += 't';
    }
    [[nodiscard]] const std::string &bytes() const { return m_bytes; }

private:
    void little(std::uint64_t value, int count)
    {
        for (int i = 0; i < count; ++i)
            m_bytes += char(static_cast<unsigned char>(value >> (8 * i) & 0xff));
    }
    std::string m_bytes;
};

const char *storageName(at::ScalarType type)
{
    switch (type) {
    case at::kFloat: return "FloatStorage";
    case at::kDouble: return "DoubleStorage";
    case at::kHalf: return "HalfStorage";
    case at::kBFloat16: return "BFloat16Storage";
    case at::kLong: return "LongStorage";
    case at::kInt: return "IntStorage";
    case at::kShort: return "ShortStorage";
    case at::kChar: return "CharStorage";
    case at::kByte: return "ByteStorage";
    case at::kBool: return "BoolStorage";
    default: return nullptr;
    }
}

Result<std::string> pickled(const std::vector<std::pair<std::string, at::Tensor>> &tensors)
{
    Pickle out;
    out.code('}');
    out.code('(');
    for (std::size_t i = 0; i < tensors.size(); ++i) {
        const auto &[name, tensor] = tensors[i];
        const char *storage = storageName(tensor.scalar_type());
        if (!storage)
            return fail(ErrorKind::Unsupported, "parameter " + name + " of type " + c10::toString(tensor.scalar_type()) + " cannot be written to a state dict");
        out.text(name);
        out.global("torch._utils", "_rebuild_tensor_v2");
        out.code('(');
        out.code('(');
        out.text("storage");
        out.global("torch", storage);
        out.text(std::to_string(i));
        out.text("cpu");
        out.number(tensor.numel());
        out.code('t');
        out.code('Q');
        out.number(0);
        out.numbers(tensor.sizes());
        out.numbers(tensor.strides());
        out.code('\x89');   // False: no gradient
        out.global("collections", "OrderedDict");
        out.code(')');
        out.code('R');
        out.code('t');
        out.code('R');
    }
    out.code('u');
    out.code('.');
    return out.bytes();
}

/// Every record comes back with its bytes.
Status readBack(const std::string &path, const std::vector<std::pair<std::string, at::Tensor>> &tensors)
{
    return guarded(path, ErrorKind::Io, [&]() -> Status {
        caffe2::serialize::PyTorchStreamReader reader(path);
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            const auto [data, size] = reader.getRecord("data/" + std::to_string(i));
            if (size != tensors[i].second.nbytes() || (size > 0 && std::memcmp(data.get(), tensors[i].second.const_data_ptr(), size) != 0))
                return fail(ErrorKind::Io, path + ", what was written reads back differently; check the disk");
        }
        return {};
    });
}

Result<ExportReport> write(const ExportInput &input, const std::string &path, const JobContext &context)
{
    return guarded(path + " cannot be written", ErrorKind::Internal, [&]() -> Result<ExportReport> {
        const c10::NoGradGuard noGrad;
        if (!input.graph)
            return fail(ErrorKind::Internal, "nothing to export");
        context.progress("exporting", 0, 2);
        BW_ASSIGN(FakeQuantGraph made, fakeQuantGraph(input));
        std::set<std::string> own;   // lifted constants and the steps in front of layers are no parameters of the network
        for (const Parameter &parameter : input.graph->parameters)
            own.insert(parameter.name);
        std::vector<std::pair<std::string, at::Tensor>> tensors;
        for (const Parameter &parameter : made.graph.parameters)
            if (own.contains(parameter.name))
                tensors.emplace_back(parameter.name, parameter.tensor.detach().contiguous());
        BW_ASSIGN(const std::string pickle, pickled(tensors));
        if (context.stopped())
            return cancelled();
        context.progress("exporting", 1, 2);
        std::vector<ArchiveRecord> records{{"data.pkl", pickle}, {"byteorder", "little"}};
        for (std::size_t i = 0; i < tensors.size(); ++i)
            records.push_back({"data/" + std::to_string(i), bytesOf(tensors[i].second)});
        const Status written = replaceFile(path, [&](const std::string &temporary) -> Status {
            BW_CHECK(writeTorchArchive(temporary, records));
            BW_CHECK(readBack(temporary, tensors));
            return mappedFilesIntact();
        });
        BW_CHECK(written);
        context.progress("exporting", 2, 2);
        ExportReport report;
        std::error_code ignored;
        report.bytes = std::int64_t(std::filesystem::file_size(path, ignored));
        for (ExportedLayer &layer : made.layers) {
            layer.encoding = layer.encoding.substr(0, layer.encoding.find(", input "));
            report.layers.push_back(std::move(layer));
        }
        report.notes.push_back("the weights by their names, quantized values in float32; inputs are not quantized by a state dict");
        return report;
    });
}

} // namespace

Exporter stateDictExporter()
{
    return {{"state_dict", "State dict", ".pth", {true, true, true, true, 1, 16, false, {}, false, false},
             "Quantized weights by their names, to go on in Python; torch.load reads it."}, write};
}

} // namespace bitwright
