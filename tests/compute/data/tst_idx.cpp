// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/idx.h"
#include "data_support.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <limits>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// Three pictures of 2 x 2: 0 1 2 3, 10 11 12 13, 20 21 22 23.
const std::string kImages = idxFile(8, {3, 2, 2}, {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23});
const std::string kLabels = idxFile(8, {3}, {7, 0, 9});

} // namespace

class TestIdx : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { QVERIFY(m_folder.isValid()); }

    void types_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("type");
        QTest::addColumn<QList<double>>("values");
        const auto row = [](const char *name, int type, const std::string &body, const QList<double> &values) {
            const auto bytes = idxFile(type, {std::uint32_t(values.size())}, body);
            QTest::newRow(name) << QByteArray(bytes.data(), qsizetype(bytes.size())) << QString(QLatin1String(name)) << values;
        };
        row("Byte", 0x08, {'\0', '\x7f', '\xff'}, {0, 127, 255});
        row("Char", 0x09, {'\0', '\x7f', '\xff'}, {0, 127, -1});
        row("Short", 0x0b, packed<std::int16_t>({1, -300}, true), {1, -300});
        row("Int", 0x0c, packed<std::int32_t>({70000, -70000}, true), {70000, -70000});
        row("Float", 0x0d, packed<float>({0.5F, -1.25F}, true), {0.5, -1.25});
        row("Double", 0x0e, packed<double>({0.1, -1e300}, true), {0.1, -1e300});
    }
    void types()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, type);
        QFETCH(QList<double>, values);
        for (const bool gzip : {false, true}) {
            const auto tensor = readIdx(file("numbers", gzip ? gzipped(bytes.toStdString()) : bytes.toStdString()));
            QVERIFY2(tensor.has_value(), tensor ? "" : tensor.error().message.c_str());
            QCOMPARE(QString(QLatin1String(at::toString(tensor->scalar_type()))), type);
            const at::Tensor flat = tensor->to(at::kDouble);
            QCOMPARE(QList<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()), values);
        }
    }

    void slices_data()
    {
        QTest::addColumn<qint64>("first");
        QTest::addColumn<qint64>("limit");
        QTest::addColumn<QList<int>>("firstPixels");
        QTest::newRow("all") << qint64(0) << qint64(-1) << QList<int>{0, 10, 20};
        QTest::newRow("one") << qint64(0) << qint64(1) << QList<int>{0};
        QTest::newRow("middle") << qint64(1) << qint64(1) << QList<int>{10};
        QTest::newRow("rest") << qint64(1) << qint64(-1) << QList<int>{10, 20};
        QTest::newRow("more than there is") << qint64(2) << std::numeric_limits<qint64>::max() << QList<int>{20};
        QTest::newRow("behind the end") << qint64(3) << qint64(5) << QList<int>{};
        QTest::newRow("far behind") << std::numeric_limits<qint64>::max() << qint64(5) << QList<int>{};
    }
    void slices()
    {
        QFETCH(qint64, first);
        QFETCH(qint64, limit);
        QFETCH(QList<int>, firstPixels);
        for (const bool gzip : {false, true}) {
            std::int64_t total = 0;
            const auto tensor = readIdx(file("images", gzip ? gzipped(kImages) : kImages), first, limit, &total);
            QVERIFY2(tensor.has_value(), tensor ? "" : tensor.error().message.c_str());
            QCOMPARE(total, std::int64_t(3));
            QCOMPARE(tensor->sizes().vec(), (std::vector<std::int64_t>{firstPixels.size(), 2, 2}));
            for (qsizetype i = 0; i < firstPixels.size(); ++i)
                for (int k = 0; k < 4; ++k)
                    QCOMPARE((*tensor)[i].flatten()[k].item<int>(), firstPixels[i] + k);
        }
    }

    void refused_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("says");
        const auto row = [](const char *name, const std::string &bytes, const char *says) {
            QTest::newRow(name) << QByteArray(bytes.data(), qsizetype(bytes.size())) << QString(QLatin1String(says));
            const auto packed = gzipped(bytes);
            QTest::addRow("%s, gzip", name) << QByteArray(packed.data(), qsizetype(packed.size())) << QString(QLatin1String(says));
        };
        row("nothing", "", "not an IDX file");
        row("text", "hello, world", "not an IDX file");
        row("no dimensions", idxFile(8, {}, "a"), "not an IDX file");
        row("nine dimensions", idxFile(8, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "a"), "not an IDX file");
        row("unknown type", idxFile(0x0a, {1}, "a"), "number type");
        row("no sizes", {'\0', '\0', '\x08', '\x03'}, "truncated");
        row("one byte short", idxFile(8, {3}, "ab"), "");
        row("one byte more", idxFile(8, {3}, "abcd"), "more bytes");
        row("2^32 pictures", idxFile(8, {0xffffffffU, 28, 28}, "abcd"), "promises");
        row("2^60 bytes", idxFile(8, {0x40000000U, 0x40000000U}, "abcd"), "promises");
        row("2^99 bytes", idxFile(0x0e, {0xffffffffU, 0xffffffffU, 0xffffffffU}, "abcd"), "promises");
    }
    void refused()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, says);
        const auto path = file("bad", bytes.toStdString());
        const auto before = peakMemoryKiB();
        const auto tensor = readIdx(path);
        QVERIFY(!tensor.has_value());
        const auto &message = tensor.error().message;
        QVERIFY2(message.starts_with(path) && message.find(says.toStdString()) != std::string::npos, message.c_str());
        QVERIFY(peakMemoryKiB() - before < 32 * 1024);
    }

    void refusedPaths()
    {
        QVERIFY(!readIdx(m_folder.path().toStdString()));
        QVERIFY(!readIdx(m_folder.path().toStdString() + "/no_such_file"));
        QVERIFY(!readIdx("/dev/zero"));
    }

    void damage()
    {
        const auto path = file("damaged", "");
        const ReadTensor read = [](const std::string &name) { return readIdx(name); };
        const auto before = peakMemoryKiB();
        const at::Tensor wanted = *readIdx(file("images", kImages));
        const auto cut = cutEverywhere(kImages, path, read, [](const at::Tensor &) { return false; });
        QCOMPARE(cut.silent, std::string());
        QCOMPARE(cut.errors, int(kImages.size()));
        const auto flipped = flipEverywhere(kImages, path, read, [](const at::Tensor &t) { return t.nbytes() <= 12; });
        QCOMPARE(flipped.silent, std::string());
        QVERIFY(flipped.errors > 0);
        // gzip carries a sum: what is read is right
        const Acceptable right = [&wanted](const at::Tensor &tensor) { return at::equal(tensor, wanted); };
        const auto packed = gzipped(kImages);
        const auto cutPacked = cutEverywhere(packed, path, read, right);
        QCOMPARE(cutPacked.silent, std::string());
        QCOMPARE(cutPacked.errors, int(packed.size()));
        const auto flippedPacked = flipEverywhere(packed, path, read, right);
        QCOMPARE(flippedPacked.silent, std::string());
        QVERIFY(flippedPacked.errors > int(packed.size()));
        QVERIFY(peakMemoryKiB() - before < 32 * 1024);
    }

    void findsPairs_data()
    {
        QTest::addColumn<QStringList>("files");
        QTest::addColumn<QString>("split");
        QTest::addColumn<QString>("images");   // empty: refused
        QTest::addColumn<QString>("labels");   // or what the error says
        const QString ti = QStringLiteral("t10k-images-idx3-ubyte"), tl = QStringLiteral("t10k-labels-idx1-ubyte");
        const QString ri = QStringLiteral("train-images-idx3-ubyte"), rl = QStringLiteral("train-labels-idx1-ubyte");
        const QString gz = QStringLiteral(".gz"), test = QStringLiteral("test"), train = QStringLiteral("train");
        QTest::newRow("MNIST, test") << QStringList{ti, tl, ri, rl} << test << ti << tl;
        QTest::newRow("MNIST, train") << QStringList{ti, tl, ri, rl} << train << ri << rl;
        QTest::newRow("gzip") << QStringList{ti + gz, tl + gz, ri + gz, rl + gz} << train << ri + gz << rl + gz;
        QTest::newRow("plain before gzip") << QStringList{ti, ti + gz, tl, tl + gz} << test << ti << tl;
        QTest::newRow("labels packed alone") << QStringList{ti, tl + gz} << test << ti << tl + gz;
        QTest::newRow("images packed alone") << QStringList{ti + gz, tl} << test << ti + gz << tl;
        QTest::newRow("EMNIST") << QStringList{QStringLiteral("emnist-digits-test-images-idx3-ubyte"), QStringLiteral("emnist-digits-test-labels-idx1-ubyte")}
                                << test << QStringLiteral("emnist-digits-test-images-idx3-ubyte") << QStringLiteral("emnist-digits-test-labels-idx1-ubyte");
        QTest::newRow("no labels") << QStringList{ti, rl} << test << QString() << QStringLiteral("labels belong beside");
        QTest::newRow("no such split") << QStringList{ri, rl} << test << QString() << QStringLiteral("test split");
        QTest::newRow("empty folder") << QStringList{} << train << QString() << QStringLiteral("train split");
        QTest::newRow("two sets") << QStringList{QStringLiteral("a-test-images-idx3-ubyte"), QStringLiteral("b-test-images-idx3-ubyte")} << test
                                  << QString() << QStringLiteral("several");
        QTest::newRow("unfinished download") << QStringList{ti + QStringLiteral(".part")} << test << QString() << QStringLiteral("test split");
    }
    void findsPairs()
    {
        QFETCH(QStringList, files);
        QFETCH(QString, split);
        QFETCH(QString, images);
        QFETCH(QString, labels);
        const QTemporaryDir folder;
        const auto root = folder.path().toStdString() + "/";
        for (const auto &name : files)
            writeBytes(root + name.toStdString(), "x");
        const auto pair = findIdxPair(folder.path().toStdString(), split.toStdString());
        QCOMPARE(pair.has_value(), !images.isEmpty());
        if (!pair) {
            QVERIFY2(pair.error().message.find(labels.toStdString()) != std::string::npos, pair.error().message.c_str());
            return;
        }
        QCOMPARE(pair->images, root + images.toStdString());
        QCOMPARE(pair->labels, root + labels.toStdString());
        const auto direct = findIdxPair(root + images.toStdString(), "train");   // the file itself, whatever the split
        QVERIFY(direct.has_value());
        QCOMPARE(direct->labels, root + labels.toStdString());
    }

    void labelsOfTheSamples()
    {
        const auto labels = readIdx(file("labels", gzipped(kLabels)));
        QVERIFY(labels.has_value());
        QVERIFY(at::equal(*labels, at::tensor({7, 0, 9}, at::kByte)));
    }

private:
    std::string file(const std::string &name, const std::string &bytes) const
    {
        return writeBytes(m_folder.path().toStdString() + "/" + name, bytes);
    }
    QTemporaryDir m_folder;
};

QTEST_APPLESS_MAIN(TestIdx)
#include "tst_idx.moc"
