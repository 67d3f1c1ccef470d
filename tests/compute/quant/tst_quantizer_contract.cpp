// SPDX-License-Identifier: GPL-3.0-or-later
// What every quantizer of the table owes, whatever its method: methods.md L1, design.md section 7. A new row is tested
// the moment it is registered; what a method is excused from stands in the lists below, with its reason in methods.md.
#include "quant/quantizer.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <QtTest/QtTest>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

using namespace bitwright;

namespace {

// L1.1 asks it of affine grids, HWGQ, PACT, LQ, SAWB, TWN, BWN, INQ and codebooks. Those here bend their input before they
// round it, keep a scale that their threshold does not share, or answer out of order.
const std::set<std::string> kNotIdempotent{"dorefa", "qil", "abc", "horq", "ttq", "quantnet", "apot", "balanced"};
const std::set<std::string> kNotMonotone{"abc", "horq"};
const std::set<std::string> kGridIsNoList{"abc", "horq"};
/// Mean squared error over the signal's power on 4000 normal values: a loose bound by bits, for any method.
double bound(int bits)
{
    return bits <= 2 ? 0.95 : bits == 3 ? 0.5 : bits == 4 ? 0.1 : 0.05;
}

/// Fixed or learned levels, not fitted to the tensor, meant for a batch norm behind them, or fitted greedily.
const std::set<std::string> kNotFitted{"abc", "horq", "dorefa", "wrpn", "ttq", "hwgq", "qil", "apot", "balanced", "quantnet"};
/// Their start counts the layer's output channels (methods.md B18): a channel alone begins elsewhere, a channel among others not.
const std::set<std::string> kStartsByLayer{"lqnets"};

struct Input {
    const char *name;
    at::Tensor (*make)();
};

at::Tensor normal() { at::manual_seed(1); return at::randn({8, 5, 3, 3}) * 0.3; }
at::Tensor huge() { return normal() * 1e30; }
at::Tensor withNaN()
{
    at::Tensor x = normal();
    x.view(-1)[7] = std::numeric_limits<float>::quiet_NaN();
    x.view(-1)[99] = std::numeric_limits<float>::infinity();
    x.view(-1)[200] = -std::numeric_limits<float>::infinity();
    return x;
}

const Input kInputs[] = {
    {"normal", normal},
    {"uniform", [] { at::manual_seed(2); return at::rand({8, 5, 3, 3}) * 2 - 1; }},
    {"one-sided", [] { return normal().clamp_min(0); }},
    {"negative", [] { return -normal().abs() - 0.01; }},
    {"constant", [] { return at::full({4, 6}, 0.7f); }},
    {"zeros", [] { return at::zeros({4, 6}); }},
    {"single element", [] { return at::full({1}, -0.4f); }},
    {"scalar", [] { return at::scalar_tensor(0.4f, at::kFloat); }},
    {"empty", [] { return at::empty({0, 4}); }},
    {"empty channels", [] { return at::empty({4, 0}); }},
    {"huge", huge},
    {"outlier", [] { at::Tensor x = normal(); x.view(-1)[3] = 1000; return x; }},
    {"with NaN", withNaN},
    {"half precision", [] { return normal().to(at::kHalf); }},
};

/// The groups of x under a grid: rows of [groups, elements].
at::Tensor groupsOf(const at::Tensor &x, const QuantGrid &grid)
{
    return groupRows(x, grid.perChannel && x.dim() > 1 ? 0 : -1);
}

} // namespace

class TestQuantizerContract : public QObject {
    Q_OBJECT
    Result<std::unique_ptr<Quantizer>> make(const QString &method, int bits, bool weight, const QString &granularity) const
    {
        QuantSpec spec{method.toStdString(), bits, {}, {}};
        if (!granularity.isEmpty())
            spec.options["granularity"] = granularity.toStdString();
        return makeQuantizer(spec, {"", weight ? Role::Weight : Role::Activation, 0, false});
    }

private Q_SLOTS:
    void contract_data()
    {
        QTest::addColumn<QString>("method");
        QTest::addColumn<int>("bits");
        QTest::addColumn<bool>("weight");
        QTest::addColumn<QString>("granularity");
        for (const QuantizerRow &row : quantizerRows()) {
            const MethodTraits &t = row.traits;
            for (int bits = t.minimumBits; bits <= t.maximumBits; bits += bits < 8 ? 1 : 4) {
                for (const Role role : t.roles) {
                    const QString id = QString::fromStdString(t.id);
                    const bool weight = role == Role::Weight, grained = t.option("granularity") != nullptr;
                    QStringList kinds(grained ? QStringLiteral("tensor") : QString());
                    if (grained && weight)
                        kinds.append(QStringLiteral("channel"));
                    for (const QString &granularity : kinds)
                        QTest::addRow("%s %d %s %s", t.id.c_str(), bits, roleName(role), qPrintable(granularity))
                            << id << bits << weight << granularity;
                }
            }
        }
    }

    void contract()
    {
        QFETCH(QString, method);
        QFETCH(int, bits);
        QFETCH(bool, weight);
        QFETCH(QString, granularity);
        const std::string id = method.toStdString();
        auto probe = make(method, bits, weight, granularity);
        if (!probe) {
            // refused: with a reason and a way out
            QCOMPARE(probe.error().kind, ErrorKind::Unsupported);
            QVERIFY2(probe.error().message.find(';') != std::string::npos, probe.error().message.c_str());
            return;
        }
        for (const Input &input : kInputs) {
            const at::Tensor x = input.make();
            auto q = std::move(*make(method, bits, weight, granularity));
            const Status status = q->calibrate(x);
            QVERIFY2(status.has_value(), input.name);
            QVERIFY2(q->calibrated(), input.name);
            valuesAreFinite(*q, x, input.name);
            output(*q, id, bits, x, input.name);
            gradients(*q, x, input.name);
            reload(*q, method, bits, weight, granularity, x, input.name);
            statistics(method, bits, weight, granularity, x, input.name);
        }
        boundedError(method, bits, weight, granularity);
        threads(method, bits, weight, granularity);
        channels(method, bits, weight, granularity);
    }

    /// 2^24 elements, once for each method: no index overflows, no table outgrows its type.
    void large_data()
    {
        QTest::addColumn<QString>("method");
        QTest::addColumn<bool>("weight");
        for (const QuantizerRow &row : quantizerRows())
            QTest::addRow("%s", row.traits.id.c_str()) << QString::fromStdString(row.traits.id) << row.traits.hasRole(Role::Weight);
    }

    void large()
    {
        QFETCH(QString, method);
        QFETCH(bool, weight);
        at::set_num_threads(2);
        const auto &traits = std::ranges::find(quantizerRows(), method.toStdString(), [](const QuantizerRow &r) { return r.traits.id; })->traits;
        at::manual_seed(4);
        const at::Tensor x = at::randn({4096, 4096});
        const int bits = std::clamp(2, traits.minimumBits, traits.maximumBits);
        auto q = std::move(*make(method, bits, weight, {}));
        QVERIFY(q->calibrate(x).has_value());
        const at::Tensor y = q->apply(x, false);
        const Difference d = compare(x, y);
        QVERIFY(d.count == std::uint64_t(x.numel()) && std::isfinite(d.error));
        const QuantGrid grid = q->grid();
        for (const std::int64_t i : {std::int64_t(0), x.numel() / 2, x.numel() - 1}) {
            const std::size_t group = grid.groups.size() > 1 ? std::size_t(i / x.size(1)) : 0;
            QCOMPARE(float(grid.quantize(group, x.view(-1)[i].item<double>())), y.view(-1)[i].item<float>());
        }
        at::set_num_threads(1);
    }

private:
    void valuesAreFinite(const Quantizer &q, const at::Tensor &x, const char *name)
    {
        for (const auto &[key, numbers] : q.values())
            for (const double v : numbers)
                QVERIFY2(std::isfinite(v), name);
        const QuantGrid grid = q.grid();
        // a tensor without channels has no groups
        QVERIFY2((!grid.empty() || x.numel() == 0) && std::isfinite(grid.sideBits) && grid.sideBits >= 0, name);
    }

    void output(Quantizer &q, const std::string &id, int bits, const at::Tensor &x, const char *name)
    {
        const at::Tensor before = x.clone();
        const at::Tensor y = q.apply(x, false);
        QVERIFY2(y.sizes() == x.sizes() && y.scalar_type() == x.scalar_type(), name);
        QVERIFY2(at::equal(at::nan_to_num(before.to(at::kFloat)), at::nan_to_num(x.to(at::kFloat))), name);
        // forward gives the same numbers, in place too
        {
            const c10::NoGradGuard noGrad;
            QVERIFY2(at::equal(at::nan_to_num(q.forward(x).to(at::kFloat), 0.5), at::nan_to_num(y.to(at::kFloat), 0.5)), name);
        }
        QVERIFY2(at::equal(at::nan_to_num(q.apply(x.clone(), true).to(at::kFloat), 0.5), at::nan_to_num(y.to(at::kFloat), 0.5)), name);
        if (x.scalar_type() != at::kFloat)
            return;   // the levels themselves are rounded to that type
        const QuantGrid grid = q.grid();
        const at::Tensor rows = groupsOf(y, grid), inputs = groupsOf(x, grid);
        for (std::int64_t g = 0; g < rows.size(0); ++g) {
            const std::size_t group = grid.groups.size() > 1 ? std::size_t(g) : 0;
            QVERIFY2(grid.levelCount(group) >= 2 && grid.levelCount(group) <= (std::size_t(1) << bits), name);
            const std::vector<double> levels = grid.levels(group);
            QVERIFY2(std::ranges::is_sorted(levels) && std::isfinite(levels.front()) && std::isfinite(levels.back()), name);
            if (!kGridIsNoList.contains(id)) {
                const auto thresholds = grid.thresholds(group);
                QVERIFY2(thresholds.size() + 1 == levels.size() && std::ranges::is_sorted(thresholds), name);
            }
            const auto out = floatSpan(rows[g]), in = floatSpan(inputs[g]);
            std::vector<std::pair<float, float>> pairs;
            for (std::size_t i = 0; i < out.size(); ++i) {
                QVERIFY2(std::isnan(out[i]) == std::isnan(in[i]), name);
                if (std::isnan(in[i]))
                    continue;
                // encode and decode exactly: every value is a level
                const auto at = std::ranges::lower_bound(levels, double(out[i]));
                QVERIFY2(at != levels.end() && float(*at) == out[i], name);
                pairs.emplace_back(in[i], out[i]);
                if (!kGridIsNoList.contains(id))
                    QVERIFY2(float(grid.quantize(group, double(in[i]))) == out[i], name);
            }
            if (!kNotMonotone.contains(id)) {
                std::ranges::sort(pairs);
                for (std::size_t i = 1; i < pairs.size(); ++i)
                    QVERIFY2(pairs[i - 1].second <= pairs[i].second, name);
            }
        }
        if (!kNotIdempotent.contains(id))
            QVERIFY2(at::equal(at::nan_to_num(q.apply(y, false), 0.5), at::nan_to_num(y, 0.5)), name);
    }

    void gradients(Quantizer &q, const at::Tensor &x, const char *name)
    {
        const c10::AutoGradMode grad(true);
        at::Tensor leaf = x.clone().set_requires_grad(true);
        q.forward(leaf).backward(at::ones_like(x));
        QVERIFY2(leaf.grad().defined() && leaf.grad().sizes() == x.sizes() && leaf.grad().scalar_type() == x.scalar_type(), name);
        QVERIFY2(leaf.grad().isfinite().all().item<bool>(), name);
        for (const Learnable &l : q.learnables())
            QVERIFY2(l.tensor.is_leaf() && l.tensor.scalar_type() == at::kFloat && l.tensor.grad().defined()
                         && l.tensor.grad().isfinite().all().item<bool>(), name);
        q.endStep();
    }

    /// What stands in an assignment is enough to get the same numbers again.
    void reload(Quantizer &q, const QString &method, int bits, bool weight, const QString &granularity, const at::Tensor &x,
                const char *name)
    {
        QuantSpec spec{method.toStdString(), bits, {}, q.values()};
        if (!granularity.isEmpty())
            spec.options["granularity"] = granularity.toStdString();
        // of a layer: for a bare tensor a given basis is only where LQ-Nets starts (cli.md)
        auto again = makeQuantizer(spec, {"layer", weight ? Role::Weight : Role::Activation, 0, false});
        if (x.numel() == 0)
            return;
        QVERIFY2(again.has_value(), again ? name : again.error().message.c_str());
        if (!(*again)->calibrated())
            QVERIFY2((*again)->calibrate(x).has_value(), name);
        QVERIFY2(at::equal(at::nan_to_num((*again)->apply(x, false).to(at::kFloat), 0.5),
                           at::nan_to_num(q.apply(x, false).to(at::kFloat), 0.5)), name);
    }

    void statistics(const QString &method, int bits, bool weight, const QString &granularity, const at::Tensor &x, const char *name)
    {
        if (weight)
            return;
        SiteCollector collector;
        collector.add(x);
        auto q = std::move(*make(method, bits, weight, granularity));
        QVERIFY2(q->calibrate(collector.finish()).has_value(), name);
        QVERIFY2(q->calibrated(), name);
        valuesAreFinite(*q, x, name);
    }

    void boundedError(const QString &method, int bits, bool weight, const QString &granularity)
    {
        at::manual_seed(8);
        const at::Tensor x = weight ? at::randn({10, 400}) : at::randn({10, 400}).clamp_min(0);
        auto q = std::move(*make(method, bits, weight, granularity));
        QVERIFY(q->calibrate(x).has_value());
        const Difference d = compare(x, q->apply(x, false));
        QVERIFY2(d.error < bound(bits) * d.signal || bits == 1 || kNotFitted.contains(method.toStdString()), qPrintable(QString::number(d.error / d.signal)));
    }

    void threads(const QString &method, int bits, bool weight, const QString &granularity)
    {
        at::manual_seed(9);
        const at::Tensor x = at::randn({8, 80000});
        std::map<std::string, std::vector<double>> values;
        at::Tensor y;
        for (const int count : {1, 2}) {
            at::set_num_threads(count);
            auto q = std::move(*make(method, bits, weight, granularity));
            QVERIFY(q->calibrate(x).has_value());
            const at::Tensor out = q->apply(x, false);
            if (count == 2) {
                QVERIFY(q->values() == values);
                QVERIFY(at::equal(out, y));
            }
            values = q->values();
            y = out;
        }
        at::set_num_threads(1);
    }

    void channels(const QString &method, int bits, bool weight, const QString &granularity)
    {
        if (granularity != QLatin1String("channel"))
            return;
        const at::Tensor x = normal();
        auto q = std::move(*make(method, bits, weight, granularity));
        QVERIFY(q->calibrate(x).has_value());
        const at::Tensor y = q->apply(x, false);
        QCOMPARE(std::int64_t(q->grid().groups.size()), x.size(0));
        const at::Tensor others = at::randn(x.sizes());
        for (std::int64_t c = 0; c < x.size(0); ++c) {
            // whatever the other channels hold
            at::Tensor among = others.clone();
            among[c].copy_(x[c]);
            auto one = std::move(*make(method, bits, weight, granularity));
            QVERIFY(one->calibrate(among).has_value());
            QVERIFY(at::equal(one->apply(among, false)[c], y[c]));
            if (kStartsByLayer.contains(method.toStdString()))
                continue;
            one = std::move(*make(method, bits, weight, granularity));
            QVERIFY(one->calibrate(x.narrow(0, c, 1)).has_value());
            QVERIFY(at::equal(one->apply(x.narrow(0, c, 1), false), y.narrow(0, c, 1)));
        }
        const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
        QVERIFY(at::equal(q->apply(last, false), y));
    }
};

QTEST_APPLESS_MAIN(TestQuantizerContract)
#include "tst_quantizer_contract.moc"
