// SPDX-License-Identifier: GPL-3.0-or-later
// The vector kernels for free levels against a plain search, bit for bit.
#include "tensor/codebook.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

using namespace bitwright;

namespace {

float plain(const LevelTable &table, float x)
{
    if (std::isnan(x))
        return x;
    return table.levels[std::size_t(std::ranges::upper_bound(table.firsts, x) - table.firsts.begin())];
}

bool sameBits(float a, float b)
{
    return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0;
}

} // namespace

class TestCodebook : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void steps_data()
    {
        QTest::addColumn<int>("count");
        QTest::addColumn<QString>("spacing");
        for (const int count : {1, 2, 3, 7, 8, 15, 16, 17, 31, 64, 200, 256})
            for (const char *spacing : {"random", "even", "crowded", "equal", "unordered"})
                QTest::addRow("%d %s", count, spacing) << count << QString::fromLatin1(spacing);
    }
    void steps()
    {
        QFETCH(int, count);
        QFETCH(QString, spacing);
        at::manual_seed(count);
        at::Tensor levels = spacing == QLatin1String("even") ? at::linspace(-2, 2, count) : std::get<0>(at::randn({count}).sort());
        if (spacing == QLatin1String("crowded"))
            levels = levels.pow(9);
        if (spacing == QLatin1String("equal"))
            levels = (levels * 2).round() / 2;
        const std::vector<float> values(levels.const_data_ptr<float>(), levels.const_data_ptr<float>() + count);
        LevelTable table = nearestLevels(values);
        if (spacing == QLatin1String("unordered"))
            std::ranges::reverse(table.levels);
        // thresholds themselves, their neighbours, and what is no number
        std::vector<float> numbers{0.0f, -0.0f, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                                   std::numeric_limits<float>::quiet_NaN(), 3e38f, -3e38f, 1e-45f};
        for (const float first : table.firsts)
            for (const float v : {first, std::nextafter(first, -9e9f), std::nextafter(first, 9e9f)})
                numbers.push_back(v);
        const at::Tensor x = at::cat({at::tensor(numbers), at::randn({30011}) * 2});
        for (const at::Tensor &part : {x, x.slice(0, 0, 5), x.slice(0, 3, 40)}) {
            const at::Tensor in = part.contiguous(), y = toLevels(in, table), over = toLevels(in.clone(), table, true);
            for (std::int64_t i = 0; i < in.numel(); ++i) {
                const float wanted = plain(table, in.const_data_ptr<float>()[i]);
                QVERIFY2(sameBits(y.const_data_ptr<float>()[i], wanted), qPrintable(QString::number(double(in.const_data_ptr<float>()[i]))));
                QVERIFY(sameBits(over.const_data_ptr<float>()[i], wanted));
            }
        }
    }

    /// Groups over the first and over the last dimension, some with many levels and some with few.
    void groups()
    {
        at::manual_seed(3);
        const at::Tensor x = at::randn({3, 9000});
        StepTables tables;
        for (const int count : {2, 40, 256}) {
            const at::Tensor levels = std::get<0>(at::randn({count}).sort());
            tables.groups.push_back(nearestLevels({levels.const_data_ptr<float>(), std::size_t(count)}));
        }
        tables.axis = 0;
        const at::Tensor y = toLevels(x, tables);
        for (std::int64_t row = 0; row < 3; ++row)
            QVERIFY(at::equal(y[row], toLevels(x[row].contiguous(), tables.groups[std::size_t(row)])));
        tables.axis = 1;
        QVERIFY(at::equal(toLevels(x.t().contiguous(), tables), y.t()));
        tables.groups.pop_back();
        bool refused = false;
        try {
            (void)toLevels(x.t().contiguous(), tables);
        } catch (const c10::Error &) {
            refused = true;
        }
        QVERIFY(refused);
    }
};

QTEST_APPLESS_MAIN(TestCodebook)
#include "tst_codebook.moc"
