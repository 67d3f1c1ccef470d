// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/frontend.h"
#include "frontends/rows.h"
#include "frontends/torchscript_reference.h"
#include "graph/executor.h"
#include "test_models.h"

#include <QtCore/QFile>
#include <QtCore/QTemporaryDir>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <filesystem>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder;

const std::vector<const char *> kNetworks{
    "vgg_small",  "resnet20",  "mobilenetv2_small", "functional", "concat",     "tuple_out",    "list_out",
    "adaptive",   "upsampling", "modules",          "mlp",        "convs",      "norms",        "attention",
    "manual_attention", "multihead", "encoder",     "unet",       "dense",      "grouped",      "tied",
    "reshape",    "activations", "einsum",          "splitting",  "embedding",  "two_inputs",   "constants",
    "pixel_shuffle", "train_mode", "recurrent",       "assignments", "empty_guards"};

Result<Graph> loadFile(const std::string &path)
{
    return torchscriptFrontend().load(path, {});
}

/// The files of make_models.py do not change: each is read once.
const Result<Graph> &loadOnce(const std::string &path)
{
    static std::map<std::string, Result<Graph>> loaded;
    const auto found = loaded.find(path);
    return found != loaded.end() ? found->second : loaded.emplace(path, loadFile(path)).first->second;
}

std::string pathOf(const std::string &name, const std::string &kind)
{
    return g_folder + "/" + name + "." + kind + ".pt";
}

QByteArray readAll(const std::string &path)
{
    QFile file(QString::fromStdString(path));
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

std::string writeAll(const QTemporaryDir &folder, const QByteArray &bytes)
{
    const QString path = folder.filePath(QStringLiteral("net.pt"));
    QFile file(path);
    if (file.open(QIODevice::WriteOnly))
        file.write(bytes);
    return path.toStdString();
}

} // namespace

class TestTorchScript : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase()
    {
        at::set_num_threads(1);
        g_folder = modelFolder();
        QVERIFY2(!g_folder.empty(), "make_models.py failed");
    }

    void outputs_data() { networks(); }
    void outputs()
    {
        QFETCH(QString, name);
        QFETCH(QString, kind);
        const auto &graph = loadOnce(pathOf(name.toStdString(), kind.toStdString()));
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QCOMPARE(graph->fixedBatch, 0);
        const Expected expected = readExpected(g_folder + "/" + name.toStdString() + ".expected");
        const Executor executor(std::make_shared<Graph>(*graph));
        const auto parameters = executor.bind();
        const at::NoGradGuard noGrad;
        for (const std::int64_t batch : {1, 3, 64}) {
            const auto results = executor.run(inputsOf(expected, batch), parameters);
            QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
            const auto wanted = listOf(expected, "out");
            QCOMPARE(results->size(), wanted.size());
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                const double worst = difference((*results)[i].toTensor(), wanted[i].narrow(0, 0, batch));
                QVERIFY2(worst < 1e-5, qPrintable(QStringLiteral("batch %1 output %2: %3").arg(batch).arg(i).arg(worst)));
            }
        }
    }

    void gradients_data() { networks(); }
    void gradients()
    {
        QFETCH(QString, name);
        QFETCH(QString, kind);
        const auto &graph = loadOnce(pathOf(name.toStdString(), kind.toStdString()));
        QVERIFY(graph.has_value());
        const Expected expected = readExpected(g_folder + "/" + name.toStdString() + ".expected");
        const Executor executor(std::make_shared<Graph>(*graph));
        ParameterMap leaves;
        for (const Parameter &parameter : graph->parameters)
            if (parameter.trainable)
                leaves[parameter.name] = parameter.tensor.clone().requires_grad_(true);
        const auto results = executor.run(inputsOf(expected, 3), executor.bind(leaves));
        QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
        at::Tensor total = at::zeros({});
        for (std::size_t i = 0; i < results->size(); ++i)
            total = total + ((*results)[i].toTensor() * expected.at("cot" + std::to_string(i))).sum();
        total.backward();
        int compared = 0;
        for (const auto &[key, wanted] : expected) {
            if (!key.starts_with("grad/"))
                continue;
            const auto leaf = leaves.find(key.substr(5));
            QVERIFY2(leaf != leaves.end(), key.c_str());
            const double worst = difference(leaf->second.grad(), wanted);
            QVERIFY2(worst < 1e-4, qPrintable(QString::fromStdString(key) + QStringLiteral(": %1").arg(worst)));
            ++compared;
        }
        QVERIFY(compared > 0);
    }

    void trainingMode_data() { networks(); }
    void trainingMode()
    {
        QFETCH(QString, name);
        QFETCH(QString, kind);
        const Expected expected = readExpected(g_folder + "/" + name.toStdString() + ".expected");
        const auto wanted = listOf(expected, "train");
        if (wanted.empty())
            QSKIP("has dropout");
        const auto &graph = loadOnce(pathOf(name.toStdString(), kind.toStdString()));
        QVERIFY(graph.has_value());
        const Executor executor(std::make_shared<Graph>(*graph));
        ParameterMap own;
        for (const Parameter &parameter : graph->parameters)
            own[parameter.name] = parameter.tensor.clone();
        RunOptions options;
        options.training = true;
        options.mutateBuffers = true;
        const at::NoGradGuard noGrad;
        const auto results = executor.run(inputsOf(expected, 8), executor.bind(own), options);
        QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const double worst = difference((*results)[i].toTensor(), wanted[i]);
            QVERIFY2(worst < 1e-5, qPrintable(QStringLiteral("output %1: %2").arg(i).arg(worst)));
        }
        for (const auto &[key, buffer] : expected)
            if (key.starts_with("buffer/") && key.find("running_") != std::string::npos)
                QVERIFY2(difference(own.at(key.substr(7)), buffer) < 1e-5, key.c_str());
    }

    void parametersAreTheStateDict_data() { networks(); }
    void parametersAreTheStateDict()
    {
        QFETCH(QString, name);
        QFETCH(QString, kind);
        const auto &graph = loadOnce(pathOf(name.toStdString(), kind.toStdString()));
        QVERIFY(graph.has_value());
        const Expected expected = readExpected(g_folder + "/" + name.toStdString() + ".expected");
        for (const auto &[key, value] : expected)
            if (key.starts_with("grad/")) {
                const Parameter *parameter = graph->parameter(key.substr(5));
                QVERIFY2(parameter && parameter->trainable, key.c_str());
                QCOMPARE(parameter->tensor.sizes().vec(), value.sizes().vec());
            }
    }

    void findsTheInputShape_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("shape");
        QTest::newRow("traced") << QStringLiteral("reshape.trace.pt") << QStringLiteral("-1 1 10 10");
        QTest::newRow("traced, two inputs") << QStringLiteral("two_inputs.trace.pt") << QStringLiteral("-1 6 | -1 5");
        QTest::newRow("scripted, from the linear layer") << QStringLiteral("functional.script.pt") << QStringLiteral("-1 3 16 16");
        QTest::newRow("scripted, from the channels") << QStringLiteral("resnet20.script.pt") << QStringLiteral("-1 1 28 28");
        QTest::newRow("scripted, features") << QStringLiteral("mlp.script.pt") << QStringLiteral("-1 12");
        QTest::newRow("scripted, two inputs") << QStringLiteral("two_inputs.script.pt") << QStringLiteral("-1 6 | -1 5");
        QTest::newRow("scripted, words") << QStringLiteral("embedding.script.pt") << QStringLiteral("-1 6");
    }
    void findsTheInputShape()
    {
        QFETCH(QString, file);
        QFETCH(QString, shape);
        const auto graph = loadFile(g_folder + "/" + file.toStdString());
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QStringList inputs;
        for (const GraphInput &input : graph->inputs) {
            QStringList sizes;
            for (const std::int64_t size : input.info.shape)
                sizes << QString::number(size);
            inputs << sizes.join(QLatin1Char(' '));
        }
        QCOMPARE(inputs.join(QStringLiteral(" | ")), shape);
    }

    void tiedWeightsAreOneParameter()
    {
        for (const char *kind : {"script", "trace"}) {
            const auto &graph = loadOnce(pathOf("tied", kind));
            QVERIFY(graph.has_value());
            // encoder 10·8 + 8, middle 8·8 + 8, other's bias 8
            QCOMPARE(graph->trainableCount(), 168);
            QVERIFY(graph->parameter("middle.weight"));
            QVERIFY(!graph->parameter("other.weight"));
        }
    }

    void leavesNothingInPlace_data() { networks(); }
    void leavesNothingInPlace()
    {
        QFETCH(QString, name);
        QFETCH(QString, kind);
        const auto &graph = loadOnce(pathOf(name.toStdString(), kind.toStdString()));
        QVERIFY(graph.has_value());
        for (const Node &node : graph->nodes) {
            const std::string base = node.op.substr(0, node.op.find('.'));
            QVERIFY2(!base.ends_with("_") || base.ends_with("__"), node.op.c_str());
        }
    }

    void keepsAFixedBatch()
    {
        for (const char *kind : {"script", "trace"}) {
            const auto &graph = loadOnce(pathOf("fixed_batch", kind));
            QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
            QCOMPARE(graph->fixedBatch, 4);
            QCOMPARE(graph->inputs.front().info.shape, (Shape{4, 12}));
            // Six samples: a slice of four, and two padded.
            const at::Tensor input = at::linspace(-1, 1, 72).reshape({6, 12});
            const Executor executor(std::make_shared<Graph>(*graph));
            const at::NoGradGuard noGrad;
            const auto result = executor.runBatch(input, executor.bind());
            QVERIFY2(result.has_value(), result ? "" : result.error().message.c_str());
            const at::Tensor wanted = at::addmm(graph->parameter("fc.bias")->tensor, input,
                                                graph->parameter("fc.weight")->tensor.t());
            QVERIFY(difference(*result, wanted) < 1e-5);
        }
    }

    void referenceAgrees()
    {
        for (const char *name : {"resnet20", "tuple_out", "list_out", "two_inputs"}) {
            const Expected expected = readExpected(g_folder + "/" + name + ".expected");
            auto reference = TorchScriptReference::load(pathOf(name, "script"));
            QVERIFY(reference.has_value());
            const at::NoGradGuard noGrad;
            QVERIFY(reference->warmUp(listOf(expected, "in"), 2).has_value());
            const auto outputs = reference->run(listOf(expected, "in"));
            const auto wanted = listOf(expected, "out");
            QVERIFY(outputs.has_value());
            QCOMPARE(outputs->size(), wanted.size());
            for (std::size_t i = 0; i < wanted.size(); ++i)
                QVERIFY(difference((*outputs)[i], wanted[i]) < 1e-5);
        }
        QVERIFY(!TorchScriptReference::load(g_folder + "/no such file").has_value());
    }

    // A scripted file does not say its input's size: what walks to the same graph is accepted and right.
    void otherSizes_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<bool>("free");
        QTest::newRow("ends in a global mean") << QStringLiteral("resnet20") << true;
        QTest::newRow("ends in a linear layer over pixels") << QStringLiteral("vgg_small") << false;
    }
    void otherSizes()
    {
        QFETCH(QString, name);
        QFETCH(bool, free);
        for (const char *kind : {"script", "trace"}) {
            const std::string path = pathOf(name.toStdString(), kind);
            const auto &graph = loadOnce(path);
            QVERIFY(graph.has_value());
            const TensorInfo &info = graph->inputs.front().info;
            QCOMPARE(info.shape.size(), std::size_t(4));
            QCOMPARE(info.freeDimensions, (free ? std::vector<std::int64_t>{2, 3} : std::vector<std::int64_t>{}));
            QCOMPARE(info.acceptedShape(), (free ? Shape{-1, info.shape[1], -1, -1} : info.shape));
            if (!free)
                continue;
            const at::NoGradGuard noGrad;
            const at::Tensor input = at::linspace(-1, 1, 2 * info.shape[1] * 21 * 34).reshape({2, info.shape[1], 21, 34});
            const Executor executor(std::make_shared<Graph>(*graph));
            const auto result = executor.runBatch(input, executor.bind());
            const auto reference = runTorchScriptReference(path, {input});
            QVERIFY(result.has_value() && reference.has_value());
            QVERIFY(difference(*result, reference->front()) < 1e-5);
        }
    }

    void runsWhatDependsOnData()
    {
        const std::string path = pathOf("data_dependent", "script");
        const auto &graph = loadOnce(path);
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        const Executor executor(std::make_shared<Graph>(*graph));
        const at::NoGradGuard noGrad;
        for (const double scale : {-9.0, -0.5, 0.25, 30.0}) {
            const at::Tensor input = at::linspace(0.1, 1, 12).reshape({3, 4}) * scale;
            const auto result = executor.runBatch(input, executor.bind());
            const auto reference = runTorchScriptReference(path, {input});
            QVERIFY2(result.has_value(), result ? "" : result.error().message.c_str());
            QVERIFY(reference.has_value());
            QVERIFY(difference(*result, reference->front()) < 1e-5);
        }
    }

    void probes()
    {
        const auto probe = torchscriptFrontend().probe;
        QVERIFY(probe(pathOf("mlp", "script")));
        QVERIFY(probe(pathOf("mlp", "trace")));
        QVERIFY(!probe(g_folder + "/mlp.pt2"));
        QVERIFY(!probe(g_folder + "/mlp.expected"));
        QVERIFY(!probe(g_folder + "/no such file"));
    }

    void refusesDamage()
    {
        const QTemporaryDir folder;
        const QByteArray whole = readAll(pathOf("mlp", "script"));
        QVERIFY(whole.size() > 1000);
        for (const int share : {0, 1, 10, 50, 90, 99}) {
            const auto graph = loadFile(writeAll(folder, whole.left(whole.size() * share / 100)));
            QVERIFY(!graph.has_value());
            QVERIFY2(graph.error().message.find("net.pt") != std::string::npos, graph.error().message.c_str());
        }
        const qsizetype step = whole.size() / 200;
        for (qsizetype at = 0; at < whole.size(); at += step) {
            QByteArray flipped = whole;
            flipped[at] = char(flipped[at] ^ 0x5a);
            const auto graph = loadFile(writeAll(folder, flipped));   // an error or, in padding and headers, no harm
            if (!graph)
                QVERIFY(!graph.error().message.empty());
        }
        QByteArray foreign = whole;
        foreign.replace("constants.pkl", "konstants.pkl");
        QVERIFY(!loadFile(writeAll(folder, foreign)).has_value());
    }

    void writesParameters()
    {
        const QTemporaryDir folder;
        QStringList opened;
        for (const char *kind : {"script", "trace"}) {
            const std::string target = folder.filePath(QString::fromLatin1(kind) + QStringLiteral(".pt")).toStdString();
            const std::string source = pathOf("vgg_small", kind);
            const auto graph = loadFile(source);
            QVERIFY(graph.has_value());
            ParameterMap changed;
            for (const Parameter &parameter : graph->parameters)
                if (parameter.tensor.is_floating_point())
                    changed[parameter.name] = parameter.tensor * 1.25;
            const Status written = torchscriptFrontend().writeWithParameters(source, changed, target);
            QVERIFY2(written.has_value(), written ? "" : written.error().message.c_str());
            const auto again = loadFile(target);
            QVERIFY2(again.has_value(), again ? "" : again.error().message.c_str());
            QCOMPARE(again->inputs.front().info.shape, graph->inputs.front().info.shape);
            const at::Tensor input = at::linspace(-1, 1, 2 * 784).reshape({2, 1, 28, 28});
            const at::NoGradGuard noGrad;
            const Executor before(std::make_shared<Graph>(*graph)), after(std::make_shared<Graph>(*again));
            const std::vector<c10::IValue> inputs{input};
            const auto a = before.run(inputs, before.bind(changed)), b = after.run(inputs, after.bind());
            QVERIFY(a && b);
            QVERIFY(at::equal(a->front().toTensor(), b->front().toTensor()));
            const auto reference = runTorchScriptReference(target, {input});
            QVERIFY(reference.has_value());
            QVERIFY(difference(b->front().toTensor(), reference->front()) < 1e-5);
            QVERIFY(!readAll(target).contains("debug_pkl"));
            opened << QString::fromStdString(target);
        }
        QProcess python;
        python.start(qEnvironmentVariable("BITWRIGHT_PYTHON", QStringLiteral("python3")),
                     QStringList{QStringLiteral("-c"),
                                 QStringLiteral("import sys, torch; [torch.jit.load(f) for f in sys.argv[1:]]")} + opened);
        QVERIFY(python.waitForFinished(60000));
        QCOMPARE(python.exitCode(), 0);
        const std::string target = folder.filePath(QStringLiteral("never.pt")).toStdString();
        const auto unknown = torchscriptFrontend().writeWithParameters(pathOf("mlp", "script"), {{"nothing", at::ones({1})}}, target);
        QVERIFY(!unknown.has_value());
        QVERIFY(unknown.error().message.find("nothing") != std::string::npos);
        QCOMPARE(QDir(folder.path()).entryList(QDir::Files), (QStringList{QStringLiteral("script.pt"), QStringLiteral("trace.pt")}));
    }

    void sampleNetworks_data()
    {
        QTest::addColumn<QString>("name");
        for (const char *name : {"resnet20", "vgg_small", "mobilenetv2_small"})
            QTest::newRow(name) << QString::fromLatin1(name);
    }
    void sampleNetworks()
    {
        QFETCH(QString, name);
        const QString source = qEnvironmentVariable("BITWRIGHT_SOURCE_DIR", QStringLiteral(BITWRIGHT_TEST_DATA "/.."));
        const QString file = source + QStringLiteral("/sample_models/") + name + QStringLiteral(".pt");
        const std::string path = file.toStdString();
        if (!std::filesystem::exists(path))
            QSKIP("not trained yet");
        const auto graph = loadGraph(path);
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QCOMPARE(graph->format, std::string("torchscript"));
        QCOMPARE(graph->inputs.front().info.shape, (Shape{-1, 1, 28, 28}));
        const at::Tensor input = at::linspace(-1, 1, 5 * 784).reshape({5, 1, 28, 28});
        const auto reference = runTorchScriptReference(path, {input});
        QVERIFY(reference.has_value());
        const Executor executor(std::make_shared<Graph>(*graph));
        const at::NoGradGuard noGrad;
        const auto result = executor.runBatch(input, executor.bind());
        QVERIFY(result.has_value());
        QVERIFY(difference(*result, reference->front()) < 1e-5);
    }

private:
    static void networks()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<QString>("kind");
        for (const char *name : kNetworks)
            for (const char *kind : {"script", "trace"})
                QTest::addRow("%s %s", name, kind) << QString::fromLatin1(name) << QString::fromLatin1(kind);
    }
};

QTEST_APPLESS_MAIN(TestTorchScript)
#include "tst_torchscript.moc"
