// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/pack_bits.h"
#include "exporters/pack_file.h"
#include "quant/quantizer.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::pack;

namespace {

/// A weight of `count` elements in 8 rows on the grid of `method`, `keep` in a hundred of them kept.
struct Sample {
    at::Tensor weight;
    QuantGrid grid;
    Mask mask;
};

Sample sampleOf(const char *method, int bits, bool channel, int keep)
{
    at::manual_seed(5);
    at::Tensor x = at::randn({8, 300}) * 0.1;
    QuantSpec spec{method, bits, {}, {}};
    if (channel)
        spec.options["granularity"] = std::string("channel");
    auto quantizer = std::move(*makeQuantizer(spec, {"conv", Role::Weight, 0, false}));
    Sample made;
    if (keep < 100) {
        const at::Tensor kept = (at::rand({8, 300}) * 100 < keep).to(at::kByte).contiguous();
        made.mask = Mask::fromKept({kept.const_data_ptr<std::uint8_t>(), 2400});
        (void)quantizer->calibrate(x.masked_fill(kept == 0, std::nan("")));
        made.weight = quantizer->apply(x, false) * kept;
    } else {
        (void)quantizer->calibrate(x);
        made.weight = quantizer->apply(x, false);
    }
    made.grid = quantizer->grid();
    return made;
}

PackFile fileOf()
{
    PackFile file;
    file.assignment = {{"schema", "bitwright/assignment/1"}};
    const Sample dense = sampleOf("uniform", 4, true, 100), sparse = sampleOf("kmeans", 3, false, 10);
    file.tensors.push_back(packTensor("a.weight", dense.weight, &dense.grid, 0, 4, {}));
    file.tensors.push_back(packTensor("b.weight", sparse.weight, &sparse.grid, 0, 3, sparse.mask));
    file.tensors.push_back(packTensor("b.bias", at::arange(5, at::kFloat), nullptr, -1, 32, {}));
    file.tensors.push_back(packTensor("count", at::scalar_tensor(7, at::kLong), nullptr, -1, 32, {}));
    file.tensors.push_back(packTensor("none", at::empty({0, 3}), nullptr, -1, 32, {}));
    return file;
}

} // namespace

class TestPack : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void bits()
    {
        BitWriter out;
        out.put(0b101, 3);
        out.put(0x1ffffffffULL, 33);
        out.put(0, 1);
        out.put(1, 1);
        const std::string bytes = out.finish();
        // by hand: the first bit in the lowest place; 3 + 33 + 2 bits are 5 bytes
        QCOMPARE(QByteArray::fromStdString(bytes), QByteArray("\xfd\xff\xff\xff\x2f", 5));
        BitReader in(bytes);
        QCOMPARE(in.take(3), std::uint64_t(0b101));
        QCOMPARE(in.take(33), std::uint64_t(0x1ffffffff));
        QCOMPARE(in.take(2), std::uint64_t(2));
        QVERIFY(in.ok());
        (void)in.take(3);
        QVERIFY(!in.ok());
    }

    void streams_data()
    {
        QTest::addColumn<int>("alphabet");
        QTest::addColumn<bool>("skewed");
        for (const int alphabet : {1, 2, 3, 16, 17, 256, 257, 4096, 65535})
            for (const bool skewed : {false, true})
                QTest::addRow("%d %d", alphabet, skewed) << alphabet << skewed;
    }
    void streams()
    {
        QFETCH(int, alphabet);
        QFETCH(bool, skewed);
        std::vector<std::uint16_t> symbols;
        std::uint32_t state = 1;
        for (int i = 0; i < 20000; ++i) {
            state = state * 1664525 + 1013904223;
            const auto any = std::uint16_t((state >> 8) % std::uint32_t(alphabet));
            symbols.push_back(skewed && i % 10 ? std::uint16_t(0) : any);
        }
        std::vector<std::uint64_t> counts(std::size_t(alphabet), 0);
        for (const auto symbol : symbols)
            ++counts[symbol];
        const Stream plan = planStream(counts);
        const std::string bytes = writeStream(plan, symbols, std::uint64_t(alphabet));
        QCOMPARE(std::uint64_t(bytes.size()), plan.bytes);   // a dry run counts exactly
        const std::string more = bytes + "rest";
        std::string_view view = more;
        const auto back = readStream(view, plan.coding, symbols.size(), std::uint64_t(alphabet));
        QVERIFY(back.has_value());
        QVERIFY(*back == symbols && view == "rest");
        if (alphabet > 1) {
            std::string_view cut(bytes.data(), bytes.size() / 2);
            QVERIFY(!readStream(cut, plan.coding, symbols.size(), std::uint64_t(alphabet)).has_value());
        }
    }

    void tensors_data()
    {
        QTest::addColumn<QString>("method");
        QTest::addColumn<int>("width");
        QTest::addColumn<bool>("channel");
        QTest::addColumn<int>("keep");
        for (const int keep : {100, 90, 50, 20, 5, 1, 0})
            for (const int bits : {1, 2, 4, 8}) {
                QTest::addRow("kmeans %d, %d kept", bits, keep) << "kmeans" << bits << false << keep;
                if (bits > 1)
                    QTest::addRow("uniform %d, %d kept", bits, keep) << "uniform" << bits << (keep == 50) << keep;
            }
    }
    void tensors()
    {
        QFETCH(QString, method);
        QFETCH(int, width);
        QFETCH(bool, channel);
        QFETCH(int, keep);
        const Sample sample = sampleOf(qPrintable(method), width, channel, keep);
        const PackedTensor packed = packTensor("w", sample.weight, &sample.grid, 0, width, sample.mask);
        QVERIFY(packed.quantized);
        // L1.9: never more than the plain codes of I1 with their levels, positions as a bitmap
        const std::size_t plain = std::size_t(2400 * width / 8 + (sample.mask.empty() ? 0 : 300)) + std::size_t(sample.grid.sideBits / 8) + 8;
        QVERIFY2(packed.payload.size() <= plain, packed.describe().c_str());
        PackedTensor header = *tensorFromHeader(tensorHeader(packed), 2400);
        header.payload = packed.payload;
        const auto back = unpackTensor(header);
        QVERIFY2(back.has_value(), back ? "" : back.error().message.c_str());
        QVERIFY(at::equal(*back, sample.weight));
    }

    /// A kept weight whose level is exactly zero is not a pruned one.
    void zeroCentroid()
    {
        QuantGrid grid;
        grid.uniform = false;
        grid.groups.push_back({0, 0, {-1, 0, 1, 2}, {-.5, .5, 1.5}});
        const Mask mask = Mask::fromKept(std::vector<std::uint8_t>{1, 0, 1, 0, 0, 1, 0, 0});
        const at::Tensor weight = at::tensor({0.0f, 0.0f, 2.0f, 0.0f, 0.0f, -1.0f, 0.0f, 0.0f});
        const PackedTensor packed = packTensor("w", weight, &grid, 0, 2, mask);
        QVERIFY(packed.positions != Positions::All);
        QVERIFY(packed.positions == Positions::Code || packed.entries >= mask.keptCount());
        QVERIFY(at::equal(*unpackTensor(packed), weight));
    }

    /// Pruned float weights: values of the kept ones and a bitmap.
    void sparseFloat()
    {
        const Sample sample = sampleOf("kmeans", 8, false, 10);
        const at::Tensor noise = at::where(sample.weight != 0, sample.weight + 1e-5, at::zeros({}));
        const PackedTensor packed = packTensor("w", noise, nullptr, -1, 32, sample.mask);
        QVERIFY(!packed.quantized && packed.payload.size() <= 4 * std::size_t(sample.mask.keptCount()) + 300);
        QVERIFY(at::equal(*unpackTensor(packed), noise));
    }

    void file()
    {
        const PackFile file = fileOf();
        const auto back = parse(serialize(file));
        QVERIFY2(back.has_value(), back ? "" : back.error().message.c_str());
        QVERIFY(back->assignment == file.assignment);
        QCOMPARE(back->tensors.size(), file.tensors.size());
        for (std::size_t i = 0; i < file.tensors.size(); ++i) {
            QCOMPARE(back->tensors[i].name, file.tensors[i].name);
            QVERIFY(at::equal(*unpackTensor(back->tensors[i]), *unpackTensor(file.tensors[i])));
        }
        QCOMPARE(unpackTensor(back->tensors[3])->item<std::int64_t>(), std::int64_t(7));
    }

    /// Whatever is cut off or flipped is an error: each byte is under a checksum.
    void damagedFiles()
    {
        const std::string good = serialize(fileOf());
        for (std::size_t length = 0; length < good.size(); length += 1 + length / 16)
            QVERIFY(!parse(std::string_view(good).substr(0, length)).has_value());
        for (std::size_t at = 0; at < good.size(); at += 1 + at / 16) {
            std::string bad = good;
            bad[at] = char(bad[at] ^ 0x10);
            const auto parsed = parse(bad);
            QVERIFY2(!parsed.has_value(), qPrintable(QString::number(at)));
            QVERIFY(parsed.error().message.find(';') != std::string::npos);
        }
        QVERIFY(!parse(good + "x").has_value());
    }

    void hostileHeaders_data()
    {
        QTest::addColumn<QString>("key");
        QTest::addColumn<QString>("value");
        QTest::addRow("huge shape") << "shape" << "[1000000,1000000]";
        QTest::addRow("negative shape") << "shape" << "[-1]";
        QTest::addRow("shape too large") << "shape" << "[9223372036854775807,2]";
        QTest::addRow("no list") << "shape" << "7";
        QTest::addRow("no levels") << "levels" << "0";
        QTest::addRow("many levels") << "levels" << "70000";
        QTest::addRow("axis") << "axis" << "2";
        QTest::addRow("type") << "type" << "\"float8\"";
        QTest::addRow("grid") << "grid" << "\"spiral\"";
        QTest::addRow("positions") << "positions" << "\"tree\"";
        QTest::addRow("gap") << "gap_bits" << "9";
        QTest::addRow("entries") << "entries" << "2401";
        QTest::addRow("codes") << "codes" << "3";
        QTest::addRow("name") << "name" << "null";
    }
    void hostileHeaders()
    {
        QFETCH(QString, key);
        QFETCH(QString, value);
        const Sample sample = sampleOf("kmeans", 3, false, 10);
        auto header = tensorHeader(packTensor("w", sample.weight, &sample.grid, 0, 3, sample.mask));
        QVERIFY(tensorFromHeader(header, 1 << 20).has_value());
        header[key.toStdString()] = nlohmann::json::parse(value.toStdString());
        QVERIFY(!tensorFromHeader(header, 1 << 20).has_value());
    }

    /// A payload that its checksum covers may still say nonsense.
    void hostilePayloads()
    {
        const Sample sample = sampleOf("kmeans", 3, false, 10);
        const PackedTensor good = packTensor("w", sample.weight, &sample.grid, 0, 3, sample.mask);
        for (std::size_t at = 0; at < good.payload.size(); ++at) {
            PackedTensor bad = good;
            bad.payload[at] = char(bad.payload[at] ^ 0x42);
            (void)unpackTensor(bad);   // a tensor or an error, never a crash
            bad.payload.resize(at);
            QVERIFY(!unpackTensor(bad).has_value());
        }
        for (const auto change : {0, 1, 2}) {
            PackedTensor bad = good;
            bad.entries = change == 0 ? 2400 : change == 1 ? 1 : bad.entries + 1;
            QVERIFY(!unpackTensor(bad).has_value());
        }
    }
};

QTEST_APPLESS_MAIN(TestPack)
#include "tst_pack.moc"
