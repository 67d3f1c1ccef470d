// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/array_file.h"
#include "data/data_spec.h"
#include "data/dataset.h"
#include "data/fit_shape.h"
#include "data_support.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

using Opened = Result<std::shared_ptr<const Dataset>>;

/// All samples as the network gets them.
std::vector<float> inputsOf(const Dataset &data)
{
    const at::Tensor flat = data.inputs(0, data.size()).flatten();
    return {flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel()};
}

bool near(const std::vector<float> &got, const std::vector<double> &wanted)
{
    bool same = got.size() == wanted.size();
    for (std::size_t i = 0; same && i < got.size(); ++i)
        same = std::abs(double(got[i]) - wanted[i]) <= 1e-6 * std::max(1.0, std::abs(wanted[i]));
    if (!same)
        for (std::size_t i = 0; i < got.size(); ++i)
            qWarning("[%d] %.9g", int(i), double(got[i]));
    return same;
}

bool says(const Opened &opened, const std::vector<std::string> &parts)
{
    if (opened) {
        qWarning("it was opened");
        return false;
    }
    const auto &message = opened.error().message;
    for (const auto &part : parts) {
        if (message.find(part) == std::string::npos) {
            qWarning("\"%s\" does not say \"%s\"", message.c_str(), part.c_str());
            return false;
        }
    }
    return true;
}

DataContext reading(const Shape &input, const Shape &accepted = {})
{
    DataContext context;
    context.inputShape = input;
    context.acceptedShape = accepted;
    return context;
}

Shape shapeFrom(const QList<int> &sizes)
{
    return {sizes.begin(), sizes.end()};
}

} // namespace

class TestOpenData : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase()
    {
        QVERIFY(m_folder.isValid());
        qunsetenv("BITWRIGHT_SAMPLES");
    }

    void specs_data()
    {
        QTest::addColumn<QString>("spec");
        QTest::addColumn<QString>("kind");
        QTest::addColumn<QString>("path");
        QTest::newRow("plain") << "npy:a.npy" << "npy" << "a.npy";
        QTest::newRow("colon in the path") << "npz:C:/x.npz" << "npz" << "C:/x.npz";
        QTest::newRow("comma in the path") << "npy:a,b.npy" << "npy" << "a,b.npy";
        QTest::newRow("comma and option") << "npy:a,b.npy,limit=3" << "npy" << "a,b.npy";
        QTest::newRow("equals sign in the path") << "npy:x=1/a.npy,first=2" << "npy" << "x=1/a.npy";
        QTest::newRow("all of idx") << "idx:d,split=train,mean=0.1,std=0.2,limit=3,first=4" << "idx" << "d";
        QTest::newRow("sample") << "sample:train,limit=1" << "sample" << "train";
        QTest::newRow("spaces") << "images:my pictures,size=2x3" << "images" << "my pictures";
    }
    void specs()
    {
        QFETCH(QString, spec);
        QFETCH(QString, kind);
        QFETCH(QString, path);
        const auto parsed = parseDataSpec(spec.toStdString());
        QVERIFY2(parsed.has_value(), parsed ? "" : parsed.error().message.c_str());
        QCOMPARE(parsed->kind, kind.toStdString());
        QCOMPARE(parsed->path, path.toStdString());
    }

    void specOptions()
    {
        const auto spec = parseDataSpec("images:d,size=480x640,mean=0.1|0.2|-0.3,std=1|2|3e-1,limit=7,first=2");
        QVERIFY(spec.has_value());
        QCOMPARE(spec->size->first, std::int64_t(480));
        QCOMPARE(spec->size->second, std::int64_t(640));
        QCOMPARE(spec->mean, (std::vector<double>{0.1, 0.2, -0.3}));
        QCOMPARE(spec->std, (std::vector<double>{1, 2, 0.3}));
        QCOMPARE(spec->limit, std::int64_t(7));
        QCOMPARE(spec->first, std::int64_t(2));
        const auto bare = parseDataSpec("idx:d");
        QVERIFY(!bare->split && !bare->size && bare->mean.empty() && bare->std.empty());
        QCOMPARE(bare->limit, std::int64_t(-1));
        QCOMPARE(bare->first, std::int64_t(0));
        QCOMPARE(*parseDataSpec("idx:d,split=train")->split, std::string("train"));
    }

    void badSpecs_data()
    {
        QTest::addColumn<QString>("spec");
        QTest::addColumn<QStringList>("says");
        const auto row = [](const char *spec, const QStringList &says) { QTest::newRow(*spec ? spec : "empty") << QString(QLatin1String(spec)) << says; };
        const QStringList kinds{QStringLiteral("idx"), QStringLiteral("images"), QStringLiteral("npz"), QStringLiteral("npy"), QStringLiteral("sample")};
        row("", kinds);
        row("file.npz", kinds);
        row("csv:a.csv", QStringList{QStringLiteral("'csv'")} + kinds);
        row(":a.npy", kinds);
        row("NPY:a.npy", kinds);
        row("npy", {QStringLiteral("path"), QStringLiteral("npy:PATH")});
        row("npy:", {QStringLiteral("path"), QStringLiteral("npy:PATH")});
        row("npy:,limit=3", {QStringLiteral("path")});
        row("sample", {QStringLiteral("sample:test"), QStringLiteral("sample:train")});
        row("sample:all", {QStringLiteral("'all'"), QStringLiteral("sample:test")});
        row("npy:a.npy,limmit=3", {QStringLiteral("'limmit'"), QStringLiteral("limit")});
        row("npy:a.npy,split=test", {QStringLiteral("'split'"), QStringLiteral("npy takes")});
        row("idx:d,size=2x2", {QStringLiteral("'size'")});
        row("npy:a.npy,limit=3,limit=3", {QStringLiteral("'limit' twice")});
        row("idx:d,split=valid", {QStringLiteral("split=valid"), QStringLiteral("test or train")});
        row("npy:a.npy,limit=0", {QStringLiteral("limit=0"), QStringLiteral("from 1")});
        row("npy:a.npy,limit=-1", {QStringLiteral("limit=-1")});
        row("npy:a.npy,limit=1e3", {QStringLiteral("limit=1e3")});
        row("npy:a.npy,limit=9223372036854775808", {QStringLiteral("limit=")});
        row("npy:a.npy,limit=", {QStringLiteral("limit=")});
        row("npy:a.npy,first=-1", {QStringLiteral("first=-1"), QStringLiteral("from 0")});
        row("npy:a.npy,first=x", {QStringLiteral("first=x")});
        row("npy:a.npy,mean=", {QStringLiteral("mean=")});
        row("npy:a.npy,mean=1|", {QStringLiteral("mean=1|")});
        row("npy:a.npy,mean=nan", {QStringLiteral("mean=nan")});
        row("npy:a.npy,mean=1e999", {QStringLiteral("mean=1e999")});
        row("npy:a.npy,std=0", {QStringLiteral("std=0"), QStringLiteral("positive")});
        row("npy:a.npy,std=1|-1", {QStringLiteral("std=1|-1"), QStringLiteral("positive")});
        row("npy:a.npy,std=inf", {QStringLiteral("std=inf")});
        row("images:d,size=28", {QStringLiteral("size=28"), QStringLiteral("HEIGHTxWIDTH")});
        row("images:d,size=0x2", {QStringLiteral("size=0x2")});
        row("images:d,size=2x2x2", {QStringLiteral("size=2x2x2")});
        row("images:d,size=99999x99999", {QStringLiteral("size=99999x99999")});
    }
    void badSpecs()
    {
        QFETCH(QString, spec);
        QFETCH(QStringList, says);
        std::vector<std::string> parts{"'" + spec.toStdString() + "'"};
        for (const auto &part : says)
            parts.push_back(part.toStdString());
        const auto opened = openData(spec.toStdString(), {});
        QVERIFY(::says(opened, parts));
        QCOMPARE(opened.error().kind, ErrorKind::Invalid);
    }

    void fitsShapes_data()
    {
        QTest::addColumn<QList<int>>("samples");
        QTest::addColumn<QList<int>>("wanted");
        QTest::addColumn<QList<int>>("read");    // empty: refused
        QTest::addColumn<QStringList>("shapes");
        const auto row = [](const char *name, QList<int> samples, QList<int> wanted, QList<int> read, QStringList shapes = {}) {
            QTest::newRow(name) << samples << wanted << read << shapes;
        };
        const auto two = [](const char *a, const char *b) { return QStringList{QString::fromUtf8(a), QString::fromUtf8(b)}; };
        row("as it is", {2, 3, 4, 5}, {-1, 3, 4, 5}, {2, 3, 4, 5});
        row("batch of another size", {2, 3, 4, 5}, {1, 3, 4, 5}, {2, 3, 4, 5});
        row("N,H,W", {2, 4, 5}, {-1, 1, 4, 5}, {2, 1, 4, 5});
        row("N,H,W for three dimensions", {2, 4, 5}, {-1, 4, 5}, {2, 4, 5});
        row("N,H,W,1", {2, 4, 5, 1}, {-1, 1, 4, 5}, {2, 1, 4, 5});
        row("N,H,W,3", {2, 4, 5, 3}, {-1, 3, 4, 5}, {2, 3, 4, 5});
        row("N,H,W,4", {2, 6, 5, 4}, {-1, 4, 6, 5}, {2, 4, 6, 5});
        row("the network wants H,W,C", {2, 4, 5, 3}, {-1, 4, 5, 3}, {2, 4, 5, 3});
        row("free sizes", {2, 4, 5, 3}, {-1, 3, -1, -1}, {2, 3, 4, 5});
        row("free sizes, planes first", {2, 3, 4, 3}, {-1, 3, -1, -1}, {2, 3, 4, 3});
        row("N,H,W, free sizes", {2, 4, 5}, {-1, 1, -1, -1}, {2, 1, 4, 5});
        row("all free", {2, 7, 5}, {-1, -1, -1}, {2, 7, 5});
        row("vectors", {2, 7}, {-1, 7}, {2, 7});
        row("numbers", {4}, {-1}, {4});
        row("unknown, N,H,W", {2, 4, 5}, {}, {2, 1, 4, 5});
        row("unknown, N,H,W,C", {2, 6, 5, 3}, {}, {2, 3, 6, 5});
        row("unknown, N,C,H,W", {2, 3, 4, 4}, {}, {2, 3, 4, 4});
        row("unknown, vectors", {2, 7}, {}, {2, 7});
        row("other sizes", {2, 1, 4, 5}, {-1, 1, 28, 28}, {}, two("1×4×5", "1×28×28"));
        row("turned", {2, 5, 4}, {-1, 1, 4, 5}, {}, two("5×4", "1×4×5"));
        row("no two channels last", {2, 4, 5, 2}, {-1, 2, 4, 5}, {}, two("4×5×2", "2×4×5"));
        row("other channels", {2, 4, 5, 3}, {-1, 1, 4, 5}, {}, two("4×5×3", "1×4×5"));
        row("grey for colour", {2, 4, 5}, {-1, 3, 4, 5}, {}, two("4×5", "3×4×5"));
        row("vectors for pictures", {2, 784}, {-1, 1, 28, 28}, {}, two("784", "1×28×28"));
        row("free sizes, wrong channels", {2, 4, 5, 3}, {-1, 1, -1, -1}, {}, two("4×5×3", "1×?×?"));
        row("numbers for vectors", {4}, {-1, 7}, {}, two("a single number", "7"));
    }
    void fitsShapes()
    {
        QFETCH(QList<int>, samples);
        QFETCH(QList<int>, wanted);
        QFETCH(QList<int>, read);
        QFETCH(QStringList, shapes);
        const at::Tensor images = at::arange(c10::multiply_integers(shapeFrom(samples))).to(at::kByte).reshape(shapeFrom(samples));
        QVERIFY(writeNpy(path("fit.npy"), images).has_value());
        const auto spec = "npy:" + path("fit.npy");
        const auto opened = openData(spec, reading(shapeFrom(wanted)));
        if (read.isEmpty()) {
            QVERIFY(says(opened, {spec, shapes[0].toStdString(), shapes[1].toStdString()}));
            return;
        }
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message.c_str());
        const auto &got = (*opened)->images;
        QCOMPARE(got.sizes().vec(), shapeFrom(read));
        QVERIFY(got.is_contiguous());
        // either the same order, or the last dimension moved to the front
        const bool moved = samples.size() == 4 && samples != read;
        QVERIFY(at::equal(got, moved ? images.permute({0, 3, 1, 2}) : images.reshape(got.sizes())));
        QCOMPARE((*opened)->sampleShape(), shapeFrom(read.mid(1)));
        QCOMPARE((*opened)->size(), std::int64_t(read[0]));
        QCOMPARE((*opened)->spec, spec);
    }

    void acceptedBeforeUsual()
    {
        QVERIFY(writeNpy(path("free.npy"), at::zeros({2, 3, 40, 50})).has_value());
        const auto spec = "npy:" + path("free.npy");
        QVERIFY(says(openData(spec, reading({-1, 3, 32, 32})), {"3×40×50", "3×32×32"}));
        const auto opened = openData(spec, reading({-1, 3, 32, 32}, {-1, 3, -1, -1}));
        QVERIFY(opened.has_value());
        QCOMPARE((*opened)->sampleShape(), (Shape{3, 40, 50}));
        QVERIFY(says(openData(spec, reading({-1, 3, 32, 32}, {-1, 1, -1, -1})), {"3×40×50", "1×?×?"}));
    }

    void oneNumberIsNoData()
    {
        QVERIFY(writeNpy(path("one.npy"), at::scalar_tensor(3.0)).has_value());
        QVERIFY(says(openData("npy:" + path("one.npy"), {}), {path("one.npy"), "first dimension"}));
    }

    void scaling_data()
    {
        QTest::addColumn<QString>("type");
        QTest::addColumn<QString>("options");
        QTest::addColumn<QList<double>>("inputs");
        // the samples are 0, 51, 102, 255, two channels of one sample each: (0, 51) and (102, 255)
        QTest::newRow("bytes") << "u1" << "" << QList<double>{0, 0.2, 0.4, 1};
        QTest::newRow("bytes, mean") << "u1" << ",mean=0.5" << QList<double>{-0.5, -0.3, -0.1, 0.5};
        QTest::newRow("bytes, std") << "u1" << ",std=0.25" << QList<double>{0, 0.8, 1.6, 4};
        QTest::newRow("bytes, both") << "u1" << ",mean=0.5,std=0.25" << QList<double>{-2, -1.2, -0.4, 2};
        QTest::newRow("bytes, per channel") << "u1" << ",mean=0.2|0.4,std=0.5|2" << QList<double>{-0.4, 0, 0, 0.3};
        QTest::newRow("floats") << "f4" << "" << QList<double>{0, 51, 102, 255};
        QTest::newRow("floats, both") << "f4" << ",mean=1,std=2" << QList<double>{-0.5, 25, 50.5, 127};
        QTest::newRow("doubles") << "f8" << "" << QList<double>{0, 51, 102, 255};
        QTest::newRow("halves") << "f2" << ",mean=0|2" << QList<double>{0, 51, 100, 253};
        QTest::newRow("whole numbers") << "i8" << "" << QList<double>{0, 51, 102, 255};
        QTest::newRow("16 bits") << "u2" << ",std=0.5" << QList<double>{0, 102, 204, 510};
        QTest::newRow("truth values") << "b1" << "" << QList<double>{0, 1, 1, 1};
    }
    void scaling()
    {
        QFETCH(QString, type);
        QFETCH(QString, options);
        QFETCH(QList<double>, inputs);
        const std::map<QString, std::string> bodies{
            {QStringLiteral("u1"), {'\0', '\x33', '\x66', '\xff'}},
            {QStringLiteral("b1"), {'\0', '\x33', '\x66', '\xff'}},
            {QStringLiteral("f4"), packed<float>({0, 51, 102, 255})},
            {QStringLiteral("f8"), packed<double>({0, 51, 102, 255})},
            {QStringLiteral("f2"), packed<std::uint16_t>({0, 0x5260, 0x5660, 0x5bf8})},   // 51 is 1.59375 * 2^5
            {QStringLiteral("i8"), packed<std::int64_t>({0, 51, 102, 255})},
            {QStringLiteral("u2"), packed<std::uint16_t>({0, 51, 102, 255})},
        };
        writeBytes(path("scale.npy"), npyFile("<" + type.toStdString(), "(1, 2, 1, 2)", bodies.at(type)));
        const auto opened = openData("npy:" + path("scale.npy") + options.toStdString(), {});
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message.c_str());
        QVERIFY(near(inputsOf(**opened), {inputs.begin(), inputs.end()}));
        QVERIFY(!(*opened)->labelled());
        QCOMPARE((*opened)->inputs(0, 1).scalar_type(), at::kFloat);
    }

    void channelsCount()
    {
        QVERIFY(writeNpy(path("planes.npy"), at::zeros({2, 3, 4, 4}).to(at::kByte)).has_value());
        const auto spec = "npy:" + path("planes.npy");
        QVERIFY(openData(spec + ",mean=1|2|3,std=0.5", {}).has_value());
        QVERIFY(says(openData(spec + ",mean=1|2", {}), {"mean", "2 entries", "3 channels"}));
        QVERIFY(says(openData(spec + ",std=1|2|3|4", {}), {"std", "4 entries", "3 channels"}));
        // N x H x W becomes one channel before the lists are counted
        QVERIFY(writeNpy(path("grey.npy"), at::zeros({2, 4, 4})).has_value());
        QVERIFY(says(openData("npy:" + path("grey.npy") + ",mean=1|2|3|4", {}), {"mean", "4 entries", "1 channels"}));
    }

    void rowsByIndex()
    {
        QVERIFY(writeNpy(path("rows.npy"), at::arange(6).to(at::kFloat).reshape({3, 2})).has_value());
        const auto data = *openData("npy:" + path("rows.npy") + ",mean=1", {});
        QVERIFY(at::equal(data->inputs(1, 2), at::tensor({1.0F, 2.0F, 3.0F, 4.0F}).reshape({2, 2})));
        QVERIFY(at::equal(data->inputs(at::tensor({2, 0, 2}, at::kLong)),
                          at::tensor({3.0F, 4.0F, -1.0F, 0.0F, 3.0F, 4.0F}).reshape({3, 2})));
        QCOMPARE(data->inputs(at::empty({0}, at::kLong)).sizes().vec(), (std::vector<std::int64_t>{0, 2}));
    }

    void firstAndLimit_data()
    {
        QTest::addColumn<QString>("options");
        QTest::addColumn<QList<int>>("labels");
        QTest::newRow("all") << "" << QList<int>{0, 1, 2, 3, 4};
        QTest::newRow("limit") << ",limit=2" << QList<int>{0, 1};
        QTest::newRow("first") << ",first=3" << QList<int>{3, 4};
        QTest::newRow("both") << ",first=1,limit=3" << QList<int>{1, 2, 3};
        QTest::newRow("limit beyond the end") << ",limit=99,first=4" << QList<int>{4};
        QTest::newRow("largest limit") << ",limit=9223372036854775807,first=4" << QList<int>{4};
        QTest::newRow("behind the end") << ",first=5" << QList<int>{};
        QTest::newRow("far behind") << ",first=9223372036854775807,limit=3" << QList<int>{};
    }
    void firstAndLimit()
    {
        QFETCH(QString, options);
        QFETCH(QList<int>, labels);
        const at::Tensor y = at::arange(5);
        QVERIFY(writeNpz(path("five.npz"), {{"x", (y * 10).to(at::kByte).reshape({5, 1, 1})}, {"y", y}}).has_value());
        makeIdx("five", idxFile(8, {5, 1, 1}, {0, 10, 20, 30, 40}), idxFile(8, {5}, {0, 1, 2, 3, 4}));
        QVERIFY(writeNpy(path("five.npy"), (y * 10).to(at::kByte).reshape({5, 1, 1})).has_value());
        for (const auto &spec : {"npz:" + path("five.npz"), "idx:" + path("five"), "npy:" + path("five.npy")}) {
            const auto opened = openData(spec + options.toStdString(), {});
            if (labels.isEmpty()) {
                QVERIFY(says(opened, {"no samples", "first"}));
                continue;
            }
            QVERIFY2(opened.has_value(), opened ? "" : opened.error().message.c_str());
            QCOMPARE((*opened)->size(), std::int64_t(labels.size()));
            for (qsizetype i = 0; i < labels.size(); ++i) {
                QCOMPARE((*opened)->images[i].item<int>(), labels[i] * 10);
                if ((*opened)->labelled())
                    QCOMPARE((*opened)->labels[i].item<int>(), labels[i]);
            }
            QCOMPARE((*opened)->labelled(), !spec.starts_with("npy:"));
        }
    }

    void noSamples()
    {
        QVERIFY(writeNpy(path("none.npy"), at::zeros({0, 1, 2, 2})).has_value());
        QVERIFY(says(openData("npy:" + path("none.npy"), {}), {"no samples", "none.npy"}));
    }

    void namesInNpz()
    {
        const at::Tensor x = at::zeros({2, 1, 2, 2}), y = at::tensor({1, 0});
        const auto spec = "npz:" + path("names.npz");
        const auto write = [this](const std::vector<NamedTensor> &arrays) { return writeNpz(path("names.npz"), arrays).has_value(); };
        QVERIFY(write({{"labels", y}, {"images", x}}));
        QVERIFY((*openData(spec, {}))->labelled());
        QVERIFY(write({{"x", x}, {"extra", y}}));
        QVERIFY(!(*openData(spec, {}))->labelled());
        QVERIFY(write({{"images", x}}));
        QVERIFY(!(*openData(spec, {}))->labelled());
        QVERIFY(write({{"data", x}, {"y", y}}));
        QVERIFY(says(openData(spec, {}), {path("names.npz"), "'x'", "'images'", "data, y"}));
        QVERIFY(write({{"x", x}, {"y", at::tensor({1, 0, 1})}}));
        QVERIFY(says(openData(spec, {}), {"2 samples", "3 labels"}));
        // the counts in the file are compared, not those of the part that was asked for
        QVERIFY(says(openData(spec + ",limit=1", {}), {"2 samples", "3 labels"}));
    }

    void labels_data()
    {
        QTest::addColumn<QString>("type");
        QTest::addColumn<QByteArray>("body");
        QTest::addColumn<QString>("shape");
        QTest::addColumn<QString>("says");   // empty: 1, 0
        const auto row = [](const char *name, const char *type, const std::string &body, const char *shape, const char *says) {
            QTest::newRow(name) << QString(QLatin1String(type)) << QByteArray(body.data(), qsizetype(body.size()))
                                << QString(QLatin1String(shape)) << QString::fromUtf8(says);
        };
        row("int64", "<i8", packed<std::int64_t>({1, 0}), "(2,)", "");
        row("bytes", "|u1", {'\1', '\0'}, "(2,)", "");
        row("truth values", "|b1", {'\1', '\0'}, "(2,)", "");
        row("a column", "<i4", packed<std::int32_t>({1, 0}), "(2, 1)", "");
        row("whole floats", "<f4", packed<float>({1, 0}), "(2,)", "");
        row("half a class", "<f4", packed<float>({1, 0.5F}), "(2,)", "whole numbers");
        row("not a number", "<f8", packed<double>({1, std::nan("")}), "(2,)", "whole numbers");
        row("negative", "<i8", packed<std::int64_t>({1, -3}), "(2,)", "label -3 at sample 1");
        row("one-hot", "<f4", packed<float>({0, 1, 1, 0}), "(2, 2)", "2×2");
        row("one number", "<i8", packed<std::int64_t>({1}), "()", "");
    }
    void labels()
    {
        QFETCH(QString, type);
        QFETCH(QByteArray, body);
        QFETCH(QString, shape);
        QFETCH(QString, says);
        const auto y = npyFile(type.toStdString(), shape.toStdString(), body.toStdString());
        writeBytes(path("labels.npz"), zipFile({{"x.npy", npyFile("|u1", "(2, 1, 1)", "ab")}, {"y.npy", y}}));
        const auto opened = openData("npz:" + path("labels.npz"), {});
        if (!says.isEmpty() || shape == QLatin1String("()")) {
            QVERIFY(::says(opened, {path("labels.npz"), says.toStdString()}));
            return;
        }
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message.c_str());
        QVERIFY(at::equal((*opened)->labels, at::tensor({1, 0}, at::kLong)));
    }

    void idx()
    {
        const auto images = idxFile(8, {2, 2, 2}, {0, 51, 102, '\x99', '\xff', 0, 0, 0}), labels = idxFile(8, {2}, {3, 4});
        makeIdx("plain", images, labels);
        makeIdx("gzip", gzipped(images), gzipped(labels), ".gz");
        for (const char *folder : {"plain", "gzip"}) {
            const auto opened = openData("idx:" + path(folder), reading({-1, 1, 2, 2}));
            QVERIFY2(opened.has_value(), opened ? "" : opened.error().message.c_str());
            QCOMPARE((*opened)->images.scalar_type(), at::kByte);   // bytes stay bytes
            QCOMPARE((*opened)->sampleShape(), (Shape{1, 2, 2}));
            QVERIFY(near(inputsOf(**opened), {0, 0.2, 0.4, 0.6, 1, 0, 0, 0}));
            QVERIFY(at::equal((*opened)->labels, at::tensor({3, 4}, at::kLong)));
            QVERIFY(says(openData("idx:" + path(folder) + ",split=train", {}), {path(folder), "train"}));
            QVERIFY(says(openData("idx:" + path(folder), reading({-1, 3, 2, 2})), {"2×2", "3×2×2"}));
        }
        makeIdx("uneven", images, idxFile(8, {3}, {3, 4, 5}));
        QVERIFY(says(openData("idx:" + path("uneven"), {}), {"t10k-images-idx3-ubyte holds 2 samples", "t10k-labels-idx1-ubyte holds 3 labels"}));
        QVERIFY(says(openData("idx:" + path("uneven") + ",limit=1", {}), {"2 samples", "3 labels"}));
        QVERIFY(says(openData("idx:" + path("nowhere"), {}), {path("nowhere"), "no such folder"}));
        QVERIFY(says(openData("idx:no/such/relative/folder", {}), {"no/such/relative/folder", "XDG_DATA_DIRS"}));
    }

    void installedData()
    {
        QVERIFY(QDir(m_folder.path()).mkpath(QStringLiteral("share/datasets/tiny")));
        makeIdx("share/datasets/tiny", idxFile(8, {1, 1, 1}, {5}), idxFile(8, {1}, {2}));
        const auto old = qgetenv("XDG_DATA_DIRS");
        qputenv("XDG_DATA_DIRS", QByteArray("/nowhere::" + m_folder.path().toUtf8() + "/share"));
        for (const char *spec : {"idx:tiny", "idx:datasets/tiny"}) {
            const auto opened = openData(spec, {});
            QVERIFY2(opened.has_value(), opened ? "" : opened.error().message.c_str());
            QCOMPARE((*opened)->size(), std::int64_t(1));
        }
        QVERIFY(says(openData("idx:tinier", {}), {"tinier"}));
        qputenv("XDG_DATA_DIRS", old);
    }

    void sampleSubsets_data()
    {
        QTest::addColumn<QString>("split");
        QTest::addColumn<QList<int>>("firstLabels");
        QTest::addColumn<int>("firstSum");
        // read with Python's gzip from sample_models/data
        QTest::newRow("test") << "test" << QList<int>{9, 2, 1, 1, 6, 1, 4, 6, 5, 7} << 33456;
        QTest::newRow("train") << "train" << QList<int>{9, 0, 0, 3, 0, 2, 7, 2, 5, 5} << 76247;
    }
    void sampleSubsets()
    {
        QFETCH(QString, split);
        QFETCH(QList<int>, firstLabels);
        QFETCH(int, firstSum);
        const auto opened = openData("sample:" + split.toStdString(), reading({-1, 1, 28, 28}));
        QVERIFY2(opened.has_value(), opened ? "" : opened.error().message.c_str());
        const Dataset &data = **opened;
        QCOMPARE(data.size(), std::int64_t(2000));
        QCOMPARE(data.sampleShape(), (Shape{1, 28, 28}));
        QCOMPARE(data.labels.sizes().vec(), (std::vector<std::int64_t>{2000}));
        for (qsizetype i = 0; i < 10; ++i)
            QCOMPARE(data.labels[i].item<int>(), firstLabels[i]);
        QCOMPARE(data.images[0].sum().item<int>(), firstSum);
        QCOMPARE(data.classes.size(), std::size_t(10));
        QCOMPARE(data.classes[9], std::string("Ankle boot"));
        QCOMPARE(data.labels.max().item<int>(), 9);
        QCOMPARE(data.preprocessing, (Preprocessing{1.0 / 255, {}, {}}));
        const auto part = openData("sample:" + split.toStdString() + ",first=1990,limit=20", {});
        QCOMPARE((*part)->size(), std::int64_t(10));
        QVERIFY(at::equal((*part)->images, data.images.slice(0, 1990)));
        QVERIFY(says(openData("sample:" + split.toStdString(), reading({-1, 3, 32, 32})), {"28×28", "3×32×32"}));
    }

    void aSamplesOwnPreprocessing()
    {
        const auto model = path("net.pt2");
        writeBytes(path("net.json"), R"({"schema": "bitwright/sample/1", "name": "net", "classes": ["a", "b"],
            "input": {"shape": [1, 1, 2], "scale": 0.01, "mean": [0.5], "std": [0.5]}})");
        writeBytes(path("two.npy"), npyFile("|u1", "(1, 1, 1, 2)", "\x32\x64"));   // 50 and 100
        auto context = reading({-1, 1, 1, 2});
        context.modelPath = model;
        const auto spec = "npy:" + path("two.npy");
        QVERIFY(near(inputsOf(**openData(spec, context)), {0, 1}));
        QVERIFY(near(inputsOf(**openData(spec + ",mean=0", context)), {1, 2}));        // options win, one by one
        QVERIFY(near(inputsOf(**openData(spec + ",std=0.25", context)), {0, 2}));
        QVERIFY(writeNpy(path("floats.npy"), at::tensor({0.5F, 1.0F}).reshape({1, 1, 1, 2})).has_value());
        QVERIFY(near(inputsOf(**openData("npy:" + path("floats.npy"), context)), {0, 1}));   // taken as 0…1 already
        QVERIFY(writeNpz(path("named.npz"), {{"x", at::zeros({2, 1, 1, 2})}, {"y", at::tensor({0, 1})}}).has_value());
        QCOMPARE((*openData("npz:" + path("named.npz"), context))->classes, (std::vector<std::string>{"a", "b"}));
        // an assignment of the same stem is no side file, and the full name goes first
        writeBytes(path("net.json"), R"({"schema": "bitwright/assignment/1"})");
        QVERIFY(near(inputsOf(**openData(spec, context)), {50.0 / 255, 100.0 / 255}));
        writeBytes(path("net.pt2.json"), R"({"schema": "bitwright/sample/1", "input": {"scale": 1}})");
        QVERIFY(near(inputsOf(**openData(spec, context)), {50, 100}));
        writeBytes(path("net.pt2.json"), "{ not JSON");
        QVERIFY(near(inputsOf(**openData(spec, context)), {50.0 / 255, 100.0 / 255}));
    }

    void damage()
    {
        const auto whole = zipFile({{"x.npy", npyFile("|u1", "(2, 1, 2)", "abcd")}, {"y.npy", npyFile("|u1", "(2,)", {'\0', '\1'})}});
        const ReadTensor read = [](const std::string &name) -> Result<at::Tensor> {
            BW_ASSIGN(const auto data, openData("npz:" + name, reading({-1, 1, 1, 2})));
            return data->inputs(0, data->size());
        };
        const auto before = peakMemoryKiB();
        const at::Tensor right = *read(writeBytes(path("damaged.npz"), whole));
        const Acceptable acceptable = [&right](const at::Tensor &inputs) { return at::equal(inputs, right); };
        QCOMPARE(cutEverywhere(whole, path("damaged.npz"), read, acceptable).silent, std::string());
        QCOMPARE(flipEverywhere(whole, path("damaged.npz"), read, acceptable).silent, std::string());
        QVERIFY(peakMemoryKiB() - before < 32 * 1024);
    }

private:
    std::string path(const std::string &name) const { return m_folder.path().toStdString() + "/" + name; }
    void makeIdx(const std::string &folder, const std::string &images, const std::string &labels, const std::string &ending = "") const
    {
        std::filesystem::create_directories(path(folder));
        writeBytes(path(folder) + "/t10k-images-idx3-ubyte" + ending, images);
        writeBytes(path(folder) + "/t10k-labels-idx1-ubyte" + ending, labels);
    }
    QTemporaryDir m_folder;
};

QTEST_APPLESS_MAIN(TestOpenData)
#include "tst_open_data.moc"
