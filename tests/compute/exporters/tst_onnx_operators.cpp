// SPDX-License-Identifier: GPL-3.0-or-later
#include "export_support.h"

#include <QTemporaryDir>
#include <QtTest/QtTest>

#include <functional>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

using B = GraphBuilder;
using Ints = std::vector<std::int64_t>;

struct Row {
    const char *name;
    Shape sample;                                          ///< of one sample, the batch comes first
    std::function<Argument(B &, const Argument &)> build;
};

Argument i(std::int64_t value) { return B::of(value); }
Argument f(double value) { return B::of(value); }
Argument b(bool value) { return B::of(value); }
Argument s(const char *value) { return B::of(std::string(value)); }
Argument none() { return B::none(); }

/// One argument only.
std::function<Argument(B &, const Argument &)> plain(std::string op)
{
    return [op](B &g, const Argument &x) { return g.node(op, {x}, "op"); };
}

std::function<Argument(B &, const Argument &)> call(std::string op, std::vector<Argument> rest)
{
    return [op, rest](B &g, const Argument &x) {
        std::vector<Argument> all{x};
        all.insert(all.end(), rest.begin(), rest.end());
        return g.node(op, all, "op");
    };
}

Argument weighted(B &g, const char *op, const Argument &x, Shape weight, std::vector<Argument> rest)
{
    std::vector<Argument> all{x, g.parameter("op.weight", at::randn(weight) * 0.3), none()};
    all.insert(all.end(), rest.begin(), rest.end());
    return g.node(op, all, "op");
}

std::vector<Row> rows()
{
    std::vector<Row> all;
    for (const char *op : {"relu", "sigmoid", "tanh", "exp", "abs", "neg", "floor", "ceil", "round", "erf", "sin", "cos", "sign", "silu",
                           "mish", "hardswish", "hardsigmoid", "relu6", "selu", "square", "softplus", "celu", "elu", "leaky_relu", "gelu",
                           "hardtanh"})
        all.push_back({op, {3, 5}, plain(std::string("aten::") + op)});
    const std::vector<Row> more{
        {"sqrt of exp", {4}, [](B &g, const Argument &x) { return g.node("aten::sqrt", {g.node("aten::exp", {x}, "e")}, "op"); }},
        {"log, rsqrt, reciprocal", {4}, [](B &g, const Argument &x) {
             const auto e = g.node("aten::add.Scalar", {g.node("aten::square", {x}, "e"), f(1)}, "a");
             return g.node("aten::add.Tensor", {g.node("aten::log", {e}, "l"), g.node("aten::rsqrt", {g.node("aten::reciprocal", {e}, "r")}, "q")}, "op");
         }},
        {"gelu tanh", {6}, [](B &g, const Argument &x) { return g.node("aten::gelu", {x}, "op", {{"approximate", s("tanh")}}); }},
        {"softplus beta", {6}, call("aten::softplus", {f(2)})},
        {"elu scaled", {6}, call("aten::elu", {f(1.5), f(2)})},
        {"clamp", {6}, call("aten::clamp", {f(-0.5), f(0.7)})},
        {"clamp above", {6}, call("aten::clamp", {none(), f(0.7)})},
        {"clamp_min", {6}, call("aten::clamp_min", {f(0.1)})},
        {"prelu", {3, 4}, [](B &g, const Argument &x) { return g.node("aten::prelu", {x, g.parameter("w", at::rand({3}))}, "op"); }},
        {"softmax", {3, 4}, call("aten::softmax.int", {i(1)})},
        {"log_softmax", {3, 4}, call("aten::log_softmax.int", {i(-1)})},
        {"add scalar alpha", {4}, call("aten::add.Scalar", {f(2.5), f(3)})},
        {"sub", {4}, [](B &g, const Argument &x) { return g.node("aten::sub.Tensor", {x, g.node("aten::relu", {x}, "r"), f(0.5)}, "op"); }},
        {"rsub", {4}, call("aten::rsub.Scalar", {f(2)})},
        {"mul broadcast", {3, 4}, [](B &g, const Argument &x) { return g.node("aten::mul.Tensor", {x, g.parameter("w", at::randn({3, 1}))}, "op"); }},
        {"div", {4}, call("aten::div.Scalar", {f(3)})},
        {"pow", {4}, call("aten::pow.Tensor_Scalar", {f(2)})},
        {"maximum", {4}, [](B &g, const Argument &x) { return g.node("aten::maximum", {x, g.node("aten::neg", {x}, "n")}, "op"); }},
        {"where", {4}, [](B &g, const Argument &x) {
             return g.node("aten::where.self", {g.node("aten::gt.Scalar", {x, f(0.2)}, "c"), x, g.node("aten::tanh", {x}, "t")}, "op");
         }},
        {"masked_fill", {4}, [](B &g, const Argument &x) {
             return g.node("aten::masked_fill.Scalar", {x, g.node("aten::lt.Scalar", {x, f(0)}, "c"), f(-3)}, "op");
         }},
        {"max_pool1d", {3, 9}, call("aten::max_pool1d", {B::ints({3}), B::ints({2}), B::ints({1})})},
        {"max_pool ceil", {2, 8, 9}, call("aten::max_pool2d", {B::ints({3, 3}), B::ints({2, 2}), B::ints({1, 1}), B::ints({1, 1}), b(true)})},
        {"max_pool dilated", {2, 9, 9}, call("aten::max_pool2d", {B::ints({2, 2}), B::ints({1, 1}), B::ints({0, 0}), B::ints({2, 2})})},
        {"max_pool3d", {2, 4, 6, 6}, call("aten::max_pool3d", {B::ints({2, 2, 2})})},
        {"avg_pool", {2, 8, 9}, call("aten::avg_pool2d", {B::ints({3, 3}), B::ints({2, 2}), B::ints({1, 1})})},
        {"avg_pool ceil", {2, 8, 8}, call("aten::avg_pool2d", {B::ints({3, 3}), B::ints({2, 2}), B::ints({1, 1}), b(true), b(true)})},
        {"avg_pool ceil, real only", {2, 8, 8}, call("aten::avg_pool2d", {B::ints({3, 3}), B::ints({2, 2}), B::ints({0, 0}), b(true), b(false)})},
        {"avg_pool padded, real only", {2, 8, 8}, call("aten::avg_pool2d", {B::ints({3, 3}), B::ints({2, 2}), B::ints({1, 1}), b(true), b(false)})},
        {"avg_pool divisor", {2, 8, 8}, call("aten::avg_pool2d", {B::ints({2, 2}), B::ints({2, 2}), B::ints({0, 0}), b(false), b(true), i(3)})},
        {"adaptive to one", {2, 5, 7}, call("aten::adaptive_avg_pool2d", {B::ints({1, 1})})},
        {"adaptive divides", {2, 6, 8}, call("aten::adaptive_avg_pool2d", {B::ints({3, 2})})},
        {"adaptive uneven", {2, 7, 5}, call("aten::adaptive_avg_pool2d", {B::ints({3, 2})})},
        {"adaptive 1d", {2, 9}, call("aten::adaptive_avg_pool1d", {B::ints({1})})},
        {"mean", {2, 3, 4}, call("aten::mean.dim", {B::ints({2, 3}), b(false)})},
        {"sum kept", {2, 3, 4}, call("aten::sum.dim_IntList", {B::ints({-1}), b(true)})},
        {"amax", {2, 3, 4}, call("aten::amax", {B::ints({1}), b(false)})},
        {"amin", {2, 3, 4}, call("aten::amin", {B::ints({1}), b(true)})},
        {"vector norm", {2, 3}, call("aten::linalg_vector_norm", {f(2), B::ints({1}), b(true)})},
        {"nearest", {2, 4, 5}, call("aten::upsample_nearest2d.vec", {B::ints({8, 10}), none()})},
        {"nearest uneven", {2, 4, 5}, call("aten::upsample_nearest2d.vec", {B::ints({7, 9}), none()})},
        {"bilinear", {2, 4, 5}, call("aten::upsample_bilinear2d.vec", {B::ints({8, 10}), b(false), none()})},
        {"bilinear corners", {2, 4, 5}, call("aten::upsample_bilinear2d.vec", {B::ints({7, 9}), b(true), none()})},
        {"linear resize", {2, 5}, call("aten::upsample_linear1d.vec", {B::ints({10}), b(false), none()})},
        {"pad", {2, 3, 4}, call("aten::constant_pad_nd", {B::ints({1, 2, 0, 3}), f(0.5)})},
        {"pad reflect", {2, 3, 4}, call("aten::pad", {B::ints({1, 2, 1, 1}), s("reflect")})},
        {"pad replicate", {2, 3, 4}, call("aten::pad", {B::ints({1, 2, 1, 1}), s("replicate")})},
        {"view", {2, 3, 4}, call("aten::view", {B::ints({-1, 6, 4})})},
        {"reshape by size", {2, 3, 4}, [](B &g, const Argument &x) {
             const auto size = g.node("aten::sym_size.int", {x, i(0)}, "size");
             return g.node("aten::view", {x, Argument::of(std::vector<Argument>{size, i(4), i(-1)})}, "op");
         }},
        {"batch joins", {2, 3, 4}, call("aten::reshape", {B::ints({-1, 4})})},
        {"squeeze", {1, 3}, call("aten::squeeze.dim", {i(1)})},
        {"unsqueeze", {3}, call("aten::unsqueeze", {i(1)})},
        {"permute", {2, 3, 4}, call("aten::permute", {B::ints({0, 3, 1, 2})})},
        {"transpose", {2, 3, 4}, call("aten::transpose.int", {i(1), i(-1)})},
        {"cat", {3, 4}, [](B &g, const Argument &x) {
             return g.node("aten::cat", {Argument::of(std::vector<Argument>{x, g.node("aten::relu", {x}, "r")}), i(1)}, "op");
         }},
        {"stack", {3}, [](B &g, const Argument &x) {
             return g.node("aten::stack", {Argument::of(std::vector<Argument>{x, g.node("aten::relu", {x}, "r")}), i(1)}, "op");
         }},
        {"expand", {1, 4}, call("aten::expand", {B::ints({-1, 3, 4})})},
        {"repeat", {2, 3}, call("aten::repeat", {B::ints({1, 2, 3})})},
        {"slice", {6, 5}, call("aten::slice.Tensor", {i(1), i(1), i(5), i(2)})},
        {"slice to the end", {6}, call("aten::slice.Tensor", {i(1), i(-3)})},
        {"select", {6, 5}, call("aten::select.int", {i(1), i(-2)})},
        {"index_select", {6, 5}, [](B &g, const Argument &x) {
             return g.node("aten::index_select", {x, i(1), g.parameter("index", at::tensor(Ints{3, 0, 3}, at::kLong), false)}, "op");
         }},
        {"chunk", {7}, [](B &g, const Argument &x) {
             const auto list = g.node("aten::chunk", {x, i(2), i(1)}, "chunk");
             const auto parts = g.nodes("prim::ListUnpack", {list}, 2, "part");
             return g.node("aten::cat", {Argument::of(std::vector<Argument>{parts[1], parts[0]}), i(1)}, "op");
         }},
        {"split item", {7}, [](B &g, const Argument &x) {
             return g.node("prim::getitem", {g.node("aten::split.Tensor", {x, i(3), i(1)}, "split"), i(1)}, "op");
         }},
        {"dropout", {7}, call("aten::dropout", {f(0.5), b(false)})},
        {"pixel_shuffle", {8, 3, 2}, call("aten::pixel_shuffle", {i(2)})},
        {"channel_shuffle", {6, 3, 2}, call("aten::channel_shuffle", {i(3)})},
        {"glu", {8}, call("aten::glu", {i(1)})},
        {"matmul", {3, 4}, [](B &g, const Argument &x) {
             return g.node("aten::matmul", {x, g.node("aten::transpose.int", {x, i(1), i(2)}, "t")}, "op");
         }},
        {"einsum", {3, 4}, [](B &g, const Argument &x) { return g.node("aten::einsum", {s("bij,bkj->bik"), Argument::of(std::vector<Argument>{x, x})}, "op"); }},
        {"attention", {2, 5, 4}, [](B &g, const Argument &x) { return g.node("aten::scaled_dot_product_attention", {x, x, x}, "op"); }},
        {"layer_norm", {3, 4}, [](B &g, const Argument &x) {
             return g.node("aten::layer_norm", {x, B::ints({4}), g.parameter("w", at::rand({4})), g.parameter("b", at::randn({4}))}, "op");
         }},
        {"group_norm", {6, 3, 2}, [](B &g, const Argument &x) {
             return g.node("aten::group_norm", {x, i(3), g.parameter("w", at::rand({6})), g.parameter("b", at::randn({6}))}, "op");
         }},
        {"batch_norm plain", {4, 3}, [](B &g, const Argument &x) { return g.batchNorm(x, "op", 4, false); }},
        {"conv same", {3, 6, 7}, [](B &g, const Argument &x) {
             return weighted(g, "aten::conv2d.padding", x, {4, 3, 4, 3}, {B::ints({1, 1}), s("same")});
         }},
        {"conv valid", {3, 6, 7}, [](B &g, const Argument &x) {
             return weighted(g, "aten::conv2d.padding", x, {4, 3, 2, 3}, {B::ints({2, 1}), s("valid")});
         }},
        {"folded constant", {4}, [](B &g, const Argument &x) {
             const auto w = g.node("aten::t", {g.node("aten::exp", {g.parameter("w", at::randn({5, 4}))}, "e")}, "t");
             return g.node("aten::matmul", {x, w}, "op");
         }},
        {"addmm", {4}, [](B &g, const Argument &x) {
             return g.node("aten::addmm", {g.parameter("c", at::randn({5})), x, g.node("aten::exp", {g.parameter("w", at::randn({4, 5}))}, "e")}, "op",
                           {{"beta", f(0.5)}, {"alpha", f(2)}});
         }},
    };
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

} // namespace

class TestOnnxOperators : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void initTestCase() { at::manual_seed(11); }
    void written_data();
    void written();
    void checkerAndRuntimeAgree();

private:
    QTemporaryDir m_folder;
    QStringList m_files;
};

void TestOnnxOperators::written_data()
{
    QTest::addColumn<int>("index");
    const auto all = rows();
    for (std::size_t index = 0; index < all.size(); ++index)
        QTest::addRow("%s", all[index].name) << int(index);
}

// Our reader gives back what the operator computes, with another batch size than the one it was written with.
void TestOnnxOperators::written()
{
    QFETCH(int, index);
    const Row row = rows()[std::size_t(index)];
    B g;
    Shape shape = row.sample;
    shape.insert(shape.begin(), -1);
    g.output(row.build(g, g.input(shape)));
    take(normalize(g.graph));
    shape[0] = 7;
    const Case made{Network::make(g.graph, row.name), at::randn(shape)};
    const QString file = m_folder.filePath(QStringLiteral("%1.onnx").arg(index));
    const auto exported = exportCase(made, {}, file.toStdString());
    QVERIFY2(exported, exported ? "" : exported.error().message.c_str());
    const at::Tensor expected = take(exported->simulation->runAll(std::vector<c10::IValue>{made.inputs}))[0].toTensor();
    const auto read = loadGraph(file.toStdString());
    QVERIFY2(read, read ? "" : read.error().message.c_str());
    const Executor executor(std::make_shared<const Graph>(*read));
    const at::Tensor got = runAll(executor, {made.inputs})[0].toTensor();
    QCOMPARE(got.sizes().vec(), expected.sizes().vec());
    const double apart = (got.to(at::kFloat) - expected.to(at::kFloat)).abs().max().item().toDouble();
    QVERIFY2(apart <= 2e-6 * std::max(1.0, expected.abs().max().item().toDouble()), qPrintable(QString::number(apart)));
    // For the one run of Python over all files.
    const auto save = [&](const at::Tensor &tensor, const char *suffix) {
        QFile raw(file + QString::fromLatin1(suffix));
        raw.open(QIODevice::WriteOnly);
        const at::Tensor flat = tensor.to(at::kFloat).contiguous();
        raw.write(static_cast<const char *>(flat.const_data_ptr()), qint64(flat.nbytes()));
    };
    save(made.inputs, ".x");
    save(expected, ".y");
    m_files << file;
}

void TestOnnxOperators::checkerAndRuntimeAgree()
{
    QVERIFY(m_files.size() > 60);
    const QString script = QStringLiteral(R"(
import sys, numpy as np, onnx, onnxruntime as ort
bad = 0
options = ort.SessionOptions()
options.log_severity_level = 4
options.intra_op_num_threads = 1
for path in sys.argv[1:]:
    try:
        onnx.checker.check_model(path, full_check=True)
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        x = np.fromfile(path + ".x", np.float32).reshape([7] + list(entry.shape[1:]))
        y = session.run(None, {entry.name: x})[0]
        expected = np.fromfile(path + ".y", np.float32).reshape(y.shape)
        apart = np.abs(y - expected).max()
        if not apart <= 1e-5 * max(1, np.abs(expected).max()):
            raise RuntimeError("differs by %g" % apart)
    except Exception as problem:
        bad += 1
        print(path, [node.op_type for node in onnx.load(path).graph.node], str(problem)[:300])
sys.exit(bad > 0)
)");
    QProcess process;
    process.setProcessChannelMode(QProcess::MergedChannels);
    process.start(QString::fromStdString(pythonProgram()), QStringList{QStringLiteral("-c"), script} + m_files);
    QVERIFY(process.waitForFinished(60000));
    QVERIFY2(process.exitCode() == 0, process.readAll().constData());
}

QTEST_APPLESS_MAIN(TestOnnxOperators)
#include "tst_onnx_operators.moc"
