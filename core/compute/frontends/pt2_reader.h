// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "frontends/pt2_archive.h"
#include "graph/node_builder.h"
#include "graph/subgraph.h"

#include <unordered_map>

namespace bitwright {

/// A member of an object, or null.
const nlohmann::json &pt2Member(const nlohmann::json &value, const char *key);
/// The text of a string, or nothing.
std::string pt2Text(const nlohmann::json &value);
/// "torch.ops.aten.conv2d.default" → "aten::conv2d"; Python's own operators → our glue; "" where there is none.
std::string pt2Operator(const std::string &target);
/// Names of the leaves of a structure that torch.export wrote ("[1, {…}]"): keys of dictionaries, then positions under
/// them; empty for what is only counted.
std::vector<std::string> pt2LeafNames(const std::string &spec);

/// Builds a Graph from the JSON of one exported program.
class Pt2Reader {
public:
    Pt2Reader(const Pt2Archive &archive, const JobContext &context) : m_archive(archive), m_context(context) {}
    Result<Graph> read(const nlohmann::json &program);

private:
    Status readInputs(const nlohmann::json &specs, const nlohmann::json &metas);
    Status readParameter(const std::string &argument, const std::string &name, bool trainable);
    Status readUserInput(const nlohmann::json &argument, const nlohmann::json &metas);
    Status readNode(const nlohmann::json &node);
    Status readOutputs(const nlohmann::json &specs, const std::vector<std::string> &names);
    Result<std::vector<ValueId>> nodeOutputs(const nlohmann::json &outputs, std::vector<ValueId> &unpacked);
    Result<Argument> argument(const nlohmann::json &value) const;
    Result<Argument> listArgument(const std::string &kind, const nlohmann::json &content) const;
    Result<Argument> named(const std::string &name) const;
    ValueId define(const std::string &name);

    // pt2_control.cpp: operators that hold graphs
    struct Called;
    Result<Called> readCall(const nlohmann::json &node) const;
    Status readControl(const nlohmann::json &node);
    Status readCond(const nlohmann::json &node, const Called &called);
    Status readWhile(const nlohmann::json &node, const Called &called);
    Status readInlined(const nlohmann::json &node, const Called &called);
    Result<BodyParts> readBlock(const nlohmann::json &graph, const std::vector<Argument> &inputs);
    Result<std::shared_ptr<Graph>> cut(BodyParts parts, const std::vector<ValueId> &captured) const;

    const Pt2Archive &m_archive;
    const JobContext &m_context;
    Graph m_graph;
    std::unordered_map<std::string, Argument> m_values;   ///< by the names of the graph that is being read
    int m_depth = 0;
    std::vector<std::pair<Pt2Weight, ValueId>> m_loaded;   ///< tied weights are one parameter
};

/// One error that names every operator we cannot run and where it stands in the program, graphs inside of operators too.
Status checkPt2Operators(const nlohmann::json &nodes);
/// True for the operators that hold graphs which are run here.
bool isPt2Control(const std::string &target);

} // namespace bitwright
