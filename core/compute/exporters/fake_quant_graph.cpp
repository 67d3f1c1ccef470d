// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/fake_quant_graph.h"

#include "graph/node_builder.h"
#include "graph/operators.h"
#include "quant/quantizer.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace bitwright {

namespace {

constexpr const char *kScale = ".input_scale";
constexpr const char *kZeroPoint = ".input_zero_point";
constexpr const char *kThresholds = ".input_thresholds";
constexpr const char *kLevels = ".input_levels";

Error about(const std::string &layer, const char *what, Error error)
{
    error.message = "layer " + layer + ", " + what + ": " + error.message;
    return error;
}

at::Tensor zeroWherePruned(const at::Tensor &weight, const Mask &mask)
{
    if (mask.empty())
        return weight;
    const auto kept = mask.kept();
    const at::Tensor stays = at::tensor(at::ArrayRef<std::uint8_t>(kept)).reshape(weight.sizes()).to(at::kBool);
    return at::where(stays, weight, at::zeros({}, weight.options()));
}

class Rewriter {
public:
    explicit Rewriter(const ExportInput &input) : m_input(input) { m_made.graph = *input.graph; }

    Result<FakeQuantGraph> run()
    {
        for (Parameter &parameter : m_made.graph.parameters) {
            if (const auto given = m_input.parameters.find(parameter.name); given != m_input.parameters.end())
                parameter.tensor = given->second.detach();
            m_taken.insert(parameter.name);
        }
        // Where the file leaves a size open, the example's is meant.
        for (std::size_t i = 0; i < m_made.graph.inputs.size() && i < m_input.example.size(); ++i) {
            TensorInfo &info = m_made.graph.inputs[i].info;
            const at::Tensor &example = m_input.example[i];
            if (example.defined() && std::size_t(example.dim()) == info.shape.size())
                for (const std::int64_t axis : info.freeDimensions)
                    info.shape[std::size_t(axis)] = example.size(axis);
        }
        BW_CHECK(liftConstants());
        std::set<std::string> names;
        for (const LayerBinding &binding : m_input.bindings) {
            if (binding.info.status != LayerStatus::Quantizable)
                continue;
            names.insert(binding.info.name);
            BW_CHECK(layer(binding));
        }
        for (const auto &[name, config] : m_input.config)
            if (!names.contains(name) && !(config.weight.isFloat() && config.activation.isFloat()))
                return fail(ErrorKind::Invalid, "layer " + name + ", the network has no such layer to quantize; check the assignment");
        return insertSteps();
    }

private:
    /// Tensors that stand in nodes as constants become buffers: formats name every tensor.
    Status liftConstants()
    {
        const auto lift = [&](Argument &argument, const auto &self) -> void {
            for (Argument &element : argument.list)
                self(element, self);
            if (argument.kind == Argument::Kind::Constant && argument.constant.isTensor() && argument.constant.toTensor().defined())
                argument = buffer("constant", argument.constant.toTensor());
        };
        for (Node &node : m_made.graph.nodes)
            for (Argument &argument : node.arguments)
                lift(argument, lift);
        return {};
    }

    Argument buffer(const std::string &wanted, const at::Tensor &tensor)
    {
        std::string name = wanted;
        for (int i = 1; !m_taken.insert(name).second; ++i)
            name = wanted + "_" + std::to_string(i);
        const ValueId value = m_made.graph.addValue(name);
        m_made.graph.parameters.push_back({name, value, tensor, false});
        return Argument::of(value);
    }

    Status layer(const LayerBinding &binding)
    {
        const std::string &name = binding.info.name;
        ExportedLayer told{name, 32, "float32"};
        std::string input = "float32";
        if (const auto found = m_input.config.find(name); found != m_input.config.end()) {
            const LayerConfig &config = found->second;
            if (!config.weight.isFloat()) {
                auto status = guarded("it cannot be quantized", ErrorKind::Numeric, [&] { return weight(binding, config); });
                if (!status)
                    return std::unexpected(about(name, "weight", status.error()));
                told.bits = config.weight.bits;
                told.encoding = "float32 on " + std::to_string(config.weight.bits) + "-bit levels of " + config.weight.method;
            }
            if (!config.activation.isFloat()) {
                auto text = guarded("it cannot be quantized", ErrorKind::Numeric, [&] { return activation(binding, config.activation); });
                if (!text)
                    return std::unexpected(about(name, "input", text.error()));
                input = *text;
            }
        }
        told.encoding += ", input " + input;
        m_made.layers.push_back(std::move(told));
        return {};
    }

    /// As the simulation makes it, from the same numbers.
    Status weight(const LayerBinding &binding, const LayerConfig &config)
    {
        const int index = m_made.graph.parameterOf(binding.weight);
        if (index < 0)
            return fail(ErrorKind::Unsupported, "it is not a parameter; leave it float");
        at::Tensor &held = m_made.graph.parameters[std::size_t(index)].tensor;
        BW_ASSIGN(auto quantizer, makeQuantizer(config.weight, {binding.info.name, Role::Weight, binding.info.channelAxis, false}));
        if (!quantizer->calibrated())
            BW_CHECK(quantizer->calibrate(survivors(held, config.prune.mask)));
        held = zeroWherePruned(quantizer->apply(held, false), config.prune.mask).contiguous();
        return {};
    }

    Result<std::string> activation(const LayerBinding &binding, const QuantSpec &spec)
    {
        BW_ASSIGN(auto quantizer, makeQuantizer(spec, {binding.info.name, Role::Activation, 0, binding.info.nonNegativeInput}));
        if (!quantizer->calibrated())
            return fail(ErrorKind::Invalid, "its range is not known yet; run `calibrate` on this assignment first");
        Steps steps{&binding, quantizer->grid(), {}, {}, {}};
        if (steps.grid.groups.size() != 1)
            return fail(ErrorKind::Unsupported, "one range per channel cannot be written; use one per tensor");
        const QuantGrid::Group &group = steps.grid.groups.front();
        const auto floats = [](const std::vector<double> &numbers) { return at::tensor(std::vector<float>(numbers.begin(), numbers.end())); };
        std::string text = std::to_string(spec.bits) + "-bit, ";
        if (steps.grid.uniform) {
            steps.table = buffer(binding.info.name + kScale, at::full({}, float(group.scale), at::kFloat));
            if (group.zeroPoint != 0)
                steps.zeroPoint = buffer(binding.info.name + kZeroPoint, at::full({}, float(group.zeroPoint), at::kFloat));
            text += "divide, round, clamp, multiply";
        } else {
            const bool list = group.answers.empty();
            steps.zeroPoint = buffer(binding.info.name + kThresholds, floats(list ? group.thresholds : group.breaks));
            steps.table = buffer(binding.info.name + kLevels, floats(list ? group.levels : group.answers));
            text += "bucketize into " + std::to_string(group.levels.size()) + " levels of " + spec.method;
        }
        const int weight = m_made.graph.parameterOf(binding.weight);
        steps.type = weight < 0 ? at::kFloat : m_made.graph.parameters[std::size_t(weight)].tensor.scalar_type();
        for (std::size_t call = 0; call < binding.nodes.size(); ++call)
            m_before[binding.nodes[call]].push_back(int(m_steps.size()));
        m_steps.push_back(std::move(steps));
        return text;
    }

    struct Steps {
        const LayerBinding *binding = nullptr;
        QuantGrid grid;
        Argument table, zeroPoint;   ///< scale and zero point; of free levels the levels and the thresholds
        at::ScalarType type = at::kFloat;
    };

    /// The new list of nodes: each layer behind what quantizes its input.
    Result<FakeQuantGraph> insertSteps()
    {
        Graph &graph = m_made.graph;
        const std::vector<Node> nodes = std::move(graph.nodes);
        graph.nodes.clear();
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            Node node = nodes[i];
            if (const auto found = m_before.find(i); found != m_before.end()) {
                for (const int step : found->second) {
                    const Steps &steps = m_steps[std::size_t(step)];
                    Argument &argument = node.arguments[std::size_t(steps.binding->inputArgument)];
                    BW_ASSIGN(argument, quantized(steps, argument));
                }
            }
            graph.nodes.push_back(std::move(node));
        }
        return std::move(m_made);
    }

    Result<Argument> quantized(const Steps &steps, Argument x)
    {
        Graph &graph = m_made.graph;
        const std::string layer = steps.binding->info.name + ".input_";
        const auto add = [&](const char *op, std::vector<Argument> arguments, const char *what, const Keywords &keywords = {}) -> Result<Argument> {
            BW_ASSIGN(const ValueId value, appendNode(graph, op, std::move(arguments), keywords, layer + what));
            return Argument::of(value);
        };
        const auto number = [](auto value) { return Argument::of(c10::IValue(value)); };
        if (steps.type != at::kFloat) {
            BW_ASSIGN(x, add("aten::to.dtype", {x, number(std::int64_t(at::kFloat))}, "float"));
        }
        if (steps.grid.uniform) {
            const bool shifted = steps.zeroPoint.kind == Argument::Kind::Value;
            BW_ASSIGN(x, add("aten::div.Tensor", {x, steps.table}, "divided"));
            BW_ASSIGN(x, add("aten::round", {x}, "rounded"));
            if (shifted) {
                BW_ASSIGN(x, add("aten::add.Tensor", {x, steps.zeroPoint}, "shifted"));
            }
            BW_ASSIGN(x, add("aten::clamp", {x, number(double(steps.grid.qmin)), number(double(steps.grid.qmax))}, "code"));
            if (shifted) {
                BW_ASSIGN(x, add("aten::sub.Tensor", {x, steps.zeroPoint}, "centred"));
            }
            BW_ASSIGN(x, add("aten::mul.Tensor", {x, steps.table}, "quantized"));
        } else {
            // a value on a threshold belongs to the upper level; what is no number stays none
            BW_ASSIGN(const Argument code, add("aten::bucketize.Tensor", {x, steps.zeroPoint}, "code", {{"right", number(true)}}));
            BW_ASSIGN(const Argument level, add("aten::take", {steps.table, code}, "level"));
            BW_ASSIGN(const Argument missing, add("aten::ne.Tensor", {x, x}, "missing"));
            BW_ASSIGN(x, add("aten::where.self", {missing, x, level}, "quantized"));
        }
        if (steps.type != at::kFloat) {
            BW_ASSIGN(x, add("aten::to.dtype", {x, number(std::int64_t(steps.type))}, "returned"));
        }
        return x;
    }

    const ExportInput &m_input;
    FakeQuantGraph m_made;
    std::set<std::string> m_taken;
    std::vector<Steps> m_steps;
    std::map<std::size_t, std::vector<int>> m_before;   ///< by node: indices into m_steps
};

} // namespace

Result<FakeQuantGraph> fakeQuantGraph(const ExportInput &input)
{
    const c10::NoGradGuard noGrad;
    if (!input.graph)
        return fail(ErrorKind::Internal, "nothing to export");
    return Rewriter(input).run();
}

std::vector<FakeQuantSite> fakeQuantSites(const Graph &graph)
{
    std::map<ValueId, const Parameter *> parameters;
    for (const Parameter &parameter : graph.parameters)
        parameters[parameter.value] = &parameter;
    const auto ends = [&](const Argument &argument, std::string_view suffix) -> const Parameter * {
        const auto found = argument.kind == Argument::Kind::Value ? parameters.find(argument.value) : parameters.end();
        return found != parameters.end() && found->second->name.ends_with(suffix) ? found->second : nullptr;
    };
    std::map<ValueId, const Node *> makers;
    std::map<std::string, int> calls;
    std::vector<FakeQuantSite> sites;
    for (const Node &node : graph.nodes) {
        for (const ValueId value : node.outputs)
            makers[value] = &node;
        if (node.arguments.size() < 2 || node.outputs.empty())
            continue;
        FakeQuantSite made;
        made.value = node.outputs[0];
        if (const Parameter *scale = node.op == "aten::mul.Tensor" ? ends(node.arguments[1], kScale) : nullptr; scale && scale->tensor.numel() == 1) {
            made.site.layer = scale->name.substr(0, scale->name.size() - std::string_view(kScale).size());
            made.site.scale = scale->tensor.item<float>();
        } else if (node.op == "aten::where.self" && node.arguments.size() == 3 && node.arguments[2].kind == Argument::Kind::Value) {
            const auto maker = makers.find(node.arguments[2].value);
            const Parameter *levels = maker != makers.end() && maker->second->op == "aten::take" ? ends(maker->second->arguments[0], kLevels) : nullptr;
            if (!levels)
                continue;
            made.site.layer = levels->name.substr(0, levels->name.size() - std::string_view(kLevels).size());
            made.site.scale = 0;
        } else {
            continue;
        }
        made.site.call = calls[made.site.layer]++;
        sites.push_back(std::move(made));
    }
    return sites;
}

std::string assignmentText(const ExportInput &input)
{
    ModelConfig lean = input.assignment;   // masks and the values of weights are in the weights themselves
    lean.defaults.weight.values.clear();
    lean.defaults.prune.mask = {};
    for (auto &[name, patch] : lean.layers) {
        patch.weight.values.clear();
        patch.prune.mask = {};
    }
    return configToJson(lean).dump();
}

Status onlyAtenNodes(const Graph &graph, const std::string &format)
{
    if (!graph.obstacles.empty())
        return fail(ErrorKind::Unsupported, "network, " + graph.obstacles.front());
    std::map<std::string, std::pair<std::string, int>> refused;
    for (const Node &node : graph.nodes) {
        const auto known = findOperator(node.op);
        if (node.op.starts_with("onnx::") || !known) {
            auto &entry = refused[node.op];
            if (entry.second++ == 0)
                entry.first = node.name;
        }
    }
    if (refused.empty())
        return {};
    std::string list;
    for (const auto &[op, first] : refused)
        list += (list.empty() ? "" : ", ") + op + " (" + first.first + (first.second > 1 ? " and " + std::to_string(first.second - 1) + " more" : "") + ")";
    return fail(ErrorKind::Unsupported, "network, these operators have no counterpart in " + format + ": " + list +
                                            "; export to ONNX or as a pack instead");
}

} // namespace bitwright
