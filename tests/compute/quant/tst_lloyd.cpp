// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

#include "quant/mid_rise.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

using namespace bitwright;
using namespace bitwright::testing;

class TestLloyd : public QObject {
    Q_OBJECT

    /// Least squared error of w8() on 2^bits evenly spaced levels of any limit.
    static std::pair<double, double> bestMidRise(int bits)
    {
        std::pair best{1e9, 0.0};
        for (int i = 1; i <= 20000; ++i) {
            const double limit = i * 1e-4;
            const at::Tensor q = toLevels(w8(), midRise(limit, bits));
            best = std::min(best, {(q - w8()).to(at::kDouble).pow(2).sum().item<double>(), limit});
        }
        return best;
    }
    /// Least squared error of sorted values in `count` stretches, each about its own mean: least(level, j) = min over i of
    /// least(level - 1, i) + error(i, j), where the best i never falls as j grows.
    static double leastError(const std::vector<double> &x, int count)
    {
        const int n = int(x.size());
        std::vector<double> sum(x.size() + 1, 0), squares(x.size() + 1, 0);
        const double center = std::accumulate(x.begin(), x.end(), 0.0) / n;
        for (std::size_t i = 0; i < x.size(); ++i) {
            sum[i + 1] = sum[i] + (x[i] - center);
            squares[i + 1] = squares[i] + (x[i] - center) * (x[i] - center);
        }
        const auto error = [&](int i, int j) {
            const double s = sum[std::size_t(j)] - sum[std::size_t(i)];
            return squares[std::size_t(j)] - squares[std::size_t(i)] - s * s / (j - i);
        };
        std::vector<double> least(x.size() + 1, 0), next;
        for (int j = 1; j <= n; ++j)
            least[std::size_t(j)] = error(0, j);
        struct Job { int low, high, first, last; };   // ends low to high, whose last stretch begins at first to last
        for (int level = 1; level < count; ++level) {
            next = least;
            std::vector<Job> jobs{{level + 1, n, level, n - 1}};
            while (!jobs.empty()) {
                const Job job = jobs.back();
                jobs.pop_back();
                if (job.low > job.high)
                    continue;
                const int middle = (job.low + job.high) / 2;
                double best = std::numeric_limits<double>::infinity();
                int at = job.first;
                for (int i = job.first; i <= std::min(job.last, middle - 1); ++i)
                    if (const double whole = least[std::size_t(i)] + error(i, middle); whole < best) {
                        best = whole;
                        at = i;
                    }
                next[std::size_t(middle)] = best;
                jobs.push_back({job.low, middle - 1, job.first, at});
                jobs.push_back({middle + 1, job.high, at, job.last});
            }
            least = next;
        }
        return least.back();
    }

private Q_SLOTS:
    void optimum()
    {
        const auto q = weight("lloyd", 2);
        QVERIFY(near(q.grid.levels(0), {-0.95, -0.083333, 0.65, 1.5}) && near(objective(q), 0.331667));
        QVERIFY(near(weight("lloyd", 1).grid.levels(0), {-0.43, 0.933333}) && near(objective(weight("lloyd", 1)), 1.714667));
        QVERIFY(near(weight("lloyd", 1).gradInput, {0, 0, 0.3, 0.4, 0.5, 0.6, 0.7, 0}));   // between the outermost levels
        QCOMPARE(q.sideInformationBits, 128.0);
    }
    /// The ladder of methods.md, section 0: four levels on the same eight values.
    void ladder()
    {
        const auto [even, limit] = bestMidRise(2);
        QVERIFY(near(limit, 1.1578, 2e-3));
        const double steps[] = {objective(weight("lloyd", 2)), objective(weight("lqnets", 2, {{"basis", "0.3|0.6"}, {"granularity", "tensor"}})), even,
                                objective(weight("sawb", 2)), objective(weight("uniform", 2, {{"range", "mse"}})), objective(weight("uniform", 2))};
        const double wanted[] = {0.331667, 0.449375, 0.486172, 0.492318, 0.630100, 1.2025};
        for (std::size_t i = 0; i < std::size(steps); ++i)
            QVERIFY(near(steps[i], wanted[i]) && (i == 0 || steps[i - 1] < steps[i]));
    }
    /// Against every way to part eleven values into three stretches.
    void exhaustive()
    {
        at::manual_seed(9);
        for (int round = 0; round < 10; ++round) {
            const at::Tensor x = std::get<0>(at::randn({11}).sort());
            double best = 1e9;
            const auto error = [&](std::int64_t a, std::int64_t b) {
                const at::Tensor part = x.slice(0, a, b).to(at::kDouble);
                return (part - part.mean()).pow(2).sum().item<double>();
            };
            for (std::int64_t i = 1; i < 9; ++i)
                for (std::int64_t j = i + 1; j < 10; ++j)
                    for (std::int64_t k = j + 1; k < 11; ++k)
                        best = std::min(best, error(0, i) + error(i, j) + error(j, k) + error(k, 11));
            QVERIFY(near(objective(quantized("lloyd", 2, Role::Weight, x)), best, 1e-3));
        }
    }
    /// Big tensors are grouped first: never worse than k-means from any start by more than half a percent.
    void big()
    {
        at::manual_seed(10);
        const at::Tensor x = at::randn({300000});
        for (const int bits : {2, 4, 6})
            QVERIFY(quantized("lloyd", bits, Role::Weight, x).mse <= 1.005 * quantized("kmeans", bits, Role::Weight, x, {{"init", "density"}}).mse);
    }
    /// The half percent of methods.md B1. All but the first have more values than are solved exactly at their width.
    void besideTheOptimum_data()
    {
        QTest::addColumn<int>("count");
        QTest::addColumn<int>("bits");
        QTest::addColumn<double>("power");
        QTest::addColumn<double>("most");
        QTest::newRow("exact") << 3000 << 3 << 1.0 << 1.00001;
        QTest::newRow("normal, 2 bits") << 300000 << 2 << 1.0 << 1.005;
        QTest::newRow("normal, 4 bits") << 300000 << 4 << 1.0 << 1.005;
        QTest::newRow("heavy tails, 4 bits") << 100000 << 4 << 3.0 << 1.005;
        QTest::newRow("heavy tails, 6 bits") << 30000 << 6 << 3.0 << 1.005;
        QTest::newRow("heavy tails, 8 bits") << 20000 << 8 << 3.0 << 1.005;
    }
    void besideTheOptimum()
    {
        QFETCH(int, count);
        QFETCH(int, bits);
        QFETCH(double, power);
        QFETCH(double, most);
        std::mt19937 random(12);
        std::normal_distribution<double> normal;
        std::vector<float> values;
        for (int i = 0; i < count; ++i) {
            const double v = normal(random);
            values.push_back(float(std::copysign(std::pow(std::abs(v), power), v)));
        }
        std::vector<double> sorted(values.begin(), values.end());
        std::ranges::sort(sorted);
        const double best = leastError(sorted, 1 << bits);
        const double found = objective(quantized("lloyd", bits, Role::Weight, at::tensor(values)));
        QVERIFY2(found >= best * (1 - 1e-5) && found <= best * most,
                 qPrintable(QStringLiteral("%1 of %2").arg(found).arg(best)));
    }
    void training()
    {
        auto q = made("lloyd", 1, Role::Weight);
        QVERIFY(q->calibrate(at::tensor({0.0f, 0.0f, 1.0f, 1.0f})).has_value() && q->keepsValues());
        q->observe(at::tensor({0.0f, 0.2f, 1.0f, 2.0f}));
        QVERIFY(near(q->values().at("codebook"), {0, 1}));
        q->endStep();
        QVERIFY(near(q->values().at("codebook"), {0.1, 1.5}));
    }
    void refusals() { QVERIFY(refused("lloyd", 1, Role::Weight, {{"codebook", "1|2|3"}})); }
};

QTEST_APPLESS_MAIN(TestLloyd)
#include "tst_lloyd.moc"
