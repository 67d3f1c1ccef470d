// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/replace_file.h"
#include "exporters/fake_quant_graph.h"
#include "exporters/graph_writer.h"
#include "exporters/torch_exporters.h"
#include "frontends/torchscript_reference.h"
#include "graph/operators.h"
#include "graph/shape_probe.h"
#include "tensor/guarded.h"
#include "tensor/mapped_file.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

namespace bitwright {

namespace {

namespace jit = torch::jit;
using Kind = Argument::Kind;

constexpr std::int64_t kFreeSize = 32;

std::vector<std::string> splitName(const std::string &name)
{
    std::vector<std::string> parts(1);
    for (const char letter : name) {
        if (letter == '.')
            parts.emplace_back();
        else
            parts.back() += letter;
    }
    return parts;
}

/// Turns a graph of ATen nodes into a module with one method, forward.
class TorchScriptWriter : public GraphWriter<torch::jit::Value *> {
public:
    explicit TorchScriptWriter(const Graph &graph)
        : GraphWriter(graph), m_unit(std::make_shared<jit::CompilationUnit>()), m_module("__torch__.bitwright.Network", m_unit),
          m_out(std::make_shared<jit::Graph>())
    {
    }

    Result<jit::Module> make()
    {
        BW_CHECK(writeAll());
        m_out->lint();
        m_module.type()->addMethod(m_unit->create_function(c10::QualifiedName(*m_module.type()->name(), "forward"), m_out));
        return m_module;
    }

private:
    /// The module at these names below the root; made where there is none. Modules are filled before they are registered.
    struct Folder {
        std::map<std::string, Folder> folders;
        std::map<std::string, const Parameter *> parameters;
    };

    void addParameters()
    {
        Folder root;
        for (const Parameter &parameter : m_graph.parameters) {
            if (parameter.value == kNoValue)
                continue;
            std::vector<std::string> parts = splitName(parameter.name);
            // A name that cannot be a path of attributes, or that meets another one, is one attribute of the root.
            Folder *at = &root;
            bool fits = std::ranges::none_of(parts, [](const std::string &part) { return part.empty() || part == "training" || part == "forward"; });
            for (std::size_t i = 0; fits && i + 1 < parts.size(); ++i) {
                fits = !at->parameters.contains(parts[i]);
                if (fits)
                    at = &at->folders[parts[i]];
            }
            if (!fits || at->folders.contains(parts.back()) || at->parameters.contains(parts.back())) {
                at = &root;
                std::string flat = parameter.name.empty() ? "unnamed" : parameter.name;
                std::ranges::replace(flat, '.', '_');
                while (root.folders.contains(flat) || root.parameters.contains(flat) || flat == "training" || flat == "forward")
                    flat += '_';
                parts = {flat};
            }
            at->parameters[parts.back()] = &parameter;
            m_paths[parameter.value] = parts;
        }
        fill(m_module, root, "__torch__.bitwright");
    }

    void fill(jit::Module &module, const Folder &folder, const std::string &prefix)
    {
        module.register_attribute("training", c10::BoolType::get(), false);
        for (const auto &[name, parameter] : folder.parameters) {
            const at::Tensor tensor = parameter->tensor.detach().contiguous();
            if (parameter->trainable && tensor.is_floating_point())
                module.register_parameter(name, tensor.clone().set_requires_grad(true), false);
            else
                module.register_buffer(name, tensor);
        }
        for (const auto &[name, inner] : folder.folders) {
            std::string type;
            for (const char letter : name)
                type += std::isalnum(static_cast<unsigned char>(letter)) ? letter : '_';
            jit::Module made(c10::QualifiedName(prefix + ".m_" + type), m_unit, true);
            fill(made, inner, prefix + ".m_" + type);
            module.register_module(name, made);
        }
    }

    Status addInputs() override
    {
        m_self = m_out->addInput("self");
        addParameters();
        m_self->setType(m_module.type());
        std::set<std::string> taken;
        for (const GraphInput &input : m_graph.inputs) {
            if (!zeroInputs(m_graph, {}, m_watch.batches[0], kFreeSize)[std::size_t(&input - m_graph.inputs.data())].isTensor())
                return fail(ErrorKind::Unsupported, "input " + input.info.name + " is a number; only tensors can be written");
            std::string name;
            for (const char letter : input.info.name)
                name += std::isalnum(static_cast<unsigned char>(letter)) ? letter : '_';
            if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) || name == "self")
                name.insert(0, "x_");
            while (!taken.insert(name).second)
                name += '_';
            m_values[input.value] = m_out->addInput(name)->setType(c10::TensorType::get());
        }
        return {};
    }

    void bind(ValueId value, jit::Value *name) override { m_values[value] = name; }

    jit::Value *constant(const c10::IValue &value) { return m_out->insertConstant(value); }

    /// A tensor of the graph; a parameter is fetched where it is first read.
    Result<jit::Value *> tensor(const Argument &given, const Node &node) override
    {
        if (given.kind == Kind::Value) {
            if (const auto found = m_values.find(given.value); found != m_values.end())
                return found->second;
            if (const auto path = m_paths.find(given.value); path != m_paths.end()) {
                jit::Value *at = m_self;
                for (const std::string &part : path->second)
                    at = m_out->insertGetAttr(at, part);
                return m_values[given.value] = at;
            }
        }
        return fail(ErrorKind::Unsupported, "node " + node.name + ", an argument of it is a number that the run turns into a tensor");
    }

    jit::Value *number(const Linear &value)
    {
        if (value.factor == 0)
            return constant(value.offset);
        jit::Value *&known = m_numbers[value];
        if (known)
            return known;
        if (value == Linear{1, 0})
            return known = m_out->insert(c10::aten::size, {m_values[m_graph.inputs[0].value], constant(std::int64_t(0))});
        if (value.offset == 0)
            return known = m_out->insert(c10::aten::mul, {number({1, 0}), constant(value.factor)});
        jit::Value *scaled = number({value.factor, 0});
        return known = m_out->insert(c10::aten::add, {scaled, constant(value.offset)});
    }

    jit::Value *list(const c10::TypePtr &type, const std::vector<jit::Value *> &values)
    {
        return m_out->insertNode(m_out->createList(type, values))->output();
    }

    Result<jit::Value *> argument(const Node &node, std::size_t index, const Argument &given, const std::vector<c10::IValue> &seen)
    {
        const c10::IValue &value = seen.front();
        if (value.isNone() || (value.isTensor() && !value.toTensor().defined()))
            return constant(c10::IValue());
        if (value.isTensor())
            return tensor(given, node);
        if (value.isTensorList() || (value.isList() && given.kind == Kind::List && !value.isIntList() && !value.isDoubleList() && !value.isBoolList())) {
            std::vector<jit::Value *> values;
            if (given.kind == Kind::Value) {
                const auto found = m_lists.find(given.value);
                if (found == m_lists.end())
                    return fail(ErrorKind::Unsupported, "node " + node.name + ", a list that it reads cannot be written to TorchScript");
                values = found->second;
            }
            for (const Argument &each : given.list) {
                const bool none = each.kind == Kind::Constant && each.constant.isNone();
                jit::Value *made = nullptr;
                if (none) {
                    made = constant(c10::IValue());
                } else {
                    BW_ASSIGN(made, tensor(each, node));
                }
                values.push_back(made);
            }
            return list(value.isTensorList() ? c10::TypePtr(c10::TensorType::get()) : c10::TypePtr(c10::OptionalType::ofTensor()), values);
        }
        if (value.isInt()) {
            BW_ASSIGN(const Linear found, linearNumber(seen));
            return number(found);
        }
        if (value.isIntList())
            return integers(seen);
        const bool fixed = value.isDouble() || value.isBool() || value.isString() || value.isDevice() || value.isDoubleList() || value.isBoolList();
        if (!fixed || !std::ranges::all_of(seen, [&](const c10::IValue &each) { return each == value || (each.isDouble() && value.isDouble() && std::isnan(each.toDouble())); }))
            return fail(ErrorKind::Unsupported, "node " + node.name + ", its argument " + std::to_string(index) + " cannot be written to TorchScript");
        return constant(value);
    }

    Result<jit::Value *> integers(const std::vector<c10::IValue> &seen)
    {
        BW_ASSIGN(const std::vector<Linear> numbers, linearList(seen));
        if (std::ranges::all_of(numbers, [](const Linear &each) { return each.factor == 0; }))
            return constant(seen[0]);
        std::vector<jit::Value *> values;
        for (const Linear &each : numbers)
            values.push_back(number(each));
        return list(c10::IntType::get(), values);
    }

    Status addNode(std::size_t index) override
    {
        const Node &node = m_graph.nodes[index];
        const auto known = findOperator(node.op);
        if (!known || !known->schema || !node.op.starts_with("aten::"))
            return fail(ErrorKind::Unsupported, "node " + node.name + ", the operator " + node.op + " cannot be written to TorchScript");
        std::vector<jit::Value *> inputs;
        for (std::size_t i = 0; i < node.arguments.size(); ++i) {
            BW_ASSIGN(jit::Value *each, argument(node, i, node.arguments[i], seenIn(index, i)));
            inputs.push_back(each);
        }
        const auto &returns = known->schema->returns();
        jit::Node *made = m_out->create(c10::Symbol::fromQualString("aten::" + plainName(node.op)), inputs, returns.size());
        for (std::size_t i = 0; i < returns.size(); ++i)
            made->output(i)->setType(returns[i].type());
        m_out->insertNode(made);
        if (!made->maybeSchema())
            return fail(ErrorKind::Unsupported, "node " + node.name + ", TorchScript has no " + node.op + " for these arguments");
        for (std::size_t i = 0; i < node.outputs.size() && i < returns.size(); ++i) {
            const c10::IValue &first = m_watch.runs[0][index].out.at(i);
            if (node.outputs[i] == kNoValue)
                continue;
            if (first.isTensorList()) {
                const std::size_t count = first.toTensorVector().size();
                for (const auto &pass : m_watch.runs)
                    if (pass[index].out.at(i).toTensorVector().size() != count)
                        return fail(ErrorKind::Unsupported, "node " + node.name + ", how many tensors it gives depends on the batch");
                jit::Node *unpacked = m_out->insertNode(m_out->createListUnpack(made->output(i), count));
                for (jit::Value *each : unpacked->outputs())
                    m_lists[node.outputs[i]].push_back(each);
            } else {
                m_values[node.outputs[i]] = made->output(i);
            }
        }
        return {};
    }

    Status addOutputs() override
    {
        std::vector<jit::Value *> outputs;
        for (const Argument &output : m_graph.outputs) {
            const bool known = output.kind == Kind::Value && (m_values.contains(output.value) || m_paths.contains(output.value));
            if (!known)
                return fail(ErrorKind::Unsupported, "an output is no tensor, which TorchScript is written without");
            BW_ASSIGN(jit::Value *value, tensor(output, Node{}));
            outputs.push_back(value);
        }
        if (outputs.empty())
            return fail(ErrorKind::Unsupported, "the network has no output");
        m_out->registerOutput(outputs.size() == 1 ? outputs[0] : m_out->insertNode(m_out->createTuple(outputs))->output());
        return {};
    }

    std::shared_ptr<jit::CompilationUnit> m_unit;
    jit::Module m_module;
    std::shared_ptr<jit::Graph> m_out;
    jit::Value *m_self = nullptr;
    std::map<ValueId, std::vector<std::string>> m_paths;
    std::map<ValueId, jit::Value *> m_values;
    std::map<Linear, jit::Value *> m_numbers;
};

Result<ExportReport> write(const ExportInput &input, const std::string &path, const JobContext &context)
{
    return guarded(path + " cannot be written", ErrorKind::Internal, [&]() -> Result<ExportReport> {
        const c10::NoGradGuard noGrad;
        context.progress("exporting", 0, 3);
        BW_ASSIGN(FakeQuantGraph made, fakeQuantGraph(input));
        BW_CHECK(onlyAtenNodes(made.graph, "TorchScript"));
        if (context.stopped())
            return cancelled();
        context.progress("exporting", 1, 3);
        TorchScriptWriter writer(made.graph);
        auto module = guarded("the network cannot be written", ErrorKind::Unsupported, [&] { return writer.make(); });
        if (!module)
            return fail(module.error().kind, path + " cannot be written, " + module.error().message, module.error().context);
        if (context.stopped())
            return cancelled();
        context.progress("exporting", 2, 3);
        const Status written = replaceFile(path, [&](const std::string &temporary) -> Status {
            BW_CHECK(guarded(path + " cannot be written", ErrorKind::Io, [&] {
                module->save(temporary, {{"bitwright.assignment", assignmentText(input)}});
            }));
            BW_ASSIGN(TorchScriptReference reference, TorchScriptReference::load(temporary));
            std::vector<std::string> names;
            for (const GraphInput &each : made.graph.inputs)
                names.push_back(each.info.name);
            BW_CHECK(checkReadBack(made.graph, temporary, [&](const std::vector<c10::IValue> &given) { return reference.runLeaves(given, names); }));
            return mappedFilesIntact();
        });
        BW_CHECK(written);
        context.progress("exporting", 3, 3);
        ExportReport report;
        std::error_code ignored;
        report.bytes = std::int64_t(std::filesystem::file_size(path, ignored));
        report.layers = std::move(made.layers);
        report.notes.push_back("weights are their quantized values in float32 and inputs are quantized by ordinary operators; torch.jit.load of PyTorch 2.13 and LibTorch read it");
        if (made.graph.outputs.size() > 1)
            report.notes.push_back("several outputs are a tuple, in the order of the network's");
        return report;
    });
}

} // namespace

Exporter torchscriptExporter()
{
    return {{"torchscript", "TorchScript", ".pt", {true, true, true, true, 1, 16, false},
             "The network with quantizing operators; torch.jit.load and LibTorch read it."}, write};
}

} // namespace bitwright
