// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pt2_writer.h"

#include "base/replace_file.h"
#include "exporters/graph_writer.h"
#include "exporters/torch_archive.h"
#include "frontends/frontend.h"
#include "graph/executor.h"
#include "graph/operators.h"
#include "graph/shape_probe.h"
#include "tensor/guarded.h"
#include "tensor/mapped_file.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

namespace bitwright {

namespace {

using nlohmann::json;
using Kind = Argument::Kind;

constexpr const char *kSymbol = "s77";

class Pt2Writer : public GraphWriter<std::string> {
public:
    explicit Pt2Writer(const Graph &graph) : GraphWriter(graph) {}
    Result<json> program();
    [[nodiscard]] const json &weights() const { return m_weights; }
    [[nodiscard]] const std::vector<at::Tensor> &tensors() const { return m_tensors; }

private:
    Status addInputs() override;
    Status addNode(std::size_t index) override;
    Status addOutputs() override;
    Result<std::string> tensor(const Argument &given, const Node &node) override;
    void bind(ValueId value, std::string name) override { m_names[value] = std::move(name); }
    void addParameter(const Parameter &parameter);
    std::string unique(const std::string &wanted);
    std::string nameOf(ValueId value);
    std::string symbol(const Linear &number);
    json size(const Linear &number) const;
    Result<json> meta(const std::vector<at::Tensor> &seen, bool gradient) const;
    Result<json> argument(const Node &node, std::size_t index, const Argument &given, const std::vector<c10::IValue> &seen,
                          const c10::Argument &declared);
    Result<json> integers(const std::vector<c10::IValue> &seen);
    Result<json> tensorNames(const Argument &given);
    Result<json> result(const Node &node, std::size_t output, const std::vector<c10::IValue> &seen);

    std::set<std::string> m_taken;
    std::map<ValueId, std::string> m_names;
    std::map<Linear, std::string> m_symbols;
    json m_nodes = json::array(), m_values = json::object(), m_symbolValues = json::object(), m_inputs = json::array();
    json m_inputSpecs = json::array(), m_outputs = json::array(), m_outputSpecs = json::array(), m_weights = json::object();
    std::vector<at::Tensor> m_tensors;
    std::vector<std::string> m_arguments;
};

std::int64_t dtypeCode(at::ScalarType type)
{
    return type == at::kBFloat16 ? 13 : std::int64_t(type) + 1;
}

json none() { return json{{"as_none", true}}; }

std::string Pt2Writer::unique(const std::string &wanted)
{
    std::string name;
    for (const char letter : wanted)
        name += std::isalnum(static_cast<unsigned char>(letter)) || letter == '_' ? letter : '_';
    if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])))
        name.insert(0, "v");
    static const std::set<std::string> kKeywords{"if", "in", "is", "or", "and", "not", "for", "from", "def", "class", "return", "lambda", "None", "True", "False", "input", "self"};
    std::string made = kKeywords.contains(name) ? name + "_0" : name;
    for (int i = 1; !m_taken.insert(made).second; ++i)
        made = name + "_" + std::to_string(i);
    return made;
}

std::string Pt2Writer::nameOf(ValueId value)
{
    std::string &name = m_names[value];
    if (name.empty())
        name = unique(m_graph.valueNames[std::size_t(value)]);
    return name;
}

std::string expression(const Linear &number)
{
    const std::string plain = std::string("Symbol('") + kSymbol + "', positive=True, integer=True)";
    const std::string scaled = number.factor == 1 ? plain : "Mul(Integer(" + std::to_string(number.factor) + "), " + plain + ")";
    return number.offset == 0 ? scaled : "Add(" + scaled + ", Integer(" + std::to_string(number.offset) + "))";
}

json Pt2Writer::size(const Linear &number) const
{
    if (number.factor == 0)
        return {{"as_int", number.offset}};
    return {{"as_expr", {{"expr_str", expression(number)}, {"hint", {{"as_int", number.factor * m_watch.batches[0] + number.offset}}}}}};
}

/// The name of a number that follows the batch; made from the first input's size when first asked for.
std::string Pt2Writer::symbol(const Linear &number)
{
    if (const auto found = m_symbols.find(number); found != m_symbols.end())
        return found->second;
    const auto emit = [&](const char *target, const char *name, json inputs, const Linear &value) {
        const std::string made = unique(name);
        m_nodes.push_back({{"target", target}, {"inputs", std::move(inputs)}, {"outputs", {{{"as_sym_int", {{"as_name", made}}}}}},
                           {"metadata", json::object()}, {"is_hop_single_tensor_return", nullptr}, {"name", made}});
        m_symbolValues[made] = size(value);
        m_symbols[value] = made;
        return made;
    };
    const auto input = [](const char *name, json value) { return json{{"name", name}, {"arg", std::move(value)}, {"kind", 1}}; };
    if (number == Linear{1, 0})
        return emit("torch.ops.aten.sym_size.int", "sym_size_int",
                    {input("self", {{"as_tensor", {{"name", nameOf(m_graph.inputs[0].value)}}}}), input("dim", {{"as_int", 0}})}, number);
    if (number.offset == 0)
        return emit("_operator.mul", "mul_size",
                    {input("a", {{"as_sym_int", {{"as_name", symbol({1, 0})}}}}), input("b", {{"as_int", number.factor}})}, number);
    return emit("_operator.add", "add_size",
                {input("a", {{"as_sym_int", {{"as_name", symbol({number.factor, 0})}}}}), input("b", {{"as_int", number.offset}})}, number);
}

Result<json> Pt2Writer::meta(const std::vector<at::Tensor> &seen, bool gradient) const
{
    json sizes = json::array(), strides = json::array();
    for (std::int64_t axis = 0; axis < seen[0].dim(); ++axis)
        for (const bool isSize : {true, false}) {
            std::vector<std::int64_t> values;
            for (const at::Tensor &tensor : seen)
                values.push_back(isSize ? tensor.size(axis) : tensor.stride(axis));
            BW_ASSIGN(const Linear number, m_watch.linear(values));
            (isSize ? sizes : strides).push_back(size(number));
        }
    return json{{"dtype", dtypeCode(seen[0].scalar_type())}, {"sizes", sizes}, {"requires_grad", gradient},
                {"device", {{"type", "cpu"}, {"index", nullptr}}}, {"strides", strides}, {"storage_offset", {{"as_int", 0}}}, {"layout", 7}};
}

void Pt2Writer::addParameter(const Parameter &parameter)
{
    const bool trainable = parameter.trainable && parameter.tensor.is_floating_point();
    const std::string name = unique((trainable ? "p_" : "b_") + parameter.name);
    m_names[parameter.value] = name;
    const at::Tensor tensor = parameter.tensor.detach().contiguous();
    const json described = meta(std::vector<at::Tensor>(1, tensor), trainable).value_or(json());
    m_values[name] = described;
    m_inputs.push_back({{"as_tensor", {{"name", name}}}});
    if (trainable)
        m_inputSpecs.push_back({{"parameter", {{"arg", {{"name", name}}}, {"parameter_name", parameter.name}}}});
    else
        m_inputSpecs.push_back({{"buffer", {{"arg", {{"name", name}}}, {"buffer_name", parameter.name}, {"persistent", true}}}});
    m_weights[parameter.name] = {{"path_name", "weight_" + std::to_string(m_tensors.size())}, {"is_param", trainable}, {"use_pickle", false}, {"tensor_meta", described}};
    m_tensors.push_back(tensor);
}

Status Pt2Writer::addInputs()
{
    // Parameters first, then buffers, then what the caller gives: the order of PyTorch's own signature.
    for (const bool trainable : {true, false})
        for (const Parameter &parameter : m_graph.parameters)
            if (parameter.value != kNoValue && (parameter.trainable && parameter.tensor.is_floating_point()) == trainable)
                addParameter(parameter);
    for (std::size_t i = 0; i < m_graph.inputs.size(); ++i) {
        const GraphInput &input = m_graph.inputs[i];
        std::vector<at::Tensor> seen;
        for (const std::int64_t batch : m_watch.batches) {
            const c10::IValue value = zeroInputs(m_graph, {}, batch, 32)[i];
            if (!value.isTensor())
                return fail(ErrorKind::Unsupported, "input " + input.info.name + " is a number; only tensors can be written");
            seen.push_back(value.toTensor());
        }
        m_names[input.value] = unique(input.info.name.empty() ? "x" : input.info.name);
        m_arguments.push_back(m_names[input.value]);
        BW_ASSIGN(m_values[m_names[input.value]], meta(seen, false));
        m_inputs.push_back({{"as_tensor", {{"name", m_names[input.value]}}}});
        m_inputSpecs.push_back({{"user_input", {{"arg", {{"as_tensor", {{"name", m_names[input.value]}}}}}}}});
    }
    return {};
}

Result<json> Pt2Writer::integers(const std::vector<c10::IValue> &seen)
{
    BW_ASSIGN(const std::vector<Linear> numbers, linearList(seen));
    const bool symbolic = std::ranges::any_of(numbers, [](const Linear &number) { return number.factor != 0; });
    json list = json::array();
    for (const Linear &number : numbers) {
        if (!symbolic)
            list.push_back(number.offset);
        else if (number.factor == 0)
            list.push_back({{"as_int", number.offset}});
        else
            list.push_back({{"as_name", symbol(number)}});
    }
    return json{{symbolic ? "as_sym_ints" : "as_ints", list}};
}

Result<std::string> Pt2Writer::tensor(const Argument &given, const Node &node)
{
    if (given.kind != Kind::Value)
        return fail(ErrorKind::Unsupported, "node " + node.name + ", an argument of it is a number that the run turns into a tensor");
    return nameOf(given.value);
}

Result<json> Pt2Writer::tensorNames(const Argument &given)
{
    json names = json::array();
    if (given.kind == Kind::List)
        for (const Argument &each : given.list)
            names.push_back({{"name", nameOf(each.value)}});
    else if (const auto found = m_lists.find(given.value); found != m_lists.end())
        for (const std::string &name : found->second)
            names.push_back({{"name", name}});
    return names;
}

Result<json> Pt2Writer::argument(const Node &node, std::size_t index, const Argument &given, const std::vector<c10::IValue> &seen,
                                 const c10::Argument &declared)
{
    const c10::IValue &value = seen.front();
    const std::string type = declared.real_type()->repr_str();
    const auto is = [&](const char *what) { return type.find(what) != std::string::npos; };
    if (value.isNone() || (value.isTensor() && !value.toTensor().defined()))
        return none();
    if (value.isTensor()) {
        if (given.kind != Kind::Value || !m_values.contains(nameOf(given.value)))
            return fail(ErrorKind::Unsupported, "node " + node.name + ", its argument " + declared.name() + " is a number that the run turns into a tensor");
        return json{{"as_tensor", {{"name", nameOf(given.value)}}}};
    }
    if (value.isTensorList()) {
        BW_ASSIGN(json names, tensorNames(given));
        return json{{"as_tensors", std::move(names)}};
    }
    if (value.isBool())
        return json{{"as_bool", value.toBool()}};
    if (value.isInt() && is("ScalarType"))
        return json{{"as_scalar_type", dtypeCode(at::ScalarType(value.toInt()))}};
    if (value.isInt() && is("MemoryFormat")) {
        static const std::int64_t kCodes[] = {1, 4, 2, 3};
        return json{{"as_memory_format", kCodes[std::clamp<std::int64_t>(value.toInt(), 0, 3)]}};
    }
    if (value.isInt() && is("Layout"))
        return json{{"as_layout", 7}};
    if (value.isDevice())
        return json{{"as_device", {{"type", "cpu"}, {"index", nullptr}}}};
    if (value.isInt()) {
        BW_ASSIGN(const Linear number, linearNumber(seen));
        return number.factor == 0 ? json{{"as_int", number.offset}} : json{{"as_sym_int", {{"as_name", symbol(number)}}}};
    }
    if (value.isDouble()) {
        if (!std::ranges::all_of(seen, [&](const c10::IValue &each) { return each.isDouble() && each.toDouble() == value.toDouble(); }))
            return fail(ErrorKind::Unsupported, "node " + node.name + ", argument " + std::to_string(index) + " changes with the batch");
        return json{{"as_float", value.toDouble()}};
    }
    if (value.isString())
        return json{{"as_string", value.toStringRef()}};
    if (value.isIntList())
        return integers(seen);
    if (value.isDoubleList())
        return json{{"as_floats", value.toDoubleVector()}};
    if (value.isBoolList()) {
        json list = json::array();
        for (const bool each : value.toBoolList())
            list.push_back(each);
        return json{{"as_bools", list}};
    }
    if (value.isList() && given.kind == Kind::List) {   // optional tensors, as of `index`
        json list = json::array();
        for (const Argument &each : given.list)
            list.push_back(each.kind == Kind::Value ? json{{"as_tensor", {{"name", nameOf(each.value)}}}} : none());
        return json{{"as_optional_tensors", list}};
    }
    return fail(ErrorKind::Unsupported, "node " + node.name + ", its argument " + declared.name() + " cannot be written to .pt2");
}

Result<json> Pt2Writer::result(const Node &node, std::size_t output, const std::vector<c10::IValue> &seen)
{
    const ValueId value = output < node.outputs.size() ? node.outputs[output] : kNoValue;
    if (seen[0].isTensor()) {
        const std::string name = value == kNoValue ? unique(node.name + "_unused") : nameOf(value);
        std::vector<at::Tensor> tensors;
        for (const c10::IValue &each : seen)
            tensors.push_back(each.toTensor());
        BW_ASSIGN(m_values[name], meta(tensors, false));
        return json{{"as_tensor", {{"name", name}}}};
    }
    if (!seen[0].isTensorList() || value == kNoValue)
        return fail(ErrorKind::Unsupported, "node " + node.name + ", a result of it cannot be written to .pt2");
    json names = json::array();
    const std::size_t count = seen[0].toTensorVector().size();
    for (std::size_t k = 0; k < count; ++k) {
        const std::string name = unique("getitem");
        std::vector<at::Tensor> tensors;
        for (const c10::IValue &each : seen)
            tensors.push_back(each.toTensorVector().at(k));
        BW_ASSIGN(m_values[name], meta(tensors, false));
        m_lists[value].push_back(name);
        names.push_back({{"name", name}});
    }
    return json{{"as_tensors", names}};
}

bool isDefault(const Argument &given, const c10::IValue &value, const c10::Argument &declared)
{
    const auto &fallback = declared.default_value();
    if (!fallback || given.kind != Kind::Constant || value.isTensor() || value.isTensorList())
        return false;
    return value.isNone() ? fallback->isNone() : *fallback == value;
}

Status Pt2Writer::addNode(std::size_t index)
{
    const Node &node = m_graph.nodes[index];
    const auto known = findOperator(node.op);
    if (!known || !known->schema || known->scalar || !node.op.starts_with("aten::"))
        return fail(ErrorKind::Unsupported, "node " + node.name + ", the operator " + node.op + " cannot be written to .pt2");
    json inputs = json::array(), outputs = json::array();
    const auto &declared = known->schema->arguments();
    std::size_t positional = 0;   // those before the last that is not its default are all written: their place counts
    for (std::size_t i = 0; i < node.arguments.size(); ++i)
        if (!declared[i].kwarg_only() && !isDefault(node.arguments[i], m_watch.runs[0][index].in[i], declared[i]))
            positional = i + 1;
    for (std::size_t i = 0; i < node.arguments.size(); ++i) {
        const std::vector<c10::IValue> seen = seenIn(index, i);
        if (i >= positional && isDefault(node.arguments[i], seen[0], declared[i]))
            continue;
        BW_ASSIGN(json value, argument(node, i, node.arguments[i], seen, declared[i]));
        inputs.push_back({{"name", declared[i].name()}, {"arg", std::move(value)}, {"kind", declared[i].kwarg_only() ? 2 : 1}});
    }
    for (std::size_t i = 0; i < m_watch.runs[0][index].out.size(); ++i) {
        BW_ASSIGN(json value, result(node, i, seenOut(index, i)));
        outputs.push_back(std::move(value));
    }
    std::string target = "torch.ops.aten." + node.op.substr(6);
    if (node.op.find('.') == std::string::npos)
        target += ".default";
    const json &first = outputs[0];
    // One tensor bears the node's name; of several each is read out by a node of its own.
    const std::string name = outputs.size() == 1 && first.contains("as_tensor") ? first["as_tensor"]["name"].get<std::string>() : unique(node.name);
    m_nodes.push_back({{"target", target}, {"inputs", inputs}, {"outputs", outputs}, {"metadata", json::object()},
                       {"is_hop_single_tensor_return", nullptr}, {"name", name}});
    return {};
}

Status Pt2Writer::addOutputs()
{
    for (const Argument &output : m_graph.outputs) {
        if (output.kind != Kind::Value || !m_values.contains(nameOf(output.value)))
            return fail(ErrorKind::Unsupported, "an output is no tensor, which .pt2 is written without");
        const json named{{"as_tensor", {{"name", nameOf(output.value)}}}};
        m_outputs.push_back(named);
        m_outputSpecs.push_back({{"user_output", {{"arg", named}}}});
    }
    return {};
}

Result<json> Pt2Writer::program()
{
    BW_CHECK(writeAll());
    const json leaf{{"type", nullptr}, {"context", nullptr}, {"children_spec", json::array()}};
    const auto tuple = [&](json children) { return json{{"type", "builtins.tuple"}, {"context", "null"}, {"children_spec", std::move(children)}}; };
    const json arguments = tuple(json(m_inputs.size() - m_weights.size(), leaf));
    const json keywords{{"type", "builtins.dict"}, {"context", "[]"}, {"children_spec", json::array()}};
    const json in = json::array({1, tuple(json::array({arguments, keywords}))});
    const json out = json::array({1, m_outputs.size() == 1 ? leaf : tuple(json(m_outputs.size(), leaf))});
    json constraints = json::object();
    if (m_watch.batches.size() > 1)
        constraints[kSymbol] = {{"min_val", 1}, {"max_val", nullptr}};
    return json{
        {"graph_module",
         {{"graph",
           {{"inputs", m_inputs}, {"outputs", m_outputs}, {"nodes", m_nodes}, {"tensor_values", m_values}, {"sym_int_values", m_symbolValues},
            {"sym_bool_values", json::object()}, {"sym_float_values", json::object()}, {"custom_obj_values", json::object()}, {"is_single_tensor_return", false}}},
          {"signature", {{"input_specs", m_inputSpecs}, {"output_specs", m_outputSpecs}}},
          {"module_call_graph", json::array({{{"fqn", ""}, {"signature", {{"inputs", json::array()}, {"outputs", json::array()}, {"in_spec", in.dump()}, {"out_spec", out.dump()}, {"forward_arg_names", m_arguments}}}}})},
          {"metadata", json::object()},
          {"treespec_namedtuple_fields", json::object()}}},
        {"opset_version", {{"aten", 10}}},
        {"range_constraints", constraints},
        {"schema_version", {{"major", 8}, {"minor", 20}}},
        {"verifiers", {"TRAINING"}},
        {"torch_version", "2.13.0"},
        {"guards_code", json::array()}};
}

} // namespace

Status writeGraphPt2(const Graph &graph, const std::string &path, const JobContext &context, const std::map<std::string, std::string> &extras)
{
    Pt2Writer writer(graph);
    auto program = guarded(path, ErrorKind::Unsupported, [&] { return writer.program(); });
    if (!program)
        return fail(program.error().kind, path + " cannot be written, " + program.error().message, program.error().context);
    std::map<std::string, std::string> texts{{"data/sample_inputs/model.pt", ""},   // must be there; empty is none
                                                   {"data/weights/model_weights_config.json", json{{"config", writer.weights()}}.dump()},
                                                   {"data/constants/model_constants_config.json", json{{"config", json::object()}}.dump()},
                                                   {"models/model.json", program->dump()},
                                                   {"archive_format", "pt2"},
                                                   {"archive_version", "0"},
                                                   {"byteorder", "little"}};
    for (const auto &[name, text] : extras)
        texts["extra/" + name] = text;
    std::vector<ArchiveRecord> records;
    for (std::size_t i = 0; i < writer.tensors().size(); ++i)
        records.push_back({"data/weights/weight_" + std::to_string(i), bytesOf(writer.tensors()[i])});
    for (const auto &[name, text] : texts)
        records.push_back({name, text});
    return replaceFile(path, [&](const std::string &temporary) -> Status {
        BW_CHECK(writeTorchArchive(temporary, records));
        BW_ASSIGN(Graph read, loadGraph(temporary, context));
        const Executor after(std::make_shared<const Graph>(std::move(read)));
        BW_CHECK(checkReadBack(graph, temporary, [&](const std::vector<c10::IValue> &inputs) { return after.run(inputs, after.bind()); }));
        return mappedFilesIntact();
    });
}

} // namespace bitwright
