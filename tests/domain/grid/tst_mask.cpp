// SPDX-License-Identifier: GPL-3.0-or-later
#include "grid/mask.h"

#include <QtTest/QtTest>

using namespace bitwright;

class TestMask : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void countsAndBits();
    void bitmapsComeBack_data();
    void bitmapsComeBack();
    void foreignBitmapsAreErrors_data();
    void foreignBitmapsAreErrors();
    void relativeIndices_data();
    void relativeIndices();
    void longMasksAreCountedLikeShortOnes();
};

namespace {

Mask maskOf(const QString &text)
{
    std::vector<std::uint8_t> kept;
    for (const QChar letter : text)
        kept.push_back(letter == QChar(u'1'));
    return Mask::fromKept(kept);
}

} // namespace

void TestMask::countsAndBits()
{
    QVERIFY(Mask().empty());
    QVERIFY(Mask().keeps(5));   // nothing is pruned
    const Mask mask = maskOf(QStringLiteral("0110000001"));
    QCOMPARE(mask.size(), std::int64_t(10));
    QCOMPARE(mask.keptCount(), std::int64_t(3));
    QVERIFY(!mask.keeps(0) && mask.keeps(1) && mask.keeps(9));
    QCOMPARE(mask.kept(), (std::vector<std::uint8_t>{0, 1, 1, 0, 0, 0, 0, 0, 0, 1}));
    QVERIFY(mask == maskOf(QStringLiteral("0110000001")));
    QVERIFY(!(mask == maskOf(QStringLiteral("0110000011"))));
    QVERIFY(!(mask == Mask()));
}

void TestMask::bitmapsComeBack_data()
{
    QTest::addColumn<QString>("mask");
    QTest::addColumn<QString>("bitmap");
    QTest::newRow("one byte") << QStringLiteral("01100000") << QStringLiteral("Bg==");
    QTest::newRow("two bytes") << QStringLiteral("0110000001") << QStringLiteral("BgI=");
    QTest::newRow("three bytes") << QStringLiteral("111111111111111111111111") << QStringLiteral("////");
    QTest::newRow("nothing kept") << QStringLiteral("000") << QStringLiteral("AA==");
}

void TestMask::bitmapsComeBack()
{
    QFETCH(QString, mask);
    QFETCH(QString, bitmap);
    const Mask made = maskOf(mask);
    QCOMPARE(QString::fromStdString(made.bitmap()), bitmap);
    const auto read = Mask::fromBitmap(bitmap.toStdString(), mask.size());
    QVERIFY(read.has_value());
    QVERIFY(*read == made);
    QCOMPARE(read->keptCount(), std::int64_t(mask.count(QChar(u'1'))));
}

void TestMask::foreignBitmapsAreErrors_data()
{
    QTest::addColumn<QString>("bitmap");
    QTest::addColumn<int>("size");
    QTest::newRow("no base64") << QStringLiteral("B!==") << 8;
    QTest::newRow("cut off") << QStringLiteral("BgI") << 10;
    QTest::newRow("too short") << QStringLiteral("Bg==") << 10;
    QTest::newRow("too long") << QStringLiteral("BgI=") << 8;
    QTest::newRow("bits beyond the end") << QStringLiteral("BgI=") << 9;
    QTest::newRow("padding inside") << QStringLiteral("B=I=") << 10;
    QTest::newRow("no elements") << QString() << 0;
    QTest::newRow("negative") << QStringLiteral("Bg==") << -8;
}

void TestMask::foreignBitmapsAreErrors()
{
    QFETCH(QString, bitmap);
    QFETCH(int, size);
    const auto read = Mask::fromBitmap(bitmap.toStdString(), size);
    QVERIFY(!read.has_value());
    QVERIFY(!read.error().message.empty());
}

// methods.md B1: gaps of non-zeros at 1, 4, 15, 40 with 4-bit fields are 1, 2, 10, 15 (filler), 8.
void TestMask::relativeIndices_data()
{
    QTest::addColumn<QList<int>>("places");
    QTest::addColumn<int>("size");
    QTest::addColumn<int>("bits");
    QTest::addColumn<int>("entries");
    QTest::newRow("4 bits, one filler") << QList<int>{1, 4, 15, 40} << 64 << 4 << 5;
    QTest::newRow("3 bits, one filler") << QList<int>{1, 4, 15} << 64 << 3 << 4;
    QTest::newRow("a gap that just fits") << QList<int>{15} << 64 << 4 << 1;
    QTest::newRow("a gap one too long") << QList<int>{16} << 64 << 4 << 2;
    QTest::newRow("8 bits") << QList<int>{1, 4, 15, 40} << 64 << 8 << 4;
    QTest::newRow("nothing kept") << QList<int>{} << 64 << 4 << 0;
}

void TestMask::relativeIndices()
{
    QFETCH(QList<int>, places);
    QFETCH(int, size);
    QFETCH(int, bits);
    QFETCH(int, entries);
    std::vector<std::uint8_t> kept(std::size_t(size), 0);
    for (const int place : places)
        kept[std::size_t(place)] = 1;
    QCOMPARE(Mask::fromKept(kept).relativeEntries(bits), std::int64_t(entries));
}

void TestMask::longMasksAreCountedLikeShortOnes()
{
    // Kept at 0, 70, 71 and 400 of 500: gaps of 0, 69, 0 and 328 zeros, over several words of the bitmap.
    // 4 bits: 69 / 16 = 4 and 328 / 16 = 20 fillers; 5 bits: 2 and 10; 8 bits: 0 and 1; 1 bit: 34 and 164.
    std::vector<std::uint8_t> kept(500, 0);
    for (const std::size_t at : {0, 70, 71, 400})
        kept[at] = 255;   // anything but zero is kept
    const Mask mask = Mask::fromKept(kept);
    QCOMPARE(mask.keptCount(), std::int64_t(4));
    QCOMPARE(mask.relativeEntries(4), std::int64_t(28));
    QCOMPARE(mask.relativeEntries(5), std::int64_t(16));
    QCOMPARE(mask.relativeEntries(8), std::int64_t(5));
    QCOMPARE(mask.relativeEntries(1), std::int64_t(202));
    QCOMPARE(mask.relativeEntries(4), std::int64_t(28));   // remembered
    // A gap of 20 inside one word, after a bit and before another.
    std::vector<std::uint8_t> inside(64, 0);
    inside[3] = inside[24] = inside[25] = 1;
    QCOMPARE(Mask::fromKept(inside).relativeEntries(4), std::int64_t(4));
    QCOMPARE(Mask::fromKept(inside).relativeEntries(3), std::int64_t(5));   // 20 / 8 = 2 fillers
    QCOMPARE(Mask::fromKept(std::vector<std::uint8_t>(100, 0)).relativeEntries(4), std::int64_t(0));
}

QTEST_APPLESS_MAIN(TestMask)
#include "tst_mask.moc"
