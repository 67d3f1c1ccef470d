// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/uniform_form.h"

#include <QtTest/QtTest>

using namespace bitwright;

class TestUniformForm : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void codes_data();
    void codes();
    void signsAreSpelledOut();
};

void TestUniformForm::codes_data()
{
    QTest::addColumn<QString>("options");
    QTest::addColumn<int>("bits");
    QTest::addColumn<bool>("weight");
    QTest::addColumn<bool>("nonNegative");
    QTest::addColumn<bool>("symmetric");
    QTest::addColumn<int>("qmin");
    QTest::addColumn<int>("qmax");
    QTest::newRow("weight") << "" << 4 << true << false << true << -7 << 7;
    QTest::newRow("weight, full range") << "full_range" << 4 << true << false << true << -8 << 7;
    QTest::newRow("weight, asymmetric") << "!symmetric" << 4 << true << false << false << 0 << 15;
    QTest::newRow("weight, 1 bit has one level") << "" << 1 << true << false << true << 0 << 0;
    QTest::newRow("weight, learned step uses every code") << "learned_step" << 2 << true << false << true << -2 << 1;
    QTest::newRow("activation") << "" << 8 << false << false << false << 0 << 255;
    QTest::newRow("activation, not negative, is asymmetric all the same") << "" << 8 << false << true << false << 0 << 255;
    QTest::newRow("activation, signed said") << "signed" << 8 << false << false << true << -127 << 127;
    QTest::newRow("activation, unsigned said") << "!signed" << 8 << false << false << true << 0 << 255;
    QTest::newRow("activation, learned step") << "learned_step" << 3 << false << false << true << -4 << 3;
    QTest::newRow("activation, learned step behind a ReLU") << "learned_step" << 3 << false << true << true << 0 << 7;
    QTest::newRow("16 bits") << "" << 16 << true << false << true << -32767 << 32767;
}

void TestUniformForm::codes()
{
    QFETCH(QString, options);
    QFETCH(int, bits);
    QFETCH(bool, weight);
    QFETCH(bool, nonNegative);
    QFETCH(bool, symmetric);
    QFETCH(int, qmin);
    QFETCH(int, qmax);
    QuantSpec spec{"uniform", bits, {}, {}};
    if (options.startsWith(u'!'))
        spec.options[options.mid(1).toStdString()] = false;
    else if (!options.isEmpty())
        spec.options[options.toStdString()] = true;
    const UniformForm form = uniformForm(spec, weight ? Role::Weight : Role::Activation, nonNegative);
    QCOMPARE(form.symmetric, symmetric);
    QCOMPARE(form.qmin, std::int64_t(qmin));
    QCOMPARE(form.qmax, std::int64_t(qmax));
}

void TestUniformForm::signsAreSpelledOut()
{
    ModelSummary model;
    for (const char *name : {"plain", "behind", "said", "asymmetric"}) {
        LayerInfo layer;
        layer.name = name;
        layer.nonNegativeInput = layer.name != "plain";
        model.layers.push_back(layer);
    }
    const QuantSpec symmetric{"uniform", 4, {{"symmetric", true}}, {}};
    ResolvedConfig config;
    for (const char *name : {"plain", "behind", "said"})
        config[name].activation = symmetric;
    config["said"].activation.options["signed"] = true;
    config["asymmetric"].activation = {"uniform", 4, {}, {}};
    spellOutSigns(config, model);
    QCOMPARE(boolParam(config["plain"].activation.options, "signed"), true);
    QCOMPARE(boolParam(config["behind"].activation.options, "signed", true), false);
    QCOMPARE(boolParam(config["said"].activation.options, "signed"), true);
    QVERIFY(!hasParam(config["asymmetric"].activation.options, "signed"));
}

QTEST_APPLESS_MAIN(TestUniformForm)
#include "tst_uniform_form.moc"
