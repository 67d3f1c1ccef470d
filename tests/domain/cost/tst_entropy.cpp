// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers of methods.md B1 and I1 unless said otherwise.
#include "cost/entropy.h"

#include <QtTest/QtTest>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

using namespace bitwright;

namespace {

using Counts = std::vector<std::uint64_t>;

std::uint64_t bitsOf(const Counts &counts)
{
    return messageBits(counts, huffmanLengths(counts));
}

} // namespace

class TestEntropy : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void oracles()
    {
        const Counts textbook{45, 13, 12, 16, 9, 5};
        QCOMPARE(huffmanLengths(textbook), (std::vector<int>{1, 3, 3, 3, 4, 4}));
        QCOMPARE(bitsOf(textbook), std::uint64_t(224));
        QVERIFY(std::abs(entropyBits(textbook) - 2.21988) < 1e-5);
        QCOMPARE(bitsOf({8, 4, 2, 1, 1}), std::uint64_t(30));
        QCOMPARE(entropyBits(Counts{8, 4, 2, 1, 1}) * 16, 30.0);
        QCOMPARE(bitsOf({4, 4, 4, 4}), std::uint64_t(32));
        QCOMPARE(bitsOf({15, 1}), std::uint64_t(16));
        QVERIFY(std::abs(entropyBits(Counts{15, 1}) - 0.337) < 5e-4);
        QCOMPARE(tableBits(huffmanLengths(textbook)), std::uint64_t(6 * (8 + 8)));
    }

    void codeWords()
    {
        // by hand from the lengths 1 3 3 3 4 4
        const std::vector<int> lengths{1, 3, 3, 3, 4, 4};
        QCOMPARE(canonicalCodes(lengths), (std::vector<std::uint32_t>{0b0, 0b100, 0b101, 0b110, 0b1110, 0b1111}));
    }

    void edges()
    {
        QVERIFY(huffmanLengths({}).empty());
        QCOMPARE(huffmanLengths(Counts{0, 0}), (std::vector<int>{0, 0}));
        QCOMPARE(huffmanLengths(Counts{0, 7, 0}), (std::vector<int>{0, 1, 0}));
        QVERIFY(isPrefixCode(std::vector<int>{0, 1, 0}));
        QVERIFY(!isPrefixCode(std::vector<int>{0, 2, 0}));
        QVERIFY(!isPrefixCode(std::vector<int>{}));
        QVERIFY(!isPrefixCode(std::vector<int>{1, 2}));          // a word is missing
        QVERIFY(!isPrefixCode(std::vector<int>{1, 1, 1}));       // one too many
        QVERIFY(!isPrefixCode(std::vector<int>{1, 25, 25}));     // longer than allowed
        QVERIFY(isPrefixCode(std::vector<int>{1, 2, 2}));
        QCOMPARE(entropyBits({}), 0.0);
    }

    /// Fibonacci counts make the longest words there are.
    void limit()
    {
        Counts fibonacci{1, 1};
        while (fibonacci.size() < 40)
            fibonacci.push_back(fibonacci[fibonacci.size() - 1] + fibonacci[fibonacci.size() - 2]);
        const auto lengths = huffmanLengths(fibonacci);
        QCOMPARE(*std::ranges::max_element(lengths), kMaxCodeLength);
        QVERIFY(isPrefixCode(lengths));
        const auto tight = huffmanLengths(Counts{1, 1, 2, 4, 8}, 3);
        QVERIFY(isPrefixCode(tight, 3));
        // one of 1 bit and four of 3: 8 + (1+1+2+4)*3 = 32, against 30 without the limit
        QCOMPARE(messageBits(Counts{1, 1, 2, 4, 8}, tight), std::uint64_t(32));
    }

    /// Never below N H, always below N (H + 1): I1.
    void bounds()
    {
        std::mt19937 random(3);
        for (int round = 0; round < 200; ++round) {
            Counts counts(2 + random() % 60);
            for (auto &n : counts)
                n = random() % 5 == 0 ? 0 : 1 + (random() % 1000) * (random() % 100);
            counts[0] = 1;
            counts[1] = 2;
            const double total = std::accumulate(counts.begin(), counts.end(), 0.0), h = entropyBits(counts);
            const auto lengths = huffmanLengths(counts);
            QVERIFY(isPrefixCode(lengths));
            const double bits = double(messageBits(counts, lengths));
            QVERIFY(bits >= total * h - 1e-6 && bits < total * (h + 1));
        }
    }
};

QTEST_APPLESS_MAIN(TestEntropy)
#include "tst_entropy.moc"
