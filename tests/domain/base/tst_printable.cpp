// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/printable.h"

#include <QtTest/QtTest>

using namespace bitwright;

class TestPrintable : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void oneLine_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("line");
        QTest::newRow("plain") << QByteArray("layer1.0.conv") << QByteArray("layer1.0.conv");
        QTest::newRow("letters") << QByteArray("größe 層 🙂") << QByteArray("größe 層 🙂");
        QTest::newRow("newline") << QByteArray("a\nb\r\tc") << QByteArray("a\\x0ab\\x0d\\x09c");
        QTest::newRow("terminal") << QByteArray("\x1b[31m\x7f") << QByteArray("\\x1b[31m\\x7f");
        QTest::newRow("zero") << QByteArray("a\0b", 3) << QByteArray("a\\x00b");
        QTest::newRow("no UTF-8") << QByteArray("a\xff\xc3") << QByteArray("a\\xff\\xc3");
        QTest::newRow("overlong") << QByteArray("\xc0\xaf\xe0\x80\xaf") << QByteArray("\\xc0\\xaf\\xe0\\x80\\xaf");
        QTest::newRow("surrogate") << QByteArray("\xed\xa0\x80") << QByteArray("\\xed\\xa0\\x80");
        QTest::newRow("control beyond ASCII") << QByteArray("\xc2\x9b") << QByteArray("\\xc2\\x9b");
    }
    void oneLine()
    {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, line);
        QCOMPARE(QByteArray::fromStdString(printable(std::string_view(text.constData(), std::size_t(text.size())))), line);
    }
    void lines()
    {
        QCOMPARE(printableLines("a\x1b\nb\n\nc"), std::string("a\\x1b\nb\n\nc"));
        QCOMPARE(printableLines("a\n"), std::string("a\n"));
        QCOMPARE(printableLines(""), std::string());
        const std::string wide(5000, 'x');
        QCOMPARE(printableLines(wide), wide);
    }
    void cuts()
    {
        QCOMPARE(printable("abcdef", 3), std::string("abc…"));
        QCOMPARE(printable("abc", 3), std::string("abc"));
        QCOMPARE(printable("aö", 2), std::string("a…"));   // never within a character
    }
};

QTEST_APPLESS_MAIN(TestPrintable)
#include "tst_printable.moc"
