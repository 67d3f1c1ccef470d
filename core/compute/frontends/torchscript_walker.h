// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Turns a TorchScript program into a Graph by walking it once, as an interpreter would, over values of which some are
// constants and some are computed later: control flow over constants, module attributes, ranks and dtypes is followed,
// loops are unrolled, Python's lists vanish, and each operator on a computed value becomes a node. Branches and loops
// that data decide become nodes with graphs of their own (graph/subgraph.h, torchscript_control.cpp).

#include "frontends/torchscript_value.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <stdexcept>
#include <unordered_map>
#include <unordered_set>

namespace bitwright::torchscript {

/// Parameters, buffers and other tensors of a module under their qualified names; tied ones are one entry.
struct TensorTable {
    struct Entry {
        std::string name;
        at::Tensor tensor;      ///< detached
        at::Tensor sample;      ///< same shape on the meta device
        bool trainable = false;
    };
    std::vector<Entry> entries;
    std::unordered_map<std::string, std::size_t> byName;   ///< every name, tied ones too
    explicit TensorTable(const torch::jit::Module &module);
    /// The index of the entry that is this very tensor, or -1.
    [[nodiscard]] int find(const at::Tensor &tensor) const;

private:
    std::unordered_map<std::string, std::size_t> m_bySpot;
};

/// The program cannot run on the sample input: it raises, or an operator refuses the shapes.
struct SampleRefused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct WalkOptions {
    std::vector<at::Tensor> samples;   ///< one per tensor input; undefined where nothing is known of it
    bool emit = true;                  ///< false: only find out whether the samples go through
};

struct WalkResult {
    Graph graph;
    std::vector<std::string> issues;          ///< places that cannot become part of a static graph
    std::vector<std::optional<c10::IValue>> outputs;   ///< samples of the outputs
    bool sampleIncomplete = false;            ///< an operator could not run on the meta device
    bool branchRefused = false;               ///< a branch that data may take does not run on the samples
};

class Walker {
public:
    Walker(const torch::jit::Module &module, const TensorTable &tensors, WalkOptions options);
    /// Throws SampleRefused.
    WalkResult run();

private:
    using Node = torch::jit::Node;
    using Block = torch::jit::Block;
    using Values = std::vector<ValuePtr>;
    using Handler = bool (Walker::*)(const Node *);   // false: not its case, treat as any operator

    // torchscript_walker.cpp: control flow, objects, operators
    Values runBlock(const Block *block);
    void runNode(const Node *node);
    Values callGraph(torch::jit::Graph &graph, const Values &arguments);
    bool runConstant(const Node *node);
    bool runGetAttr(const Node *node);
    ValuePtr fromAttribute(const c10::IValue &value);
    bool runSetAttr(const Node *node);
    bool runCallMethod(const Node *node);
    bool runIf(const Node *node);
    bool runLoop(const Node *node);
    bool runRaise(const Node *node);
    bool fold(const Node *node);
    bool foldMutation(const Node *node);
    void emitOperator(const Node *node);
    std::optional<torch::jit::Stack> runSample(const Node *node, const Values &arguments);
    ValuePtr emitGlue(const std::string &op, const Values &arguments, std::optional<c10::IValue> sample);
    Argument argumentFor(const ValuePtr &value);
    ValueId lift(const at::Tensor &tensor);
    void addInputs(torch::jit::Graph &graph, Values &arguments);
    ValuePtr addInput(const std::string &name, const c10::TypePtr &type, const torch::jit::Value *value);
    void addOutput(const ValuePtr &value, const std::string &name);

    // torchscript_control.cpp: branches and loops that data decide
    struct Body;
    struct Leaf;
    struct Loop;
    Body walkBody(const Block *block);
    void branch(const Node *node, const ValuePtr &condition);
    void takeBranch(const Node *node, Body &body);
    bool chooseNumbers(const Node *node, const ValuePtr &condition, Body &yes, Body &no);
    ValuePtr merge(const std::optional<bool> &taken, const ValuePtr &a, const ValuePtr &b, std::vector<Leaf> &leaves);
    void emitIf(const Node *node, const ValuePtr &condition, Body &yes, Body &no, const std::vector<Leaf> &leaves);
    void bringViews(Body &body, const std::vector<Argument> &outputs) const;
    Argument argumentIn(Body &body, const ValuePtr &value);
    void loop(const Node *node, std::int64_t done, const ValuePtr &trips, const ValuePtr &going, const Values &carried);
    bool walkLoop(Loop &loop, Body &body);
    void emitLoop(Loop &loop, Body &body);
    ValuePtr openLeaves(const ValuePtr &value, std::vector<Leaf> &leaves);
    void closeLeaves(const ValuePtr &inside, const ValuePtr &result, std::size_t &next, std::vector<Leaf> &leaves);
    ValuePtr afterLoop(const ValuePtr &inside, std::size_t &next, const std::vector<Leaf> &leaves);
    void makeGrowing(const ValuePtr &list);
    void willChange(const ValuePtr &container);
    void replaceList(const ValuePtr &list, ValuePtr changed);
    ValuePtr attributeAt(const std::string &path);
    void emitNode(bitwright::Result<bitwright::Node> made, const torch::jit::Node *node);

    // torchscript_builtins.cpp: containers and what is known without running
    static const std::unordered_map<std::string, Handler> &handlers();
    bool runContainerConstruct(const Node *node);
    bool runUnpack(const Node *node);
    bool runTupleIndex(const Node *node);
    bool runTupleSlice(const Node *node);
    bool runPass(const Node *node);
    bool runSkip(const Node *node);
    bool runUninitialized(const Node *node);
    bool runIs(const Node *node);
    bool runIsInstance(const Node *node);
    bool runTensorFact(const Node *node);
    bool runSize(const Node *node);
    bool runNumel(const Node *node);
    bool runCompare(const Node *node);
    bool runLen(const Node *node);
    bool runNumToTensor(const Node *node);
    bool runToNumber(const Node *node);
    bool runAppend(const Node *node);
    bool runExtend(const Node *node);
    bool runInsert(const Node *node);
    bool runPop(const Node *node);
    bool runClear(const Node *node);
    bool runGetItem(const Node *node);
    bool runSetItem(const Node *node);
    bool runSlice(const Node *node);
    bool runAddLists(const Node *node);
    bool runMulList(const Node *node);
    bool runCopyList(const Node *node);
    bool runContains(const Node *node);
    bool runDictParts(const Node *node);
    bool appendGrowing(const ValuePtr &list, const ValuePtr &items);
    bool popGrowing(const Node *node, const Values &given);
    bool setGrowing(const Values &given);

    ValuePtr get(const torch::jit::Value *value) const;
    Values arguments(const Node *node) const;
    void set(const torch::jit::Value *value, ValuePtr known);
    void setConstant(const Node *node, c10::IValue value) { set(node->output(), Value::ofConstant(std::move(value))); }
    void issue(std::string text);

    const torch::jit::Module &m_module;
    const TensorTable &m_tensors;
    WalkOptions m_options;
    WalkResult m_result;
    std::unordered_map<const torch::jit::Value *, ValuePtr> m_values;
    std::unordered_map<std::string, ValuePtr> m_attributes;      // set while running, by qualified name
    std::vector<ValuePtr> m_parameterValues;
    std::unordered_map<const c10::TensorImpl *, ValueId> m_lifted;
    std::unordered_set<const void *> m_changed;                  // storages of constants changed by computed values
    std::unordered_map<std::string, std::shared_ptr<torch::jit::Graph>> m_methods;
    std::vector<at::Tensor> m_kept;                              // so that addresses stay unique
    std::unordered_map<std::string, ValuePtr> m_assigned;         // attributes that the body being walked sets: as they were
    std::vector<std::vector<ValuePtr>> m_growing;                // by depth of bodies: lists from outside that it may change
    std::size_t m_nextSample = 0;
    bool m_doubtful = false;   // in a branch that the sampled numbers do not take: sizes and ranks may be others there
    std::int64_t m_steps = 0;
};

/// "aten::add.Tensor".
std::string operatorName(const torch::jit::Node *node);
/// `what` with the place of a node behind it.
std::string withPlace(std::string what, const torch::jit::Node *node);

/// "file.py line 12" or an empty string.
std::string placeOf(const torch::jit::Node *node);

} // namespace bitwright::torchscript
