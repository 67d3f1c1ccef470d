// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/weights_name.h"

#include <QtTest/QtTest>

using namespace bitwright;

class TestWeightsName : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void networks_data();
    void networks();
    void roundTrip();
};

void TestWeightsName::networks_data()
{
    QTest::addColumn<QString>("weights");
    QTest::addColumn<QString>("network");
    QTest::newRow("float") << QString() << QString();
    QTest::newRow("trained") << QStringLiteral("fine-tuned 2026-01-01 job 3 epoch 2") << QString();
    QTest::newRow("cut") << QStringLiteral("cut 2026-01-01 job 4") << QStringLiteral("cut 2026-01-01 job 4");
    QTest::newRow("trained after the cut") << QStringLiteral("fine-tuned 2026 job 5 epoch 1 of cut 2026 job 4")
                                           << QStringLiteral("cut 2026 job 4");
    QTest::newRow("a word like it") << QStringLiteral("haircut 1") << QString();
}

void TestWeightsName::networks()
{
    QFETCH(QString, weights);
    QFETCH(QString, network);
    QCOMPARE(QString::fromStdString(networkOf(weights.toStdString())), network);
}

void TestWeightsName::roundTrip()
{
    QCOMPARE(networkOf(stateOfNetwork("fine-tuned 7", "cut 8")), std::string("cut 8"));
    QCOMPARE(stateOfNetwork("fine-tuned 7", ""), std::string("fine-tuned 7"));
}

QTEST_APPLESS_MAIN(TestWeightsName)
#include "tst_weights_name.moc"
