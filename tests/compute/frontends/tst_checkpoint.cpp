// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/frontend.h"
#include "frontends/weights_file.h"
#include "graph/layer_list.h"

#include <QtCore/QFile>
#include <QtCore/QProcess>
#include <QtCore/QTemporaryDir>

using namespace bitwright;

namespace {

const char *const kScript = R"(
import sys, collections, os, torch
out = sys.argv[1] + "/"
torch.manual_seed(1)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Flatten(), torch.nn.Linear(8, 4).half())
net[3].weight.data = net[3].weight.data.t().contiguous().t()
torch.save(net.state_dict(), out + "plain.pth")
optimizer = torch.optim.Adam(net[0].parameters())
net[0](torch.zeros(1, 3, 4, 4)).sum().backward(); optimizer.step()
torch.save({"epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(), "lr": [0.1, None, 2**70]}, out + "checkpoint.pth")
torch.save(net, out + "module.pth")
torch.save({"e": torch.zeros(1).expand(1 << 40)}, out + "expanded.pth")
class Evil:
    def __reduce__(self):
        return os.system, ("touch " + out + "ran",)
torch.save({"a": Evil(), "w": torch.ones(2, 2)}, out + "evil.pth")
loop = {}
loop["self"] = loop
torch.save(loop, out + "loop.pth")
torch.save(net.state_dict(), out + "old.pth", _use_new_zipfile_serialization=False)
)";

struct NoStorage : StorageSource {
    Result<at::Tensor> bytes(const std::string &) override { return at::zeros({64}, at::kByte); }
};

} // namespace

class TestCheckpoint : public QObject {
    Q_OBJECT

    QTemporaryDir m_folder;

    std::string path(const char *name) const { return m_folder.filePath(QString::fromLatin1(name)).toStdString(); }
    static QByteArray readAll(const std::string &path)
    {
        QFile file(QString::fromStdString(path));
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    }
    Result<Graph> load(const QByteArray &bytes) const
    {
        QFile file(QString::fromStdString(path("damaged.pth")));
        if (!file.open(QIODevice::WriteOnly) || file.write(bytes) != bytes.size())
            return fail(ErrorKind::Io, "cannot write");
        file.close();
        return loadGraph(file.fileName().toStdString());
    }

private Q_SLOTS:
    void initTestCase()
    {
        QProcess process;
        process.setProcessChannelMode(QProcess::ForwardedChannels);
        process.start(qEnvironmentVariable("BITWRIGHT_PYTHON", QStringLiteral("python3")),
                      {QStringLiteral("-c"), QString::fromLatin1(kScript), m_folder.path()});
        QVERIFY(process.waitForFinished(120000) && process.exitCode() == 0);
    }

    void namesAreThoseOfPyTorch_data()
    {
        QTest::addColumn<QString>("file");
        QTest::newRow("state dict") << QStringLiteral("plain.pth");
        QTest::newRow("checkpoint") << QStringLiteral("checkpoint.pth");
    }
    void namesAreThoseOfPyTorch()
    {
        QFETCH(QString, file);
        const auto graph = loadGraph(path(file.toLatin1().constData()));
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QVERIFY(graph->weightsOnly && graph->obstacles.size() == 1);
        QStringList names;
        for (const Parameter &parameter : graph->parameters)
            names += QString::fromStdString(parameter.name);
        QCOMPARE(names.join(QLatin1Char(' ')), QStringLiteral("0.weight 0.bias 1.weight 1.bias 1.running_mean 1.running_var "
                                                             "1.num_batches_tracked 3.weight 3.bias"));
        const at::Tensor linear = graph->parameter("3.weight")->tensor;
        QVERIFY(linear.scalar_type() == at::kHalf && linear.size(0) == 4 && linear.stride(0) == 1);
        QVERIFY(graph->parameter("0.weight")->tensor.abs().sum().item<double>() > 1);
        int quantizable = 0;
        for (const LayerBinding &layer : listLayers(*graph))
            quantizable += layer.info.status == LayerStatus::Quantizable;
        QCOMPARE(quantizable, 2);
    }

    void nothingIsRun()
    {
        const auto graph = loadGraph(path("evil.pth"));
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        QCOMPARE(graph->parameters.size(), std::size_t(1));
        QVERIFY(!QFile::exists(QString::fromStdString(path("ran"))));
    }

    void refusals_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("says");
        QTest::newRow("module") << QStringLiteral("module.pth") << QStringLiteral("model.state_dict()");
        QTest::newRow("loop") << QStringLiteral("loop.pth") << QStringLiteral("nest without end");
        QTest::newRow("expanded") << QStringLiteral("expanded.pth") << QStringLiteral("repeats the values");
        QTest::newRow("old") << QStringLiteral("old.pth") << QStringLiteral("pickle");
    }
    void refusals()
    {
        QFETCH(QString, file);
        QFETCH(QString, says);
        const auto graph = loadGraph(path(file.toLatin1().constData()));
        QVERIFY(!graph.has_value());
        QVERIFY2(QString::fromStdString(graph.error().message).contains(says), graph.error().message.c_str());
    }

    void damagedFiles()
    {
        const QByteArray whole = readAll(path("plain.pth"));
        QVERIFY(whole.size() > 2000);
        for (qsizetype size = 0; size < whole.size(); size += 256)
            QVERIFY2(!load(whole.left(size)).has_value(), qPrintable(QString::number(size)));
        for (qsizetype at = 0; at < whole.size(); at += 7) {
            QByteArray damaged = whole;
            damaged[at] = char(damaged[at] ^ 0x41);
            const auto graph = load(damaged);
            QVERIFY(graph.has_value() || !graph.error().message.empty());
        }
    }

    // The pickle alone, where no checksum stands before the reader.
    void hostilePickles()
    {
        NoStorage storages;
        const std::string deep = std::string("\x80\x02", 2) + ")" + std::string(200000, '\x85') + ".";
        QVERIFY(!unpickleTensors(deep, storages).has_value());
        QVERIFY(!unpickleTensors(std::string(100000, '('), storages).has_value());
        QVERIFY(!unpickleTensors(std::string("X\xff\xff\xff\x7f", 5) + "a.", storages).has_value());
        QVERIFY(!unpickleTensors("cos\nsystem\n(U\x02idtR.", storages).has_value());
        const QByteArray whole = readAll(path("plain.pth"));
        const auto begin = whole.indexOf("\x80\x02"), end = whole.indexOf("PK", begin);
        const std::string pickle = whole.mid(begin, end - begin).toStdString();
        quint32 random = 1;
        for (int round = 0; round < 20000; ++round) {
            std::string damaged = pickle;
            for (int i = 0; i < 1 + round % 3; ++i) {
                random = random * 1664525U + 1013904223U;
                damaged[(random >> 8) % damaged.size()] = char(random >> 3);
            }
            try {
                const auto read = unpickleTensors(damaged, storages);
                QVERIFY(read.has_value() || !read.error().message.empty());
            } catch (const std::exception &) {
                continue;   // LibTorch's own refusal, which the front end turns into a sentence
            }
        }
    }
};

QTEST_GUILESS_MAIN(TestCheckpoint)
#include "tst_checkpoint.moc"
