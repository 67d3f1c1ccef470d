// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant_support.h"

using namespace bitwright;
using namespace bitwright::testing;

class TestLloyd : public QObject {
    Q_OBJECT
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
        const double steps[] = {objective(weight("lloyd", 2)), objective(weight("lqnets", 2, {{"basis", "0.3|0.6"}, {"granularity", "tensor"}})),
                                objective(weight("sawb", 2)), objective(weight("uniform", 2, {{"range", "mse"}})), objective(weight("uniform", 2))};
        const double wanted[] = {0.331667, 0.449375, 0.492318, 0.630100, 1.2025};
        for (std::size_t i = 0; i < 5; ++i)
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
