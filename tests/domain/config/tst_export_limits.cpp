// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/export_limits.h"

#include <QtTest/QtTest>

#include <algorithm>

using namespace bitwright;

namespace {

ResolvedConfig layers(const char *method, int bits, int inputBits)
{
    LayerConfig layer;
    layer.weight = {method, bits, {}, {}};
    if (inputBits < 32)
        layer.activation = {"uniform", inputBits, {}, {}};
    return {{"a", layer}, {"b", layer}};
}

bool says(const std::vector<std::string> &sentences, const char *words)
{
    return std::ranges::any_of(sentences, [&](const std::string &each) { return each.find(words) != std::string::npos; });
}

} // namespace

class TestExportLimits : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void storesInTheNextWidth_data()
    {
        QTest::addColumn<int>("bits");
        QTest::addColumn<int>("stored");
        for (const auto &[bits, stored] : {std::pair{1, 2}, {2, 2}, {3, 4}, {4, 4}, {5, 8}, {9, 16}, {16, 16}, {17, 17}})
            QTest::addRow("%d", bits) << bits << stored;
    }
    void storesInTheNextWidth()
    {
        QFETCH(int, bits);
        QFETCH(int, stored);
        const ExportFormat format{"f", "F", ".f", {.widths = {2, 4, 8, 16}}, "", false};
        QCOMPARE(storedWidth(format, bits), stored);
        QCOMPARE(storedWidth(ExportFormat{}, bits), bits);
    }

    void nothingToSay()
    {
        ExportFormat all{"f", "F", ".f", {true, true, true, true, 1, 16, true}, "", false};
        QVERIFY(exportLimits(all, layers("uniform", 3, 5)).empty());
        QVERIFY(exportLimits(all, layers("kmeans", 3, 5)).empty());
        QVERIFY(exportLimits(all, {}).empty());
    }

    void countsWhatIsChanged()
    {
        ExportFormat format{"f", "F", ".f", {true, true, false, true, 1, 16, true, {2, 4, 8, 16}}, "", false};
        ResolvedConfig config = layers("uniform", 3, 5);
        QVERIFY(says(exportLimits(format, config).changed, "4 tensors have a width that F lacks: they are"));
        config.at("a").weight.bits = 4;
        config.at("b").weight.bits = 4;
        config.at("a").activation.bits = 8;
        QVERIFY(says(exportLimits(format, config).changed, "1 tensor has a width that F lacks: it is"));
        config.at("b").activation.bits = 8;
        QVERIFY(exportLimits(format, config).empty());
        config.at("a").weight.method = "kmeans";
        QVERIFY(says(exportLimits(format, config).changed, "Levels of 1 tensor"));
        config.at("a").prune.method = "magnitude";
        QVERIFY(says(exportLimits(format, config).changed, "What is pruned of 1 layer is written as zeros"));
        format.capabilities.integerWeights = false;
        QVERIFY(says(exportLimits(format, config).changed, "weights of 2 layers are written as float32"));
        format.capabilities.activations = false;
        format.capabilities.operators = false;
        QVERIFY(says(exportLimits(format, config).changed, "inputs of 2 layers are not quantized"));
        QVERIFY(says(exportLimits(format, config).changed, "not the operators"));
        format.document = true;   // a page shows everything
        QVERIFY(exportLimits(format, config).empty());
    }

    void refusesWithTheLayer()
    {
        ExportFormat format{"f", "F", ".f", {true, false, true, true, 2, 8, true}, "", false};
        QVERIFY(exportLimits(format, layers("uniform", 8, 2)).refused.empty());
        QVERIFY(says(exportLimits(format, layers("uniform", 1, 8)).refused, "layer a, weights of 1 bits do not fit F; use 2 to 8"));
        QVERIFY(says(exportLimits(format, layers("uniform", 4, 12)).refused, "layer b, inputs of 12 bits"));
        QVERIFY(says(exportLimits(format, layers("kmeans", 4, 4)).refused, "levels of kmeans"));
    }
};

QTEST_APPLESS_MAIN(TestExportLimits)
#include "tst_export_limits.moc"
