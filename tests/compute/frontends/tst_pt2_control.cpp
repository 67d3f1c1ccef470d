// SPDX-License-Identifier: GPL-3.0-or-later
#include "control_cases.h"
#include "frontends/frontend.h"
#include "graph/subgraph.h"

#include <QtCore/QTemporaryDir>

#include <ATen/Parallel.h>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder;

Result<Graph> open(const std::string &name)
{
    return loadGraph(g_folder + "/" + name + ".pt2");
}

QString joined(const std::vector<std::string> &names)
{
    QStringList list;
    for (const std::string &name : names)
        list << QString::fromStdString(name);
    return list.join(QLatin1Char(' '));
}

} // namespace

class TestPt2Control : public QObject {
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
        for (const char *name : {"cond", "symbolic_cond", "while_loop", "symbolic", "scalar_inputs", "structured", "modes"})
            QTest::newRow(name) << QString::fromLatin1(name);
    }
    void outputs()
    {
        QFETCH(QString, name);
        const auto graph = open(name.toStdString());
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        compareCases(*graph, readExpected(g_folder + "/" + name.toStdString() + ".expected"));
    }

    void branchesAreBodies()
    {
        const auto graph = open("cond");
        QVERIFY(graph.has_value());
        const auto branch = std::ranges::find(graph->nodes, "prim::If", &Node::op);
        QVERIFY(branch != graph->nodes.end());
        const auto bodies = bodiesOf(*branch);
        QCOMPARE(bodies.size(), std::size_t(2));
        QVERIFY(bodies[0]->parameters.empty());
        QVERIFY(std::ranges::find(bodies[1]->nodes, "prim::If", &Node::op) != bodies[1]->nodes.end());
        QVERIFY(graph->parameter("a.weight")->trainable && graph->parameter("b.weight")->trainable);
    }

    void gradientsThroughBranches()
    {
        const auto graph = open("cond");
        QVERIFY(graph.has_value());
        const Executor executor(std::make_shared<Graph>(*graph));
        ParameterMap leaves;
        for (const Parameter &parameter : graph->parameters)
            leaves[parameter.name] = parameter.tensor.clone().requires_grad_(true);
        const std::vector<c10::IValue> inputs{at::full({2, 4}, 0.5)};
        const auto results = executor.run(inputs, executor.bind(leaves));
        QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
        results->front().toTensor().sum().backward();
        QVERIFY(leaves.at("last.weight").grad().defined());
        QVERIFY(leaves.at("a.weight").grad().defined() && !leaves.at("b.weight").grad().defined());
    }

    void names()
    {
        const auto structured = open("structured"), scalars = open("scalar_inputs");
        QVERIFY(structured && scalars);
        QCOMPARE(joined(structured->outputNames), QStringLiteral("y parts.0 parts.1.0 parts.1.1"));
        QCOMPARE(scalars->inputs.size(), std::size_t(2));
        QCOMPARE(scalars->inputs[1].info.name, std::string("n"));
        QCOMPARE(scalars->inputs[1].info.dtype, std::string("int"));
    }

    void refusesOtherGraphsInside()
    {
        const auto graph = open("mapped");
        QVERIFY(!graph.has_value());
        QCOMPARE(graph.error().kind, ErrorKind::Unsupported);
        const QString text = QString::fromStdString(graph.error().message);
        QVERIFY2(text.contains(QStringLiteral("higher_order.map_impl (make_control.py line ")), qPrintable(text));
    }

    void damagedFiles()
    {
        const QTemporaryDir folder;
        QFile source(QString::fromStdString(g_folder) + QStringLiteral("/cond.pt2"));
        QVERIFY(source.open(QIODevice::ReadOnly));
        const QByteArray whole = source.readAll();
        const QString path = folder.filePath(QStringLiteral("net.pt2"));
        const at::NoGradGuard noGrad;
        for (qsizetype at = 0; at < whole.size(); at += 1 + whole.size() / 300) {
            QByteArray damaged = whole;
            damaged[at] = char(damaged[at] ^ 0x11);
            QFile file(path);
            QVERIFY(file.open(QIODevice::WriteOnly));
            file.write(damaged);
            file.close();
            const auto graph = loadGraph(path.toStdString());
            if (graph) {
                const Executor executor(std::make_shared<Graph>(*graph));
                (void)executor.runBatch(at::ones({2, 4}), executor.bind());
            } else {
                QVERIFY(!graph.error().message.empty());
            }
        }
    }
};

QTEST_APPLESS_MAIN(TestPt2Control)
#include "tst_pt2_control.moc"
