// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/kernels.h"
#include "tensor/ste.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <QtTest/QtTest>

#include <cmath>
#include <limits>

using namespace bitwright;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

float naiveQuant(float x, float s, float z, float qmin, float qmax)
{
    if (std::isnan(x))
        return x;
    const float q = std::max(qmin, std::min(qmax, std::nearbyint(x / s) + z));
    volatile float difference = q - z;   // keeps the product from being fused with anything
    return difference * s;
}

/// Bitwise equality, where all NaN are equal.
bool same(const at::Tensor &a, const at::Tensor &b)
{
    return a.sizes() == b.sizes() && at::equal(at::nan_to_num(a, 12345.0), at::nan_to_num(b, 12345.0));
}

at::Tensor naive(const at::Tensor &x, const AffineGrid &g)
{
    const at::Tensor c = x.contiguous();
    at::Tensor y = at::empty_like(c);
    std::int64_t inner = 1, channels = 1;
    if (g.axis >= 0) {
        channels = c.size(g.axis);
        for (std::int64_t d = g.axis + 1; d < c.dim(); ++d)
            inner *= c.size(d);
    }
    for (std::int64_t i = 0; i < c.numel(); ++i) {
        const std::size_t group = g.axis >= 0 ? std::size_t(i / inner % channels) : 0;
        y.mutable_data_ptr<float>()[i] = naiveQuant(c.const_data_ptr<float>()[i], g.scale[group], g.zeroPoint[group],
                                                    float(g.qmin), float(g.qmax));
    }
    return y;
}

AffineGrid tensorGrid(float s, float z, std::int64_t qmin, std::int64_t qmax)
{
    return {{s}, {z}, qmin, qmax, -1};
}

AffineGrid channelGrid(std::int64_t channels, int axis)
{
    AffineGrid g;
    for (std::int64_t i = 0; i < channels; ++i) {
        g.scale.push_back(0.05f + 0.013f * float(i));
        g.zeroPoint.push_back(float(i % 5));
    }
    g.qmin = 0;
    g.qmax = 15;
    g.axis = axis;
    return g;
}

at::Tensor awkward(std::int64_t n)
{
    at::manual_seed(3);
    at::Tensor x = at::randn({n});
    if (n > 4) {
        x[1] = kNaN;
        x[n / 2] = kInf;
        x[n - 1] = -kInf;
        x[n - 2] = 0;
    }
    return x;
}

} // namespace

class TestKernels : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void ties()
    {
        const at::Tensor x = at::tensor({0.5f, 1.5f, 2.5f, -0.5f, -1.5f, kNaN, kInf, -kInf});
        const at::Tensor y = affineFakeQuant(x, tensorGrid(1, 0, -127, 127));
        QVERIFY(same(y, at::tensor({0.0f, 2.0f, 2.0f, 0.0f, -2.0f, kNaN, 127.0f, -127.0f})));
    }

    void divides()
    {
        // x * (1 / s) rounds these to the next code, x / s does not
        at::manual_seed(1);
        const at::Tensor x = at::randn({300001});
        const AffineGrid g = tensorGrid(0.0118110236f, 0, -127, 127);
        QVERIFY(same(affineFakeQuant(x, g), naive(x, g)));
    }

    void midpoints()
    {
        // values a few floats around every midpoint, for steps that are not exact: where a product with 1/s goes wrong
        for (const float s : {0.1f, 0.0118110236f, 3.3e-5f, 7.7f, 1e-8f, 1e-39f, 1.5e38f}) {
            std::vector<float> values;
            for (int q = -130; q < 130; ++q) {
                float v = (float(q) + 0.5f) * s;
                for (int step = 0; step < 4; ++step)
                    v = std::nextafter(v, -kInf);
                for (int step = 0; step < 9; ++step, v = std::nextafter(v, kInf))
                    values.push_back(v);
            }
            for (const float large : {1e6f, 3e7f, 1e30f, -1e38f, 1e-42f})
                values.push_back(large);
            const at::Tensor x = at::tensor(values);
            const AffineGrid g = tensorGrid(s, 0, -100, 100), wide = tensorGrid(s, 1000, 0, 65535);
            QVERIFY(same(affineFakeQuant(x, g), naive(x, g)));
            QVERIFY(same(affineFakeQuant(x, wide), naive(x, wide)));
            AffineGrid each{std::vector<float>(values.size(), s), std::vector<float>(values.size(), 0), -100, 100, 1};
            QVERIFY(same(affineFakeQuant(x.reshape({1, -1}), each), naive(x, g).reshape({1, -1})));
        }
        // no negative zero: an integer code has none
        QVERIFY(!std::signbit(affineFakeQuant(at::tensor({-0.1f}), tensorGrid(1, 0, -1, 1)).item<float>()));
    }

    void tensorSizes_data()
    {
        QTest::addColumn<qint64>("n");
        for (const qint64 n : {0, 1, 2, 7, 15, 16, 17, 31, 33, 100, 1023, 32767, 32769, 600001})
            QTest::addRow("%lld", n) << n;
    }
    void tensorSizes()
    {
        QFETCH(qint64, n);
        const at::Tensor x = awkward(n);
        const AffineGrid g = tensorGrid(0.07f, 3, 0, 15);
        const at::Tensor expected = naive(x, g);
        for (const int threads : {1, 2}) {
            at::set_num_threads(threads);
            QVERIFY(same(affineFakeQuant(x, g), expected));
            at::Tensor z = x.clone();
            const at::Tensor inPlace = affineFakeQuant(z, g, true);
            QCOMPARE(inPlace.const_data_ptr(), z.const_data_ptr());
            QVERIFY(same(z, expected));
        }
        at::set_num_threads(1);
    }

    void channels_data()
    {
        QTest::addColumn<int>("axis");
        QTest::newRow("first") << 0;
        QTest::newRow("second") << 1;
        QTest::newRow("last") << 3;
    }
    void channels()
    {
        QFETCH(int, axis);
        at::manual_seed(2);
        const at::Tensor x = at::randn({6, 7, 3, 5});
        const AffineGrid g = channelGrid(x.size(axis), axis);
        const at::Tensor expected = naive(x, g);
        QVERIFY(same(affineFakeQuant(x, g), expected));
        // the strides must not matter
        const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
        QVERIFY(same(affineFakeQuant(last, g), expected));
        QVERIFY(same(affineFakeQuant(x.transpose(0, 2).contiguous().transpose(0, 2), g), expected));
        // channel by channel is the same
        for (std::int64_t c = 0; c < x.size(axis); ++c) {
            const AffineGrid one{{g.scale[std::size_t(c)]}, {g.zeroPoint[std::size_t(c)]}, g.qmin, g.qmax, -1};
            QVERIFY(same(affineFakeQuant(x.select(axis, c), one), expected.select(axis, c)));
        }
        QVERIFY_THROWS_EXCEPTION(std::exception, affineFakeQuant(x, channelGrid(x.size(axis) + 1, axis)));
    }

    void channelsLastPerTensor()
    {
        at::manual_seed(2);
        const at::Tensor x = at::randn({2, 3, 5, 7});
        const AffineGrid g = tensorGrid(0.1f, 4, 0, 15);
        const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
        const at::Tensor y = affineFakeQuant(last, g);
        QVERIFY(same(y, naive(x, g)));
        QVERIFY(y.is_contiguous(at::MemoryFormat::ChannelsLast));
        QVERIFY(same(affineFakeQuantBackward(at::ones_like(last), last, g), affineFakeQuantBackward(at::ones_like(x), x, g)));
    }

    void otherTypes()
    {
        const at::Tensor x = at::randn({4, 9});
        const AffineGrid g = tensorGrid(0.25f, 0, -8, 7);   // levels exact in half precision
        for (const auto type : {at::kHalf, at::kBFloat16, at::kDouble}) {
            const at::Tensor typed = x.to(type);
            const at::Tensor y = affineFakeQuant(typed, g);
            QCOMPARE(y.scalar_type(), type);
            QVERIFY(same(y.to(at::kFloat), naive(typed.to(at::kFloat), g)));
        }
    }

    void backward()
    {
        const AffineGrid g = tensorGrid(0.25f, 2, 0, 7);   // levels -0.5 … 1.25
        const at::Tensor x = at::tensor({-0.51f, -0.5f, 0.0f, 1.25f, 1.2501f, kNaN, kInf});
        const at::Tensor dx = affineFakeQuantBackward(at::full_like(x, 2), x, g);
        QVERIFY(at::equal(dx, at::tensor({0.0f, 2.0f, 2.0f, 2.0f, 0.0f, 0.0f, 0.0f})));
        at::Tensor leaf = x.clone().set_requires_grad(true);
        affineStraightThrough(leaf, g).backward(at::full_like(x, 2));
        QVERIFY(at::equal(leaf.grad(), dx));
    }

    void lsq()
    {
        const AffineGrid g = tensorGrid(0.25f, 0, -4, 3);
        const at::Tensor x = at::tensor({-.9f, -.26f, .1f, .24f, .6f, 1.3f});
        QVERIFY(at::allclose(affineFakeQuant(x, g), at::tensor({-1.0f, -.25f, 0.0f, .25f, .5f, .75f})));
        const LsqGradients out = lsqBackward(at::ones_like(x), x, g);
        QVERIFY(std::abs(out.scale.at(0) - 1.88) < 1e-5);
        QVERIFY(at::equal(out.dx, at::tensor({1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 0.0f})));
        // one at a time: -.4, .04, -.4, .04, -.4, 3
        const double terms[] = {-.4, .04, -.4, .04, -.4, 3};
        for (int i = 0; i < 6; ++i)
            QVERIFY(std::abs(lsqBackward(at::ones({1}), x.slice(0, i, i + 1), g).scale[0] - terms[i]) < 1e-6);
        // the ends are outside
        const at::Tensor ends = at::tensor({-1.0f, .75f, -1.01f, kNaN});
        const LsqGradients atEnds = lsqBackward(at::ones({4}), ends, g);
        QVERIFY(at::equal(atEnds.dx, at::zeros({4})));
        QCOMPARE(atEnds.scale[0], -4.0 + 3.0 - 4.0);
    }

    void lsqThreads()
    {
        at::manual_seed(5);
        const at::Tensor x = at::randn({13, 70001}), gradient = at::randn({13, 70001});
        const AffineGrid g = channelGrid(13, 0);
        at::set_num_threads(1);
        const LsqGradients one = lsqBackward(gradient, x, g);
        at::set_num_threads(2);
        const LsqGradients two = lsqBackward(gradient, x, g);
        at::set_num_threads(1);
        QVERIFY(one.scale == two.scale);
        QVERIFY(at::equal(one.dx, two.dx));
        for (std::int64_t c = 0; c < 13; ++c) {
            const float s = g.scale[std::size_t(c)], z = g.zeroPoint[std::size_t(c)];
            const at::Tensor v = (x[c] / s).to(at::kDouble);
            const at::Tensor inside = (v > -z).logical_and(v < 15 - z);
            const at::Tensor term = at::where(inside, at::round(v) - v, at::where(v <= -z, -z, 15 - z));
            QVERIFY(std::abs((gradient[c].to(at::kDouble) * term).sum().item<double>() - one.scale[std::size_t(c)]) < 1e-3);
        }
    }

    void codesAndLevels()
    {
        const AffineGrid g = tensorGrid(0.5f, 1, 0, 3);
        const at::Tensor x = at::tensor({-9.0f, -0.5f, 0.0f, 0.6f, 0.75f, 9.0f, kNaN, kInf, -kInf});
        QVERIFY(at::equal(affineCodes(x, g), at::tensor({0, 0, 1, 2, 3, 3, 1, 3, 0}, at::kInt)));
        QCOMPARE(levelCounts(x, g).at(0), (std::vector<std::uint64_t>{3, 1, 1, 3}));
    }

    void errors()
    {
        at::manual_seed(7);
        at::Tensor x = at::randn({5, 40013});
        const AffineGrid g = channelGrid(5, 0);
        const at::Tensor e = (x - affineFakeQuant(x, g)).to(at::kDouble).abs();
        for (const double power : {2.0, 2.4}) {
            const auto sums = affineError(x, g, power);
            for (std::int64_t c = 0; c < 5; ++c) {
                const double expected = e[c].pow(power).sum().item<double>();
                QVERIFY(std::abs(sums[std::size_t(c)] - expected) < 1e-9 * expected);
            }
        }
        x[2][17] = kNaN;
        x[3][18] = kInf;
        for (const double sum : affineError(x, g))
            QVERIFY(std::isfinite(sum));
        const Difference d = compare(x, at::zeros_like(x));
        QCOMPARE(d.count, std::uint64_t(5 * 40013 - 2));
        QCOMPARE(d.error, d.signal);
        at::set_num_threads(2);
        QVERIFY(affineError(x, g) == [&] { at::set_num_threads(1); return affineError(x, g); }());
    }

    void histogram_data()
    {
        QTest::addColumn<qint64>("n");
        QTest::addColumn<int>("bins");
        for (const qint64 n : {0, 1, 5, 17, 1000, 300007})
            for (const int bins : {1, 3, 64, 2048})
                QTest::addRow("%lld in %d", n, bins) << n << bins;
    }
    void histogram()
    {
        QFETCH(qint64, n);
        QFETCH(int, bins);
        const at::Tensor x = awkward(n);
        const float lo = -1.5f, hi = 2.25f;
        std::vector<std::uint64_t> expected(std::size_t(bins), 0);
        std::uint64_t under = 0, over = 0, nan = 0;
        for (std::int64_t i = 0; i < n; ++i) {
            const float v = x.const_data_ptr<float>()[i];
            if (std::isnan(v))
                ++nan;
            else if (v < lo)
                ++under;
            else if (v > hi)
                ++over;
            else
                ++expected[std::min(std::size_t(bins - 1), std::size_t((v - lo) * float(bins / 3.75)))];
        }
        for (const int threads : {1, 2}) {
            at::set_num_threads(threads);
            const Histogram h = histogramOf(x, lo, hi, std::size_t(bins));
            QVERIFY(h.counts == expected);
            QCOMPARE(h.underflow, under);
            QCOMPARE(h.overflow, over);
            QCOMPARE(h.nanCount, nan);
        }
        at::set_num_threads(1);
    }

    void histogramEdges()
    {
        const Histogram h = histogramOf(at::tensor({0.0f, 0.25f, 0.5f, 0.75f, 1.0f, -0.001f, 1.001f}), 0, 1, 4);
        QCOMPARE(h.counts, (std::vector<std::uint64_t>{1, 1, 1, 2}));
        QCOMPARE(h.underflow, std::uint64_t(1));
        QCOMPARE(h.overflow, std::uint64_t(1));
        const Histogram constant = histogramOf(at::full({9}, 3.0f), 5);
        QCOMPARE(constant.total(), std::uint64_t(9));
        QCOMPARE(histogramOf(at::empty({0}), 5).total(), std::uint64_t(0));
    }

    void moments()
    {
        const Moments m = momentsOf(at::tensor({1.0f, -2.0f, 0.0f, kNaN, 4.0f, kInf, -kInf, 0.0f}));
        QCOMPARE(m.count, std::uint64_t(5));
        QCOMPARE(m.nanCount, std::uint64_t(1));
        QCOMPARE(m.infCount, std::uint64_t(2));
        QCOMPARE(m.zeroCount, std::uint64_t(2));
        QCOMPARE(m.min, -2.0);
        QCOMPARE(m.max, 4.0);
        QCOMPARE(m.sum, 3.0);
        QCOMPARE(m.sumSquares, 21.0);
        QCOMPARE(m.sumAbs, 7.0);
        QCOMPARE(momentsOf(at::empty({0})), Moments{});
        QCOMPARE(momentsOf(at::full({3}, kNaN)).count, std::uint64_t(0));
    }

    void momentsOfMany()
    {
        at::manual_seed(11);
        const at::Tensor x = at::randn({3, 500003});
        at::set_num_threads(1);
        const Moments one = momentsOf(x);
        at::set_num_threads(2);
        QCOMPARE(momentsOf(x), one);
        at::set_num_threads(1);
        const at::Tensor d = x.to(at::kDouble);
        QVERIFY(std::abs(one.sum - d.sum().item<double>()) < 1e-6);
        QVERIFY(std::abs(one.std() - d.std(false).item<double>()) < 1e-9);
        QCOMPARE(one.max, d.max().item<double>());
        const auto channels = channelMoments(x.t(), 1);
        QCOMPARE(channels.size(), std::size_t(3));
        QCOMPARE(channels[2], momentsOf(x[2]));
    }
};

QTEST_APPLESS_MAIN(TestKernels)
#include "tst_kernels.moc"
