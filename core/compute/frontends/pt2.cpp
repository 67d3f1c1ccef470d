// SPDX-License-Identifier: GPL-3.0-or-later
// torch.export's .pt2: a zip archive of JSON and raw weights, read without Python.
#include "base/replace_file.h"
#include "frontends/pt2_reader.h"
#include "frontends/rows.h"
#include "tensor/guarded.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <unordered_map>

namespace bitwright {

using nlohmann::json;

const json &pt2Member(const json &value, const char *key)
{
    static const json kNothing;
    if (!value.is_object())
        return kNothing;
    const auto found = value.find(key);
    return found == value.end() ? kNothing : *found;
}

std::string pt2Text(const json &value)
{
    return value.is_string() ? value.get<std::string>() : std::string();
}

std::string pt2Operator(const std::string &target)
{
    static const std::unordered_map<std::string, std::string> kGlue{
        {"_operator.add", "add"}, {"_operator.sub", "sub"}, {"_operator.mul", "mul"}, {"_operator.floordiv", "floordiv"},
        {"_operator.truediv", "truediv"}, {"_operator.mod", "mod"}, {"_operator.pow", "pow"}, {"_operator.neg", "neg"},
        {"_operator.pos", "identity"}, {"_operator.eq", "eq"}, {"_operator.ne", "ne"}, {"_operator.lt", "lt"},
        {"_operator.le", "le"}, {"_operator.gt", "gt"}, {"_operator.ge", "ge"}, {"_operator.and_", "and"},
        {"_operator.or_", "or"}, {"_operator.getitem", "getitem"}, {"math.trunc", "trunc"}, {"math.floor", "floor"},
        {"math.ceil", "ceil"}, {"torch.sym_not", "not"}, {"torch.sym_int", "Int"}, {"torch.sym_float", "Float"},
        {"torch.sym_ite", "ite"}, {"torch.sym_max", "max"}, {"torch.sym_min", "min"}, {"torch._sym_sqrt", "sqrt"},
        {"torch.sym_sqrt", "sqrt"}};
    if (const auto found = kGlue.find(target); found != kGlue.end())
        return "prim::" + found->second;
    const std::string prefix = "torch.ops.";
    if (!target.starts_with(prefix) || target.starts_with("torch.ops.higher_order."))
        return {};
    const std::string rest = target.substr(prefix.size());
    const auto first = rest.find('.');
    if (first == std::string::npos)
        return {};
    std::string name = rest.substr(0, first) + "::" + rest.substr(first + 1);
    if (name.ends_with(".default"))
        name.resize(name.size() - 8);
    return name;
}

namespace {

const json &get(const json &value, const char *key) { return pt2Member(value, key); }
std::string textOf(const json &value) { return pt2Text(value); }

c10::IValue floatOf(const json &value)
{
    if (value.is_number())
        return value.get<double>();
    const std::string text = textOf(value);
    if (text == "Infinity" || text == "-Infinity")
        return (text[0] == '-' ? -1 : 1) * std::numeric_limits<double>::infinity();
    return std::nan("");
}

} // namespace

ValueId Pt2Reader::define(const std::string &name)
{
    const ValueId value = m_graph.addValue(name);
    m_values[name] = Argument::of(value);
    return value;
}

Result<Argument> Pt2Reader::named(const std::string &name) const
{
    const auto found = m_values.find(name);
    if (found == m_values.end())
        return fail(ErrorKind::Parse, "value " + name + " is used before it is made");
    return found->second;
}

Result<Argument> Pt2Reader::listArgument(const std::string &kind, const json &content) const
{
    std::vector<Argument> list;
    if (!content.is_array())
        return fail(ErrorKind::Parse, "an argument of kind " + kind + " is not a list");
    for (const json &element : content) {
        if (kind == "as_tensors") {
            BW_ASSIGN(Argument item, named(textOf(get(element, "name"))));
            list.push_back(std::move(item));
        } else if (kind == "as_ints" || kind == "as_floats" || kind == "as_bools" || kind == "as_strings") {
            BW_ASSIGN(Argument item, argument(json{{kind.substr(0, kind.size() - 1), element}}));
            list.push_back(std::move(item));
        } else if (kind == "as_nested_tensors" || kind == "as_int_lists" || kind == "as_float_lists") {
            const char *inner = kind == "as_nested_tensors" ? "as_tensors" : kind == "as_int_lists" ? "as_ints" : "as_floats";
            BW_ASSIGN(Argument item, listArgument(inner, element));
            list.push_back(std::move(item));
        } else {
            BW_ASSIGN(Argument item, argument(element));
            list.push_back(std::move(item));
        }
    }
    return Argument::of(std::move(list));
}

Result<Argument> Pt2Reader::argument(const json &value) const
{
    if (!value.is_object() || value.size() != 1)
        return fail(ErrorKind::Parse, "an argument is not described");
    const std::string kind = value.begin().key();
    const json &content = value.begin().value();
    if (kind == "as_none")
        return Argument{};
    if (kind == "as_tensor")
        return named(textOf(get(content, "name")));
    if (kind == "as_name")
        return named(textOf(content));
    if (kind == "as_sym_int" || kind == "as_sym_float" || kind == "as_sym_bool" || kind == "as_optional_tensor")
        return argument(content);
    if (kind == "as_int" && content.is_number_integer())
        return Argument::of(c10::IValue(content.get<std::int64_t>()));
    if (kind == "as_bool" && content.is_boolean())
        return Argument::of(c10::IValue(content.get<bool>()));
    if (kind == "as_float")
        return Argument::of(floatOf(content));
    if (kind == "as_string" && content.is_string())
        return Argument::of(c10::IValue(content.get<std::string>()));
    if (kind == "as_complex")
        return Argument::of(c10::IValue(c10::complex<double>(floatOf(get(content, "real")).toDouble(),
                                                             floatOf(get(content, "imag")).toDouble())));
    if (kind == "as_device")   // files exported on another device run here
        return Argument::of(c10::IValue(c10::Device(c10::kCPU)));
    if (kind == "as_scalar_type" && content.is_number_integer()) {
        BW_ASSIGN(const at::ScalarType type, pt2ScalarType(content.get<std::int64_t>()));
        return Argument::of(c10::IValue(std::int64_t(type)));
    }
    if (kind == "as_memory_format" && content.is_number_integer()) {
        static const std::array<std::int64_t, 5> kFormats{0, 0, 2, 3, 1};
        const auto code = content.get<std::int64_t>();
        if (code >= 1 && code <= 4)
            return Argument::of(c10::IValue(kFormats[std::size_t(code)]));
    }
    if (kind == "as_layout" && content == json(7))
        return Argument::of(c10::IValue(std::int64_t(c10::Layout::Strided)));
    if (content.is_array())
        return listArgument(kind, content);
    return fail(ErrorKind::Unsupported, "an argument of kind " + kind + " is not supported");
}

Status Pt2Reader::readParameter(const std::string &argument, const std::string &name, bool trainable)
{
    const auto found = m_archive.weights().find(name);
    if (found == m_archive.weights().end())
        return fail(ErrorKind::Parse, "weight " + name + " is missing");
    const auto tied = std::ranges::find(m_loaded, found->second, &std::pair<Pt2Weight, ValueId>::first);
    if (tied != m_loaded.end() && trainable) {
        m_values[argument] = Argument::of(tied->second);
        return {};
    }
    BW_ASSIGN(at::Tensor tensor, m_archive.tensor(found->second));
    const ValueId value = define(argument);
    if (trainable)
        m_loaded.emplace_back(found->second, value);
    m_graph.parameters.push_back({name, value, std::move(tensor), trainable && c10::isFloatingType(found->second.dtype)});
    return {};
}

Status Pt2Reader::readUserInput(const json &argument, const json &metas)
{
    GraphInput input;
    if (const json &tensor = get(argument, "as_tensor"); tensor.is_object()) {
        input.info.name = textOf(get(tensor, "name"));
        const json &meta = get(metas, input.info.name.c_str());
        const json &code = get(meta, "dtype");
        BW_ASSIGN(const at::ScalarType type, pt2ScalarType(code.is_number_integer() ? code.get<std::int64_t>() : 7));
        static const std::unordered_map<std::string, std::string> kNames{
            {"Byte", "uint8"}, {"Char", "int8"}, {"Short", "int16"}, {"Int", "int32"}, {"Long", "int64"}, {"Half", "float16"},
            {"Float", "float32"}, {"Double", "float64"}, {"Bool", "bool"}, {"BFloat16", "bfloat16"}};
        const auto name = kNames.find(c10::toString(type));
        input.info.dtype = name == kNames.end() ? c10::toString(type) : name->second;
        for (const json &size : get(meta, "sizes")) {
            const json &value = get(size, "as_int");
            input.info.shape.push_back(value.is_number_integer() ? value.get<std::int64_t>() : -1);
        }
        if (m_graph.inputs.empty() && !input.info.shape.empty() && input.info.shape[0] > 0)
            m_graph.fixedBatch = input.info.shape[0];
    } else {
        for (const char *kind : {"as_sym_int", "as_sym_float", "as_sym_bool"})
            if (const json &symbol = get(argument, kind); symbol.is_object()) {
                input.info.name = textOf(get(symbol, "as_name"));
                input.info.dtype = kind + 7;
            }
        if (input.info.name.empty())
            return {};   // a constant that the exporter baked in
    }
    input.value = define(input.info.name);
    m_graph.inputs.push_back(std::move(input));
    return {};
}

Status Pt2Reader::readInputs(const json &specs, const json &metas)
{
    if (!specs.is_array())
        return fail(ErrorKind::Parse, "the program has no signature");
    std::int64_t done = 0;
    for (const json &spec : specs) {
        if (m_context.stopped())
            return cancelled();
        m_context.progress("weights", ++done, std::int64_t(specs.size()));
        const auto argumentName = [&](const json &row) { return textOf(get(get(row, "arg"), "name")); };
        if (const json &row = get(spec, "parameter"); row.is_object())
            BW_CHECK(readParameter(argumentName(row), textOf(get(row, "parameter_name")), true));
        else if (const json &buffer = get(spec, "buffer"); buffer.is_object())
            BW_CHECK(readParameter(argumentName(buffer), textOf(get(buffer, "buffer_name")), false));
        else if (const json &constant = get(spec, "tensor_constant"); constant.is_object())
            BW_CHECK(readParameter(argumentName(constant), textOf(get(constant, "tensor_constant_name")), false));
        else if (const json &input = get(spec, "user_input"); input.is_object())
            BW_CHECK(readUserInput(get(input, "arg"), metas));
        else if (!get(spec, "constant_input").is_object())
            return fail(ErrorKind::Unsupported, "an input of kind " + (spec.is_object() && !spec.empty() ? spec.begin().key() : "none")
                                                    + " is not supported; export the network with tensors and numbers as inputs");
    }
    return {};
}

/// Values for a node's results; where one is a list of tensors, `unpacked` receives the names of its elements.
Result<std::vector<ValueId>> Pt2Reader::nodeOutputs(const json &outputs, std::vector<ValueId> &unpacked)
{
    std::vector<ValueId> values;
    for (const json &output : outputs) {
        if (const json &tensor = get(output, "as_tensor"); tensor.is_object()) {
            values.push_back(define(textOf(get(tensor, "name"))));
        } else if (const json &list = get(output, "as_tensors"); list.is_array()) {
            if (!unpacked.empty())
                return fail(ErrorKind::Unsupported, "a node with two lists of results is not supported");
            values.push_back(m_graph.addValue("list"));
            for (const json &element : list)
                unpacked.push_back(define(textOf(get(element, "name"))));
        } else if (const json &optional = get(get(output, "as_optional_tensor"), "as_tensor"); optional.is_object()) {
            values.push_back(define(textOf(get(optional, "name"))));
        } else if (output.is_object() && output.size() == 1 && output.begin()->is_object()
                   && get(*output.begin(), "as_name").is_string()) {
            values.push_back(define(textOf(get(*output.begin(), "as_name"))));
        } else if (get(output, "as_none").is_boolean() || get(output, "as_optional_tensor").is_object()) {
            values.push_back(kNoValue);
        } else {
            return fail(ErrorKind::Unsupported, "a result of this kind is not supported");
        }
    }
    return values;
}

Status Pt2Reader::readNode(const json &node)
{
    if (isPt2Control(textOf(get(node, "target"))))
        return readControl(node);
    const std::string op = pt2Operator(textOf(get(node, "target")));
    std::string name = textOf(get(node, "name"));
    std::vector<Argument> positional;
    Keywords keywords;
    for (const json &input : get(node, "inputs")) {
        BW_ASSIGN(Argument value, argument(get(input, "arg")));
        if (op.starts_with("prim::"))
            positional.push_back(std::move(value));
        else
            keywords.emplace_back(textOf(get(input, "name")), std::move(value));
    }
    std::vector<ValueId> unpacked;
    BW_ASSIGN(std::vector<ValueId> outputs, nodeOutputs(get(node, "outputs"), unpacked));
    if (name.empty() && !outputs.empty() && outputs[0] >= 0)
        name = m_graph.valueNames[std::size_t(outputs[0])];
    const ValueId list = unpacked.empty() || outputs.empty() ? kNoValue : outputs[0];
    BW_ASSIGN(Node made, makeNode(op, std::move(positional), keywords, std::move(outputs), name));
    m_graph.nodes.push_back(std::move(made));
    if (list != kNoValue) {
        BW_ASSIGN(Node unpack, makeNode("prim::ListUnpack", {Argument::of(list)}, {}, unpacked, name + "_items"));
        m_graph.nodes.push_back(std::move(unpack));
    }
    return {};
}

Status Pt2Reader::readOutputs(const json &specs, const std::vector<std::string> &names)
{
    const auto users = std::size_t(std::ranges::count_if(specs, [](const json &spec) { return get(spec, "user_output").is_object(); }));
    std::size_t next = 0;
    for (const json &spec : specs) {
        const json &user = get(spec, "user_output"), &loss = get(spec, "loss_output");
        if (!user.is_object() && !loss.is_object())
            continue;   // mutated buffers: their new values are not the network's answer
        const std::size_t leaf = user.is_object() ? next++ : users;
        if (!get(get(user, "arg"), "as_none").is_null())
            continue;
        const json described = user.is_object() ? get(user, "arg") : json{{"as_tensor", get(loss, "arg")}};
        BW_ASSIGN(Argument output, argument(described));
        std::string name = users == names.size() && leaf < users ? names[leaf] : std::string();
        if (name.empty() && output.kind == Argument::Kind::Value)
            name = m_graph.valueNames[std::size_t(output.value)];
        if (name.empty())
            name = "output" + std::to_string(m_graph.outputs.size());
        m_graph.outputs.push_back(std::move(output));
        m_graph.outputNames.push_back(std::move(name));
    }
    return m_graph.outputs.empty() ? Status(fail(ErrorKind::Parse, "the program has no output")) : Status();
}

Result<Graph> Pt2Reader::read(const json &program)
{
    const json &module = get(program, "graph_module");
    const json &graph = get(module, "graph"), &signature = get(module, "signature"), &nodes = get(graph, "nodes");
    if (!nodes.is_array() || !get(signature, "output_specs").is_array())
        return fail(ErrorKind::Parse, "the program has no graph; copy or save the file again");
    m_graph.format = "pt2";
    BW_CHECK(checkPt2Operators(nodes));
    BW_CHECK(readInputs(get(signature, "input_specs"), get(graph, "tensor_values")));
    for (const json &node : nodes) {
        const auto status = readNode(node);
        if (!status)
            return fail(status.error().kind, "node " + textOf(get(node, "name")) + ", " + status.error().message);
    }
    std::string structure;
    for (const json &call : get(module, "module_call_graph"))
        if (textOf(get(call, "fqn")).empty())
            structure = textOf(get(get(call, "signature"), "out_spec"));
    BW_CHECK(readOutputs(get(signature, "output_specs"), pt2LeafNames(structure)));
    BW_CHECK(normalize(m_graph));
    return std::move(m_graph);
}

namespace {

bool probePt2(const std::string &path)
{
    // A zip whose first record is …/archive_format, …/models/… or an older or compiled layout of the same family.
    std::ifstream file(path, std::ios::binary);
    std::string head(4096, '\0');
    file.read(head.data(), std::streamsize(head.size()));
    head.resize(std::size_t(std::max<std::streamsize>(file.gcount(), 0)));
    if (!head.starts_with("PK\x03\x04") || head.size() < 30)
        return false;
    const auto length = std::size_t(static_cast<unsigned char>(head[26]) | static_cast<unsigned char>(head[27]) << 8);
    const std::string first = head.substr(30, length);
    for (const char *part : {"archive_format", "models/", "serialized_exported_program.json", "data/aotinductor/", "data/weights/"})
        if (first.find(part) != std::string::npos)
            return true;
    const auto contents = guarded(path, ErrorKind::Parse, [&] { return Pt2Archive::open(path); });
    return contents.has_value();
}

Result<Graph> loadPt2(const std::string &path, const JobContext &context)
{
    auto loaded = guarded(path, ErrorKind::Parse, [&]() -> Result<Graph> {
        BW_ASSIGN(const Pt2Archive archive, Pt2Archive::open(path));
        BW_ASSIGN(const json program, archive.program());
        auto graph = Pt2Reader(archive, context).read(program);
        if (!graph && !isCancelled(graph.error()) && !graph.error().message.starts_with(path))
            return fail(graph.error().kind, path + ", " + graph.error().message, graph.error().context);
        return graph;
    });
    return loaded;
}

} // namespace

Status writeWithParametersPt2(const std::string &source, const ParameterMap &replaced, const std::string &target)
{
    BW_ASSIGN(const Pt2Archive archive, Pt2Archive::open(source));
    std::map<std::string, std::string> records;
    for (const auto &[name, tensor] : replaced) {
        const auto found = archive.weights().find(name);
        if (found == archive.weights().end())
            return fail(ErrorKind::Invalid, source + " has no weight " + name);
        const Pt2Weight &weight = found->second;
        if (tensor.sizes() != at::IntArrayRef(weight.sizes))
            return fail(ErrorKind::Invalid, "weight " + name + " has another shape than in " + source);
        // Slices of one storage share a record: each is written into what the others left.
        if (!records.contains(weight.record)) {
            BW_ASSIGN(records[weight.record], archive.bytes(weight.record));
        }
        std::string &bytes = records[weight.record];
        const at::Tensor storage = at::from_blob(bytes.data(), {std::int64_t(bytes.size())}, at::kByte);
        BW_ASSIGN(at::Tensor view, pt2View(storage, weight));
        BW_CHECK(guarded("weight " + name, ErrorKind::Internal, [&] {
            const at::NoGradGuard noGrad;
            view.copy_(tensor.detach());
        }));
    }
    return replaceFile(target, [&](const std::string &temporary) { return archive.copyTo(temporary, records); });
}

Frontend pt2Frontend()
{
    return {"pt2", "PyTorch export (.pt2)", probePt2, loadPt2, writeWithParametersPt2};
}

} // namespace bitwright
