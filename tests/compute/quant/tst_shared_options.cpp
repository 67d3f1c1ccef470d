// SPDX-License-Identifier: GPL-3.0-or-later
// The options that every method gets from the table: surrogate gradients (methods.md A2) and weight normalisation (A7).
#include "quant/quantize_tensor.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;

namespace {

const at::Tensor kX = at::tensor({-1.5f, -1.0f, -0.5f, 0.0f, 0.25f, 0.9f, 1.0f, 2.0f});
const at::Tensor kG = at::tensor({0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f});

int usualBits(const MethodTraits &traits)
{
    return std::max(traits.minimumBits, std::min(traits.maximumBits, 2));
}

Result<QuantizedTensor> quantized(const at::Tensor &x, const std::string &method, int bits, Role role,
                                  const std::map<std::string, std::string> &options, const at::Tensor &g = {})
{
    auto spec = specFromText(method, bits, role, options);
    if (!spec)
        return std::unexpected(spec.error());
    return quantizeTensor(x, *spec, role, g);
}

bool near(const at::Tensor &a, const at::Tensor &b, double tolerance = 1e-5)
{
    return a.sizes() == b.sizes() && at::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance);
}

} // namespace

class TestSharedOptions : public QObject {
    Q_OBJECT

private Q_SLOTS:
    /// ApproxSign's and the others' numbers, whatever the method behind them.
    void surrogates()
    {
        const std::map<std::string, at::Tensor> slopes{
            {"identity", at::ones({8})},
            {"clipped", at::tensor({0.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 0.0f})},
            {"approxsign", at::tensor({0.0f, 0.0f, 1.0f, 2.0f, 1.5f, 0.2f, 0.0f, 0.0f})},
            {"relu", at::tensor({0.0f, 0.0f, 0.0f, 0.0f, 1.0f, 1.0f, 1.0f, 1.0f})},
        };
        int seen = 0;
        for (const QuantizerRow &row : quantizerRows()) {
            if (!row.surrogates)
                continue;
            for (const Role role : row.traits.roles) {
                for (const auto &[name, slope] : slopes) {
                    const auto out = quantized(kX, row.traits.id, usualBits(row.traits), role, {{"surrogate", name}, {"normalize", "false"}}, kG);
                    const auto plain = quantized(kX, row.traits.id, usualBits(row.traits), role, {{"surrogate", name}}, kG);
                    const auto &result = row.traits.hasRole(Role::Weight) && row.normalizes ? out : plain;
                    QVERIFY2(result.has_value(), result ? "" : result.error().message.c_str());
                    QVERIFY2(near(result->gradInput, kG * slope), (row.traits.id + ", " + name).c_str());
                    ++seen;
                }
            }
        }
        QVERIFY(seen > 0);
    }

    /// Those that look at the grid: levels 0, 1, 2, 3, thresholds between.
    void surrogatesOfTheGrid()
    {
        const std::map<std::string, std::string> grid{{"symmetric", "true"}, {"signed", "false"}, {"scale", "1"}};
        const at::Tensor x = at::tensor({-0.5f, 0.5f, 3.0f, 5.0f});
        auto with = [&](const std::string &name) {
            auto options = grid;
            options["surrogate"] = name;
            return quantized(x, "uniform", 2, Role::Activation, options, at::ones({4}))->gradInput;
        };
        QVERIFY(near(with("clipped_relu"), at::tensor({0.0f, 1.0f, 1.0f, 0.0f})));
        // 1 / (5 - tau), tau = 3 - 1
        QVERIFY(near(with("log_tail"), at::tensor({0.0f, 1.0f, 1.0f, 1.0f / 3})));
        // against finite differences of sum sigma(4 (x - t))
        const at::Tensor slope = with("sigmoid_sum");
        const auto soft = [](double v) {
            double sum = 0;
            for (const double t : {0.5, 1.5, 2.5})
                sum += 1 / (1 + std::exp(-std::clamp(4 * (v - t), -10.0, 10.0)));
            return sum;
        };
        for (std::int64_t i = 0; i < 2; ++i) {
            const double v = x[i].item<double>();
            QVERIFY(std::abs(slope[i].item<double>() - (soft(v + 1e-5) - soft(v - 1e-5)) / 2e-5) < 1e-3);
        }
    }

    void surrogateRefusals()
    {
        QVERIFY(!quantized(kX, "uniform", 2, Role::Weight, {{"surrogate", "steep"}}));
        QVERIFY(!quantized(kX, "uniform", 2, Role::Weight, {{"surrogate", "relu"}, {"learned_step", "true"}}));
    }

    /// Shifting and scaling the weight changes nothing behind the normalisation, and `restore` takes both back.
    void normalization()
    {
        at::manual_seed(3);
        const at::Tensor x = at::randn({6, 40}), moved = x * 4 + 7;
        int seen = 0;
        for (const QuantizerRow &row : quantizerRows()) {
            if (!row.normalizes || !row.traits.hasRole(Role::Weight))
                continue;
            const std::string &id = row.traits.id;
            const int bits = usualBits(row.traits);
            const auto a = quantized(x, id, bits, Role::Weight, {{"normalize", "true"}});
            const auto b = quantized(moved, id, bits, Role::Weight, {{"normalize", "true"}});
            const auto back = quantized(moved, id, bits, Role::Weight, {{"normalize", "true"}, {"restore", "true"}});
            QVERIFY2(a && b && back, id.c_str());
            // a value within rounding of a threshold may fall to either side
            const double same = (a->quantized - b->quantized).abs().lt(1e-3).to(at::kDouble).mean().item<double>();
            QVERIFY2(same > 0.99, id.c_str());
            if (a->grid.groups.size() == 1) {
                const double mean = moved.mean().item<double>(), std = moved.std().item<double>() + 1e-5;
                QVERIFY2(near(back->quantized, b->quantized * std + mean, 1e-4), id.c_str());
            }
            // levels are what comes out, thresholds are where it changes, in units of the weight
            for (const auto &[result, input] : {std::pair{&*b, &moved}, std::pair{&*back, &moved}}) {
                const at::Tensor rows = groupRows(*input, result->grid.perChannel ? 0 : -1), answers = groupRows(result->quantized, result->grid.perChannel ? 0 : -1);
                for (std::int64_t g = 0; g < rows.size(0); ++g)
                    for (std::int64_t i = 0; i < rows.size(1); ++i)
                        QCOMPARE(float(result->grid.quantize(std::size_t(g), rows[g][i].item<double>())), answers[g][i].item<float>());
            }
            ++seen;
        }
        QVERIFY(seen > 0);
    }

    /// The statistics take no gradient: dx is the inner rule's over the deviation.
    void normalizedGradient()
    {
        const auto out = quantized(kX, "uniform", 3, Role::Weight, {{"normalize", "true"}}, kG);
        const double std = kX.std().item<double>() + 1e-5;
        QVERIFY(near(out->gradInput, kG / std));
        const auto back = quantized(kX, "uniform", 3, Role::Weight, {{"normalize", "true"}, {"restore", "true"}}, kG);
        QVERIFY(near(back->gradInput, kG));
    }

    void normalizationRefusals()
    {
        const auto activation = quantized(kX, "uniform", 3, Role::Activation, {{"normalize", "true"}});
        QVERIFY(!activation && activation.error().kind == ErrorKind::Unsupported);
        const auto wide = quantized(kX, "uniform", 12, Role::Weight, {{"normalize", "true"}});
        QVERIFY(!wide && wide.error().kind == ErrorKind::Unsupported);
    }
};

QTEST_APPLESS_MAIN(TestSharedOptions)
#include "tst_shared_options.moc"
