// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/size_model.h"
#include "quant/quantizer.h"

#include <ATen/ATen.h>
#include <QtTest/QtTest>

using namespace bitwright;

/// The size model works without tensors; the grid is what is really stored. They must count the same side information.
class TestSideBits : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void costAgreesWithTheGrid_data()
    {
        QTest::addColumn<int>("role");
        QTest::addColumn<int>("options");   // one bit each: symmetric given, its value, signed, full_range, learned, channel
        for (int options = 0; options < 64; ++options)
            for (const Role role : {Role::Weight, Role::Activation})
                QTest::addRow("%s %d", roleName(role), options) << int(role) << options;
    }
    void costAgreesWithTheGrid()
    {
        QFETCH(int, role);
        QFETCH(int, options);
        QuantSpec spec;
        spec.method = "uniform";
        spec.bits = 4;
        if (options & 1)
            spec.options["symmetric"] = (options & 2) != 0;
        if (options & 4)
            spec.options["signed"] = true;
        if (options & 8)
            spec.options["full_range"] = true;
        spec.options["learned_step"] = (options & 16) != 0;
        spec.options["granularity"] = std::string(options & 32 ? "channel" : "tensor");
        const auto complete = completeParams(methodCatalog().quantizer("uniform")->options, spec.options, "uniform");
        QVERIFY(complete.has_value());
        spec.options = *complete;
        auto quantizer = makeQuantizer(spec, {.layer = "conv", .role = Role(role)});
        if (!quantizer) {   // a combination that the method refuses has no size
            QVERIFY(!quantizer.error().message.empty());
            return;
        }
        QVERIFY((*quantizer)->calibrate(at::linspace(-1, 2, 60).reshape({3, 20})).has_value());
        const QuantGrid grid = (*quantizer)->grid();
        QCOMPARE(sideBits(spec, Role(role), std::int64_t(grid.groups.size())), grid.sideBits);
    }

    /// Every row, width, role and granularity; before calibration too, where the size must not depend on the values.
    void everyMethod_data()
    {
        QTest::addColumn<QString>("method");
        for (const QuantizerRow &row : quantizerRows())
            QTest::addRow("%s", row.traits.id.c_str()) << QString::fromStdString(row.traits.id);
    }
    void everyMethod()
    {
        QFETCH(QString, method);
        const MethodTraits &traits = *methodCatalog().quantizer(method.toStdString());
        for (int bits = traits.minimumBits; bits <= std::min(8, traits.maximumBits); ++bits)
            for (const Role role : traits.roles)
                for (const char *granularity : {"tensor", "channel"})
                    for (const bool restored : {false, true})
                        compare(traits, bits, role, granularity, restored);
    }

private:
    static void compare(const MethodTraits &traits, int bits, Role role, const std::string &granularity, bool restored)
    {
        QuantSpec spec{traits.id, bits, {}, {}};
        if (role == Role::Weight && traits.option("granularity"))
            spec.options["granularity"] = granularity;
        if (restored && (role == Role::Activation || !traits.option("normalize") || bits > 7))
            return;
        if (restored)
            spec.options["normalize"] = spec.options["restore"] = true;
        spec.options = *completeParams(traits.options, spec.options, traits.id);
        auto quantizer = makeQuantizer(spec, {.layer = "conv", .role = role});
        if (!quantizer)
            return;   // a combination that the method refuses has no size
        QVERIFY((*quantizer)->calibrate(at::linspace(-1, 2, 60).reshape({3, 20})).has_value());
        const QuantGrid grid = (*quantizer)->grid();
        const std::int64_t groups = role == Role::Activation ? 1 : std::int64_t(grid.groups.size());
        QVERIFY2(sideBits(spec, role, groups) == grid.sideBits || traits.id == "xnor", (traits.id + " before calibration").c_str());
        spec.values = (*quantizer)->values();
        QVERIFY2(sideBits(spec, role, groups) == grid.sideBits,
                 qPrintable(QStringLiteral("%1 at %2 bits: %3, the grid says %4").arg(QString::fromStdString(traits.id)).arg(bits)
                                .arg(sideBits(spec, role, groups)).arg(grid.sideBits)));
    }
};

QTEST_APPLESS_MAIN(TestSideBits)
#include "tst_side_bits.moc"
