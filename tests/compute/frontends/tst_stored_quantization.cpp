// SPDX-License-Identifier: GPL-3.0-or-later
// Networks that other tools have quantized: what the file says of its values, shown, counted, packed and taken over.
#include "config/stored_spec.h"
#include "cost/size_model.h"
#include "exporters/comparison.h"
#include "exporters/exporter.h"
#include "exporters/pack.h"
#include "frontends/frontend.h"
#include "frontends/onnx_proto.h"
#include "graph/stored_layers.h"
#include "onnx_parts.h"
#include "quant/quantizer.h"
#include "simulate/calibration.h"
#include "simulate/simulation.h"

#include <ATen/ATen.h>
#include <QTemporaryDir>
#include <QtTest/QtTest>

#include <random>

using namespace bitwright;
using namespace bitwright::testing;
using onnx::Attribute;
using onnx::DataType;

namespace {

using Ints = std::vector<std::int64_t>;

onnx::Tensor scalar(const std::string &name, double value) { return floats(name, at::scalar_tensor(value)); }

/// Codes that a fixed seed draws from the whole range of a type.
onnx::Tensor codes(const std::string &name, DataType type, Ints dims)
{
    std::int64_t count = 1;
    for (const std::int64_t size : dims)
        count *= size;
    auto [low, high] = onnx::integerRange(type);
    low += type == DataType::Int16 ? 1 : 0;   // as quantizers write them: a pack has room for one level less than 65536
    std::mt19937 random(7);
    Ints values;
    for (std::int64_t i = 0; i < count; ++i)
        values.push_back(low + std::int64_t(random() % std::uint64_t(high - low + 1)));
    return integers(name, type, std::move(dims), values);
}

onnx::ValueInfo value(const std::string &name, std::vector<onnx::Dimension> shape)
{
    return {name, DataType::Float, true, std::move(shape)};
}

onnx::Model modelOf(std::vector<onnx::Dimension> input, std::vector<onnx::Tensor> initializers, std::vector<onnx::Node> nodes)
{
    onnx::Model model;
    model.irVersion = 13;
    model.opsets[""] = 25;
    model.opsets["com.microsoft"] = 1;
    model.graph.name = "stored";
    model.graph.inputs = {value("x", std::move(input))};
    model.graph.outputs = {value("y", {})};
    model.graph.initializers = std::move(initializers);
    model.graph.nodes = std::move(nodes);
    return model;
}

/// Q/DQ of the input, convolution with weights of `type` per channel, ReLU, Q/DQ, pooling, flattening, a product with weights
/// per tensor.
onnx::Model qdqModel(DataType type = DataType::Int8)
{
    const std::int64_t zero = onnx::integerRange(type).first < 0 ? 0 : 1;
    return modelOf({{-1, "n"}, {2, ""}, {4, ""}, {4, ""}},
                   {scalar("s", 0.05), integers("z", DataType::UInt8, {}, {128}), codes("conv.weight", type, {3, 2, 3, 3}),
                    floats("ws", at::tensor({0.5, 0.25, 0.01})), integers("wz", type, {3}, {zero, zero, zero}),
                    floats("b", at::tensor({0.1, -0.2, 0.3})), scalar("s2", 0.125), integers("z2", DataType::Int8, {}, {-128}),
                    codes("fc.weight", DataType::Int8, {12, 5}), scalar("fs", 0.02), integers("fz", DataType::Int8, {}, {3})},
                   {{"QuantizeLinear", "", "q", {"x", "s", "z"}, {"xq"}, {}},
                    {"DequantizeLinear", "", "dq", {"xq", "s", "z"}, {"xd"}, {}},
                    {"DequantizeLinear", "", "dw", {"conv.weight", "ws", "wz"}, {"w"}, {Attribute::of("axis", std::int64_t(0))}},
                    {"Conv", "", "c", {"xd", "w", "b"}, {"a"}, {Attribute::of("pads", Ints{1, 1, 1, 1})}},
                    {"Relu", "", "r", {"a"}, {"ar"}, {}},
                    {"QuantizeLinear", "", "q2", {"ar", "s2", "z2"}, {"aq"}, {}},
                    {"DequantizeLinear", "", "dq2", {"aq", "s2", "z2"}, {"ad"}, {}},
                    {"MaxPool", "", "p", {"ad"}, {"m"}, {Attribute::of("kernel_shape", Ints{2, 2}), Attribute::of("strides", Ints{2, 2})}},
                    {"Flatten", "", "f", {"m"}, {"v"}, {}},
                    {"DequantizeLinear", "", "df", {"fc.weight", "fs", "fz"}, {"fw"}, {}},
                    {"MatMul", "", "fc", {"v", "fw"}, {"y"}, {}}});
}

const at::Tensor kInput = at::linspace(-8, 8, 3 * 2 * 4 * 4, at::TensorOptions(at::kFloat)).sin().mul(7).reshape({3, 2, 4, 4});

} // namespace

class TestStoredQuantization : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void qdqIsShown_data();
    void qdqIsShown();
    void takenOverItChangesNothing_data();
    void takenOverItChangesNothing();
    void ownExportsAreReadBack();
    void weightsInBlocks();
    void aWeightReadTwiceIsOne();
    void integerOperatorsAreLayers();
    void dynamicOperatorsAreLayers();
    void gemmOverCodes();
    void tablesOfCodesAreLayers();
    void recurrentLayersOverCodes();
    void productOfNarrowBlocks_data();
    void productOfNarrowBlocks();
    void aDifferenceBeforeTheLayerIsNotItsOwn();
    void packTakesWhatIsShown_data();
    void packTakesWhatIsShown();
    void foldingForgetsIt();
    void plainNetworksHaveNone();

private:
    QTemporaryDir m_folder;
    std::string write(const onnx::Model &model, const char *name = "x.onnx")
    {
        QFile file(m_folder.filePath(QString::fromLatin1(name)));
        file.open(QIODevice::WriteOnly);
        const std::string bytes = onnx::serialize(model);
        file.write(bytes.data(), qint64(bytes.size()));
        return file.fileName().toStdString();
    }
    std::shared_ptr<const Network> open(const onnx::Model &model)
    {
        const auto network = Network::open(write(model));
        if (!network)
            qWarning("%s", network.error().message.c_str());
        return network ? *network : nullptr;
    }
    static at::Tensor outputOf(const Network &network, const at::Tensor &input)
    {
        const auto made = network.executor().run(std::vector<c10::IValue>{input}, network.executor().bind());
        if (!made)
            qWarning("%s", made.error().message.c_str());
        return made ? (*made)[0].toTensor() : at::Tensor();
    }
};

void TestStoredQuantization::qdqIsShown_data()
{
    QTest::addColumn<int>("type");
    QTest::addColumn<QByteArray>("text");
    for (const auto &[type, text] : {std::pair(DataType::Int8, "int8 per channel"), {DataType::UInt8, "uint8 per channel"}, {DataType::Int4, "int4 per channel"},
                                     {DataType::UInt4, "uint4 per channel"}, {DataType::Int2, "int2 per channel"}, {DataType::UInt2, "uint2 per channel"},
                                     {DataType::Int16, "int16 per channel"}, {DataType::UInt16, "uint16 per channel"}})
        QTest::newRow(text) << int(type) << QByteArray(text);
}

void TestStoredQuantization::qdqIsShown()
{
    QFETCH(int, type);
    QFETCH(QByteArray, text);
    const auto network = open(qdqModel(DataType(type)));
    QVERIFY(network);
    const ModelSummary &model = network->summary();
    const LayerInfo *conv = model.layer("conv"), *fc = model.layer("fc");
    QVERIFY(conv && fc);
    QVERIFY(conv->status == LayerStatus::Quantizable && fc->status == LayerStatus::Quantizable);
    QVERIFY(conv->storedWeight && conv->storedInput && fc->storedWeight && fc->storedInput);
    QCOMPARE(QByteArray::fromStdString(storedText(*conv->storedWeight)), text);
    QCOMPARE(conv->storedWeight->axis, 0);
    QVERIFY((conv->storedWeight->scale == std::vector<double>{0.5, 0.25, double(0.01f)}));
    QVERIFY((*conv->storedInput == StoredQuantization{8, false, -1, 0, {double(0.05f)}, {128}}));
    QVERIFY((*fc->storedWeight == StoredQuantization{8, true, -1, 0, {double(0.02f)}, {3}}));
    // Through the pooling and the flattening, which only move values.
    QVERIFY((*fc->storedInput == StoredQuantization{8, true, -1, 0, {0.125}, {-128}}));
    QVERIFY(fc->nonNegativeInput && !conv->nonNegativeInput);
    const int bits = conv->storedWeight->bits;
    QCOMPARE(modelCost(model, {}, false).layers.at("conv").weightBits, 54.0 * bits);
    QCOMPARE(modelCost(model, {}, false).sizeBits, 54.0 * bits + 3 * 32 + 3 * 32 + 60 * 8 + 32);
}

void TestStoredQuantization::takenOverItChangesNothing_data() { qdqIsShown_data(); }

void TestStoredQuantization::takenOverItChangesNothing()
{
    QFETCH(int, type);
    const auto network = open(qdqModel(DataType(type)));
    QVERIFY(network);
    const StoredConfig stored = storedConfig(network->summary(), methodCatalog());
    QCOMPARE(stored.taken, std::size_t(4));
    QVERIFY(stored.left.empty());
    const auto back = configFromText(configToText(stored.config), "stored", methodCatalog());
    QVERIFY2(back, back ? "" : back.error().message.c_str());
    const auto resolved = resolve(*back, network->summary(), methodCatalog());
    QVERIFY2(resolved, resolved ? "" : resolved.error().message.c_str());
    const auto simulation = Simulation::make(network, *resolved, false);
    QVERIFY2(simulation, simulation ? "" : simulation.error().message.c_str());
    for (std::size_t i = 0; i < network->graph().parameters.size(); ++i)
        QVERIFY2(at::equal((*simulation)->parameters()[i], network->graph().parameters[i].tensor), network->graph().parameters[i].name.c_str());
    const auto simulated = (*simulation)->run(kInput);
    QVERIFY2(simulated, simulated ? "" : simulated.error().message.c_str());
    QVERIFY(at::equal(*simulated, outputOf(*network, kInput)));
    // It is a quantizer that acts: other bits change the numbers.
    ResolvedConfig other = *resolved;
    other["conv"].weight = {.method = "uniform", .bits = 2, .options = {}, .values = {}};
    other["conv"].weight.options = completeParams(methodCatalog().quantizer("uniform")->options, {}, "test").value();
    if (DataType(type) != DataType::Int2 && DataType(type) != DataType::UInt2)
        QVERIFY(!at::equal((*Simulation::make(network, other, false))->run(kInput).value(), *simulated));
}

void TestStoredQuantization::ownExportsAreReadBack()
{
    const auto network = open(qdqModel());
    QVERIFY(network);
    ExportInput input;
    input.graph = &network->graph();
    input.bindings = network->executor().bindings();
    input.parameters = network->parameters(false);
    const StoredConfig stored = storedConfig(network->summary(), methodCatalog());
    input.config = resolve(stored.config, network->summary(), methodCatalog()).value();
    input.config["conv"].weight.bits = 4;
    input.config["conv"].weight.values.clear();
    input.assignment = stored.config;
    input.example = {kInput.narrow(0, 0, 1)};
    const std::string path = m_folder.filePath(QStringLiteral("own.onnx")).toStdString();
    const auto report = findExporter("onnx")->write(input, path, {});
    QVERIFY2(report, report ? "" : report.error().message.c_str());
    const auto back = Network::open(path);
    QVERIFY2(back, back ? "" : back.error().message.c_str());
    QCOMPARE((*back)->summary().layers.size(), std::size_t(2));
    const LayerInfo &conv = (*back)->summary().layers[0], &fc = (*back)->summary().layers[1];
    QVERIFY(conv.storedWeight && conv.storedInput && fc.storedWeight && fc.storedInput);
    QCOMPARE(QByteArray::fromStdString(storedText(*conv.storedWeight)), QByteArray("int4 per channel"));
    QCOMPARE(conv.storedInput->scale.front(), double(0.05f));
    QCOMPARE(fc.storedWeight->bits, 8);
    const auto simulation = Simulation::make(network, input.config, false);
    QVERIFY(simulation);
    QVERIFY(at::allclose(outputOf(**back, kInput), (*simulation)->run(kInput).value(), 1e-5, 1e-5));
}

void TestStoredQuantization::weightsInBlocks()
{
    // Two rows of five inputs in blocks of three: the last one is short.
    const at::Tensor scale = at::tensor({0.5, 0.25, 2.0, 0.125}).reshape({2, 2});
    const auto network = open(modelOf({{-1, "n"}, {5, ""}},
                                      {integers("w", DataType::UInt4, {2, 5}, {0, 1, 2, 3, 4, 15, 14, 13, 12, 11}), floats("s", scale),
                                       integers("z", DataType::UInt4, {2, 2}, {8, 7, 8, 0})},
                                      {{"DequantizeLinear", "", "d", {"w", "s", "z"}, {"wd"}, {Attribute::of("axis", std::int64_t(1)), Attribute::of("block_size", std::int64_t(3))}},
                                       {"Gemm", "", "g", {"x", "wd"}, {"y"}, {Attribute::of("transB", std::int64_t(1))}}}));
    QVERIFY(network);
    const LayerInfo *layer = network->summary().layer("w");
    QVERIFY(layer && layer->storedWeight);
    QVERIFY(layer->status == LayerStatus::Quantizable);
    QVERIFY((*layer->storedWeight == StoredQuantization{4, false, 1, 3, {0.5, 0.25, 2, 0.125}, {8, 7, 8, 0}}));
    const at::Tensor expected = at::tensor({-4.0, -3.5, -3.0, -1.0, -0.75, 14.0, 12.0, 10.0, 1.5, 1.375}).reshape({2, 5}).to(at::kFloat);
    QVERIFY(at::equal(network->graph().parameter("w")->tensor, expected));
    const StoredConfig stored = storedConfig(network->summary(), methodCatalog());
    QCOMPARE(stored.taken, std::size_t(0));
    QVERIFY(stored.left.size() == 1 && stored.left[0].contains("blocks of 3"));
    // It is packed as it is, and comes back bit for bit.
    ExportInput input;
    input.graph = &network->graph();
    input.bindings = network->executor().bindings();
    const auto packed = packModel(input, {});
    QVERIFY(packed);
    const auto file = pack::parse(pack::serialize(*packed));
    QVERIFY2(file, file ? "" : file.error().message.c_str());
    QVERIFY(file->tensors[0].quantized);
    QCOMPARE(file->tensors[0].block, 3);
    QVERIFY2(file->tensors[0].describe().contains("blocks of 3"), file->tensors[0].describe().c_str());
    const auto back = pack::unpackTensor(file->tensors[0]);
    QVERIFY(back && at::equal(*back, expected));
}

void TestStoredQuantization::aWeightReadTwiceIsOne()
{
    const auto twice = [](const char *scale) {
        return modelOf({{-1, "n"}, {4, ""}}, {codes("w", DataType::Int8, {4, 4}), scalar("s", 0.5), scalar("t", 0.25)},
                       {{"DequantizeLinear", "", "d1", {"w", "s"}, {"a"}, {}},
                        {"MatMul", "", "m1", {"x", "a"}, {"h"}, {}},
                        {"DequantizeLinear", "", "d2", {"w", scale}, {"b"}, {}},
                        {"MatMul", "", "m2", {"h", "b"}, {"y"}, {}}});
    };
    const auto tied = open(twice("s"));
    QVERIFY(tied);
    QCOMPARE(tied->summary().layers.size(), std::size_t(1));
    QCOMPARE(tied->summary().layers[0].calls, 2);
    // The same codes under another scale are another weight.
    const auto other = open(twice("t"));
    QVERIFY(other);
    QCOMPARE(other->summary().layers.size(), std::size_t(2));
    QVERIFY(other->summary().layers[0].name != other->summary().layers[1].name);
    const at::Tensor x = at::eye(4);
    QVERIFY(at::allclose(outputOf(*other, x) * 2, outputOf(*tied, x)));
}

void TestStoredQuantization::integerOperatorsAreLayers()
{
    const auto network = open(modelOf(
        {{-1, "n"}, {2, ""}, {4, ""}, {4, ""}},
        {scalar("xs", 0.1), integers("xz", DataType::UInt8, {}, {100}), codes("conv.weight", DataType::Int8, {3, 2, 3, 3}),
         floats("ws", at::tensor({0.5, 0.25, 0.125})), integers("wz", DataType::Int8, {3}, {0, 0, 0}), scalar("ys", 3), integers("yz", DataType::UInt8, {}, {90}),
         integers("b", DataType::Int32, {3}, {1, 2, 3}), codes("fc.weight", DataType::UInt8, {12, 5}), scalar("fs", 0.01), integers("fz", DataType::UInt8, {}, {128}),
         scalar("os", 10), integers("oz", DataType::UInt8, {}, {0})},
        {{"QuantizeLinear", "", "q", {"x", "xs", "xz"}, {"xq"}, {}},
         {"QLinearConv", "", "c", {"xq", "xs", "xz", "conv.weight", "ws", "wz", "ys", "yz", "b"}, {"h"}, {}},
         {"Flatten", "", "f", {"h"}, {"v"}, {}},
         {"QLinearMatMul", "", "m", {"v", "ys", "yz", "fc.weight", "fs", "fz", "os", "oz"}, {"o"}, {}},
         {"DequantizeLinear", "", "d", {"o", "os", "oz"}, {"y"}, {}}}));
    QVERIFY(network);
    const ModelSummary &model = network->summary();
    QCOMPARE(model.layers.size(), std::size_t(2));
    const LayerInfo &conv = model.layers[0], &fc = model.layers[1];
    QVERIFY(conv.name == "conv" && conv.op == "QLinearConv" && fc.name == "fc" && fc.op == "QLinearMatMul");
    QVERIFY(conv.status == LayerStatus::Float && fc.status == LayerStatus::Float);
    QVERIFY2(conv.reason.contains("8 bits already"), conv.reason.c_str());
    QCOMPARE(conv.weightShape, (Shape{3, 2, 3, 3}));
    QCOMPARE(conv.parameters(), 57);
    QCOMPARE(conv.macs, 3 * 2 * 2 * 18);
    QCOMPARE(fc.macs, 60);
    QVERIFY((*conv.storedWeight == StoredQuantization{8, true, 0, 0, {0.5, 0.25, 0.125}, {0, 0, 0}}));
    QVERIFY((*conv.storedInput == StoredQuantization{8, false, -1, 0, {double(0.1f)}, {100}}));
    QVERIFY((*fc.storedWeight == StoredQuantization{8, false, -1, 0, {double(0.01f)}, {128}}));
    QVERIFY((*fc.storedInput == StoredQuantization{8, false, -1, 0, {3}, {90}}));
    QCOMPARE(model.parameters, 57 + 60);
    // What is stored, 32 bits for the bias.
    QCOMPARE(modelCost(model, {}, false).sizeBits, 54 * 8.0 + 3 * 32 + 3 * 32 + 60 * 8 + 32);
    // The weight can be looked at as what its codes stand for.
    const LayerBinding &binding = network->executor().bindings()[1];
    const at::Tensor stored = network->graph().parameters[std::size_t(network->graph().parameterOf(binding.weight))].tensor;
    QVERIFY(hasCodes(binding, stored));
    QVERIFY(at::allclose(realWeight(binding, stored), (stored.to(at::kFloat) - 128) * 0.01f));
    // A quantizer over it is refused with the reason, and the answers are those of the specification.
    ModelConfig config;
    config.layers["conv"].weight = {.method = "uniform", .bits = 4, .options = {}, .values = {}};
    const auto refused = resolve(config, model, methodCatalog());
    QVERIFY(!refused && refused.error().message.contains("8 bits already"));
    const at::Tensor xq = ((kInput / 0.1f).round() + 100).clamp(0, 255);
    const at::Tensor w = network->graph().parameter("conv.weight")->tensor.to(at::kDouble);
    const at::Tensor sums = at::conv2d(xq.to(at::kDouble) - 100, w) + at::tensor({1., 2., 3.}, at::kDouble).reshape({1, 3, 1, 1});
    const at::Tensor h = ((sums * (0.1f * at::tensor({0.5, 0.25, 0.125}, at::kDouble).reshape({1, 3, 1, 1}) / 3)).round() + 90).clamp(0, 255);
    const at::Tensor o = ((at::matmul(h.flatten(1) - 90, stored.to(at::kDouble) - 128) * (3 * 0.01 / 10)).round()).clamp(0, 255);
    QVERIFY(at::allclose(outputOf(*network, kInput), (o * 10).to(at::kFloat)));
}

void TestStoredQuantization::dynamicOperatorsAreLayers()
{
    const auto network = open(modelOf(
        {{-1, "n"}, {2, ""}, {4, ""}, {4, ""}},
        {codes("conv.weight", DataType::Int8, {3, 2, 3, 3}), scalar("cs", 0.5), integers("cz", DataType::Int8, {}, {2}), codes("fc.weight", DataType::Int8, {12, 5}),
         floats("fs", at::tensor({0.5, 0.25, 0.125, 1.0, 2.0})), integers("fz", DataType::Int8, {5}, {0, 0, 0, 0, 0}), codes("last.weight", DataType::UInt8, {5, 4}),
         scalar("ls", 0.03), integers("lz", DataType::UInt8, {}, {120})},
        {{"DynamicQuantizeLinear", "", "q", {"x"}, {"xq", "xs", "xz"}, {}},
         {"ConvInteger", "", "c", {"xq", "conv.weight", "xz", "cz"}, {"h"}, {}},
         {"Cast", "", "cast", {"h"}, {"hf"}, {Attribute::of("to", std::int64_t(1))}},
         {"Mul", "", "s", {"xs", "cs"}, {"both"}, {}},
         {"Mul", "", "mul", {"hf", "both"}, {"hr"}, {}},
         {"Flatten", "", "f", {"hr"}, {"v"}, {}},
         {"DynamicQuantizeLinear", "", "q2", {"v"}, {"vq", "vs", "vz"}, {}},
         {"MatMulInteger", "", "m", {"vq", "fc.weight", "vz", "fz"}, {"o"}, {}},
         {"Cast", "", "cast2", {"o"}, {"of"}, {Attribute::of("to", std::int64_t(1))}},
         {"Mul", "", "s2", {"fs", "vs"}, {"both2"}, {}},
         {"Mul", "", "mul2", {"of", "both2"}, {"r"}, {}},
         {"DynamicQuantizeMatMul", "com.microsoft", "last", {"r", "last.weight", "ls", "lz"}, {"y"}, {}}}));
    QVERIFY(network);
    const ModelSummary &model = network->summary();
    QCOMPARE(model.layers.size(), std::size_t(3));
    QVERIFY(model.layers[0].op == "ConvInteger" && model.layers[1].op == "MatMulInteger" && model.layers[2].op == "DynamicQuantizeMatMul");
    const StoredQuantization atRun{8, false, -1, 0, {}, {}};
    for (const LayerInfo &layer : model.layers) {
        QVERIFY(layer.storedWeight && layer.storedInput);
        QVERIFY(*layer.storedInput == atRun);
        QVERIFY(layer.macs > 0);
    }
    QVERIFY((*model.layers[0].storedWeight == StoredQuantization{8, true, -1, 0, {0.5}, {2}}));
    QVERIFY((*model.layers[1].storedWeight == StoredQuantization{8, true, 1, 0, {0.5, 0.25, 0.125, 1, 2}, {0, 0, 0, 0, 0}}));
    QVERIFY((*model.layers[2].storedWeight == StoredQuantization{8, false, -1, 0, {double(0.03f)}, {120}}));
    // De-quantized weights on float inputs come near what the dynamic operators say.
    const auto real = [&](std::size_t i) {
        const LayerBinding &binding = network->executor().bindings()[i];
        return realWeight(binding, network->graph().parameters[std::size_t(network->graph().parameterOf(binding.weight))].tensor);
    };
    const at::Tensor expected = at::matmul(at::matmul(at::conv2d(kInput, real(0)).flatten(1), real(1)), real(2));
    const at::Tensor y = outputOf(*network, kInput);
    QVERIFY(y.defined());
    QVERIFY2((y - expected).norm().item<double>() < 0.02 * expected.norm().item<double>(), std::to_string((y - expected).norm().item<double>() / expected.norm().item<double>()).c_str());
}

void TestStoredQuantization::gemmOverCodes()
{
    for (const bool turned : {false, true}) {
        const auto network = open(modelOf(
            {{-1, "n"}, {4, ""}},
            {scalar("xs", 0.5), integers("xz", DataType::UInt8, {}, {10}), integers("w", DataType::Int8, turned ? Ints{3, 4} : Ints{4, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, -10, -11, -12}),
             floats("ws", at::tensor({0.5, 0.25, 1.0})), integers("wz", DataType::Int8, {3}, {1, 0, -1}), integers("c", DataType::Int32, {3}, {4, -5, 6})},
            {{"QuantizeLinear", "", "q", {"x", "xs", "xz"}, {"xq"}, {}},
             {"QGemm", "com.microsoft", "g", {"xq", "xs", "xz", "w", "ws", "wz", "c"}, {"y"}, {Attribute::of("transB", std::int64_t(turned))}}}));
        QVERIFY(network);
        const LayerInfo &layer = network->summary().layers.at(0);
        QCOMPARE(layer.op, std::string("QGemm"));
        QCOMPARE(layer.storedWeight->axis, turned ? 0 : 1);
        QCOMPARE(layer.channelAxis, turned ? 0 : 1);
        QCOMPARE(layer.biasCount, 3);
        const at::Tensor x = at::tensor({1.f, -2.f, 3.f, 0.5f}).reshape({1, 4});
        at::Tensor w = network->graph().parameter("w")->tensor.to(at::kFloat);
        w = (turned ? w.t() : w) - at::tensor({1.f, 0.f, -1.f});
        const at::Tensor scale = at::tensor({0.5f, 0.25f, 1.f});
        const at::Tensor expected = (at::matmul(x / 0.5f, w) + at::tensor({4.f, -5.f, 6.f})) * scale * 0.5f;
        QVERIFY(at::allclose(outputOf(*network, x), expected));
    }
}

void TestStoredQuantization::tablesOfCodesAreLayers()
{
    onnx::Model model = modelOf({{-1, "n"}, {3, ""}}, {codes("e.weight", DataType::UInt8, {20, 6}), scalar("s", 0.5), integers("z", DataType::UInt8, {}, {100})},
                                {{"Cast", "", "c", {"x"}, {"i"}, {Attribute::of("to", std::int64_t(7))}},
                                 {"Gather", "", "g", {"e.weight", "i"}, {"q"}, {}},
                                 {"Transpose", "", "t", {"q"}, {"qt"}, {Attribute::of("perm", Ints{0, 2, 1})}},
                                 {"DequantizeLinear", "", "d", {"qt", "s", "z"}, {"y"}, {}}});
    const auto network = open(model);
    QVERIFY(network);
    const LayerInfo &layer = network->summary().layers.at(0);
    QVERIFY(layer.name == "e" && layer.op == "embedding" && layer.status == LayerStatus::Float);
    QVERIFY((*layer.storedWeight == StoredQuantization{8, false, -1, 0, {0.5}, {100}}));
    QVERIFY(!layer.storedInput);
    QCOMPARE(modelCost(network->summary(), {}, false).sizeBits, 120 * 8.0 + 32);
    const LayerBinding &binding = network->executor().bindings()[0];
    const at::Tensor stored = network->graph().parameters[std::size_t(network->graph().parameterOf(binding.weight))].tensor;
    const at::Tensor which = at::tensor({3.f, 7.f, 19.f}).reshape({1, 3});
    QVERIFY(at::equal(outputOf(*network, which), at::embedding(realWeight(binding, stored), which.to(at::kLong)).transpose(1, 2)));
}

void TestStoredQuantization::recurrentLayersOverCodes()
{
    for (const bool channels : {false, true}) {
        const Ints scaleShape = channels ? Ints{2, 12} : Ints{2};
        const at::Tensor ws = at::linspace(0.002, 0.01, channels ? 24 : 2).reshape(scaleShape), rs = at::linspace(0.01, 0.004, channels ? 24 : 2).reshape(scaleShape);
        const Ints zeros(channels ? 24 : 2, 0);
        onnx::Model model = modelOf({{5, ""}, {2, ""}, {4, ""}},
                                    {codes("w", DataType::Int8, {2, 4, 12}), codes("r", DataType::Int8, {2, 3, 12}), floats("b", at::linspace(-0.3, 0.3, 48).reshape({2, 24})),
                                     floats("ws", ws), integers("wz", DataType::Int8, scaleShape, zeros), floats("rs", rs), integers("rz", DataType::Int8, scaleShape, zeros)},
                                    {{"DynamicQuantizeLSTM", "com.microsoft", "l", {"x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"}, {"y"},
                                      {Attribute::of("hidden_size", std::int64_t(3)), Attribute::of("direction", std::string("bidirectional"))}}});
        const auto network = open(model);
        QVERIFY(network);
        QVERIFY(network->graph().obstacles.empty());
        QCOMPARE(network->summary().layers.size(), std::size_t(2));
        const LayerInfo &w = network->summary().layers[0], &r = network->summary().layers[1];
        QVERIFY(w.name == "w" && w.op == "DynamicQuantizeLSTM" && r.name == "r");
        QCOMPARE(w.storedWeight->scale.size(), std::size_t(channels ? 24 : 2));
        QCOMPARE(network->summary().parameters, 96 + 72 + 48);
        const auto real = [&](std::size_t i) {
            const LayerBinding &binding = network->executor().bindings()[i];
            return realWeight(binding, network->graph().parameters[std::size_t(network->graph().parameterOf(binding.weight))].tensor);
        };
        const Ints spread = channels ? Ints{2, 1, 12} : Ints{2, 1, 1};
        QVERIFY(at::allclose(real(0), network->graph().parameter("w")->tensor.to(at::kFloat) * ws.reshape(spread)));
        // Near the float layer with the values that the codes stand for.
        onnx::Model plain = model;
        plain.graph.initializers[0] = floats("w", real(0).transpose(1, 2));
        plain.graph.initializers[1] = floats("r", real(1).transpose(1, 2));
        plain.graph.nodes = {{"LSTM", "", "l", {"x", "w", "r", "b"}, {"y"}, model.graph.nodes[0].attributes}};
        const auto floatNetwork = open(plain);
        QVERIFY(floatNetwork);
        const at::Tensor x = at::linspace(-3, 3, 40).sin().reshape({5, 2, 4});
        const at::Tensor y = outputOf(*network, x), wanted = outputOf(*floatNetwork, x);
        QVERIFY(y.defined() && wanted.defined());
        const double error = (y - wanted).abs().max().item<double>();
        QVERIFY2(error < 0.03 && error > 0, std::to_string(error).c_str());
    }
}

void TestStoredQuantization::productOfNarrowBlocks_data()
{
    QTest::addColumn<int>("bits");
    QTest::addColumn<bool>("zeros");
    for (const int bits : {2, 4, 8})
        for (const bool zeros : {false, true})
            QTest::addRow("%d bits%s", bits, zeros ? ", zero points" : "") << bits << zeros;
}

void TestStoredQuantization::productOfNarrowBlocks()
{
    QFETCH(int, bits);
    QFETCH(bool, zeros);
    // 3 outputs of 40 inputs in blocks of 16: the third block has 8 that count.
    const std::int64_t blocks = 3, block = 16, rows = 3, inputs = 40, row = block * bits / 8;
    onnx::Tensor packed = codes("lin.weight", DataType::UInt8, {rows, blocks, row});
    const Ints bytes = onnx::unpackIntegers(packed).value();
    const at::Tensor scale = at::linspace(0.5, 2, rows * blocks);
    const std::int64_t zeroRow = (blocks * bits + 7) / 8;
    onnx::Tensor zero = codes("zero", DataType::UInt8, {rows * zeroRow});
    const Ints zeroBytes = onnx::unpackIntegers(zero).value();
    const auto at_ = [&](const Ints &from, std::int64_t first, std::int64_t i) { return from[std::size_t(first + i * bits / 8)] >> (i * bits % 8) & ((1 << bits) - 1); };
    at::Tensor expected = at::zeros({rows, inputs});
    std::vector<std::int64_t> zeroPoints;
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t i = 0; i < inputs; ++i) {
            const std::int64_t b = i / block, point = zeros ? at_(zeroBytes, r * zeroRow, b) : std::int64_t(1) << (bits - 1);
            if (i % block == 0)
                zeroPoints.push_back(point);
            expected[r][i] = float(at_(bytes, (r * blocks + b) * row, i % block) - point) * scale[r * blocks + b].item<float>();
        }
    std::vector<std::string> names{"x", "lin.weight", "s"};
    if (zeros)
        names.push_back("zero");
    const auto network = open(modelOf({{-1, "n"}, {inputs, ""}}, {packed, floats("s", scale), zero},
                                      {{"MatMulNBits", "com.microsoft", "m", names, {"y"},
                                        {Attribute::of("K", inputs), Attribute::of("N", rows), Attribute::of("bits", std::int64_t(bits)), Attribute::of("block_size", block)}}}));
    QVERIFY(network);
    QVERIFY(network->graph().obstacles.empty());
    const LayerInfo &layer = network->summary().layers.at(0);
    QVERIFY(layer.name == "lin" && layer.op == "linear" && layer.status == LayerStatus::Quantizable);
    QVERIFY(layer.storedWeight);
    QCOMPARE(layer.storedWeight->bits, bits);
    QCOMPARE(layer.storedWeight->block, block);
    QVERIFY(layer.storedWeight->zeroPoint == zeroPoints);
    QVERIFY(at::equal(network->graph().parameter("lin.weight")->tensor, expected));
    QVERIFY(at::allclose(outputOf(*network, at::eye(inputs)), expected.t()));
    ExportInput input;
    input.graph = &network->graph();
    input.bindings = network->executor().bindings();
    const auto file = packModel(input, {});
    QVERIFY(file && file->tensors[0].quantized);
    QVERIFY(at::equal(pack::unpackTensor(file->tensors[0]).value(), expected));
    // Its place in the file takes no other weight: the network is written anew, which this one can be.
    input.config["lin"].weight = {.method = "uniform", .bits = 4, .options = {}, .values = {}};
    input.config["lin"].weight.options = completeParams(methodCatalog().quantizer("uniform")->options, {}, "test").value();
    input.example = {at::zeros({1, inputs})};
    const std::string path = m_folder.filePath(QStringLiteral("n.onnx")).toStdString();
    const auto written = findExporter("onnx")->write(input, path, {});
    QVERIFY2(written, written ? "" : written.error().message.c_str());
    const auto again = Network::open(path);
    QVERIFY(again && (*again)->summary().layers.at(0).storedWeight);
    QCOMPARE((*again)->summary().layers[0].storedWeight->block, 0);
    const auto simulation = Simulation::make(network, input.config, false);
    QVERIFY(simulation && at::allclose(outputOf(**again, at::eye(inputs)), (*simulation)->run(at::eye(inputs)).value(), 1e-4, 1e-5));
}

/// A layer whose input the network quantizes itself sees levels only: what was rounded before is not the assignment's fault.
void TestStoredQuantization::aDifferenceBeforeTheLayerIsNotItsOwn()
{
    const std::vector<QuantizedSite> sites{{"conv", 0, "c", "v", 0.5F, 0}};
    const at::Tensor seen = at::tensor({0.5f, 1.f, -2.f, 3.f}).reshape({4, 1});
    const auto reasonFor = [&](const at::Tensor &before, std::int32_t off) {
        Comparison comparison(sites, true);
        RuntimeOutput ran{at::zeros({4, 1}), {(seen / 0.5f).round().to(at::kInt)}};
        ran.steps[0][2][0] += off;
        (void)comparison.add({}, {4, 4}, {at::zeros({4, 1}), {{"conv", {seen}}}}, ran);
        return comparison.finish([&](const std::string &, int, const NetworkInputs &) { return Result<at::Tensor>(before); })->reason;
    };
    QVERIFY2(reasonFor(seen, 1).starts_with("rounding before it"), reasonFor(seen, 1).c_str());
    QVERIFY2(reasonFor(seen, 2).starts_with("more than rounding"), reasonFor(seen, 2).c_str());
    QVERIFY2(reasonFor(seen + 0.1f, 1).starts_with("more than rounding"), reasonFor(seen + 0.1f, 1).c_str());
    QVERIFY2(reasonFor(seen + 0.25f, 1).starts_with("rounding: "), reasonFor(seen + 0.25f, 1).c_str());
}

void TestStoredQuantization::packTakesWhatIsShown_data()
{
    QTest::addColumn<QByteArray>("kind");
    for (const char *kind : {"codes", "int8", "uint4", "int16", "blocks"})
        QTest::newRow(kind) << QByteArray(kind);
}

/// Uniformly drawn codes cannot be made smaller: the pack is as large as what is shown.
void TestStoredQuantization::packTakesWhatIsShown()
{
    QFETCH(QByteArray, kind);
    const bool blocks = kind == "blocks", overCodes = kind == "codes";
    const DataType type = kind == "uint4" ? DataType::UInt4 : blocks ? DataType::Int4 : kind == "int16" ? DataType::Int16 : DataType::Int8;
    const at::Tensor scale = blocks ? at::linspace(0.5, 1, 512 * 16).reshape({16, 512}) : at::linspace(0.5, 1, 512);
    std::vector<onnx::Node> nodes;
    if (overCodes)
        nodes = {{"DynamicQuantizeMatMul", "com.microsoft", "m", {"x", "w", "s"}, {"y"}, {}}};
    else
        nodes = {{"DequantizeLinear", "", "d", {"w", "s"}, {"wd"}, {Attribute::of("axis", std::int64_t(blocks ? 0 : 1)), Attribute::of("block_size", std::int64_t(blocks ? 32 : 0))}},
                 {"MatMul", "", "m", {"x", "wd"}, {"y"}, {}}};
    const auto network = open(modelOf({{-1, "n"}, {512, ""}}, {codes("w", type, {512, 512}), floats("s", scale)}, nodes));
    QVERIFY(network);
    const double shown = double(modelCost(network->summary(), {}, false).sizeBytes());
    ExportInput input;
    input.graph = &network->graph();
    input.bindings = network->executor().bindings();
    const auto file = packModel(input, {});
    QVERIFY2(file, file ? "" : file.error().message.c_str());
    const double written = double(pack::serialize(*file).size());
    QVERIFY2(std::abs(written / shown - 1) < 0.01, qPrintable(QStringLiteral("%1 shown, %2 written").arg(shown).arg(written)));
    const auto unpacked = pack::unpackTensor(file->tensors[0]);
    QVERIFY2(unpacked, unpacked ? "" : unpacked.error().message.c_str());
    QVERIFY(at::equal(*unpacked, network->graph().parameters[0].tensor));
}

void TestStoredQuantization::foldingForgetsIt()
{
    onnx::Model model = qdqModel();
    auto &g = model.graph;
    g.initializers.insert(g.initializers.end(), {floats("gamma", at::tensor({1., 2., 3.})), floats("beta", at::tensor({0., 1., 2.})),
                                                 floats("mean", at::tensor({0., 1., 2.})), floats("var", at::tensor({1., 2., 3.}))});
    g.nodes[3].outputs = {"before"};
    g.nodes.insert(g.nodes.begin() + 4, {"BatchNormalization", "", "bn", {"before", "gamma", "beta", "mean", "var"}, {"a"}, {}});
    const auto network = open(model);
    QVERIFY(network);
    QVERIFY(network->summary().layer("conv")->storedWeight);
    QVERIFY(!network->summary().layer("conv")->batchNorm.empty());
    const auto folded = network->binding("conv", true);
    QVERIFY(folded);
    const LayerInfo &info = network->executor(true).bindings()[*folded].info;
    QVERIFY(!info.storedWeight && info.storedInput);
    QCOMPARE(modelCost(network->summary(), {}, true).layers.at("conv").weightBits, 54 * 32.0);
}

void TestStoredQuantization::plainNetworksHaveNone()
{
    onnx::Model model = modelOf({{-1, "n"}, {4, ""}}, {floats("w", at::eye(4))}, {{"MatMul", "", "m", {"x", "w"}, {"y"}, {}}});
    const auto network = open(model);
    QVERIFY(network);
    const LayerInfo &layer = network->summary().layers.at(0);
    QVERIFY(!layer.storedWeight && !layer.storedInput);
    QCOMPARE(modelCost(network->summary(), {}, false).sizeBytes(), 64);
    QVERIFY(storedConfig(network->summary(), methodCatalog()).config.layers.empty());
}

QTEST_APPLESS_MAIN(TestStoredQuantization)
#include "tst_stored_quantization.moc"
