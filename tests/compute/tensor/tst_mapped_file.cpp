// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/mapped_file.h"

#include <QtCore/QFile>
#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

#include <numeric>

#include <unistd.h>

using namespace bitwright;

class TestMappedFile : public QObject {
    Q_OBJECT

    static constexpr int kBytes = 1 << 20;
    QTemporaryDir m_folder;

    QString path() const { return m_folder.filePath(QStringLiteral("weights")); }
    void write(char fill, int bytes = kBytes) const
    {
        QFile file(path());
        QVERIFY(file.open(QIODevice::WriteOnly | QIODevice::Truncate));
        file.write(QByteArray(bytes, fill));
    }
    std::shared_ptr<const MappedFile> open() const
    {
        auto file = MappedFile::open(path().toStdString());
        return file ? *file : nullptr;
    }

private Q_SLOTS:
    void readsTheBytes()
    {
        write('a');
        const auto file = open();
        QVERIFY(file);
        QCOMPARE(file->bytes().size(), std::size_t(kBytes));
        QCOMPARE(file->bytes()[kBytes - 1], 'a');
        QVERIFY(file->intact());
        QVERIFY(mappedFilesIntact());
    }

    void errorsNameThePath()
    {
        write('a', 0);
        for (const QString &wrong : {path(), m_folder.path(), m_folder.filePath(QStringLiteral("none"))}) {
            const auto file = MappedFile::open(wrong.toStdString());
            QVERIFY(!file);
            QVERIFY2(file.error().message.starts_with(wrong.toStdString()), file.error().message.c_str());
        }
    }

    void shortenedWhileOpen()
    {
        write('a');
        const auto file = open();
        QVERIFY(file);
        QVERIFY(QFile::resize(path(), 10));
        const std::string_view bytes = file->bytes();
        // without care this raises SIGBUS
        const auto sum = std::accumulate(bytes.begin() + 4096, bytes.end(), 0L);
        QCOMPARE(sum, 0L);
        QCOMPARE(bytes[5], 'a');
        const Status status = mappedFilesIntact();
        QVERIFY(!status);
        QVERIFY2(status.error().message.find("shortened") != std::string::npos && status.error().message.starts_with(path().toStdString()),
                 status.error().message.c_str());
    }

    void closedFilesAreForgotten()
    {
        write('a');
        auto file = open();
        QVERIFY(file && QFile::resize(path(), 10));
        QVERIFY(!mappedFilesIntact());
        QVERIFY(mappedFilesIntact(mappedFileCount()));
        file.reset();
        QVERIFY(mappedFilesIntact());
    }

    void writtenToWhileOpen()
    {
        write('a');
        const auto file = open();
        QVERIFY(file);
        QTest::qSleep(20);   // the clock of the file system ticks
        write('b');
        const Status status = file->intact();
        QVERIFY(!status && status.error().message.find("written to") != std::string::npos);
    }

    void replacedFileStays()
    {
        write('a');
        const auto file = open();
        QVERIFY(file);
        QVERIFY(QFile::rename(path(), path() + QStringLiteral(".old")));
        write('b');
        QVERIFY(QFile::remove(path() + QStringLiteral(".old")));
        QVERIFY(file->intact());
        QCOMPARE(file->bytes()[kBytes - 1], 'a');
    }

    void writesStayHere()
    {
        write('a');
        const auto file = open();
        QVERIFY(file);
        const_cast<char *>(file->bytes().data())[3] = 'z';
        QFile again(path());
        QVERIFY(again.open(QIODevice::ReadOnly));
        QCOMPARE(again.read(5), QByteArray("aaaaa"));
        QVERIFY(file->intact());
    }
};

QTEST_APPLESS_MAIN(TestMappedFile)
#include "tst_mapped_file.moc"
