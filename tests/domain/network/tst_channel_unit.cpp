// SPDX-License-Identifier: GPL-3.0-or-later
#include "network/channel_unit.h"

#include <QtTest/QtTest>

using namespace bitwright;

class TestChannelUnit : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void residualAddTiesLayers();
    void flattenedChannelIsSeveralInputs();
    void refusalComesAlong();
    void unknownChannelStandsAlone();
};

namespace {

/// Two convolutions that meet in an add and are read by a third and, flattened two by two, by a linear layer.
ModelSummary network()
{
    ModelSummary model;
    ChannelGroup group;
    group.units = 3;
    group.parts = {{"a", true, true, 0, {0, 1, 2}},
                   {"a_bn.weight", false, false, 0, {0, 1, 2}},
                   {"b", true, true, 0, {2, 1, 0}},
                   {"c", true, false, 1, {0, 1, 2}},
                   {"fc", true, false, 1, {0, 0, 1, 1, 2, 2}}};
    ChannelGroup head;
    head.units = 2;
    head.refusal = "fc gives the network's output";
    head.parts = {{"fc", true, true, 0, {0, 1}}};
    model.groups = {group, head};
    return model;
}

} // namespace

void TestChannelUnit::residualAddTiesLayers()
{
    const ChannelUnit unit = channelUnit(network(), "b", 0);
    QVERIFY(unit.known && unit.removable());
    QCOMPARE(unit.outputs.size(), std::size_t(2));
    QCOMPARE(unit.outputs[0], (ChannelUnit::Member{"b", {0}}));   // the asked one first
    QCOMPARE(unit.outputs[1], (ChannelUnit::Member{"a", {2}}));
    QCOMPARE(unit.readers, (std::vector<std::string>{"c", "fc"}));   // batch norms are no layers
}

void TestChannelUnit::flattenedChannelIsSeveralInputs()
{
    ModelSummary model = network();
    model.groups[0].parts[0].unit = {0, 1, 1};   // a grouped convolution: two channels are one unit
    const ChannelUnit unit = channelUnit(model, "a", 2);
    QCOMPARE(unit.outputs[0], (ChannelUnit::Member{"a", {1, 2}}));
    QCOMPARE(unit.outputs[1], (ChannelUnit::Member{"b", {1}}));
}

void TestChannelUnit::refusalComesAlong()
{
    const ChannelUnit unit = channelUnit(network(), "fc", 1);
    QVERIFY(unit.known && !unit.removable());
    QCOMPARE(unit.refusal, std::string("fc gives the network's output"));
}

void TestChannelUnit::unknownChannelStandsAlone()
{
    ModelSummary model = network();
    model.groups[0].parts[0].unit[1] = -1;
    for (const auto &[layer, channel] : {std::pair{"a", 1}, {"a", 7}, {"elsewhere", 0}}) {
        const ChannelUnit unit = channelUnit(model, layer, channel);
        QVERIFY(!unit.known && unit.removable() && unit.readers.empty());
        QCOMPARE(unit.outputs, (std::vector<ChannelUnit::Member>{{layer, {channel}}}));
    }
}

QTEST_APPLESS_MAIN(TestChannelUnit)
#include "tst_channel_unit.moc"
