// SPDX-License-Identifier: GPL-3.0-or-later
#include "control_cases.h"
#include "frontends/frontend.h"
#include "frontends/rows.h"
#include "frontends/torchscript_reference.h"
#include "graph/subgraph.h"

#include <ATen/Parallel.h>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder;

const std::vector<const char *> kNetworks{
    "branch",    "while",         "early_return", "time_steps", "nested",  "in_place",  "aliases", "stateful", "optional_state",
    "odd_sizes", "rates", "dict_in_loop", "carried_tuple", "dict_in_out",  "lists_and_tuples", "numbers", "recurrent",
    "recurrent_traced", "dict_in_out_traced", "lists_and_tuples_traced"};

const Result<Graph> &loadOnce(const std::string &name)
{
    static std::map<std::string, Result<Graph>> loaded;
    const auto found = loaded.find(name);
    return found != loaded.end() ? found->second
                                 : loaded.emplace(name, torchscriptFrontend().load(g_folder + "/" + name + ".pt", {})).first->second;
}

int countOf(const Graph &graph, const std::string &op)
{
    return int(std::ranges::count(graph.nodes, op, &Node::op));
}

} // namespace

class TestTorchScriptControl : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase()
    {
        at::set_num_threads(1);
        g_folder = controlFolder();
        QVERIFY2(!g_folder.empty(), "make_control.py failed");
    }

    void outputs_data()
    {
        QTest::addColumn<QString>("name");
        for (const char *name : kNetworks)
            QTest::newRow(name) << QString::fromLatin1(name);
    }
    void outputs()
    {
        QFETCH(QString, name);
        const auto &graph = loadOnce(name.toStdString());
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        compareCases(*graph, readExpected(g_folder + "/" + name.toStdString() + ".expected"));
    }

    // LibTorch itself, given what lists, tuples and dictionaries hold one after the other, answers as PyTorch did.
    void leavesAreGivenToLibTorch_data()
    {
        QTest::addColumn<QString>("name");
        for (const char *name : {"dict_in_out", "lists_and_tuples", "numbers", "recurrent", "dict_in_out_traced", "lists_and_tuples_traced", "branch"})
            QTest::newRow(name) << QString::fromLatin1(name);
    }
    void leavesAreGivenToLibTorch()
    {
        QFETCH(QString, name);
        const std::string path = g_folder + "/" + name.toStdString();
        const auto &graph = loadOnce(name.toStdString());
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        auto reference = TorchScriptReference::load(path + ".pt");
        QVERIFY2(reference.has_value(), reference ? "" : reference.error().message.c_str());
        const Expected expected = readExpected(path + ".expected");
        std::vector<std::string> names;
        for (const GraphInput &input : graph->inputs)
            names.push_back(input.info.name);
        const at::NoGradGuard noGrad;
        const auto inputs = caseInputs(*graph, expected, 0);
        const auto found = reference->runLeaves(inputs, names);
        QVERIFY2(found.has_value(), found ? "" : found.error().message.c_str());
        const auto wanted = listOf(expected, "0/out");
        QCOMPARE(found->size(), wanted.size());
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const c10::IValue &result = (*found)[i];
            QVERIFY(difference(result.isTensor() ? result.toTensor() : at::scalar_tensor(result.toScalar(), at::kDouble), wanted[i]) < 1e-5);
        }
        // Too few and too many are refused with a sentence.
        if (inputs.size() > 1)
            QVERIFY(!reference->runLeaves({inputs.begin(), inputs.end() - 1}, {names.begin(), names.end() - 1}));
        auto more = inputs;
        more.emplace_back(at::ones({1}));
        QVERIFY(!reference->runLeaves(more, names));
    }
    void interpreterErrorsSayWhatWentWrong()
    {
        auto reference = TorchScriptReference::load(g_folder + "/lists_and_tuples.pt");
        QVERIFY(reference.has_value());
        const auto found = reference->runLeaves({at::zeros({3, 2, 4}), at::zeros({3, 2, 4}), at::zeros({1, 7, 5}), at::zeros({1, 7, 5})},
                                                {"x.0", "x.1", "state.0", "state.1"});
        QVERIFY(!found.has_value());
        QVERIFY2(found.error().message.contains("hidden"), found.error().message.c_str());   // not "an operation failed in the interpreter"
        QVERIFY2(!found.error().message.contains('\n'), found.error().message.c_str());
    }

    void dataDecides()
    {
        const auto &branch = loadOnce("branch"), &loop = loadOnce("while"), &numbers = loadOnce("odd_sizes");
        QVERIFY(branch && loop && numbers);
        QCOMPARE(countOf(*branch, "prim::If"), 1);
        QVERIFY(countOf(*loop, "prim::Loop") == 1);
        // A branch that pads needs bodies, one that only picks a number does not.
        QCOMPARE(countOf(*numbers, "prim::If"), 1);
        QCOMPARE(countOf(*numbers, "prim::ite"), 1);
    }

    // Layers inside of a branch keep their parameters in the outermost graph, where they get gradients.
    void parametersOfBodiesAreTrained()
    {
        const auto &graph = loadOnce("branch");
        QVERIFY(graph.has_value());
        for (const char *name : {"a.weight", "a.bias", "b.weight", "b.bias", "norm.weight", "last.weight"})
            QVERIFY2(graph->parameter(name) && graph->parameter(name)->trainable, name);
        for (const Node &node : graph->nodes)
            for (const auto &body : bodiesOf(node))
                QVERIFY(body->parameters.empty());
        const Executor executor(std::make_shared<Graph>(*graph));
        for (const bool positive : {true, false}) {
            ParameterMap leaves;
            for (const Parameter &parameter : graph->parameters)
                if (parameter.trainable)
                    leaves[parameter.name] = parameter.tensor.clone().requires_grad_(true);
            const std::vector<c10::IValue> inputs{at::full({3, 4}, positive ? 1.0 : -1.0)};
            const auto results = executor.run(inputs, executor.bind(leaves));
            QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
            results->front().toTensor().sum().backward();
            QCOMPARE(leaves.at("a.weight").grad().defined(), positive);
            QCOMPARE(leaves.at("b.weight").grad().defined(), !positive);
            QVERIFY(leaves.at("last.weight").grad().abs().sum().item<double>() > 0);
        }
    }

    void bodiesRunInTheModeOfThePass()
    {
        const auto &graph = loadOnce("branch");
        QVERIFY(graph.has_value());
        ParameterMap own;
        for (const Parameter &parameter : graph->parameters)
            own[parameter.name] = parameter.tensor.clone();
        const Executor executor(std::make_shared<Graph>(*graph));
        const at::NoGradGuard noGrad;
        const std::vector<c10::IValue> inputs{-at::rand({8, 4})};
        RunOptions options;
        options.training = true;
        for (const bool mutate : {false, true}) {
            options.mutateBuffers = mutate;
            const auto a = executor.run(inputs, executor.bind(own), options), b = executor.run(inputs, executor.bind(own), options);
            QVERIFY(a && b);
            QVERIFY(!at::equal(a->front().toTensor(), b->front().toTensor()));   // dropout
            QCOMPARE(at::equal(own.at("norm.running_mean"), graph->parameter("norm.running_mean")->tensor), !mutate);
        }
    }

    void namesOfInputsAndOutputs()
    {
        const auto &dict = loadOnce("dict_in_out"), &lists = loadOnce("lists_and_tuples"), &numbers = loadOnce("numbers");
        QVERIFY(dict && lists && numbers);
        const auto inputs = [](const Graph &graph) {
            QStringList names;
            for (const GraphInput &input : graph.inputs)
                names << QString::fromStdString(input.info.name);
            return names.join(QLatin1Char(' '));
        };
        const auto outputs = [](const Graph &graph) {
            QStringList names;
            for (const std::string &name : graph.outputNames)
                names << QString::fromStdString(name);
            return names.join(QLatin1Char(' '));
        };
        QCOMPARE(inputs(*dict), QStringLiteral("batch.image batch.words"));
        QCOMPARE(outputs(*dict), QStringLiteral("sum difference"));
        QCOMPARE(inputs(*lists), QStringLiteral("x.0 x.1 state.0 state.1"));
        QCOMPARE(inputs(*numbers), QStringLiteral("x times scale flip"));
        QCOMPARE(numbers->inputs[1].info.dtype, std::string("int"));
        QCOMPARE(numbers->inputs[2].info.dtype, std::string("float"));
        QCOMPARE(numbers->inputs[3].info.dtype, std::string("bool"));
    }

    // A number that the network does not take is refused as PyTorch refuses it, not run with another one's layers.
    void refusedNumbersRaise()
    {
        const auto &graph = loadOnce("rates");
        QVERIFY(graph.has_value());
        const Executor executor(std::make_shared<Graph>(*graph));
        const at::NoGradGuard noGrad;
        const std::vector<c10::IValue> inputs{at::ones({2, 64}), std::int64_t(44100)};
        QVERIFY(!executor.run(inputs, executor.bind()).has_value());
    }

    // The loader runs __setstate__, where nothing could stop it.
    void refusesToRestoreInALoop()
    {
        QVERIFY(loadOnce("restored").has_value());
        for (const char *name : {"restored_loop", "restored_method"}) {
            const auto &graph = loadOnce(name);
            QVERIFY2(!graph.has_value(), name);
            QVERIFY2(graph.error().message.find("Restored") != std::string::npos
                         && graph.error().message.find("__setstate__") != std::string::npos,
                     graph.error().message.c_str());
            QVERIFY(!TorchScriptReference::load(g_folder + "/" + name + ".pt").has_value());
        }
    }

    void namesAnUnknownOperator()
    {
        const auto &graph = loadOnce("custom");
        QVERIFY(!graph.has_value());
        QCOMPARE(graph.error().kind, ErrorKind::Unsupported);
        QVERIFY2(graph.error().message.find("bitwright_control::thrice (") != std::string::npos, graph.error().message.c_str());
    }

    void aLoopWithoutEndIsStopped()
    {
        const auto &graph = loadOnce("carried_tuple");
        QVERIFY(graph.has_value());
        const Executor executor(std::make_shared<Graph>(*graph));
        const at::NoGradGuard noGrad;
        std::stop_source source;
        source.request_stop();
        RunOptions options;
        options.stop = source.get_token();
        const std::vector<c10::IValue> inputs{at::ones({2, 4})};
        const auto stopped = executor.run(inputs, executor.bind(), options);
        QVERIFY(!stopped && isCancelled(stopped.error()));
    }
};

QTEST_APPLESS_MAIN(TestTorchScriptControl)
#include "tst_torchscript_control.moc"
