// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/frontend.h"
#include "frontends/rows.h"
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

std::string g_folder;    ///< of make_models.py
std::string g_special;   ///< of make_pt2.py

const std::vector<const char *> kNetworks{
    "vgg_small",  "resnet20",  "mobilenetv2_small", "functional", "concat",     "tuple_out",    "list_out",
    "adaptive",   "upsampling", "modules",          "mlp",        "convs",      "norms",        "attention",
    "manual_attention", "multihead", "encoder",     "unet",       "dense",      "grouped",      "tied",
    "reshape",    "activations", "einsum",          "splitting",  "embedding",  "two_inputs",   "constants",
    "pixel_shuffle", "train_mode"};
const std::vector<const char *> kSpecial{"control", "views", "dictionary", "sliced", "padded", "transposed", "trained",
                                         "vgg_core", "transposed_core", "dictionary_core", "views_core"};

std::string pathOf(const std::string &name)
{
    const std::string own = g_special + "/" + name + ".pt2";
    return std::filesystem::exists(own) ? own : g_folder + "/" + name + ".pt2";
}

Expected expectedOf(const std::string &name)
{
    const std::string own = g_special + "/" + name + ".expected";
    return readExpected(std::filesystem::exists(own) ? own : g_folder + "/" + name + ".expected");
}

QByteArray readAll(const std::string &path)
{
    QFile file(QString::fromStdString(path));
    return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
}

std::string writeAll(const QTemporaryDir &folder, const QByteArray &bytes)
{
    const QString path = folder.filePath(QStringLiteral("net.pt2"));
    QFile file(path);
    if (file.open(QIODevice::WriteOnly))
        file.write(bytes);
    return path.toStdString();
}

/// Runs Python with this text; true when it ended well.
bool python(const QString &script)
{
    QProcess process;
    process.setProcessChannelMode(QProcess::ForwardedChannels);
    process.start(qEnvironmentVariable("BITWRIGHT_PYTHON", QStringLiteral("python3")), {QStringLiteral("-c"), script});
    return process.waitForFinished(120000) && process.exitCode() == 0;
}

} // namespace

class TestPt2 : public QObject {
    Q_OBJECT

private:
    static void rows(bool special)
    {
        QTest::addColumn<QString>("name");
        for (const char *name : kNetworks)
            QTest::newRow(name) << QString::fromLatin1(name);
        if (special)
            for (const char *name : kSpecial)
                QTest::newRow(name) << QString::fromLatin1(name);
    }

private Q_SLOTS:
    void initTestCase()
    {
        at::set_num_threads(1);
        g_folder = modelFolder();
        QVERIFY2(!g_folder.empty(), "make_models.py failed");
        g_special = modelFolder(QStringLiteral("make_pt2.py"), QStringLiteral("test_pt2"));
        QVERIFY2(!g_special.empty(), "make_pt2.py failed");
    }

    void outputs_data() { rows(true); }
    void outputs()
    {
        QFETCH(QString, name);
        const auto graph = loadGraph(pathOf(name.toStdString()));
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QCOMPARE(graph->fixedBatch, 0);
        const Expected expected = expectedOf(name.toStdString());
        const Executor executor(std::make_shared<Graph>(*graph));
        const auto parameters = executor.bind();
        const at::NoGradGuard noGrad;
        const auto wanted = listOf(expected, "out");
        const std::int64_t all = expected.at("in0").size(0);
        for (const std::int64_t batch : {std::int64_t(1), std::int64_t(3), all}) {
            const auto results = executor.run(inputsOf(expected, batch), parameters);
            QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
            QCOMPARE(results->size(), wanted.size());
            for (std::size_t i = 0; i < wanted.size(); ++i) {
                const at::Tensor got = (*results)[i].toTensor();
                // Outputs without a leading batch dimension can be compared for the whole batch only.
                const bool batched = wanted[i].dim() > 0 && wanted[i].size(0) == all;
                if (!batched && batch != all)
                    continue;
                const double worst = difference(got, batched ? wanted[i].narrow(0, 0, batch) : wanted[i]);
                QVERIFY2(worst < 1e-5, qPrintable(QStringLiteral("batch %1 output %2: %3").arg(batch).arg(i).arg(worst)));
            }
        }
    }

    void gradients_data() { rows(false); }
    void gradients()
    {
        QFETCH(QString, name);
        const auto graph = loadGraph(pathOf(name.toStdString()));
        QVERIFY(graph.has_value());
        const Expected expected = expectedOf(name.toStdString());
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
            QVERIFY2(difference(leaf->second.grad(), wanted) < 1e-4, key.c_str());
            ++compared;
        }
        QVERIFY(compared > 0);
    }

    void trainingMode_data() { rows(false); }
    void trainingMode()
    {
        QFETCH(QString, name);
        const Expected expected = expectedOf(name.toStdString());
        const auto wanted = listOf(expected, "train");
        if (wanted.empty())
            QSKIP("has dropout");
        const auto graph = loadGraph(pathOf(name.toStdString()));
        QVERIFY(graph.has_value());
        const Executor executor(std::make_shared<Graph>(*graph));
        ParameterMap own;
        for (const Parameter &parameter : graph->parameters)
            own[parameter.name] = parameter.tensor.clone();
        RunOptions options;
        options.training = true;
        const at::NoGradGuard noGrad;
        for (const bool mutate : {false, true}) {
            options.mutateBuffers = mutate;
            const auto results = executor.run(inputsOf(expected, 8), executor.bind(own), options);
            QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
            for (std::size_t i = 0; i < wanted.size(); ++i)
                QVERIFY(difference((*results)[i].toTensor(), wanted[i]) < 1e-5);
            for (const auto &[key, buffer] : expected)
                if (key.starts_with("buffer/") && key.find("running_") != std::string::npos) {
                    const at::Tensor before = graph->parameter(key.substr(7))->tensor;
                    QVERIFY2(difference(own.at(key.substr(7)), mutate ? buffer : before) < 1e-5, key.c_str());
                }
        }
    }

    void namesAreTheStateDict()
    {
        const auto graph = loadGraph(pathOf("resnet20"));
        QVERIFY(graph.has_value());
        QCOMPARE(graph->format, std::string("pt2"));
        QCOMPARE(graph->trainableCount(), 272186);
        const Parameter *weight = graph->parameter("layer2.0.shortcut.0.weight");
        QVERIFY(weight && weight->trainable);
        QCOMPARE(weight->tensor.sizes().vec(), (std::vector<std::int64_t>{32, 16, 1, 1}));
        const Parameter *mean = graph->parameter("bn1.running_mean");
        QVERIFY(mean && !mean->trainable);
        QCOMPARE(graph->inputs.size(), std::size_t(1));
        QCOMPARE(graph->inputs[0].info.shape, (Shape{-1, 1, 28, 28}));
        QCOMPARE(graph->inputs[0].info.dtype, std::string("float32"));
    }

    void oneSpelling()
    {
        const auto plain = loadGraph(pathOf("transposed")), core = loadGraph(pathOf("transposed_core"));
        QVERIFY(plain.has_value() && core.has_value());
        QCOMPARE(plain->nodes.size(), core->nodes.size());
        for (std::size_t i = 0; i < plain->nodes.size(); ++i)
            QCOMPARE(core->nodes[i].op, plain->nodes[i].op);
        const auto padded = loadGraph(pathOf("padded"));
        QVERIFY(padded.has_value());
        QStringList operators;
        for (const Node &node : padded->nodes)
            operators << QString::fromStdString(node.op);
        QCOMPARE(operators.join(QLatin1Char(' ')), QStringLiteral("aten::conv2d aten::conv2d.padding aten::conv2d"));
    }

    void noNodeWorksInPlace()
    {
        for (const char *name : {"views", "vgg_small", "trained", "constants"}) {
            const auto graph = loadGraph(pathOf(name));
            QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
            for (const Node &node : graph->nodes)
                QVERIFY2(!node.op.substr(0, node.op.find('.')).ends_with('_'), node.op.c_str());
        }
    }

    void tiedWeightsAreOneParameter()
    {
        const auto graph = loadGraph(pathOf("dictionary"));
        QVERIFY(graph.has_value());
        QVERIFY(graph->parameter("a.weight") && !graph->parameter("b.weight"));
        QVERIFY(graph->parameter("hidden") && !graph->parameter("hidden")->trainable);
    }

    void fixedBatch()
    {
        const auto graph = loadGraph(pathOf("fixed"));
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QCOMPARE(graph->fixedBatch, 5);
        const Expected expected = expectedOf("fixed");
        const Executor executor(std::make_shared<Graph>(*graph));
        const at::NoGradGuard noGrad;
        for (const std::int64_t batch : {1, 5, 7, 12}) {
            const auto scores = executor.runBatch(expected.at("in0").narrow(0, 0, batch), executor.bind());
            QVERIFY2(scores.has_value(), scores ? "" : scores.error().message.c_str());
            QVERIFY(difference(*scores, expected.at("out0").narrow(0, 0, batch)) < 1e-5);
        }
    }

    void refusals_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("says");
        QTest::newRow("own operators") << QStringLiteral("custom.pt2") << QStringLiteral("bitwright_test.twice (make_pt2.py line ");
        QTest::newRow("missing") << QStringLiteral("nothing.pt2") << QStringLiteral("no such file");
        QTest::newRow("folder") << QStringLiteral("folder.pt2") << QStringLiteral("is a folder");
        QTest::newRow("empty") << QStringLiteral("empty.pt2") << QStringLiteral("is empty");
        QTest::newRow("random") << QStringLiteral("random.pt2") << QStringLiteral("no network file");
        QTest::newRow("pickle") << QStringLiteral("legacy.pth") << QStringLiteral("pickle");
        QTest::newRow("zip") << QStringLiteral("pictures.zip") << QStringLiteral("zip archive");
        QTest::newRow("older layout") << QStringLiteral("older.pt2") << QStringLiteral("older layout");
        QTest::newRow("compiled") << QStringLiteral("compiled.pt2") << QStringLiteral("AOTInductor");
    }
    void refusals()
    {
        QFETCH(QString, file);
        QFETCH(QString, says);
        const std::string path = g_special + "/" + file.toStdString();
        const auto graph = loadGraph(path);
        QVERIFY(!graph.has_value());
        const QString message = QString::fromStdString(graph.error().message);
        QVERIFY2(message.contains(says) && message.startsWith(QString::fromStdString(path)) && !message.contains(QLatin1Char('\n')),
                 qPrintable(message));
    }

    void damagedFiles()
    {
        const QTemporaryDir folder;
        const QByteArray whole = readAll(pathOf("concat"));
        QVERIFY(whole.size() > 4000);
        for (qsizetype size = 0; size < whole.size(); size += 1024)
            QVERIFY2(!loadGraph(writeAll(folder, whole.left(size))).has_value(), qPrintable(QString::number(size)));
        // A flipped byte may hit a name that nobody reads; then the network loads and runs as before, or says what is wrong.
        const at::NoGradGuard noGrad;
        for (qsizetype at = 0; at < whole.size(); at += 1 + whole.size() / 400) {
            QByteArray damaged = whole;
            damaged[at] = char(damaged[at] ^ 0x41);
            const auto graph = loadGraph(writeAll(folder, damaged));
            if (graph) {
                const Executor executor(std::make_shared<Graph>(*graph));
                (void)executor.runBatch(at::zeros({2, 3, 8, 8}), executor.bind());
            } else {
                QVERIFY(!graph.error().message.empty());
            }
        }
    }

    void cancelledWhileLoading()
    {
        std::stop_source source;
        source.request_stop();
        JobContext context;
        context.stop = source.get_token();
        const auto graph = loadGraph(pathOf("vgg_small"), context);
        QVERIFY(!graph && isCancelled(graph.error()));
    }

    void writesWeights()
    {
        const QTemporaryDir folder;
        QString script = QStringLiteral("import torch\n"
                                        "def check(net, expected, wanted):\n"
                                        "    y = torch.export.load(net).module()(torch.load(expected)['in0'][:4])\n"
                                        "    y = list(y.values())[0] if isinstance(y, dict) else y\n"
                                        "    got = float(y.detach().double().abs().sum())\n"
                                        "    assert abs(got - wanted) < 1e-4 * abs(got), (net, got, wanted)\n");
        for (const std::string name : {"vgg_small", "sliced", "dictionary"}) {
            const QString target = folder.filePath(QString::fromStdString(name)) + QStringLiteral(".pt2");
            const auto graph = loadGraph(pathOf(name));
            QVERIFY(graph.has_value());
            ParameterMap changed;
            for (const Parameter &parameter : graph->parameters)
                if (parameter.trainable)
                    changed[parameter.name] = parameter.tensor * 1.25 + 0.125;
            const Status written = writeWithParameters(pathOf(name), changed, target.toStdString());
            QVERIFY2(written.has_value(), written ? "" : written.error().message.c_str());
            const auto again = loadGraph(target.toStdString());
            QVERIFY2(again.has_value(), again ? "" : again.error().message.c_str());
            for (const auto &[parameter, tensor] : changed)
                QVERIFY2(at::equal(again->parameter(parameter)->tensor, tensor), parameter.c_str());
            const at::NoGradGuard noGrad;
            const Executor executor(std::make_shared<Graph>(*again));
            const auto scores = executor.runBatch(expectedOf(name).at("in0").narrow(0, 0, 4).contiguous(), executor.bind());
            QVERIFY(scores.has_value());
            const std::string own = g_special + "/" + name + ".expected";
            const std::string expected = std::filesystem::exists(own) ? own : g_folder + "/" + name + ".expected";
            script += QStringLiteral("check('%1', '%2', %3)\n")
                          .arg(target, QString::fromStdString(expected))
                          .arg(scores->to(at::kDouble).abs().sum().item<double>(), 0, 'g', 17);
        }
        // PyTorch reads the same weights and gives the same answers.
        QVERIFY(python(script));
        const Status missing = writeWithParameters(pathOf("sliced"), {{"nobody", at::zeros({1})}},
                                                   folder.filePath(QStringLiteral("x.pt2")).toStdString());
        QVERIFY(!missing && missing.error().message.find("nobody") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(TestPt2)
#include "tst_pt2.moc"
