// SPDX-License-Identifier: GPL-3.0-or-later
// The same network saved scripted, traced and as .pt2 is one network: same layers, same answers.
#include "frontends/frontend.h"
#include "graph/executor.h"
#include "graph/layer_list.h"
#include "test_models.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

std::string g_folder;

const std::vector<const char *> kNetworks{
    "vgg_small",  "resnet20",  "mobilenetv2_small", "functional", "concat",     "tuple_out",    "list_out",
    "adaptive",   "upsampling", "modules",          "mlp",        "convs",      "norms",        "attention",
    "manual_attention", "multihead", "encoder",     "unet",       "dense",      "grouped",      "tied",
    "reshape",    "activations", "einsum",          "splitting",  "embedding",  "two_inputs",   "constants",
    "pixel_shuffle", "train_mode"};

const std::vector<std::string> kKinds{".pt2", ".script.pt", ".trace.pt"};

std::string describe(const LayerInfo &layer)
{
    std::string text = layer.name + " " + layer.op + " [";
    for (const std::int64_t size : layer.weightShape)
        text += std::to_string(size) + " ";
    return text + "] macs " + std::to_string(layer.macs) + " calls " + std::to_string(layer.calls) + " " +
           layerStatusName(layer.status) + " bias " + std::to_string(layer.biasCount) + " bn " + layer.batchNorm +
           (layer.nonNegativeInput ? " non-negative" : "");
}

/// Each file is read once.
const Result<Graph> &loadOnce(const std::string &path)
{
    static std::map<std::string, Result<Graph>> loaded;
    const auto found = loaded.find(path);
    return found != loaded.end() ? found->second : loaded.emplace(path, loadGraph(path)).first->second;
}

/// One line per layer; the shapes of the inputs are those of the expected file, which a scripted one does not know.
QStringList layersOf(Graph graph, const Expected &expected)
{
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
        Shape shape = expected.at("in" + std::to_string(i)).sizes().vec();
        shape[0] = -1;
        graph.inputs[i].info.shape = shape;
    }
    QStringList lines;
    for (const LayerBinding &binding : listLayers(graph))
        lines << QString::fromStdString(describe(binding.info));
    return lines;
}

} // namespace

class TestFrontendEquivalence : public QObject {
    Q_OBJECT

private Q_SLOTS:
    void initTestCase()
    {
        at::set_num_threads(1);
        g_folder = modelFolder();
        QVERIFY2(!g_folder.empty(), "make_models.py failed");
    }

    void layers_data() { networks(); }
    void layers()
    {
        QFETCH(QString, name);
        const std::string stem = g_folder + "/" + name.toStdString();
        const Expected expected = readExpected(stem + ".expected");
        QStringList first;
        std::int64_t trainable = 0;
        for (const std::string &kind : kKinds) {
            const auto &graph = loadOnce(stem + kind);
            QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
            const QStringList lines = layersOf(*graph, expected);
            if (kind == kKinds.front()) {
                first = lines;
                trainable = graph->trainableCount();
                continue;
            }
            for (qsizetype i = 0; i < std::min(first.size(), lines.size()); ++i)
                QVERIFY2(lines[i] == first[i], qPrintable(QString::fromStdString(kind) + QLatin1String(": ") + lines[i] +
                                                          QLatin1String(" | .pt2: ") + first[i]));
            QCOMPARE(lines.size(), first.size());
            QCOMPARE(graph->trainableCount(), trainable);
        }
    }

    void answers_data() { networks(); }
    void answers()
    {
        QFETCH(QString, name);
        const std::string stem = g_folder + "/" + name.toStdString();
        const Expected expected = readExpected(stem + ".expected");
        const auto wanted = listOf(expected, "out");
        const at::NoGradGuard noGrad;
        for (const std::string &kind : kKinds) {
            const auto &graph = loadOnce(stem + kind);
            QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
            const Executor executor(std::make_shared<Graph>(*graph));
            for (const std::int64_t batch : {1, 3, 64}) {
                const auto results = executor.run(inputsOf(expected, batch), executor.bind());
                QVERIFY2(results.has_value(), results ? "" : (kind + ": " + results.error().message).c_str());
                QCOMPARE(results->size(), wanted.size());
                for (std::size_t i = 0; i < wanted.size(); ++i) {
                    const double worst = difference((*results)[i].toTensor(), wanted[i].narrow(0, 0, batch));
                    QVERIFY2(worst < 1e-5, qPrintable(QStringLiteral("%1 batch %2 output %3: %4")
                                                          .arg(QString::fromStdString(kind))
                                                          .arg(batch)
                                                          .arg(i)
                                                          .arg(worst)));
                }
            }
        }
    }

    void trainedParametersAreInterchangeable()
    {
        // A state trained in one format fits the other: same names, same shapes.
        for (const char *name : kNetworks) {
            const std::string stem = g_folder + "/" + name;
            const auto &a = loadOnce(stem + ".pt2"), &b = loadOnce(stem + ".script.pt");
            QVERIFY2(a && b, name);
            for (const Parameter &parameter : a->parameters) {
                if (!parameter.trainable)
                    continue;
                const Parameter *other = b->parameter(parameter.name);
                QVERIFY2(other, (std::string(name) + " " + parameter.name).c_str());
                QVERIFY(at::equal(other->tensor, parameter.tensor));
            }
        }
    }

private:
    static void networks()
    {
        QTest::addColumn<QString>("name");
        for (const char *name : kNetworks)
            QTest::newRow(name) << QString::fromLatin1(name);
    }
};

QTEST_APPLESS_MAIN(TestFrontendEquivalence)
#include "tst_frontend_equivalence.moc"
