// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/frontend.h"
#include "graph/executor.h"
#include "graph/layer_list.h"

#include <QtCore/QFile>
#include <QtCore/QTemporaryDir>

using namespace bitwright;

namespace {

QByteArray fileOf(const QByteArray &header, const QByteArray &data)
{
    QByteArray bytes;
    for (int i = 0; i < 8; ++i)
        bytes += char(quint64(header.size()) >> (8 * i) & 0xff);
    return bytes + header + data;
}

/// Two tensors: a matrix of 0…5 and a bias of bytes 0.
QByteArray goodFile()
{
    QByteArray data(24 + 4, '\0');
    for (int i = 0; i < 6; ++i) {
        const float value = float(i);
        memcpy(data.data() + i * 4, &value, 4);
    }
    return fileOf(R"({"__metadata__":{"format":"pt"},"fc.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                  R"("fc.bias":{"dtype":"BF16","shape":[2],"data_offsets":[24,28]}})", data);
}

} // namespace

class TestSafetensors : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;

    Result<Graph> load(const QByteArray &bytes)
    {
        QFile file(m_folder.filePath(QStringLiteral("w.safetensors")));
        if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size())
            return fail(ErrorKind::Io, "cannot write");
        file.close();
        return loadGraph(file.fileName().toStdString());
    }

private Q_SLOTS:
    void weightsAndLayers()
    {
        const auto graph = load(goodFile());
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QVERIFY(graph->weightsOnly);
        QCOMPARE(graph->obstacles.size(), std::size_t(1));
        QVERIFY(at::equal(graph->parameter("fc.weight")->tensor, at::arange(6, at::kFloat).reshape({2, 3})));
        QCOMPARE(graph->parameter("fc.bias")->tensor.scalar_type(), at::kBFloat16);
        const auto layers = listLayers(*graph);
        QCOMPARE(layers.size(), std::size_t(2));
        QCOMPARE(layers[0].info.name, std::string("fc"));
        QVERIFY(layers[0].info.status == LayerStatus::Quantizable);
        QVERIFY(layers[1].info.status == LayerStatus::Float && !layers[1].info.reason.empty());
    }

    void refusesToRun()
    {
        const auto graph = load(goodFile());
        QVERIFY(graph.has_value());
        const Executor executor(std::make_shared<Graph>(*graph));
        const auto result = executor.runBatch(at::zeros({1, 3}), executor.bind());
        QVERIFY(!result.has_value());
        QVERIFY2(QString::fromStdString(result.error().message).contains(QLatin1String("torch.export")), result.error().message.c_str());
    }

    void hostile_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("says");
        const QByteArray four(4, '\0');
        const auto row = [](const char *name, const QByteArray &bytes, const char *says) {
            QTest::newRow(name) << bytes << QString::fromLatin1(says);
        };
        row("outside", fileOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", four), "outside the file");
        row("sizes", fileOf(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", four), "do not fit");
        row("overlap", fileOf(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})", four), "overlaps");
        row("twice", fileOf(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", four), "two tensors");
        row("overflow", fileOf(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", four), "impossible sizes");
        row("negative", fileOf(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", four), "not a number");
        row("type", fileOf(R"({"a":{"dtype":"F4","shape":[1],"data_offsets":[0,4]}})", four), "F4");
        row("deep", fileOf("{\"a\":" + QByteArray(100000, '['), four), "no JSON object");
        row("nothing", fileOf("{ }", four), "no tensors");
    }
    void hostile()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, says);
        const auto graph = load(bytes);
        QVERIFY(!graph.has_value());
        QVERIFY2(QString::fromStdString(graph.error().message).contains(says), graph.error().message.c_str());
    }

    void damagedFiles()
    {
        const QByteArray whole = goodFile();
        for (qsizetype size = 0; size < whole.size(); ++size)
            QVERIFY2(!load(whole.left(size)).has_value(), qPrintable(QString::number(size)));
        for (qsizetype at = 0; at < whole.size(); ++at)
            for (const char flip : {'\x41', '\x01', '\x80'}) {
                QByteArray damaged = whole;
                damaged[at] = char(damaged[at] ^ flip);
                const auto graph = load(damaged);
                QVERIFY(graph.has_value() || !graph.error().message.empty());
            }
    }
};

QTEST_GUILESS_MAIN(TestSafetensors)
#include "tst_safetensors.moc"
