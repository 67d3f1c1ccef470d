// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/array_file.h"
#include "data/dataset.h"

#include <ATen/ATen.h>
#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

using namespace bitwright;

using Strings = std::vector<std::string>;
using Opened = Result<std::shared_ptr<const Dataset>>;

class TestRandomData : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void plainInputIsLikeAnyOther();
    void sameSeedSameSamples();
    void fewerAreTheFirstOnes();
    void everyTypeAndRank();
    void sizesAndRangesAreTaken();
    void whatIsNotKnownIsAskedFor();
    void mistakes_data();
    void mistakes();
    void arraysByNameAndPlace();
    void arraysAsTheNetworkReadsThem();
    void arraysThatDoNotFit_data();
    void arraysThatDoNotFit();
    void labelsBesideInputs();
    void oneArrayForSeveralInputs();
    void idsFromOneArray();

private:
    [[nodiscard]] std::string save(const char *name, const std::vector<NamedTensor> &arrays) const
    {
        const std::string path = m_folder.path().toStdString() + "/" + name;
        return writeNpz(path, arrays) ? path : "not written";
    }
    QTemporaryDir m_folder;
};

namespace {

InputNeed need(const std::string &name, Shape shape, const std::string &dtype = "float32", int axis = 0)
{
    InputNeed made;
    made.info = {name, shape, dtype};
    made.batchAxis = axis;
    made.shared = axis < 0;
    made.guess = shape;
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (int(i) == axis)
            made.guess[i] = 1;
        else if (shape[i] < 0) {
            made.guess[i] = 9;
            made.asked.push_back(std::int64_t(i));
        }
    }
    return made;
}

InputNeed ids(const std::string &name, Shape shape, std::int64_t rows)
{
    InputNeed made = need(name, std::move(shape), "int64");
    made.high = rows;
    made.rangeFrom = "words has " + std::to_string(rows) + " rows";
    return made;
}

/// Frames with a state in layers and a rate for all, as speech networks have them.
std::vector<InputNeed> speech()
{
    return {need("x", {-1, 6}), need("state", {2, -1, 3}, "float32", 1), need("sr", {}, "int64", -1)};
}

Opened open(const std::string &spec, std::vector<InputNeed> needs, std::int64_t most = 0)
{
    DataContext context;
    context.needs = std::move(needs);
    context.inputShape = context.needs.empty() ? Shape() : context.needs[0].info.shape;
    context.most = most;
    return openData(spec, context);
}

std::string whyNot(const Opened &opened)
{
    return opened ? std::string("it opened") : opened.error().message;
}

bool hasAll(const std::string &text, const Strings &parts)
{
    for (const std::string &part : parts)
        if (!text.contains(part)) {
            qWarning("'%s' lacks '%s'", text.c_str(), part.c_str());
            return false;
        }
    return true;
}

} // namespace

void TestRandomData::plainInputIsLikeAnyOther()
{
    const auto opened = open("random:count=40,seed=1", {need("x", {-1, 3, 8, 8})});
    QVERIFY2(opened, whyNot(opened).c_str());
    const Dataset &data = **opened;
    QVERIFY(data.isRandom() && !data.labelled() && data.columns.empty());
    QCOMPARE(data.size(), 40);
    const at::Tensor x = data.inputs(0, 40);
    QCOMPARE(x.sizes().vec(), (Shape{40, 3, 8, 8}));
    QVERIFY(std::abs(x.mean().item<double>()) < 0.05 && std::abs(x.std().item<double>() - 1) < 0.05);
    QVERIFY(at::equal(data.arguments(4, 8)[0].toTensor(), x.narrow(0, 4, 8)));
    QCOMPARE((*open("random", {need("x", {-1, 3, 8, 8})}))->size(), 256);
}

void TestRandomData::sameSeedSameSamples()
{
    const auto values = [](const std::string &spec) { return (*open(spec, speech()))->arguments(0, 5); };
    const auto first = values("random:count=5,seed=3,sr=16000"), again = values("random:count=5,seed=3,sr=16000"), other = values("random:count=5,seed=4,sr=16000");
    for (std::size_t i : {0U, 1U}) {
        QVERIFY(at::equal(first[i].toTensor(), again[i].toTensor()));
        QVERIFY(!at::equal(first[i].toTensor(), other[i].toTensor()));
    }
}

void TestRandomData::fewerAreTheFirstOnes()
{
    const auto all = *open("random:count=30", {need("x", {-1, 50})});
    const auto few = *open("random:count=30", {need("x", {-1, 50})}, 4);
    const auto later = *open("random:count=30,first=10,limit=5", {need("x", {-1, 50})});
    QCOMPARE(few->size(), 4);
    QVERIFY(at::equal(few->inputs(0, 4), all->inputs(0, 4)));
    QCOMPARE(later->size(), 5);
    QVERIFY(at::equal(later->inputs(0, 5), all->inputs(10, 5)));
}

void TestRandomData::everyTypeAndRank()
{
    std::vector<InputNeed> needs{need("a", {-1}), need("b", {-1, 4}, "float64"), need("c", {-1, 4, 5}, "float16"), need("d", {-1, 3, 4, 5}, "bool"),
                                 need("e", {-1, 3, 2, 4, 5}), ids("f", {-1, 11}, 7), need("g", {-1, 2}, "int32"), need("h", {-1, 2}, "uint8")};
    const auto opened = open("random:count=20,high=90,low=40", needs);
    QVERIFY2(opened, whyNot(opened).c_str());
    const auto values = (*opened)->arguments(3, 7);
    QCOMPARE(values.size(), needs.size());
    const std::vector<at::ScalarType> types{at::kFloat, at::kDouble, at::kHalf, at::kBool, at::kFloat, at::kLong, at::kInt, at::kByte};
    for (std::size_t i = 0; i < needs.size(); ++i) {
        Shape wanted = needs[i].info.shape;
        wanted[0] = 7;
        QCOMPARE(values[i].toTensor().sizes().vec(), wanted);
        QCOMPARE(values[i].toTensor().scalar_type(), types[i]);
    }
    const at::Tensor f = values[5].toTensor(), g = values[6].toTensor(), d = values[3].toTensor();
    QVERIFY(f.min().item<int>() == 0 && f.max().item<int>() == 6);   // the table's rows, whatever low and high say of others
    QVERIFY(g.min().item<int>() >= 40 && g.max().item<int>() < 90);
    QVERIFY(d.any().item<bool>() && !d.all().item<bool>());
}

void TestRandomData::sizesAndRangesAreTaken()
{
    std::vector<InputNeed> needs{need("x", {-1, 3, -1, -1}), ids("ids", {-1, -1}, 100), need("gain", {-1, 2})};
    for (const char *spec : {"random:count=6,x=1x3x10x12,ids=1x5,ids.high=10,ids.low=4,gain.low=2,gain.high=3",
                             "random:count=6,x=?x3x10x12,in1=5,in1.high=10,in1.low=4,gain.low=2,gain.high=3"}) {
        const auto opened = open(spec, needs);
        QVERIFY2(opened, whyNot(opened).c_str());
        const auto values = (*opened)->arguments(0, 6);
        QCOMPARE(values[0].toTensor().sizes().vec(), (Shape{6, 3, 10, 12}));
        QCOMPARE(values[1].toTensor().sizes().vec(), (Shape{6, 5}));
        QVERIFY(values[1].toTensor().min().item<int>() >= 4 && values[1].toTensor().max().item<int>() < 10);
        QVERIFY(values[2].toTensor().min().item<float>() >= 2 && values[2].toTensor().max().item<float>() <= 3);
    }
    const auto values = (*open("random:count=3,sr=8000", speech()))->arguments(0, 3);
    QCOMPARE(values[1].toTensor().sizes().vec(), (Shape{2, 3, 3}));
    QCOMPARE(values[2].toTensor().item<int>(), 8000);
    QCOMPARE(values[2].toTensor().dim(), 0);
    // An input named like an option goes by its place.
    const auto renamed = open("random:count=2,in0=1x4", {need("count", {-1, -1})});
    QVERIFY2(renamed, whyNot(renamed).c_str());
}

void TestRandomData::whatIsNotKnownIsAskedFor()
{
    InputNeed rate = need("sr", {}, "int64", -1);
    rate.low = 16000;
    rate.high = 16001;
    rate.rangeGuessed = true;
    const std::vector<InputNeed> needs{need("x", {-1, -1}), need("ids", {-1, 4}, "int64"), rate};
    const std::string why = whyNot(open("random:count=12", needs));
    QVERIFY(hasAll(why, {"the sizes of 'x' (?×?)", "the range of 'ids' (int64)", "the value of 'sr'",
                         "random:count=12,x=1x9,ids.high=100,sr=16000"}));
    // What it suggests is what it takes.
    const std::string suggested = why.substr(why.find("random:count"));
    const auto opened = open(suggested, needs);
    QVERIFY2(opened, whyNot(opened).c_str());
}

void TestRandomData::mistakes_data()
{
    QTest::addColumn<QString>("spec");
    QTest::addColumn<Strings>("says");
    QTest::newRow("unknown name") << "random:count=4,stat=2x1x3" << Strings{"'stat'", "x, state, sr", "did you mean 'state'"};
    QTest::newRow("no pair") << "random:256" << Strings{"'256' is no NAME=VALUE"};
    QTest::newRow("no count") << "random:count=0" << Strings{"count=0", "from 1"};
    QTest::newRow("wrong rank") << "random:x=1x2x6,sr=1" << Strings{"'x', shape 1x2x6 has 3 sizes", "?×6"};
    QTest::newRow("wrong size") << "random:x=1x7,sr=1" << Strings{"1x7 does not fit", "?×6"};
    QTest::newRow("a batch") << "random:x=4x6,sr=1" << Strings{"a batch of 4", "count="};
    QTest::newRow("no shape") << "random:x=1xsix,sr=1" << Strings{"1xsix is no shape"};
    QTest::newRow("no number") << "random:sr=fast" << Strings{"'sr' is one number", "fast"};
    QTest::newRow("a fraction") << "random:sr=0.5" << Strings{"'sr'", "0.5"};
    QTest::newRow("low alone") << "random:x.low=1,sr=1" << Strings{"'x' needs both x.low= and x.high="};
    QTest::newRow("high below low") << "random:x.low=1,x.high=0,sr=1" << Strings{"high must be more than low"};
    QTest::newRow("too much") << "random:count=900000000,sr=1" << Strings{"do not fit into memory"};
    QTest::newRow("nothing said") << "random:x=,sr=1" << Strings{"'x=' says nothing"};
    QTest::newRow("none left") << "random:count=5,first=5,sr=1" << Strings{"no samples after first"};
}

void TestRandomData::mistakes()
{
    QFETCH(const QString, spec);
    QFETCH(const Strings, says);
    QVERIFY(hasAll(whyNot(open(spec.toStdString(), speech())), says));
    const auto outside = open("random:ids.high=101", {ids("ids", {-1, 3}, 100)});
    QVERIFY(hasAll(whyNot(outside), {"'ids'", "words has 100 rows"}));
    QVERIFY(hasAll(whyNot(open("random:high=5", {need("x", {-1, 3})})), {"low and high", "reads none"}));
}

void TestRandomData::arraysByNameAndPlace()
{
    const at::Tensor x = at::randn({5, 6}), state = at::randn({2, 5, 3}), rate = at::scalar_tensor(16000, at::kLong);
    for (const auto &names : {std::array{"x", "state", "sr"}, std::array{"in0", "in1", "in2"}, std::array{"x", "in1", "sr"}}) {
        const auto opened = open("npz:" + save("names.npz", {{names[0], x}, {names[1], state}, {names[2], rate}}), speech());
        QVERIFY2(opened, whyNot(opened).c_str());
        QCOMPARE((*opened)->size(), 5);
        const auto values = (*opened)->arguments(1, 3);
        QVERIFY(at::equal(values[0].toTensor(), x.narrow(0, 1, 3)));
        QVERIFY(at::equal(values[1].toTensor(), state.narrow(1, 1, 3)));
        QCOMPARE(values[2].toTensor().item<int>(), 16000);
    }
    const auto part = open("npz:" + save("part.npz", {{"x", x}, {"state", state}, {"sr", rate}}) + ",first=2,limit=2", speech());
    QVERIFY(at::equal((*part)->arguments(0, 2)[1].toTensor(), state.narrow(1, 2, 2)));
    // Filled up for a network that insists on its batch.
    const auto full = (*part)->arguments(0, 2, 4);
    QCOMPARE(full[1].toTensor().sizes().vec(), (Shape{2, 4, 3}));
    QVERIFY(at::equal(full[0].toTensor()[3], x[3]));
}

void TestRandomData::arraysAsTheNetworkReadsThem()
{
    // The samples of a state may also come first, and one number as many times as there are samples.
    const at::Tensor x = at::randn({5, 6}), state = at::randn({5, 2, 3});
    const auto opened = open("npz:" + save("first.npz", {{"x", x}, {"state", state}, {"sr", at::full({5}, 8000, at::kLong)}}), speech());
    QVERIFY2(opened, whyNot(opened).c_str());
    QVERIFY(at::equal((*opened)->arguments(0, 5)[1].toTensor(), state.movedim(0, 1)));
    QCOMPARE((*opened)->arguments(0, 5)[2].toTensor().item<int>(), 8000);
}

void TestRandomData::arraysThatDoNotFit_data()
{
    QTest::addColumn<QString>("array");
    QTest::addColumn<Strings>("says");
    QTest::newRow("missing") << "missing" << Strings{"no array for input 'state'", "x, sr", "'state' or 'in1'"};
    QTest::newRow("wrong rank") << "rank" << Strings{"input 'state' has the shape 5×3", "2×?×3", "dimension 1"};
    QTest::newRow("wrong size") << "size" << Strings{"input 'state' has the shape 2×5×4", "2×?×3"};
    QTest::newRow("other counts") << "count" << Strings{"'x' has 5 samples, 'state' 4"};
    QTest::newRow("several rates") << "rates" << Strings{"input 'sr' has the shape 5", "one number for all samples"};
    QTest::newRow("fractions") << "fraction" << Strings{"input 'sr' holds fractions", "int64"};
}

void TestRandomData::arraysThatDoNotFit()
{
    QFETCH(const QString, array);
    QFETCH(const Strings, says);
    std::vector<NamedTensor> arrays{{"x", at::randn({5, 6})}, {"state", at::randn({2, 5, 3})}, {"sr", at::scalar_tensor(16000, at::kLong)}};
    if (array == QLatin1String("missing"))
        arrays.erase(arrays.begin() + 1);
    if (array == QLatin1String("rank"))
        arrays[1].second = at::randn({5, 3});
    if (array == QLatin1String("size"))
        arrays[1].second = at::randn({2, 5, 4});
    if (array == QLatin1String("count"))
        arrays[1].second = at::randn({2, 4, 3});
    if (array == QLatin1String("rates"))
        arrays[2].second = at::arange(5);
    if (array == QLatin1String("fraction"))
        arrays[2].second = at::scalar_tensor(0.5);
    const std::string path = save("bad.npz", arrays);
    const std::string why = whyNot(open("npz:" + path, speech()));
    QVERIFY(hasAll(why, says));
    QVERIFY(hasAll(why, {path}));
    QVERIFY(!why.contains('\n'));
}

void TestRandomData::labelsBesideInputs()
{
    const at::Tensor x = at::randn({3, 4}), y = at::randn({3, 2}), labels = at::tensor({1, 0, 1}, at::kLong);
    // y is an input here, so the labels are called labels.
    const std::vector<InputNeed> needs{need("x", {-1, 4}), need("y", {-1, 2})};
    const auto opened = open("npz:" + save("labels.npz", {{"x", x}, {"y", y}, {"labels", labels}}), needs);
    QVERIFY2(opened, whyNot(opened).c_str());
    QVERIFY(at::equal((*opened)->labels, labels));
    QVERIFY(!(*open("npz:" + save("none.npz", {{"x", x}, {"y", y}}), needs))->labelled());
    QVERIFY(hasAll(whyNot(open("npz:" + save("few.npz", {{"x", x}, {"y", y}, {"labels", labels.narrow(0, 0, 2)}}), needs)), {"3 samples", "2 labels"}));
}

void TestRandomData::oneArrayForSeveralInputs()
{
    const std::string path = m_folder.path().toStdString() + "/one.npy";
    QVERIFY(writeNpy(path, at::randn({5, 6})));
    QVERIFY(hasAll(whyNot(open("npy:" + path, speech())), {"one array", "reads 3 (x, state, sr)", "npz:FILE", "random"}));
}

void TestRandomData::idsFromOneArray()
{
    const std::string path = m_folder.path().toStdString() + "/ids.npy";
    QVERIFY(writeNpy(path, at::arange(12, at::kInt).reshape({3, 4})));
    const auto opened = open("npy:" + path, {ids("ids", {-1, 4}, 12)});
    QVERIFY2(opened, whyNot(opened).c_str());
    QCOMPARE((*opened)->inputs(1, 2).scalar_type(), at::kLong);
    QVERIFY(at::equal((*opened)->inputs(at::tensor({2, 0}, at::kLong)), at::tensor({8, 9, 10, 11, 0, 1, 2, 3}, at::kLong).reshape({2, 4})));
    QVERIFY(hasAll(whyNot(open("npy:" + path, {ids("ids", {-1, 4}, 10)})), {"holds 11 at sample 2", "words has 10 rows", "from 0 to 9"}));
    QVERIFY(hasAll(whyNot(open("npy:" + path, {ids("ids", {-1, 4, 2}, 12)})), {"3×4", "?×4×2"}));
    QVERIFY(writeNpy(path, at::full({2, 4}, -1, at::kLong)));
    QVERIFY(hasAll(whyNot(open("npy:" + path, {ids("ids", {-1, 4}, 12)})), {"holds -1 at sample 0"}));
    InputNeed fromEnd = ids("ids", {-1, 4}, 12);
    fromEnd.fromEnd = true;
    QVERIFY(open("npy:" + path, {fromEnd}).has_value());
}

QTEST_GUILESS_MAIN(TestRandomData)
#include "tst_random_data.moc"
