// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/dataset.h"
#include "data_support.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <map>
#include <stdexcept>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// A picture's file holds "HEIGHT WIDTH CHANNELS VALUE": every byte is VALUE, in colour VALUE, VALUE + 1, VALUE + 2….
Result<at::Tensor> decode(const std::string &path)
{
    std::ifstream file(path);
    std::int64_t height = 0, width = 0, channels = 0, value = 0;
    if (!(file >> height >> width >> channels >> value))
        return fail(ErrorKind::Parse, path + ", cannot be decoded by the fake; check the picture");
    return (at::arange(channels) + value).to(at::kByte).expand({height, width, channels}).contiguous();
}

} // namespace

class TestImageFolder : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void init()
    {
        m_folder = std::make_unique<QTemporaryDir>();
        QVERIFY(m_folder->isValid());
    }

    void classesTakeTurns()
    {
        picture("dog/2.png", "2 2 1 12");
        picture("dog/1.png", "2 2 1 11");
        picture("cat/b.JPG", "2 2 1 2");
        picture("cat/a.jpeg", "2 2 1 1");
        picture("cat/c.webp", "2 2 1 3");
        picture("cat/notes.txt", "not a picture");
        picture("zebra/.keep", "");
        picture("loose.png", "2 2 1 99");
        const auto data = open();
        QVERIFY2(data.has_value(), data ? "" : data.error().message.c_str());
        QCOMPARE((*data)->classes, (std::vector<std::string>{"cat", "dog", "zebra"}));
        QVERIFY(at::equal((*data)->labels, at::tensor({0, 1, 0, 1, 0}, at::kLong)));
        QVERIFY(at::equal((*data)->images.select(1, 0).select(1, 0).select(1, 0), at::tensor({1, 11, 2, 12, 3}, at::kByte)));
        QCOMPARE((*data)->sampleShape(), (Shape{1, 2, 2}));
        QCOMPARE((*data)->inputs(1, 1).flatten()[0].item<float>(), float(11 / 255.0));
        const auto part = open(",first=1,limit=2,mean=1,std=0.5");
        QVERIFY(part.has_value());
        QVERIFY(at::equal((*part)->labels, at::tensor({1, 0}, at::kLong)));
        QCOMPARE((*part)->inputs(1, 1).flatten()[0].item<float>(), float((2 / 255.0 - 1) / 0.5));
        QCOMPARE((*open(",limit=100"))->size(), std::int64_t(5));
    }

    void brings_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("options");
        QTest::addColumn<QList<int>>("network");
        QTest::addColumn<QList<int>>("sample");
        QTest::addColumn<QList<int>>("values");   // of the first pixel
        QTest::newRow("grey") << "3 4 1 7" << "" << QList<int>{} << QList<int>{1, 3, 4} << QList<int>{7};
        QTest::newRow("colour") << "3 4 3 7" << "" << QList<int>{} << QList<int>{3, 3, 4} << QList<int>{7, 8, 9};
        QTest::newRow("alpha goes") << "3 4 4 7" << "" << QList<int>{} << QList<int>{3, 3, 4} << QList<int>{7, 8, 9};
        QTest::newRow("grey with alpha") << "3 4 2 7" << "" << QList<int>{} << QList<int>{1, 3, 4} << QList<int>{7};
        QTest::newRow("grey for a colour network") << "3 4 1 7" << "" << QList<int>{-1, 3, 3, 4} << QList<int>{3, 3, 4} << QList<int>{7, 7, 7};
        // ITU-R BT.601: 0.299 * 100 + 0.587 * 101 + 0.114 * 102 = 100.815
        QTest::newRow("colour for a grey network") << "3 4 3 100" << "" << QList<int>{-1, 1, 3, 4} << QList<int>{1, 3, 4} << QList<int>{101};
        QTest::newRow("to the network's size") << "6 8 1 7" << "" << QList<int>{-1, 1, 3, 4} << QList<int>{1, 3, 4} << QList<int>{7};
        QTest::newRow("up to the network's size") << "1 1 3 7" << "" << QList<int>{-1, 3, 5, 2} << QList<int>{3, 5, 2} << QList<int>{7, 8, 9};
        QTest::newRow("size=") << "6 8 1 7" << ",size=2x5" << QList<int>{} << QList<int>{1, 2, 5} << QList<int>{7};
        QTest::newRow("a network of free size") << "6 8 3 7" << "" << QList<int>{-1, 3, -1, -1} << QList<int>{3, 6, 8} << QList<int>{7, 8, 9};
        QTest::newRow("size= for a free size") << "6 8 3 7" << ",size=2x5" << QList<int>{-1, 3, -1, -1} << QList<int>{3, 2, 5} << QList<int>{7, 8, 9};
    }
    void brings()
    {
        QFETCH(QString, file);
        QFETCH(QString, options);
        QFETCH(QList<int>, network);
        QFETCH(QList<int>, sample);
        QFETCH(QList<int>, values);
        picture("a/1.png", file.toStdString());
        const auto data = open(options.toStdString(), {network.begin(), network.end()});
        QVERIFY2(data.has_value(), data ? "" : data.error().message.c_str());
        QCOMPARE((*data)->sampleShape(), Shape(sample.begin(), sample.end()));
        for (qsizetype c = 0; c < values.size(); ++c)
            QVERIFY((*data)->images.select(1, c).eq(values[c]).all().item<bool>());
    }

    void shrinksWithoutAliasing()
    {
        // columns 0 255 0 255…: halved with antialiasing they are grey, by picking pixels they would be 0 or 255
        picture("a/1.png", "unused");
        const auto data = openData("images:" + root() + ",size=8x8", context([](const std::string &) -> Result<at::Tensor> {
            return at::arange(16).remainder(2).mul(255).to(at::kByte).view({1, 16, 1}).expand({16, 16, 1}).contiguous();
        }));
        QVERIFY(data.has_value());
        const at::Tensor inner = (*data)->images.slice(2, 1, 7).slice(3, 1, 7).to(at::kFloat);
        QVERIFY(inner.min().item<float>() > 100 && inner.max().item<float>() < 155);
    }

    void refusedWithoutDecoder()
    {
        picture("a/1.png", "2 2 1 7");
        const auto data = openData("images:" + root(), {});
        QVERIFY(!data);
        QCOMPARE(data.error().kind, ErrorKind::Unsupported);
        QVERIFY2(data.error().message.find("command line decodes no pictures") != std::string::npos, data.error().message.c_str());
        QVERIFY(data.error().message.find(".npz") != std::string::npos);
    }

    void refusedFolders()
    {
        const auto nothing = open();
        QVERIFY(!nothing && nothing.error().message.find("one folder per class") != std::string::npos);
        picture("loose.png", "2 2 1 7");
        QVERIFY(!open());
        picture("a/readme.txt", "");
        QVERIFY(!open());
        const auto missing = openData("images:" + root() + "/nowhere", context(decode));
        QVERIFY(!missing && missing.error().message.find("no such folder") != std::string::npos);
        const auto file = openData("images:" + root() + "/loose.png", context(decode));
        QVERIFY(!file && file.error().message.find("loose.png") != std::string::npos);
    }

    void nothingLeft()
    {
        picture("a/1.png", "2 2 1 7");
        const auto data = open(",first=1");
        QVERIFY(!data);
        QVERIFY2(data.error().message.find("images:" + root()) != std::string::npos, data.error().message.c_str());
    }

    void decoderFailures_data()
    {
        QTest::addColumn<QString>("how");
        for (const char *how : {"an error", "an exception", "floats", "two dimensions", "no pixels"})
            QTest::newRow(how) << QString(QLatin1String(how));
    }
    void decoderFailures()
    {
        QFETCH(QString, how);
        picture("a/1.png", "2 2 1 7");
        picture("b/2.png", "2 2 1 7");
        const std::map<QString, std::function<Result<at::Tensor>()>> ways{
            {QStringLiteral("an error"), []() -> Result<at::Tensor> { return fail(ErrorKind::Parse, "2.png, is broken; repair it"); }},
            {QStringLiteral("an exception"), []() -> Result<at::Tensor> { throw std::runtime_error("2.png"); }},
            {QStringLiteral("floats"), []() -> Result<at::Tensor> { return at::zeros({2, 2, 1}); }},
            {QStringLiteral("two dimensions"), []() -> Result<at::Tensor> { return at::zeros({2, 2}).to(at::kByte); }},
            {QStringLiteral("no pixels"), []() -> Result<at::Tensor> { return at::empty({0, 2, 1}, at::kByte); }},
        };
        const auto data = openData("images:" + root(), context([&](const std::string &path) -> Result<at::Tensor> {
            return path.ends_with("2.png") ? ways.at(how)() : decode(path);
        }));
        QVERIFY(!data.has_value());
        QVERIFY2(data.error().message.find("2.png") != std::string::npos, data.error().message.c_str());
    }

    void damagedPictures()
    {
        picture("a/1.png", "2 2 1 7");
        picture("b/2.png", "2 2");
        const auto data = open();
        QVERIFY(!data && data.error().message.starts_with(root() + "/b/2.png"));
    }

    void othersThanTheNetworks()
    {
        picture("a/1.png", "2 2 1 7");
        const auto data = open("", {-1, 7});
        QVERIFY(!data);
        QVERIFY2(data.error().message.find("1×2×2") != std::string::npos && data.error().message.find('7') != std::string::npos,
                 data.error().message.c_str());
    }

    void stops()
    {
        picture("a/1.png", "2 2 1 7");
        picture("a/2.png", "2 2 1 7");
        std::stop_source source;
        int decoded = 0;
        auto stopping = context([&](const std::string &path) {
            ++decoded;
            source.request_stop();
            return decode(path);
        });
        stopping.job.stop = source.get_token();
        const auto data = openData("images:" + root(), stopping);
        QVERIFY(!data && isCancelled(data.error()));
        QCOMPARE(decoded, 1);
    }

    void linksThatLoop()
    {
        picture("a/1.png", "2 2 1 7");
        std::filesystem::create_directory_symlink(root(), root() + "/a/again");
        std::filesystem::create_symlink("self.png", root() + "/a/self.png");
        std::filesystem::create_symlink("nowhere", root() + "/b");
        const auto data = open();
        QVERIFY2(data.has_value(), data ? "" : data.error().message.c_str());
        QCOMPARE((*data)->size(), std::int64_t(1));
    }

private:
    std::string root() const { return m_folder->path().toStdString(); }
    void picture(const std::string &name, const std::string &text) const
    {
        const std::filesystem::path path = root() + "/" + name;
        std::filesystem::create_directories(path.parent_path());
        writeBytes(path.string(), text);
    }
    static DataContext context(const ImageDecoder &decoder, const Shape &network = {})
    {
        DataContext made;
        made.inputShape = network;
        made.decodeImage = decoder;
        return made;
    }
    Result<std::shared_ptr<const Dataset>> open(const std::string &options = "", const Shape &network = {}) const
    {
        auto made = context(decode, network);
        if (std::find(network.begin(), network.end(), -1) != network.end())
            made.acceptedShape = network;
        return openData("images:" + root() + options, made);
    }
    std::unique_ptr<QTemporaryDir> m_folder;
};

QTEST_APPLESS_MAIN(TestImageFolder)
#include "tst_image_folder.moc"
