// SPDX-License-Identifier: GPL-3.0-or-later
// What is checked of an archive before LibTorch sees it, and that its weights are not copied.
#include "frontends/archive_records.h"
#include "frontends/frontend.h"
#include "frontends/torchscript_archive.h"
#include "frontends/weights_file.h"
#include "sample_networks.h"

#include <QtCore/QDir>
#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

#include <fstream>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// Whether an address lies in a mapping of this file.
bool isMapped(const void *data, const std::string &path)
{
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0, end = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2 && line.ends_with(path) && begin <= std::uintptr_t(data) && std::uintptr_t(data) < end)
            return true;
    }
    return false;
}

StorageBytes storageOf(std::uint64_t bytes)
{
    return [bytes](const std::string &) -> Result<std::uint64_t> { return bytes; };
}

/// A pickle of one tensor of floats in a storage of `count`.
std::string tensorPickle(char count, char offset, char size, char stride)
{
    using namespace std::string_literals;
    return "\x80\x02"s + "ctorch._utils\n_rebuild_tensor_v2\n" + "((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"s + "0X\x03\0\0\0cpuK"s + count + "tQK" + offset + "K" +
           size + "\x85K" + stride + "\x85\x89}tR.";
}

} // namespace

class TestArchiveChecks : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void weightsAreMapped()
    {
        const std::string path = std::filesystem::canonical(samplePath("resnet20.pt2")).string();
        const auto graph = loadGraph(path);
        QVERIFY2(graph.has_value(), graph ? "" : graph.error().message.c_str());
        const Parameter *large = graph->parameter("layer3.0.conv2.weight");
        QVERIFY(large && large->tensor.is_contiguous());
        QVERIFY(isMapped(large->tensor.const_data_ptr(), path));
    }

    void recordsOfAnArchive()
    {
        auto records = ArchiveRecords::open(samplePath("resnet20.pt2"));
        QVERIFY2(records.has_value(), records ? "" : records.error().message.c_str());
        QVERIFY(records->has("archive_format") && !records->has("none"));
        QCOMPARE(records->text("archive_format").value_or(""), std::string("pt2"));
        const auto missing = records->bytes("none");
        QVERIFY(!missing && missing.error().message.find("none") != std::string::npos);
        QVERIFY(!ArchiveRecords::open(sourceFolder() + "/README.md"));
    }

    void nesting_data()
    {
        QTest::addColumn<QByteArray>("code");
        QTest::addColumn<int>("least");
        QTest::addColumn<int>("most");
        const auto row = [](const char *name, const QByteArray &code, int least, int most) { QTest::newRow(name) << code << least << most; };
        const QByteArray many = QByteArray("1, -2.5e-05, f(x), ").repeated(1000);
        row("a long list", "x = [" + many + "]", 2, 12);
        row("many lines", QByteArray("x = torch.add(a.b.c, -y, alpha=1)\n").repeated(1000), 3, 30);
        row("a long text", "x = \"" + QByteArray("((((\\\"((((").repeated(1000) + "\"", 1, 5);
        row("a long remark", "# " + QByteArray("(").repeated(1000) + "\nx = 1", 0, 5);
        row("brackets", QByteArray("(").repeated(1000), 1000, 1100);
        row("a sum", "x" + QByteArray(" + x").repeated(1000), 1000, 1100);
        row("words", QByteArray("not ").repeated(1000) + "x", 1000, 1100);
        row("calls in a row", "f" + QByteArray("()").repeated(1000), 1000, 3000);
        row("members in a row", "f" + QByteArray(".f").repeated(1000), 1000, 1100);
        row("over lines", QByteArray("(\n").repeated(1000), 1000, 1100);
        row("blocks", "x\n" + QByteArray(" ").repeated(1000) + "y", 1000, 1100);
    }
    void nesting()
    {
        QFETCH(QByteArray, code);
        QFETCH(int, least);
        QFETCH(int, most);
        const int found = int(torchscript::nestingOf(code.toStdString()));
        QVERIFY2(found >= least && found <= most, std::to_string(found).c_str());
    }

    void pickles()
    {
        using namespace std::string_literals;
        QVERIFY(checkPickle("\x80\x02]q\0K\x01h\0\x86."s, storageOf(0)).has_value() );
        const Status itself = checkPickle("\x80\x02]q\0h\0a."s, storageOf(0));
        QVERIFY(!itself && itself.error().message.find("itself") != std::string::npos);
        QVERIFY(checkPickle("\x80\x02)" + std::string(900, '\x85') + ".", storageOf(0)).has_value());
        const Status deep = checkPickle("\x80\x02)" + std::string(100000, '\x85') + ".", storageOf(0));
        QVERIFY(!deep && deep.error().message.find("deeper") != std::string::npos);
        QVERIFY(!checkPickle("\x80\x02\x85.", storageOf(0)));
        QVERIFY(!checkPickle("\x80\x02Nr\xff\xff\xff\x1f.", storageOf(0)));   // kept as number 536,870,911
        QVERIFY(checkPickle("\x80\x02Nr\x01\0\0\0."s, storageOf(0)).has_value());
        QVERIFY(!checkPickle("", storageOf(0)));
    }

    /// A network is run on samples when it is opened: what it calls must not reach other files.
    void touchesNoFiles_data()
    {
        QTest::addColumn<QString>("file");
        QTest::newRow("TorchScript") << QStringLiteral("torchscript-writes-a-file");
        QTest::newRow("pt2") << QStringLiteral("pt2-file-from-disk");
    }
    void touchesNoFiles()
    {
        QFETCH(QString, file);
        const QTemporaryDir folder;
        const QString before = QDir::currentPath();
        QVERIFY(QDir::setCurrent(folder.path()));
        const auto graph = loadGraph(BITWRIGHT_TEST_DATA "/compute/frontends/corpus/" + file.toStdString());
        QVERIFY(QDir::setCurrent(before));
        QVERIFY(!graph);
        QVERIFY2(graph.error().kind == ErrorKind::Unsupported, graph.error().message.c_str());
        QVERIFY(QDir(folder.path()).isEmpty());
    }

    void tensorsLieInTheirStorage()
    {
        // 6 floats: count, offset, size, stride
        const Status good = checkPickle(tensorPickle(6, 0, 6, 1), storageOf(24));
        QVERIFY2(good.has_value(), good ? "" : good.error().message.c_str());
        QVERIFY(checkPickle(tensorPickle(6, 4, 2, 1), storageOf(24)).has_value());
        QVERIFY(!checkPickle(tensorPickle(6, 0, 7, 1), storageOf(24)));
        QVERIFY(!checkPickle(tensorPickle(6, 5, 2, 1), storageOf(24)));
        QVERIFY(!checkPickle(tensorPickle(6, 0, 4, 2), storageOf(24)));
        QVERIFY(!checkPickle(tensorPickle(7, 0, 6, 1), storageOf(24)));   // more than the record has
    }
};

QTEST_APPLESS_MAIN(TestArchiveChecks)
#include "tst_archive_checks.moc"
