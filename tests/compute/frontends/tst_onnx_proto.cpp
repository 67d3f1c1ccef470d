// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx_proto.h"

#include <QTemporaryDir>
#include <QtTest/QtTest>

using namespace bitwright;
using namespace bitwright::onnx;

class TestOnnxProto : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void packs_data();
    void packs();
    void roundTrip();
    void knownBytes();
    void repeatedNumbersOneByOne();
    void rejectsWhatDoesNotFit();
    void probes();
};

void TestOnnxProto::packs_data()
{
    QTest::addColumn<int>("type");
    QTest::addColumn<QList<qint64>>("values");
    QTest::addColumn<QByteArray>("bytes");
    QTest::newRow("int4") << int(DataType::Int4) << QList<qint64>{-8, 7, -1} << QByteArray::fromHex("780f");
    QTest::newRow("uint4") << int(DataType::UInt4) << QList<qint64>{1, 2, 3, 15} << QByteArray::fromHex("21f3");
    QTest::newRow("int2") << int(DataType::Int2) << QList<qint64>{-2, -1, 0, 1, 1} << QByteArray::fromHex("4e01");
    QTest::newRow("uint2") << int(DataType::UInt2) << QList<qint64>{3, 2, 1, 0} << QByteArray::fromHex("1b");
    QTest::newRow("int8") << int(DataType::Int8) << QList<qint64>{-128, 127} << QByteArray::fromHex("807f");
    QTest::newRow("uint16") << int(DataType::UInt16) << QList<qint64>{65535, 1} << QByteArray::fromHex("ffff0100");
    QTest::newRow("int16") << int(DataType::Int16) << QList<qint64>{-2} << QByteArray::fromHex("feff");
    QTest::newRow("int64") << int(DataType::Int64) << QList<qint64>{-1} << QByteArray::fromHex("ffffffffffffffff");
}

void TestOnnxProto::packs()
{
    QFETCH(int, type);
    QFETCH(QList<qint64>, values);
    QFETCH(QByteArray, bytes);
    Tensor tensor;
    tensor.type = DataType(type);
    tensor.dims = {values.size()};
    const std::vector<std::int64_t> given(values.begin(), values.end());
    tensor.owned = packIntegers(given, tensor.type);
    QCOMPARE(QByteArray::fromStdString(tensor.owned), bytes);
    const auto back = unpackIntegers(tensor);
    QVERIFY(back);
    QCOMPARE(*back, given);
}

void TestOnnxProto::roundTrip()
{
    Model model;
    model.irVersion = 10;
    model.producerName = "Bitwright";
    model.opsets = {{"", 21}, {"com.example", 3}};
    model.metadata = {{"key", "value"}};
    model.graph.name = "g";
    Node node;
    node.op = "Conv";
    node.name = "c";
    node.inputs = {"x", "w", ""};
    node.outputs = {"y"};
    node.attributes = {Attribute::of("pads", std::vector<std::int64_t>{0, -1, 2}), Attribute::of("alpha", 0.5f),
                       Attribute::of("group", std::int64_t(4)), Attribute::of("mode", std::string("linear"))};
    model.graph.nodes = {node};
    Tensor tensor;
    tensor.name = "w";
    tensor.type = DataType::Int4;
    tensor.dims = {3};
    tensor.owned = packIntegers({1, -2, 3}, DataType::Int4);
    tensor.hasRaw = true;
    model.graph.initializers = {tensor};
    ValueInfo input;
    input.name = "x";
    input.type = DataType::Float;
    input.hasShape = true;
    input.shape = {{-1, "batch"}, {3, ""}, {-1, ""}};
    ValueInfo scalar = input;
    scalar.name = "y";
    scalar.shape.clear();
    model.graph.inputs = {input};
    model.graph.outputs = {scalar};
    const auto bytes = std::make_shared<std::string>(serialize(model));
    const auto back = parse(*bytes, bytes, "x.onnx");
    QVERIFY(back);
    QCOMPARE(back->irVersion, 10);
    QCOMPARE(back->opsets.at(""), 21);
    QCOMPARE(back->opsets.at("com.example"), 3);
    QVERIFY(back->metadata.at("key") == "value");
    const Node &read = back->graph.nodes.at(0);
    QVERIFY(read.op == "Conv" && read.name == "c" && read.inputs == node.inputs && read.outputs == node.outputs);
    QCOMPARE(read.attribute("pads")->ints, (std::vector<std::int64_t>{0, -1, 2}));
    QCOMPARE(read.attribute("alpha")->f, 0.5f);
    QCOMPARE(read.attribute("group")->i, 4);
    QVERIFY(read.attribute("mode")->s == "linear");
    QVERIFY(!read.attribute("none"));
    QCOMPARE(*unpackIntegers(back->graph.initializers.at(0)), (std::vector<std::int64_t>{1, -2, 3}));
    QCOMPARE(back->graph.inputs.at(0).shape.size(), std::size_t(3));
    QVERIFY(back->graph.inputs.at(0).shape[0].name == "batch");
    QCOMPARE(back->graph.inputs.at(0).shape[1].value, 3);
    QCOMPARE(back->graph.inputs.at(0).shape[2].value, -1);
    QVERIFY(back->graph.outputs.at(0).hasShape && back->graph.outputs.at(0).shape.empty());
}

// The field numbers of onnx.proto: ir_version 1, graph 7, node 1, input 1, output 2, op_type 4.
void TestOnnxProto::knownBytes()
{
    const QByteArray bytes = QByteArray::fromHex("0807" "3a0f" "0a0a" "0a0178" "120179" "22024162" "12" "0167");
    const auto model = parse({bytes.constData(), std::size_t(bytes.size())}, nullptr, "x.onnx");
    QVERIFY(model);
    QCOMPARE(model->irVersion, 7);
    QCOMPARE(model->graph.nodes.size(), std::size_t(1));
    QVERIFY(model->graph.nodes[0].op == "Ab" && model->graph.nodes[0].inputs.at(0) == "x" && model->graph.nodes[0].outputs.at(0) == "y");
    QVERIFY(model->graph.name == "g");
}

// int64_data (field 7) and dims (field 1) as separate entries, as old writers spell them.
void TestOnnxProto::repeatedNumbersOneByOne()
{
    const QByteArray tensor = QByteArray::fromHex("08021007380538ffffffffffffffffff01420169");
    QByteArray graph = QByteArray::fromHex("2a");
    graph += char(tensor.size());
    graph += tensor;
    QByteArray bytes = QByteArray::fromHex("08073a");
    bytes += char(graph.size());
    bytes += graph;
    const auto model = parse({bytes.constData(), std::size_t(bytes.size())}, nullptr, "x.onnx");
    QVERIFY2(model, model ? "" : model.error().message.c_str());
    QCOMPARE(*unpackIntegers(model->graph.initializers.at(0)), (std::vector<std::int64_t>{5, -1}));
}

void TestOnnxProto::rejectsWhatDoesNotFit()
{
    Tensor tensor;
    tensor.name = "w";
    tensor.type = DataType::Int8;
    tensor.owned = "abc";
    tensor.dims = {4};
    QVERIFY(!unpackIntegers(tensor));
    tensor.dims = {std::int64_t(1) << 40, std::int64_t(1) << 40};
    QVERIFY(!tensor.count());
    QVERIFY(!unpackIntegers(tensor));
    tensor.dims = {-3};
    QVERIFY(!unpackIntegers(tensor));
    tensor.type = DataType::Float;
    tensor.dims = {3};
    QVERIFY(!unpackIntegers(tensor));
    QVERIFY(!parse("", nullptr, "x.onnx"));
    const auto foreign = parse("\x08\x07\x3a\x7f", nullptr, "x.onnx");
    QVERIFY(!foreign);
    QCOMPARE(foreign.error().kind, ErrorKind::Parse);
    QVERIFY(foreign.error().message.starts_with("x.onnx, "));
}

void TestOnnxProto::probes()
{
    QTemporaryDir folder;
    const auto write = [&](const char *name, const QByteArray &bytes) {
        QFile file(folder.filePath(QString::fromLatin1(name)));
        file.open(QIODevice::WriteOnly);
        file.write(bytes);
        return file.fileName().toStdString();
    };
    QVERIFY(looksLikeModel(write("a", QByteArray::fromHex("08071200"))));
    QVERIFY(!looksLikeModel(write("b", "PK\x03\x04zip")));
    QVERIFY(!looksLikeModel(write("c", "")));
    QVERIFY(!looksLikeModel("/nowhere"));
    const auto missing = readModel("/nowhere.onnx");
    QVERIFY(!missing);
    QCOMPARE(missing.error().kind, ErrorKind::Io);
    QVERIFY(!readModel(write("d", "")));
    QVERIFY(!readModel(folder.path().toStdString()));
}

QTEST_APPLESS_MAIN(TestOnnxProto)
#include "tst_onnx_proto.moc"
