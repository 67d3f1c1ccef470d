// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/onnx_edit.h"

#include "exporters/onnx/layer_plan.h"
#include "exporters/onnx/onnx_file_edit.h"
#include "exporters/output_file.h"
#include "frontends/frontend.h"
#include "frontends/rows.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace bitwright {

namespace {

using onnx::Attribute;
using onnx::DataType;

const std::string &nameOf(const onnx::Node &node)
{
    return !node.name.empty() || node.outputs.empty() ? node.name : node.outputs[0];
}

/// Every name that a graph's nodes, inputs and initializers mention, sub-graphs included.
void collectNames(const onnx::Graph &graph, std::set<std::string> &all)
{
    for (const auto *values : {&graph.inputs, &graph.outputs, &graph.values})
        for (const auto &value : *values)
            all.insert(value.name);
    for (const auto &tensor : graph.initializers)
        all.insert(tensor.name);
    for (const auto &node : graph.nodes) {
        all.insert(node.name);
        all.insert(node.inputs.begin(), node.inputs.end());
        all.insert(node.outputs.begin(), node.outputs.end());
        for (const auto &attribute : node.attributes)
            if (attribute.g)
                collectNames(*attribute.g, all);
    }
}

/// How often a value is read, sub-graphs and outputs included.
void countReads(const onnx::Graph &graph, std::map<std::string, int> &reads)
{
    for (const auto &node : graph.nodes) {
        for (const auto &input : node.inputs)
            ++reads[input];
        for (const auto &attribute : node.attributes)
            if (attribute.g)
                countReads(*attribute.g, reads);
    }
    for (const auto &output : graph.outputs)
        ++reads[output.name];
}

/// The same integers in an 8-bit type, for operator sets that lack narrower ones.
Status widen(OnnxEncoding &encoding, int opset)
{
    if (encoding.opset <= 13 || opset >= encoding.opset)
        return {};
    if (onnx::storageBits(encoding.type) > 8)
        return fail(ErrorKind::Unsupported, std::string(onnx::dataTypeName(encoding.type)) + " needs operator set " +
                                                std::to_string(encoding.opset) + ", the file has " + std::to_string(opset));
    encoding.type = onnx::integerRange(encoding.type).first < 0 ? DataType::Int8 : DataType::UInt8;
    encoding.clips = true;
    encoding.opset = 13;
    return {};
}

/// One edit of one file.
class Editor {
public:
    Editor(const ExportInput &input, const onnx::Model &model, const Graph &original)
        : m_input(input), m_model(model), m_original(original), m_opset(int(model.opsets.contains("") ? model.opsets.at("") : 1)),
          m_trace(emptyTrace(*input.graph)), m_writer(*input.graph, m_trace, m_opset)
    {
        std::set<std::string> names;
        collectNames(model.graph, names);
        for (const std::string &name : names)
            m_writer.uniqueName(name);
        std::set<std::string> twice;
        for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
            if (!m_nodes.emplace(nameOf(model.graph.nodes[i]), i).second)
                twice.insert(nameOf(model.graph.nodes[i]));
        }
        for (const auto &name : twice)
            m_nodes.erase(name);
        m_main = placeIn(model.graph, m_edit, {});
    }

    Result<OnnxFileEdit> run(std::vector<LayerPlan> &plans);

private:
    static ShapeTrace emptyTrace(const Graph &graph)
    {
        ShapeTrace trace;
        trace.values.resize(graph.valueNames.size());
        return trace;
    }
    [[nodiscard]] at::Tensor tensorOf(const Parameter &parameter) const
    {
        const auto given = m_input.parameters.find(parameter.name);
        return given == m_input.parameters.end() ? parameter.tensor : given->second;
    }
    Result<std::size_t> fileNode(const LayerPlan &plan, std::size_t call) const;
    struct Scope;
    /// A graph of the file, the main one or a sub-graph, with its edit.
    struct Place {
        const onnx::Graph *graph = nullptr;
        OnnxFileEdit *edit = nullptr;
        Scope *scope = nullptr;
    };
    /// What a graph reads, sub-graphs of its own included, and makes.
    struct Scope {
        Place outer;                        ///< the graph around it
        std::map<std::string, int> reads;
        std::map<std::string, std::size_t> producers, initializers;
        std::set<std::string> redefined;    ///< values
    };
    Place placeIn(const onnx::Graph &graph, OnnxFileEdit &edit, const Place &outer);
    /// Where a parameter's value lies.
    Result<Place> placeOf(const Parameter &parameter);
    Status redefine(const Place &place, const std::string &value);
    void dropUnread(const Place &place, std::size_t node);
    void dropRead(const Place &place, const std::string &value);
    std::string zeroOf(const std::string &base, DataType type);
    Status writeWeight(LayerPlan &plan, const Parameter &parameter);
    Status writeActivations(LayerPlan &plan, bool floatWeights);
    Status writeChangedParameters();
    Status removeFoldedNorms();
    std::string front(OnnxFileEdit &edit, const char *op, std::vector<std::string> inputs, const std::string &base,
                      std::vector<Attribute> attributes, const std::string &target);

    const ExportInput &m_input;
    const onnx::Model &m_model;
    const Graph &m_original;
    int m_opset;
    ShapeTrace m_trace;
    OnnxWriter m_writer;
    OnnxFileEdit m_edit;
    std::map<std::string, std::size_t> m_nodes;
    std::map<const onnx::Graph *, Scope> m_scopes;
    Place m_main;
    std::set<std::string> m_written;        ///< parameters
};

Result<std::size_t> Editor::fileNode(const LayerPlan &plan, std::size_t call) const
{
    const Node &node = m_input.graph->nodes[plan.binding->nodes[call]];
    const auto found = m_nodes.find(node.name);
    if (found == m_nodes.end())
        return fail(ErrorKind::Unsupported, "layer " + plan.binding->info.name + " stands in a sub-graph or function, or its node's name is not its own");
    return found->second;
}

std::string Editor::front(OnnxFileEdit &edit, const char *op, std::vector<std::string> inputs, const std::string &base,
                          std::vector<Attribute> attributes, const std::string &target)
{
    const std::string made = target.empty() ? m_writer.uniqueName(base + "_" + op) : target;
    edit.front.push_back({op, "", m_writer.uniqueName(base + "/" + op), std::move(inputs), {made}, std::move(attributes)});
    return made;
}

// What nobody reads any more once `node` is gone goes with it.
void Editor::dropUnread(const Place &place, std::size_t node)
{
    place.edit->removedNodes.insert(node);
    for (const std::string &input : place.graph->nodes[node].inputs)
        if (!input.empty())
            dropRead(place, input);
}

/// One reader of a value less, in the graphs around it too, one of which makes it.
void Editor::dropRead(const Place &place, const std::string &value)
{
    Scope &scope = *place.scope;
    const bool unread = --scope.reads[value] <= 0;
    const auto producer = scope.producers.find(value);
    if (scope.initializers.contains(value)) {
        if (unread)
            place.edit->removedInitializers.insert(value);
    } else if (producer != scope.producers.end()) {
        const auto &outputs = place.graph->nodes[producer->second].outputs;
        if (unread && !place.edit->removedNodes.contains(producer->second)
            && std::ranges::all_of(outputs, [&](const auto &output) { return output.empty() || scope.reads[output] <= 0; }))
            dropUnread(place, producer->second);
    } else if (scope.outer.scope) {
        dropRead(scope.outer, value);
    }
}

Editor::Place Editor::placeIn(const onnx::Graph &graph, OnnxFileEdit &edit, const Place &outer)
{
    const auto [found, isNew] = m_scopes.try_emplace(&graph);
    Scope &scope = found->second;
    if (isNew) {
        scope.outer = outer;
        countReads(graph, scope.reads);
        for (std::size_t i = 0; i < graph.nodes.size(); ++i)
            for (const auto &output : graph.nodes[i].outputs)
                scope.producers.emplace(output, i);
        for (std::size_t i = 0; i < graph.initializers.size(); ++i)
            scope.initializers.emplace(graph.initializers[i].name, i);
    }
    return {&graph, &edit, &scope};
}

Result<Editor::Place> Editor::placeOf(const Parameter &parameter)
{
    Place place = m_main;
    for (std::size_t i = 0; i + 1 < parameter.originPath.size(); i += 2) {
        const auto &nodes = place.graph->nodes;
        const auto node = std::ranges::find_if(nodes, [&](const onnx::Node &n) { return !n.outputs.empty() && n.outputs[0] == parameter.originPath[i]; });
        const std::string &attribute = parameter.originPath[i + 1];
        const onnx::Attribute *body = node == nodes.end() ? nullptr : node->attribute(attribute);
        if (!body || !body->g)
            return fail(ErrorKind::Unsupported, "weight " + parameter.name + " lies in a function of the file");
        auto &edit = place.edit->bodies[std::size_t(node - nodes.begin())][attribute];
        if (!edit)
            edit = std::make_shared<OnnxFileEdit>();
        place = placeIn(*body->g, *edit, place);
    }
    return place;
}

/// Takes away what makes a value, so that another node or initializer may.
Status Editor::redefine(const Place &place, const std::string &value)
{
    Scope &scope = *place.scope;
    if (!scope.redefined.insert(value).second)
        return {};
    if (scope.initializers.contains(value)) {
        place.edit->removedInitializers.insert(value);
        return {};
    }
    const auto producer = scope.producers.find(value);
    if (producer == scope.producers.end())
        return fail(ErrorKind::Unsupported, "weight " + value + " lies in a function of the file");
    const auto &outputs = place.graph->nodes[producer->second].outputs;
    if (std::ranges::count_if(outputs, [](const auto &output) { return !output.empty(); }) == 1) {
        dropUnread(place, producer->second);
    } else {
        const auto at = std::size_t(std::ranges::find(outputs, value) - outputs.begin());
        place.edit->renamedOutputs[producer->second][at] = m_writer.uniqueName(value + "_before");
    }
    return {};
}

/// A zero point of 0.
std::string Editor::zeroOf(const std::string &base, DataType type)
{
    onnx::Tensor zero;
    zero.name = m_writer.uniqueName(base + "_zero_point");
    zero.type = type;
    zero.owned = onnx::packIntegers({0}, type);
    zero.hasRaw = true;
    return m_writer.initializer(std::move(zero));
}

Status Editor::writeWeight(LayerPlan &plan, const Parameter &parameter)
{
    const std::string &value = parameter.origin, &name = parameter.name;
    if (!m_written.insert(name).second)
        return {};   // shared with a layer that was written before
    const Parameter *before = m_original.parameter(name);
    if (before && value.empty())
        return fail(ErrorKind::Unsupported, "weight " + name + " lies in the file as the codes of its operator (MatMulNBits), which takes no others; leave that "
                                                                "layer as the file has it or choose another format");
    if (value.empty() || !before || before->tensor.sizes() != parameter.tensor.sizes())
        return fail(ErrorKind::Unsupported, "weight " + name + " is not the file's");
    BW_ASSIGN(const Place place, placeOf(parameter));
    OnnxFileEdit &edit = *place.edit;
    BW_CHECK(redefine(place, value));
    const std::int64_t axis = plan.binding->info.channelAxis;
    const auto rank = std::size_t(parameter.tensor.dim());
    if (plan.shared.defined() && !plan.codebook) {
        BW_ASSIGN(auto tensor, onnxTensor(plan.shared, value));
        edit.initializers.push_back(std::move(tensor));
        return {};
    }
    onnx::Tensor codes;
    codes.name = m_writer.uniqueName(name + "_codes");
    codes.dims = parameter.tensor.sizes().vec();
    codes.hasRaw = true;
    if (plan.codebook) {
        codes.type = DataType::UInt8;
        codes.owned = plan.codebook->indices;
        std::string index = front(edit, "Cast", {m_writer.initializer(std::move(codes))}, name, {Attribute::of("to", std::int64_t(DataType::Int32))}, {});
        if (plan.codebook->groups > 1) {
            std::vector<std::int64_t> shape(rank, 1);
            shape[std::size_t(axis)] = plan.codebook->groups;
            const at::Tensor offsets = (at::arange(plan.codebook->groups, at::kInt) * plan.codebook->each()).to(at::kInt).reshape(shape);
            index = front(edit, "Add", {index, m_writer.initializer(offsets, name + "_offset")}, name, {}, {});
        }
        front(edit, "Gather", {m_writer.initializer(at::tensor(plan.codebook->values), name + "_codebook"), index}, name, {}, value);
        return {};
    }
    BW_CHECK(widen(*plan.weight, m_opset));
    const OnnxEncoding &encoding = *plan.weight;
    codes.type = encoding.type;
    codes.owned = onnx::packIntegers(plan.codes, encoding.type);
    const std::string code = m_writer.initializer(std::move(codes));
    const bool perGroup = encoding.scales.size() > 1;
    if (!wouldRoundInput(plan) && (m_opset >= 13 || (m_opset >= 10 && !perGroup))) {
        const auto [scale, zero] = parametersOf(m_writer, encoding, name, perGroup);
        front(edit, "DequantizeLinear", {code, scale, zero}, name, perGroup ? std::vector{Attribute::of("axis", axis)} : std::vector<Attribute>{}, value);
        return {};
    }
    // ONNX Runtime folds a Cast into the weight and merges that with a batch norm behind it, a DequantizeLinear it leaves.
    const std::string steps = name + "_codes";
    const std::string real = m_opset >= 10 && !wouldRoundInput(plan) ? front(edit, "DequantizeLinear", {code, m_writer.initializer(at::scalar_tensor(1.0f), steps + "_scale"), zeroOf(steps, encoding.type)}, name, {}, {})
                                     : front(edit, "Cast", {code}, name, {Attribute::of("to", std::int64_t(DataType::Float))}, {});
    writeProduct(m_writer, plan, real, name, [&](const char *op, std::vector<std::string> inputs, bool last) {
        return front(edit, op, std::move(inputs), name, {}, last ? value : std::string());
    });
    return {};
}

Status Editor::writeActivations(LayerPlan &plan, bool floatWeights)
{
    if (!plan.quantizesInput())
        return {};
    const std::string &layer = plan.binding->info.name;
    if (m_opset < (plan.steps ? 12 : 10))
        return fail(ErrorKind::Unsupported, "layer " + layer + ", quantizing its input needs operator set " + (plan.steps ? "12" : "10") +
                                                ", the file has " + std::to_string(m_opset));
    if (plan.activation)
        BW_CHECK(widen(*plan.activation, m_opset));
    const int parameter = m_input.graph->parameterOf(plan.binding->weight);
    const std::string weight = parameter < 0 ? std::string() : m_input.graph->parameters[std::size_t(parameter)].origin;
    for (std::size_t call = 0; call < plan.binding->nodes.size(); ++call) {
        BW_ASSIGN(const std::size_t index, fileNode(plan, call));
        const onnx::Node &node = m_model.graph.nodes[index];
        static const std::set<std::string> kLayers{"Conv", "ConvTranspose", "Gemm", "MatMul"};
        if (!kLayers.contains(node.op) || node.inputs.size() < 2)
            return fail(ErrorKind::Unsupported, "layer " + layer + ", the input of its " + node.op + " cannot be quantized in place");
        const std::size_t at = node.op == "MatMul" && node.inputs[0] == weight ? 1 : 0;
        const Argument &argument = m_input.graph->nodes[plan.binding->nodes[call]].arguments[std::size_t(plan.binding->inputArgument)];
        const std::size_t before = m_writer.out.nodes.size();
        const std::string made = writeQuantizedInput(m_writer, plan, layer + (call > 0 ? "@" + std::to_string(call) : ""), node.inputs[at],
                                                     floatWeights || m_opset < 13 || needsBarrier(*m_input.graph, argument));
        auto &nodes = m_writer.out.nodes;
        std::move(nodes.begin() + std::ptrdiff_t(before), nodes.end(), std::back_inserter(m_edit.before[index]));
        nodes.resize(before);
        m_edit.inputs[index][at] = made;
    }
    return {};
}

/// Parameters that training, pruning or folding changed and that stay float.
Status Editor::writeChangedParameters()
{
    for (const Parameter &parameter : m_input.graph->parameters) {
        if (m_written.contains(parameter.name))
            continue;
        const at::Tensor now = tensorOf(parameter);
        const Parameter *before = m_original.parameter(parameter.name);
        if (!before) {
            // A bias that folding made.
            const auto layer = std::ranges::find_if(m_input.bindings, [&](const LayerBinding &binding) { return binding.bias == parameter.value; });
            if (layer == m_input.bindings.end())
                return fail(ErrorKind::Unsupported, "parameter " + parameter.name + " is not the file's");
            BW_ASSIGN(auto tensor, onnxTensor(now, m_writer.uniqueName(parameter.name)));
            for (const std::size_t call : layer->nodes) {
                const auto found = m_nodes.find(m_input.graph->nodes[call].name);
                if (found == m_nodes.end() || m_model.graph.nodes[found->second].op == "MatMul")
                    return fail(ErrorKind::Unsupported, "layer " + layer->info.name + " cannot be given a bias in place");
                m_edit.inputs[found->second][2] = tensor.name;
            }
            m_edit.initializers.push_back(std::move(tensor));
            continue;
        }
        if (now.is_same(before->tensor) || (now.sizes() == before->tensor.sizes() && at::equal(now, before->tensor.to(now.scalar_type()))))
            continue;
        if (now.sizes() != before->tensor.sizes())
            return fail(ErrorKind::Unsupported, "parameter " + parameter.name + " has another shape than the file's");
        const std::string &value = parameter.origin.empty() ? before->origin : parameter.origin;
        if (value.empty())
            return fail(ErrorKind::Unsupported, "parameter " + parameter.name + " is not the file's");
        BW_ASSIGN(const Place place, placeOf(parameter.origin.empty() ? *before : parameter));
        BW_CHECK(redefine(place, value));
        BW_ASSIGN(auto tensor, onnxTensor(now, value));
        place.edit->initializers.push_back(std::move(tensor));
        m_written.insert(parameter.name);
    }
    return {};
}

Status Editor::removeFoldedNorms()
{
    std::set<std::string> kept;
    for (const Node &node : m_input.graph->nodes)
        if (baseName(node.op) == "batch_norm")
            kept.insert(node.name);
    for (const Node &node : m_original.nodes) {
        if (baseName(node.op) != "batch_norm" || kept.contains(node.name))
            continue;
        const auto found = m_nodes.find(node.name);
        if (found == m_nodes.end())
            return fail(ErrorKind::Unsupported, "the batch norm " + node.name + " stands in a sub-graph or function");
        const onnx::Node &norm = m_model.graph.nodes[found->second];
        m_edit.replacedNodes[found->second] = {"Identity", "", norm.name, {norm.inputs[0]}, {norm.outputs[0]}, {}};
        for (std::size_t i = 1; i < norm.inputs.size(); ++i)
            if (--m_main.scope->reads[norm.inputs[i]] <= 0 && m_main.scope->initializers.contains(norm.inputs[i]))
                m_edit.removedInitializers.insert(norm.inputs[i]);
    }
    return {};
}

Result<OnnxFileEdit> Editor::run(std::vector<LayerPlan> &plans)
{
    BW_CHECK(removeFoldedNorms());
    const bool floatWeights = std::ranges::any_of(plans, [](const LayerPlan &plan) { return !plan.weight; });
    for (LayerPlan &plan : plans) {
        if (plan.weight || plan.codebook || plan.shared.defined()) {
            const int index = m_input.graph->parameterOf(plan.binding->weight);
            if (index < 0)
                return fail(ErrorKind::Unsupported, "layer " + plan.binding->info.name + ", its weight is no parameter");
            const std::size_t before = m_writer.out.initializers.size();
            const Parameter &parameter = m_input.graph->parameters[std::size_t(index)];
            BW_CHECK(writeWeight(plan, parameter));
            // A runtime looks for a sub-graph's constants there.
            if (auto &made = m_writer.out.initializers; !parameter.originPath.empty()) {
                BW_ASSIGN(const Place place, placeOf(parameter));
                std::move(made.begin() + std::ptrdiff_t(before), made.end(), std::back_inserter(place.edit->initializers));
                made.resize(before);
            }
        }
        BW_CHECK(writeActivations(plan, floatWeights));
    }
    BW_CHECK(writeChangedParameters());
    for (auto &tensor : m_writer.out.initializers)
        m_edit.initializers.push_back(std::move(tensor));
    if (m_input.assignment != ModelConfig{})
        m_edit.metadata["bitwright.assignment"] = configToJson(m_input.assignment).dump();
    // Data in other files move into this one, which may be written elsewhere.
    for (const onnx::Tensor &tensor : m_model.graph.initializers) {
        if (tensor.externalEntries.empty() || m_edit.removedInitializers.contains(tensor.name))
            continue;
        onnx::Tensor inside = tensor;
        inside.externalEntries.clear();
        m_edit.removedInitializers.insert(tensor.name);
        m_edit.initializers.push_back(std::move(inside));
    }
    return std::move(m_edit);
}

} // namespace

Result<ExportReport> editOnnx(const ExportInput &input, const std::string &path, const JobContext &context)
{
    const std::string &source = input.graph->source;
    BW_ASSIGN(const onnx::Model model, onnx::readModel(source));
    BW_ASSIGN(const Graph original, onnxGraph(model, source, context));   // a copy of the messages; weights are views
    ExportReport report;
    BW_ASSIGN(auto plans, planLayers(input));
    context.progress("exporting", 0, 3);
    Editor editor(input, model, original);
    BW_ASSIGN(const OnnxFileEdit edit, editor.run(plans));
    if (context.stopped())
        return cancelled();
    for (const LayerPlan &plan : plans)
        report.layers.push_back({plan.binding->info.name, plan.weightBits, encodingText(plan)});
    noteFreeLevels(plans, report.notes);
    const auto opset = model.opsets.contains("") ? model.opsets.at("") : 1;
    if (opset < 13 && std::ranges::any_of(plans, [](const LayerPlan &plan) { return plan.weight && plan.weight->scales.size() > 1; }))
        report.notes.push_back("operator set " + std::to_string(opset) + " has no scale per channel: weights are de-quantized by " +
                               (opset >= 10 ? "DequantizeLinear with scale 1 and Mul" : "Cast and Mul, which a runtime may merge with a batch norm behind them, so that its last digits differ"));
    if (std::ranges::any_of(plans, wouldRoundInput))
        report.notes.push_back("products whose input stays float have their weights de-quantized by Cast and Mul: behind DequantizeLinear ONNX Runtime would round "
                               "the input to 8 bits");
    std::vector<std::string> widened;
    baseOpset(plans, widened);
    std::ranges::copy_if(widened, std::back_inserter(report.notes), [](const std::string &note) { return !note.starts_with("operator set"); });
    context.progress("exporting", 1, 3);
    const auto tooLarge = [&] {   // Invalid: a file that is written anew would be as large
        return fail(ErrorKind::Invalid, path + ", the file would pass the 2 GB that ONNX allows; quantize more of the weights");
    };
    constexpr std::size_t kLargest = std::size_t(1) << 31;
    std::size_t added = 0;
    for (const onnx::Tensor &tensor : edit.initializers)
        added += tensor.bytes().size();
    if (added >= kLargest)   // before it is put together
        return tooLarge();
    BW_ASSIGN(const std::string bytes, editedFile(model.bytes, source, edit));
    if (bytes.size() >= kLargest)
        return tooLarge();
    BW_CHECK(writeChecked(path, bytes, [&](const std::string &temporary) -> Status {
        BW_ASSIGN(const Graph written, loadGraph(temporary, context));
        if (written.obstacles.size() > original.obstacles.size())
            return fail(ErrorKind::Internal, temporary + ", what was written cannot be read back: " + written.obstacles.back());
        return {};
    }));
    context.progress("exporting", 3, 3);
    report.bytes = std::int64_t(bytes.size());
    return report;
}

} // namespace bitwright
