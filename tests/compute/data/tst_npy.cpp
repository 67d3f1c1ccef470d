// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/array_file.h"
#include "data/byte_source.h"
#include "data_support.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <limits>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> numbers(const at::Tensor &tensor)
{
    const at::Tensor flat = tensor.to(at::kDouble).contiguous().flatten();
    return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

std::string text(const at::Tensor &tensor)
{
    std::string all = std::string(at::toString(tensor.scalar_type())) + " (";
    for (const auto size : tensor.sizes())
        all += std::to_string(size) + ",";
    return all + ")";
}

} // namespace

class TestNpy : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { QVERIFY(m_folder.isValid()); }

    void types_data()
    {
        QTest::addColumn<QString>("type");
        QTest::addColumn<QByteArray>("body");
        QTest::addColumn<QString>("read");
        QTest::addColumn<QList<double>>("values");
        const auto row = [](const char *type, const std::string &body, const char *read, const QList<double> &values) {
            QTest::newRow(type) << QString(QLatin1String(type)) << QByteArray(body.data(), qsizetype(body.size()))
                                << QString(QLatin1String(read)) << values;
        };
        row("|b1", std::string("\x00\x01\x02", 3), "Bool (3,)", {0, 1, 1});
        row("|u1", std::string("\x00\x7f\xff", 3), "Byte (3,)", {0, 127, 255});
        row("|i1", std::string("\x00\x7f\xff", 3), "Char (3,)", {0, 127, -1});
        row("<i1", std::string("\x00\x7f\x80", 3), "Char (3,)", {0, 127, -128});
        row("<i2", packed<std::int16_t>({1, -2, 32767}), "Short (3,)", {1, -2, 32767});
        row(">i2", packed<std::int16_t>({1, -2, 32767}, true), "Short (3,)", {1, -2, 32767});
        row("<u2", packed<std::uint16_t>({1, 32768, 65535}), "Int (3,)", {1, 32768, 65535});
        row(">u2", packed<std::uint16_t>({1, 32768, 65535}, true), "Int (3,)", {1, 32768, 65535});
        row("<i4", packed<std::int32_t>({1, -70000, 2147483647}), "Int (3,)", {1, -70000, 2147483647});
        row(">i4", packed<std::int32_t>({1, -70000, 2147483647}, true), "Int (3,)", {1, -70000, 2147483647});
        row("=i4", packed<std::int32_t>({1, -70000, 3}), "Int (3,)", {1, -70000, 3});
        row("<u4", packed<std::uint32_t>({1, 2147483648U, 4294967295U}), "Long (3,)", {1, 2147483648.0, 4294967295.0});
        row(">u4", packed<std::uint32_t>({1, 2147483648U, 4294967295U}, true), "Long (3,)", {1, 2147483648.0, 4294967295.0});
        row("<i8", packed<std::int64_t>({1, -5, 1LL << 40}), "Long (3,)", {1, -5, 1099511627776.0});
        row(">i8", packed<std::int64_t>({1, -5, 1LL << 40}, true), "Long (3,)", {1, -5, 1099511627776.0});
        row("<u8", packed<std::uint64_t>({1, 5, 1ULL << 40}), "Long (3,)", {1, 5, 1099511627776.0});
        row(">u8", packed<std::uint64_t>({1, 5, 1ULL << 40}, true), "Long (3,)", {1, 5, 1099511627776.0});
        // IEEE 754 half: 0x3c00 is 1, 0xc100 is -2.5, 0x7bff is 65504
        row("<f2", packed<std::uint16_t>({0x3c00, 0xc100, 0x7bff}), "Half (3,)", {1, -2.5, 65504});
        row(">f2", packed<std::uint16_t>({0x3c00, 0xc100, 0x7bff}, true), "Half (3,)", {1, -2.5, 65504});
        row("<f4", packed<float>({0.5F, -1.25F, 3e10F}), "Float (3,)", {0.5, -1.25, 3e10F});
        row(">f4", packed<float>({0.5F, -1.25F, 3e10F}, true), "Float (3,)", {0.5, -1.25, 3e10F});
        row("<f8", packed<double>({0.1, -1e-300, kInfinity}), "Double (3,)", {0.1, -1e-300, kInfinity});
        row(">f8", packed<double>({0.1, -1e-300, kInfinity}, true), "Double (3,)", {0.1, -1e-300, kInfinity});
    }
    void types()
    {
        QFETCH(QString, type);
        QFETCH(QByteArray, body);
        QFETCH(QString, read);
        QFETCH(QList<double>, values);
        for (const int version : {1, 2, 3}) {
            const auto tensor = readNpy(file(npyFile(type.toStdString(), "(3,)", body.toStdString(), false, version)));
            QVERIFY2(tensor.has_value(), tensor ? "" : tensor.error().message.c_str());
            QCOMPARE(text(*tensor), read.toStdString());
            const auto got = numbers(*tensor);
            QCOMPARE(QList<double>(got.begin(), got.end()), values);
        }
    }

    void keepsNaN()
    {
        const auto tensor = readNpy(file(npyFile("<f4", "(2,)", packed<std::uint32_t>({0x7fc00000U, 0xff800000U}))));
        QVERIFY(tensor.has_value());
        QVERIFY(std::isnan((*tensor)[0].item<float>()));
        QCOMPARE((*tensor)[1].item<float>(), -std::numeric_limits<float>::infinity());
    }

    void shapes_data()
    {
        QTest::addColumn<QString>("shape");
        QTest::addColumn<int>("count");
        QTest::addColumn<QString>("read");
        QTest::newRow("none") << "()" << 1 << "Byte ()";
        QTest::newRow("one") << "(4,)" << 4 << "Byte (4,)";
        QTest::newRow("no comma") << "(4)" << 4 << "Byte (4,)";
        QTest::newRow("two") << "(2, 3)" << 6 << "Byte (2,3,)";
        QTest::newRow("four") << "(1, 2, 1, 3)" << 6 << "Byte (1,2,1,3,)";
        QTest::newRow("tight") << "(2,3)" << 6 << "Byte (2,3,)";
        QTest::newRow("Python 2") << "(2L, 3L)" << 6 << "Byte (2,3,)";
        QTest::newRow("empty") << "(0,)" << 0 << "Byte (0,)";
        QTest::newRow("empty rows") << "(3, 0, 2)" << 0 << "Byte (3,0,2,)";
        QTest::newRow("empty of many") << "(0, 1152921504606846976)" << 0 << "Byte (0,1152921504606846976,)";
    }
    void shapes()
    {
        QFETCH(QString, shape);
        QFETCH(int, count);
        QFETCH(QString, read);
        const auto tensor = readNpy(file(npyFile("|u1", shape.toStdString(), std::string(std::size_t(count), '\7'))));
        QVERIFY2(tensor.has_value(), tensor ? "" : tensor.error().message.c_str());
        QCOMPARE(text(*tensor), read.toStdString());
        QCOMPARE(tensor->sum().item<std::int64_t>(), std::int64_t(7 * count));
    }

    void headersOfOtherWriters()
    {
        const std::string body = packed<std::int16_t>({1, 2, 3, 4, 5, 6});
        for (const char *header : {"{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }",
                                   "{'shape':(2,3),'fortran_order':False,'descr':'<i2'}",
                                   "{\"descr\": \"<i2\", \"fortran_order\": False, \"shape\": (2, 3)}",
                                   "{'descr':   '<i2'  , 'fortran_order' :  False,   'shape' : ( 2 , 3 ) }"}) {
            const auto tensor = readNpy(file(npyAround(header, body)));
            QVERIFY2(tensor.has_value(), header);
            QVERIFY(at::equal(*tensor, at::tensor({1, 2, 3, 4, 5, 6}, at::kShort).reshape({2, 3})));
        }
    }

    void fortranOrder()
    {
        // numpy.asfortranarray([[1, 2, 3], [4, 5, 6]]).tobytes("A") is 1 4 2 5 3 6
        const auto bytes = npyFile("<i4", "(2, 3)", packed<std::int32_t>({1, 4, 2, 5, 3, 6}), true);
        const auto tensor = readNpy(file(bytes));
        QVERIFY(tensor.has_value());
        QVERIFY(tensor->is_contiguous());
        QCOMPARE(numbers(*tensor), (std::vector<double>{1, 2, 3, 4, 5, 6}));
        // index [i][j][k] lies at i + 2 j + 4 k in the file
        const auto cube = readNpy(file(npyFile(">i2", "(2, 2, 2)", packed<std::int16_t>({0, 1, 2, 3, 4, 5, 6, 7}, true), true)));
        QVERIFY(cube.has_value());
        QCOMPARE(numbers(*cube), (std::vector<double>{0, 4, 2, 6, 1, 5, 3, 7}));
        auto source = openFile(file(bytes));
        QVERIFY(source.has_value());
        std::int64_t total = 0;
        const auto second = readNpy(**source, 1, 1, &total);
        QVERIFY(second.has_value());
        QCOMPARE(text(*second), std::string("Int (1,3,)"));
        QCOMPARE(numbers(*second), (std::vector<double>{4, 5, 6}));
        QCOMPARE(total, std::int64_t(2));
    }

    void slices_data()
    {
        QTest::addColumn<qint64>("first");
        QTest::addColumn<qint64>("limit");
        QTest::addColumn<QList<double>>("values");
        QTest::newRow("all") << qint64(0) << qint64(-1) << QList<double>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        QTest::newRow("start") << qint64(0) << qint64(2) << QList<double>{0, 1, 2, 3};
        QTest::newRow("middle") << qint64(1) << qint64(2) << QList<double>{2, 3, 4, 5};
        QTest::newRow("end") << qint64(3) << qint64(-1) << QList<double>{6, 7, 8, 9};
        QTest::newRow("beyond the end") << qint64(4) << qint64(100) << QList<double>{8, 9};
        QTest::newRow("largest limit") << qint64(4) << std::numeric_limits<qint64>::max() << QList<double>{8, 9};
        QTest::newRow("nothing left") << qint64(5) << qint64(-1) << QList<double>{};
        QTest::newRow("far behind") << qint64(1) * std::numeric_limits<qint64>::max() << qint64(7) << QList<double>{};
        QTest::newRow("none asked") << qint64(1) << qint64(0) << QList<double>{};
    }
    void slices()
    {
        QFETCH(qint64, first);
        QFETCH(qint64, limit);
        QFETCH(QList<double>, values);
        const auto path = file(npyFile(">f8", "(5, 2)", packed<double>({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, true)));
        auto source = openFile(path);
        QVERIFY(source.has_value());
        std::int64_t total = 0;
        const auto tensor = readNpy(**source, first, limit, &total);
        QVERIFY2(tensor.has_value(), tensor ? "" : tensor.error().message.c_str());
        QCOMPARE(total, std::int64_t(5));
        QCOMPARE(tensor->dim(), std::int64_t(2));
        const auto got = numbers(*tensor);
        QCOMPARE(QList<double>(got.begin(), got.end()), values);
    }

    void refused_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<int>("kind");
        QTest::addColumn<QString>("says");
        const auto row = [](const char *name, const std::string &bytes, ErrorKind kind, const char *says) {
            QTest::newRow(name) << QByteArray(bytes.data(), qsizetype(bytes.size())) << int(kind) << QString(QLatin1String(says));
        };
        const std::string four(4, '\0');
        row("nothing", "", ErrorKind::Parse, "not a .npy file");
        row("text", "x,y\n1,2\n", ErrorKind::Parse, "not a .npy file");
        row("version 0", npyFile("<f4", "(1,)", four, false, 0), ErrorKind::Unsupported, "version 0");
        row("version 4", npyFile("<f4", "(1,)", four, false, 4), ErrorKind::Unsupported, "version 4");
        row("complex", npyFile("<c8", "(1,)", four + four), ErrorKind::Unsupported, "<c8");
        row("text array", npyFile("<U3", "(1,)", four + four + four), ErrorKind::Unsupported, "<U3");
        row("objects", npyFile("|O", "(1,)", four), ErrorKind::Parse, "type");
        row("dates", npyFile("<M8", "(1,)", four + four), ErrorKind::Unsupported, "<M8");
        row("long double", npyFile("<f16", "(1,)", std::string(16, '\0')), ErrorKind::Unsupported, "<f16");
        row("3-byte int", npyFile("<i3", "(1,)", std::string(3, '\0')), ErrorKind::Unsupported, "<i3");
        row("no width", npyFile("<f", "(1,)", four), ErrorKind::Parse, "type");
        row("huge width", npyFile("<f99999999999", "(1,)", four), ErrorKind::Unsupported, "<f99999999999");
        row("odd order", npyFile("?f4", "(1,)", four), ErrorKind::Unsupported, "?f4");
        row("structure", npyAround("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", four), ErrorKind::Unsupported, "structured");
        row("no type", npyAround("{'fortran_order': False, 'shape': (1,), }", four), ErrorKind::Parse, "type");
        row("no shape", npyAround("{'descr': '<f4', 'fortran_order': False, }", four), ErrorKind::Parse, "shape");
        row("no order", npyAround("{'descr': '<f4', 'shape': (1,), }", four), ErrorKind::Parse, "fortran_order");
        row("order 0", npyAround("{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }", four), ErrorKind::Parse, "fortran_order");
        row("negative", npyFile("<f4", "(-1,)", four), ErrorKind::Parse, "shape");
        row("fraction", npyFile("<f4", "(1.5,)", four), ErrorKind::Parse, "shape");
        row("a word", npyFile("<f4", "(one,)", four), ErrorKind::Parse, "shape");
        row("open shape", npyAround("{'descr': '<f4', 'fortran_order': False, 'shape': (1", four), ErrorKind::Parse, "shape");
        row("33 dimensions", npyFile("|u1", "(1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)", "a"), ErrorKind::Parse, "32 dimensions");
        row("too few", npyFile("<f4", "(2,)", four), ErrorKind::Parse, "truncated");
        row("too many", npyFile("<f4", "(1,)", four + "x"), ErrorKind::Parse, "more bytes");
        row("beyond 2^63", npyFile("<u8", "(1,)", packed<std::uint64_t>({1ULL << 63})), ErrorKind::Unsupported, "2^63");
        row("2^60 numbers", npyFile("<f4", "(1152921504606846976,)", four), ErrorKind::Parse, "promises");
        row("2^62 bytes", npyFile("<f4", "(1073741824, 1073741824)", four), ErrorKind::Parse, "promises");
        row("2^64 bytes", npyFile("<f8", "(2147483648, 1073741824)", four), ErrorKind::Parse, "promises");
        row("2^120", npyFile("<f4", "(1152921504606846976, 1152921504606846976)", four), ErrorKind::Parse, "promises");
        row("2^120 and none", npyFile("<f4", "(1152921504606846976, 1152921504606846976, 0)", ""), ErrorKind::Parse, "promises");
        row("size beyond int64", npyFile("<f4", "(99999999999999999999,)", four), ErrorKind::Parse, "shape");
        row("4 GiB header", std::string("\x93NUMPY\x02\0", 8) + packed<std::uint32_t>({0xffffffffU}), ErrorKind::Parse, "header");
    }
    void refused()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(int, kind);
        QFETCH(QString, says);
        const auto path = file(bytes.toStdString());
        const auto before = peakMemoryKiB();
        const auto tensor = readNpy(path);
        QVERIFY(!tensor.has_value());
        const auto &message = tensor.error().message;
        QVERIFY2(message.starts_with(path) && message.find(says.toStdString()) != std::string::npos, message.c_str());
        QVERIFY2(message.find("; ") != std::string::npos || says == QLatin1String("version 0"), message.c_str());   // how to mend
        QCOMPARE(int(tensor.error().kind), kind);
        QVERIFY(peakMemoryKiB() - before < 32 * 1024);
    }

    void refusedPaths()
    {
        const auto missing = readNpy(path("missing.npy"));
        QVERIFY(!missing && missing.error().kind == ErrorKind::Io);
        QVERIFY(missing.error().message.find("no such file") != std::string::npos);
        const auto folder = readNpy(m_folder.path().toStdString());
        QVERIFY(!folder && folder.error().message.find("not a file") != std::string::npos);
        QVERIFY(!readNpy("/dev/zero"));
        QVERIFY(!readNpy(""));
    }

    void damage()
    {
        const auto whole = npyFile(">i2", "(4, 3)", packed<std::int16_t>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, true));
        const auto path = this->path("damaged.npy");
        const ReadTensor read = [](const std::string &name) { return readNpy(name); };
        const auto before = peakMemoryKiB();
        const auto cut = cutEverywhere(whole, path, read, [](const at::Tensor &) { return false; });
        QCOMPARE(cut.silent, std::string());
        QCOMPARE(cut.errors, int(whole.size()));
        // no check sum: another number, type or order may come, but never more than the 24 bytes that are there
        const auto flipped = flipEverywhere(whole, path, read, [](const at::Tensor &t) { return t.numel() <= 24; });
        QCOMPARE(flipped.silent, std::string());
        QVERIFY(flipped.errors > 0 && flipped.reads > 0);
        QVERIFY(peakMemoryKiB() - before < 32 * 1024);
    }

    void writes()
    {
        const auto path = this->path("written.npy");
        const at::Tensor tensor = at::tensor({1.5F, -2.0F, 0.0F, 4.0F, 5.0F, 6.0F}).reshape({2, 3});
        QVERIFY(writeNpy(path, tensor).has_value());
        const auto bytes = readBytes(path);
        QCOMPARE(bytes, npyBytes(tensor));
        QCOMPARE(bytes.size(), std::size_t(128 + 24));   // the body starts at a multiple of 64
        QCOMPARE(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
        QVERIFY(bytes.find("'descr': '<f4'") != std::string::npos);
        QVERIFY(bytes.find("'fortran_order': False") != std::string::npos);
        QVERIFY(bytes.find("'shape': (2, 3") != std::string::npos);
        QCOMPARE(bytes[127], '\n');
        QCOMPARE(bytes.substr(128), packed<float>({1.5F, -2.0F, 0, 4, 5, 6}));
        // a view is written in the order of its indices
        QCOMPARE(npyBytes(tensor.t()).substr(128), packed<float>({1.5F, 4, -2.0F, 5, 0, 6}));
        // bfloat16 has no name in numpy
        const at::Tensor brain = at::tensor({1.5F, -2.0F}).to(at::kBFloat16);
        QCOMPARE(npyBytes(brain).substr(128), packed<float>({1.5F, -2.0F}));
        const auto refused = writeNpy(this->path("no_such_folder/x.npy"), tensor);
        QVERIFY(!refused && refused.error().message.find("no_such_folder/x.npy") != std::string::npos);
        QVERIFY(!writeNpy(m_folder.path().toStdString(), tensor).has_value());
        QVERIFY(!writeNpy("/dev/full", tensor).has_value());
    }

    void roundTrip()
    {
        at::manual_seed(1);
        const auto path = this->path("round.npy");
        for (const auto type : {at::kByte, at::kChar, at::kBool, at::kShort, at::kInt, at::kLong, at::kHalf, at::kFloat, at::kDouble}) {
            for (const auto &shape : {std::vector<std::int64_t>{}, {0}, {7}, {2, 3}, {3, 0, 2}, {2, 1, 3, 2}}) {
                const at::Tensor tensor = (at::randn(shape) * 50).abs().to(type);
                QVERIFY(writeNpy(path, tensor).has_value());
                const auto back = readNpy(path);
                QVERIFY2(back.has_value(), back ? "" : back.error().message.c_str());
                QCOMPARE(text(*back), text(tensor));
                QVERIFY(at::equal(*back, tensor));
            }
        }
    }

    void oneArrayAsArrays()
    {
        const auto arrays = readArrays(file(npyFile("|u1", "(2,)", "ab")));
        QVERIFY(arrays.has_value());
        QCOMPARE(arrays->size(), std::size_t(1));
        QCOMPARE((*arrays)[0].first, std::string());
        QCOMPARE(numbers((*arrays)[0].second), (std::vector<double>{97, 98}));
    }

private:
    std::string path(const std::string &name) const { return m_folder.path().toStdString() + "/" + name; }
    std::string file(const std::string &bytes) const { return writeBytes(path("array.npy"), bytes); }
    QTemporaryDir m_folder;
};

QTEST_APPLESS_MAIN(TestNpy)
#include "tst_npy.moc"
