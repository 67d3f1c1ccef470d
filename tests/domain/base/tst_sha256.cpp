// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/sha256.h"

#include <QtCore/QCryptographicHash>
#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

#include <fstream>

using namespace bitwright;

class TestSha256 : public QObject {
    Q_OBJECT

private slots:
    void knownDigests_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QString>("digest");
        // FIPS 180-4's examples, then lengths around a block: checked with sha256sum.
        QTest::newRow("nothing") << QByteArray() << QStringLiteral("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        QTest::newRow("abc") << QByteArray("abc") << QStringLiteral("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        QTest::newRow("two blocks") << QByteArray("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
                                    << QStringLiteral("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        QTest::newRow("a million") << QByteArray(1000000, 'a')
                                   << QStringLiteral("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    void knownDigests()
    {
        QFETCH(QByteArray, text);
        QFETCH(QString, digest);
        Sha256 whole;
        whole.update({text.constData(), std::size_t(text.size())});
        QCOMPARE(QString::fromStdString(whole.hex()), digest);
        Sha256 pieces;
        for (qsizetype at = 0, size = 1; at < text.size(); at += size, size = size % 97 + 13)
            pieces.update({text.constData() + at, std::size_t(std::min(size, text.size() - at))});
        QCOMPARE(QString::fromStdString(pieces.hex()), digest);
    }

    void everyLengthAgreesWithQt()
    {
        for (int length = 0; length < 200; ++length) {
            const QByteArray text(length, 'x');
            Sha256 digest;
            digest.update({text.constData(), std::size_t(length)});
            QCOMPARE(QByteArray::fromStdString(digest.hex()), QCryptographicHash::hash(text, QCryptographicHash::Sha256).toHex());
        }
    }

    void files()
    {
        const QTemporaryDir folder;
        const std::string path = folder.filePath(QStringLiteral("f")).toStdString();
        std::ofstream(path) << "abc";
        QCOMPARE(QString::fromStdString(sha256OfFile(path).value()),
                 QStringLiteral("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
        const auto missing = sha256OfFile(path + "x");
        QVERIFY(!missing && missing.error().kind == ErrorKind::Io);
    }
};

QTEST_APPLESS_MAIN(TestSha256)
#include "tst_sha256.moc"
