// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/array_file.h"
#include "data_support.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

const std::string kA = npyFile("<i2", "(3,)", packed<std::int16_t>({1, 2, 3}));
const std::string kB = npyFile(">f4", "(2, 2)", packed<float>({0.5F, 1.5F, 2.5F, 3.5F}, true));

at::Tensor a()
{
    return at::tensor({1, 2, 3}, at::kShort);
}

at::Tensor b()
{
    return at::tensor({0.5F, 1.5F, 2.5F, 3.5F}).reshape({2, 2});
}

bool same(const at::Tensor &got, const at::Tensor &wanted)
{
    return got.scalar_type() == wanted.scalar_type() && at::equal(got, wanted);
}

} // namespace

class TestNpz : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { QVERIFY(m_folder.isValid()); }

    void storedAndDeflated_data()
    {
        QTest::addColumn<bool>("compress");
        QTest::newRow("numpy.savez") << false;
        QTest::newRow("numpy.savez_compressed") << true;
    }
    void storedAndDeflated()
    {
        QFETCH(bool, compress);
        const auto path = file(zipFile({{"b.npy", kB}, {"a.npy", kA}}, compress));
        const auto names = npzNames(path);
        QVERIFY2(names.has_value(), names ? "" : names.error().message.c_str());
        QCOMPARE(*names, (std::vector<std::string>{"b", "a"}));
        const auto arrays = readArrays(path);
        QVERIFY2(arrays.has_value(), arrays ? "" : arrays.error().message.c_str());
        QCOMPARE(arrays->size(), std::size_t(2));
        QCOMPARE((*arrays)[0].first, std::string("b"));
        QVERIFY(same((*arrays)[0].second, b()));
        QVERIFY(same((*arrays)[1].second, a()));
        std::int64_t total = 0;
        const auto part = readNpz(path, "a", 1, 1, &total);
        QVERIFY(part.has_value() && same(*part, at::tensor({2}, at::kShort)));
        QCOMPARE(total, std::int64_t(3));
        const auto rest = readNpz(path, "b", 1);
        QVERIFY(rest.has_value() && same(*rest, b().slice(0, 1)));
        const auto missing = readNpz(path, "c");
        QVERIFY(!missing);
        QCOMPARE(missing.error().message, path + ", has no array 'c', it has: b, a");
    }

    void theContentDecides()
    {
        const auto path = writeBytes(m_folder.path().toStdString() + "/zip.npy", zipFile({{"a.npy", kA}}));
        const auto arrays = readArrays(path);
        QVERIFY(arrays.has_value());
        QCOMPARE((*arrays)[0].first, std::string("a"));
    }

    void refused_data()
    {
        QTest::addColumn<QByteArray>("bytes");
        QTest::addColumn<QString>("says");
        const auto row = [](const char *name, const std::string &bytes, const char *says) {
            QTest::newRow(name) << QByteArray(bytes.data(), qsizetype(bytes.size())) << QString(QLatin1String(says));
        };
        row("nothing", "", "not a readable .npz");
        row("text", "PK is not enough", "not a readable .npz");
        row("no arrays", zipFile({}), "has no array 'a'");
        row("a text file", zipFile({{"a", "hello, world"}}), "not a .npy file");
        row("an empty entry", zipFile({{"a.npy", ""}}), "not a .npy file");
        row("2^60 numbers", zipFile({{"a.npy", npyFile("<f4", "(1152921504606846976,)", "abcd")}}), "promises");
        row("2^34 numbers", zipFile({{"a.npy", npyFile("<f4", "(17179869184,)", "abcd")}}, true), "promises");
        row("a folder", zipFile({{"a/", ""}}), "has no array 'a'");
        std::string lies = zipFile({{"a.npy", npyFile("|u1", "(4294967290,)", "abcd")}});
        for (const std::size_t at : {std::size_t(22), lies.rfind("PK\x01\x02") + 24})   // the sizes after unpacking
            lies.replace(at, 4, packed<std::uint32_t>({0xfffffff0U}));
        row("an entry that claims 4 GiB", lies, "");
        std::string method = zipFile({{"a.npy", kA}});
        for (const std::size_t at : {std::size_t(8), method.rfind("PK\x01\x02") + 10})
            method[at] = 98;   // PPMd
        row("an unknown compression", method, "cannot be unpacked");
        std::string locked = zipFile({{"a.npy", kA}});
        for (const std::size_t at : {std::size_t(6), locked.rfind("PK\x01\x02") + 8})
            locked[at] = 1;
        row("encrypted", locked, "cannot be unpacked");
        std::string sum = zipFile({{"a.npy", kA}});
        sum[sum.rfind("PK\x01\x02") - 1] ^= 1;
        row("a wrong sum", sum, "damaged");
    }
    void refused()
    {
        QFETCH(QByteArray, bytes);
        QFETCH(QString, says);
        const auto path = file(bytes.toStdString());
        const auto before = peakMemoryKiB();
        const auto tensor = readNpz(path, "a");
        QVERIFY(!tensor.has_value());
        const auto &message = tensor.error().message;
        QVERIFY2(message.starts_with(path) && message.find(says.toStdString()) != std::string::npos, message.c_str());
        const auto all = readArrays(path);
        QVERIFY(!all.has_value() || all->empty());
        QVERIFY(peakMemoryKiB() - before < 32 * 1024);
    }

    void aBombStaysSmall()
    {
        // 64 MiB of zeros from 64 KiB: read in full where it is asked for, one row of it where that is enough
        const std::string zeros(std::size_t(64) << 20, '\0');
        const auto path = file(zipFile({{"a.npy", npyFile("|u1", "(65536, 1024)", zeros)}}, true));
        const auto row = readNpz(path, "a", 0, 1);
        QVERIFY2(row.has_value(), row ? "" : row.error().message.c_str());
        QCOMPARE(row->numel(), std::int64_t(1024));
        const auto all = readNpz(path, "a");
        QVERIFY2(all.has_value(), all ? "" : all.error().message.c_str());
        QCOMPARE(all->numel(), std::int64_t(64) << 20);
    }

    void missingFiles()
    {
        const auto missing = readNpz(m_folder.path().toStdString() + "/no.npz", "a");
        QVERIFY(!missing && missing.error().kind == ErrorKind::Io);
        QVERIFY(!npzNames(m_folder.path().toStdString()));
        QVERIFY(!readArrays(m_folder.path().toStdString()));
        QVERIFY(!readArrays(m_folder.path().toStdString() + "/no.npz"));
    }

    void pathsInNamesStayNames()
    {
        const std::vector<std::string> wanted{"../../escaped", "/tmp/bitwright_escaped", "sub/dir/x", "..\\escaped", "\xff\xfe"};
        std::vector<std::pair<std::string, std::string>> entries;
        for (const auto &name : wanted)
            entries.emplace_back(name + ".npy", kA);
        QDir inner(m_folder.path());
        QVERIFY(inner.mkpath(QStringLiteral("p/q")));
        const auto path = writeBytes(m_folder.path().toStdString() + "/p/q/evil.npz", zipFile(entries));
        const auto arrays = readArrays(path);
        QVERIFY2(arrays.has_value(), arrays ? "" : arrays.error().message.c_str());
        QCOMPARE(arrays->size(), wanted.size());
        for (const auto &[name, tensor] : *arrays)
            QVERIFY(same(tensor, a()));
        for (std::size_t i = 0; i < 4; ++i)
            QCOMPARE((*arrays)[i].first, wanted[i]);
        QVERIFY(!QFile::exists(QStringLiteral("/tmp/bitwright_escaped.npy")) && !QFile::exists(QStringLiteral("/tmp/bitwright_escaped")));
        QCOMPARE(QDir(m_folder.path()).entryList({QStringLiteral("*escaped*")}).size(), 0);
        QCOMPARE(QDir(m_folder.path() + QStringLiteral("/p/q")).entryList(QDir::AllEntries | QDir::NoDotAndDotDot).size(), 1);
    }

    void doubleNames()
    {
        const auto path = file(zipFile({{"a.npy", kA}, {"a.npy", kB}}));
        const auto one = readNpz(path, "a");
        QVERIFY(!one || same(*one, a()) || same(*one, b()));
        const auto arrays = readArrays(path);
        QVERIFY(!arrays || arrays->size() <= 2);
        if (arrays)
            for (const auto &[name, tensor] : *arrays)
                QVERIFY(name == "a" && (same(tensor, a()) || same(tensor, b())));
    }

    void damage_data() { storedAndDeflated_data(); }
    void damage()
    {
        QFETCH(bool, compress);
        const auto whole = zipFile({{"a.npy", kA}, {"b.npy", kB}}, compress);
        const auto path = m_folder.path().toStdString() + "/damaged.npz";
        const auto before = peakMemoryKiB();
        for (const char *name : {"a", "b"}) {
            const ReadTensor read = [name](const std::string &damaged) { return readNpz(damaged, name); };
            const auto wanted = *name == 'a' ? a() : b();
            const Acceptable acceptable = [&wanted](const at::Tensor &tensor) { return same(tensor, wanted); };
            const auto cut = cutEverywhere(whole, path, read, acceptable);
            QCOMPARE(cut.silent, std::string());
            QCOMPARE(cut.errors, int(whole.size()));
            // every array carries its sum: what is read is right
            const auto flipped = flipEverywhere(whole, path, read, acceptable);
            QCOMPARE(flipped.silent, std::string());
            QVERIFY(flipped.errors > int(whole.size()) / 2 && flipped.reads > 0);
        }
        const ReadTensor all = [](const std::string &damaged) -> Result<at::Tensor> {
            BW_ASSIGN(const auto arrays, readArrays(damaged));
            return at::zeros({std::int64_t(arrays.size())});
        };
        const auto flipped = flipEverywhere(whole, path, all, [](const at::Tensor &count) { return count.numel() <= 2; });
        QCOMPARE(flipped.silent, std::string());
        QVERIFY(peakMemoryKiB() - before < 32 * 1024);
    }

    void roundTrip()
    {
        at::manual_seed(1);
        const auto path = m_folder.path().toStdString() + "/round.npz";
        const std::vector<NamedTensor> arrays{{"x", at::randn({2, 3})}, {"y", at::arange(4)}, {"empty", at::empty({0, 5})},
                                              {"scalar", at::scalar_tensor(2.5, at::kDouble)}, {"sub/größe", at::ones({2}).to(at::kByte)}};
        QVERIFY(writeNpz(path, arrays).has_value());
        const auto back = readArrays(path);
        QVERIFY2(back.has_value(), back ? "" : back.error().message.c_str());
        QCOMPARE(back->size(), arrays.size());
        for (std::size_t i = 0; i < arrays.size(); ++i) {
            QCOMPARE((*back)[i].first, arrays[i].first);
            QVERIFY(same((*back)[i].second, arrays[i].second));
        }
        const auto bytes = readBytes(path);
        QVERIFY(writeNpz(path, arrays).has_value());
        QVERIFY(readBytes(path) == bytes);   // same content, same bytes
        QVERIFY(bytes.find(npyBytes(arrays[0].second)) != std::string::npos);   // stored, as numpy.savez does
    }

    void writesNoArrayTwice()
    {
        const auto path = m_folder.path().toStdString() + "/twice.npz";
        QVERIFY(writeNpz(path, {{"x", a()}, {"x", b()}}).has_value());
        const auto names = npzNames(path);
        QVERIFY(names.has_value());
        QCOMPARE(names->size(), std::size_t(2));
        QVERIFY((*names)[0] != (*names)[1]);
        QVERIFY(same(*readNpz(path, (*names)[0]), a()) && same(*readNpz(path, (*names)[1]), b()));
    }

    void writeErrors()
    {
        for (const std::string &path : {m_folder.path().toStdString(), m_folder.path().toStdString() + "/no_such_folder/x.npz",
                                        std::string("/dev/full")}) {
            const auto status = writeNpz(path, {{"x", a()}});
            QVERIFY(!status.has_value());
            QVERIFY2(status.error().message.starts_with(path), status.error().message.c_str());
        }
    }

private:
    std::string file(const std::string &bytes) const { return writeBytes(m_folder.path().toStdString() + "/arrays.npz", bytes); }
    QTemporaryDir m_folder;
};

QTEST_APPLESS_MAIN(TestNpz)
#include "tst_npz.moc"
