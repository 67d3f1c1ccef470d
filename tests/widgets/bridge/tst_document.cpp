// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/document.h"
#include "fake_engine.h"

#include <QRegularExpression>
#include <QSignalSpy>
#include <QTest>

using namespace bitwright;

class TstDocument : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral(".*"))); }
    void init()
    {
        m_document = std::make_unique<Document>(m_catalog);
        m_document->setModel(fakeModel());
    }
    void bitsOfAFloatLayerTakeTheFirstQuantizer();
    void anEditIsOneStepWithSizeInTheSameCall();
    void editsThatChangeNothingLeaveNoStep();
    void aDragIsOneStep();
    void aDragBackToItsStartVanishes();
    void changingBitsDropsStaleValues();
    void aClipStaysWhereBitsDoNotMoveIt();
    void oneBitLeavesNoTrace();
    void masksAreOneStep();
    void foldingDropsWeightValuesOnly();
    void impossibleEditsAreRefused();
    void oneBitIsAsymmetric();
    void stepsStayInTheRange();
    void stateIsRestoredUndoably();
    void aPolicyIsOneStep();
    void aPolicyActsOnWhatWasSetByHand();
    void calibrationDoesNotHideThePolicy();
    void handSetLayersCountMoreThanThePolicy();
    void freshSpecsKnowTheirLimits();
    void calibrationIsAbsorbedWithoutAStep();
    void baselineIsWhatBeforeMeans();
    void selectionGoesBackAndForth();
    void oneRoleIsAlwaysEdited();
    void aSmallerNetworkComesAndGoesWithItsWeights();

private:
    int steps() const { return m_document->undoStack()->count(); }
    int bits(const std::string &layer, Role role = Role::Weight) const { return m_document->spec(layer, role)->bits; }
    Catalog m_catalog = fakeCatalog();
    std::unique_ptr<Document> m_document;
};

void TstDocument::bitsOfAFloatLayerTakeTheFirstQuantizer()
{
    m_document->setBits({"stem"}, Role::Weight, 4);
    const QuantSpec &spec = *m_document->spec("stem", Role::Weight);
    QCOMPARE(spec.method, std::string("uniform"));
    QCOMPARE(spec.bits, 4);
    QCOMPARE(textParam(spec.options, "granularity"), std::string("channel"));
    QVERIFY(m_document->spec("stem", Role::Activation)->isFloat());
    QCOMPARE(m_document->undoStack()->undoText(), QStringLiteral("Weights of stem to 4 bits"));
}

void TstDocument::anEditIsOneStepWithSizeInTheSameCall()
{
    const double before = m_document->cost().sizeBits;
    QCOMPARE(before, m_document->floatCost().sizeBits);
    double seen = 0;
    connect(m_document.get(), &Document::changed, this, [&](const ChangeEvent &event) {
        seen = m_document->cost().sizeBits;
        QCOMPARE(event.diff.layers.size(), std::size_t(2));
    }, Qt::SingleShotConnection);
    m_document->setBits({"stem", "head"}, std::vector{Role::Weight, Role::Activation}, 8);
    QVERIFY(seen < before);
    QCOMPARE(steps(), 1);
    m_document->undoStack()->undo();
    QCOMPARE(m_document->cost().sizeBits, before);
    m_document->undoStack()->redo();
    QCOMPARE(bits("head", Role::Activation), 8);
}

void TstDocument::editsThatChangeNothingLeaveNoStep()
{
    m_document->setBits({"stem"}, Role::Weight, 0);
    m_document->setMethod({"stem"}, Role::Weight, "float");
    m_document->setFoldBatchNorm(false);
    QCOMPARE(steps(), 0);
    m_document->setBits({"stem"}, Role::Weight, 3);
    m_document->setBits({"stem"}, Role::Weight, 3);
    QCOMPARE(steps(), 1);
}

void TstDocument::aDragIsOneStep()
{
    m_document->setBits({"stem"}, Role::Weight, 4);
    const quint64 drag = m_document->beginDrag();
    QList<bool> interactive;
    connect(m_document.get(), &Document::changed, this, [&](const ChangeEvent &event) { interactive << event.interactive; });
    for (const double scale : {0.1, 0.2, 0.3})
        m_document->setValues("stem", Role::Weight, {{"scale", {scale}}}, drag);
    m_document->endDrag();
    QCOMPARE(steps(), 2);
    QCOMPARE(interactive, (QList<bool>{true, true, true}));
    m_document->setValues("stem", Role::Weight, {{"scale", {0.4}}}, m_document->beginDrag());
    QCOMPARE(steps(), 3);
    m_document->undoStack()->undo();
    QCOMPARE(m_document->spec("stem", Role::Weight)->values.at("scale"), std::vector<double>{0.3});
    m_document->undoStack()->undo();
    QVERIFY(m_document->spec("stem", Role::Weight)->values.empty());
    m_document->undoStack()->redo();
    QCOMPARE(m_document->spec("stem", Role::Weight)->values.at("scale"), std::vector<double>{0.3});
}

void TstDocument::aDragBackToItsStartVanishes()
{
    m_document->setBits({"stem"}, Role::Weight, 4);
    m_document->setValues("stem", Role::Weight, {{"scale", {0.1}}});
    QCOMPARE(steps(), 2);
    const quint64 drag = m_document->beginDrag();
    m_document->setValues("stem", Role::Weight, {{"scale", {0.2}}}, drag);
    QCOMPARE(steps(), 3);
    m_document->setValues("stem", Role::Weight, {{"scale", {0.1}}}, drag);
    QCOMPARE(steps(), 2);
}

void TstDocument::changingBitsDropsStaleValues()
{
    for (const Role role : {Role::Weight, Role::Activation}) {
        m_document->setBits({"stem"}, role, 4);
        m_document->setValues("stem", role, {{"scale", {0.1}}, {"zero_point", {3}}});
    }
    m_document->setBits({"stem"}, Role::Weight, 5);
    QVERIFY(m_document->spec("stem", Role::Weight)->values.empty());
    QCOMPARE(m_document->spec("stem", Role::Activation)->values.size(), std::size_t(2));
    m_document->setOption({"stem"}, Role::Activation, "range", ParamValue(std::string("mse")));
    QVERIFY(m_document->spec("stem", Role::Activation)->values.empty());
}

void TstDocument::foldingDropsWeightValuesOnly()
{
    for (const Role role : {Role::Weight, Role::Activation}) {
        m_document->setBits({"stem"}, role, 4);
        m_document->setValues("stem", role, {{"scale", {0.1}}});
    }
    m_document->setFoldBatchNorm(true);
    QVERIFY(m_document->spec("stem", Role::Weight)->values.empty());
    QVERIFY(!m_document->spec("stem", Role::Activation)->values.empty());
    m_document->undoStack()->undo();
    QVERIFY(!m_document->spec("stem", Role::Weight)->values.empty());
    QVERIFY(!m_document->config().foldBatchNorm);
}

void TstDocument::impossibleEditsAreRefused()
{
    QSignalSpy refused(m_document.get(), &Document::refused);
    m_document->setBits({"extra.embedding"}, Role::Weight, 4);
    QCOMPARE(refused.size(), 1);
    QCOMPARE(refused.takeFirst().at(0).toString(),
             QStringLiteral("extra.embedding cannot be quantized: an embedding is a table, not a linear map"));
    m_document->setBits({"stem"}, Role::Weight, 17);
    m_document->setMethod({"stem"}, Role::Activation, "bwn");
    QCOMPARE(refused.size(), 2);
    QCOMPARE(steps(), 0);
}

void TstDocument::oneBitIsAsymmetric()
{
    m_document->setBits({"stem"}, Role::Weight, 1);
    QCOMPARE(boolParam(m_document->spec("stem", Role::Weight)->options, "symmetric", true), false);
}

void TstDocument::stepsStayInTheRange()
{
    m_document->setBits({"stem"}, Role::Weight, 16);
    m_document->setBits({"head"}, Role::Weight, 2);
    m_document->stepBits({"stem", "head", "stage1.0.conv1"}, {Role::Weight}, 1);
    QCOMPARE(bits("stem"), 16);
    QCOMPARE(bits("head"), 3);
    QVERIFY(m_document->spec("stage1.0.conv1", Role::Weight)->isFloat());
}

void TstDocument::stateIsRestoredUndoably()
{
    m_document->setBits({"stem"}, Role::Weight, 4);
    const DocumentState trained{m_document->config(), "weights-3"};
    m_document->setBits({"stem"}, Role::Weight, 0);
    m_document->setState(trained, QStringLiteral("take it"));
    QCOMPARE(m_document->state().weights, std::string("weights-3"));
    QCOMPARE(bits("stem"), 4);
    QVERIFY(!m_document->isFloat());
    m_document->undoStack()->undo();
    QCOMPARE(m_document->state().weights, std::string());
    QVERIFY(m_document->isFloat());
}

/// What the policy keeps out of low bits is what the table shows, and it comes and goes with undo.
void TstDocument::aPolicyIsOneStep()
{
    DocumentState state = m_document->state();
    state.config.defaults.weight = {.method = "uniform", .bits = 2};
    m_document->setState(state, QStringLiteral("2 bits"));
    QCOMPARE(bits("stem"), 2);
    state = m_document->state();
    state.config.policy.firstLast = LayerPolicy::Keep::Float;
    QSignalSpy changes(m_document.get(), &Document::changed);
    m_document->setState(state, QStringLiteral("Float ends"));
    QCOMPARE(steps(), 2);
    QCOMPARE(changes.size(), 1);
    const auto event = changes.first().first().value<ChangeEvent>();
    QCOMPARE(event.diff.layers.size(), std::size_t(2));
    QVERIFY(event.diff.layers.contains("stem") && event.diff.layers.contains("head"));
    QVERIFY(m_document->spec("stem", Role::Weight)->isFloat() && m_document->spec("head", Role::Weight)->isFloat());
    QCOMPARE(bits("stage1.0.conv1"), 2);
    m_document->undoStack()->undo();
    QCOMPARE(bits("stem"), 2);
    m_document->undoStack()->redo();
    QVERIFY(m_document->spec("stem", Role::Weight)->isFloat());
}

void TstDocument::aPolicyActsOnWhatWasSetByHand()
{
    using Keep = LayerPolicy::Keep;
    m_document->setBits({"stem", "stage1.0.conv1", "stage1.0.conv2", "head"}, Role::Weight, 2);
    const int before = steps();
    m_document->setPolicy({.firstLast = Keep::EightBit, .shortcuts = Keep::Same});
    QCOMPARE(steps(), before + 1);
    QCOMPARE(bits("stem"), 8);
    QCOMPARE(bits("head"), 8);
    QCOMPARE(bits("stage1.0.conv1"), 2);
    QCOMPARE(m_document->keptAs("stem", Role::Weight), Keep::EightBit);
    QCOMPARE(m_document->keptAs("stage1.0.conv1", Role::Weight), Keep::Same);
    // What was float stays so, activations too.
    QVERIFY(m_document->spec("stage2.0.conv1", Role::Weight)->isFloat());
    QVERIFY(m_document->spec("stem", Role::Activation)->isFloat());
    m_document->setPolicy({.firstLast = Keep::Float, .shortcuts = Keep::Same});
    QVERIFY(m_document->spec("stem", Role::Weight)->isFloat());
    m_document->setPolicy({});
    QCOMPARE(bits("stem"), 2);
    m_document->undoStack()->setIndex(before);
    QCOMPARE(m_document->config().policy, LayerPolicy{});
    QCOMPARE(bits("stem"), 2);
    QVERIFY(!m_document->config().defaults.weight.method);
}

void TstDocument::calibrationDoesNotHideThePolicy()
{
    m_document->setBits({"stem", "stage1.0.conv1"}, Role::Activation, 4);
    m_document->setPolicy({.firstLast = LayerPolicy::Keep::EightBit, .shortcuts = LayerPolicy::Keep::Same});
    QCOMPARE(bits("stem", Role::Activation), 8);
    ModelConfig calibrated = m_document->config();
    QuantSpec spec = *m_document->spec("stem", Role::Activation);
    spec.values = {{"scale", {0.01}}, {"zero_point", {0}}};
    setSpec(calibrated, "stem", Role::Activation, spec);
    m_document->absorbCalibration(calibrated);
    QVERIFY(!m_document->spec("stem", Role::Activation)->values.empty());
    QCOMPARE(m_document->keptAs("stem", Role::Activation), LayerPolicy::Keep::EightBit);
    m_document->setPolicy({});
    QCOMPARE(bits("stem", Role::Activation), 4);
}

void TstDocument::handSetLayersCountMoreThanThePolicy()
{
    m_document->setBits({"stem", "stage1.0.conv1"}, Role::Weight, 2);
    m_document->setPolicy({.firstLast = LayerPolicy::Keep::EightBit, .shortcuts = LayerPolicy::Keep::Same});
    m_document->setBits({"stem"}, Role::Weight, 3);
    QCOMPARE(bits("stem"), 3);
    QCOMPARE(m_document->keptAs("stem", Role::Weight), LayerPolicy::Keep::Same);
}

void TstDocument::freshSpecsKnowTheirLimits()
{
    QCOMPARE(m_document->freshSpec("kmeans", Role::Weight, 3)->bits, 3);
    QCOMPARE(m_document->freshSpec("uniform", Role::Weight, 1)->options.at("symmetric"), ParamValue(false));
    QVERIFY(!m_document->freshSpec("bwn", Role::Weight, 2));
    QVERIFY(!m_document->freshSpec("bwn", Role::Activation, 1));
    QVERIFY(!m_document->freshSpec("no such method", Role::Weight, 4));
    QVERIFY(!m_document->freshSpec(kFloatMethod, Role::Weight, 4));
}

void TstDocument::calibrationIsAbsorbedWithoutAStep()
{
    m_document->setBits({"stem", "head"}, Role::Activation, 4);
    ModelConfig calibrated = m_document->config();
    for (const char *layer : {"stem", "head"})
        calibrated.layers[layer].activation.values = {{"scale", {0.5}}, {"zero_point", {2}}};
    m_document->setBits({"head"}, Role::Activation, 3);   // has moved on
    QSignalSpy changed(m_document.get(), &Document::changed);
    m_document->absorbCalibration(calibrated);
    QCOMPARE(changed.size(), 1);
    QCOMPARE(steps(), 2);
    QCOMPARE(m_document->spec("stem", Role::Activation)->values.at("scale"), std::vector<double>{0.5});
    QVERIFY(m_document->spec("head", Role::Activation)->values.empty());
}

void TstDocument::baselineIsWhatBeforeMeans()
{
    m_document->setBits({"head"}, Role::Weight, 8);
    m_document->pinBaseline();
    const double pinned = m_document->cost().sizeBits;
    m_document->setBits({"head"}, Role::Weight, 4);
    QCOMPARE(m_document->baselineCost().sizeBits, pinned);
    QCOMPARE(m_document->baselineSpec("head", Role::Weight)->bits, 8);
    m_document->clearBaseline();
    QCOMPARE(m_document->baselineCost().sizeBits, m_document->floatCost().sizeBits);
}

void TstDocument::selectionGoesBackAndForth()
{
    QVERIFY(!m_document->canGoBack());
    m_document->setSelection({"stem"});
    m_document->setSelection({"head", "stem", "not there"}, "stem");
    QCOMPARE(m_document->selection().size(), std::size_t(2));
    QCOMPARE(m_document->currentLayer(), std::string("stem"));
    m_document->goBack();
    QCOMPARE(m_document->selection(), LayerNames{"stem"});
    QVERIFY(!m_document->canGoBack());
    m_document->goForward();
    QCOMPARE(m_document->selection().size(), std::size_t(2));
    m_document->goBack();
    m_document->setSelection({"head"});
    QVERIFY(!m_document->canGoForward());
}

// 5 bits and back to 4: a clip that was set by hand is where it was.
void TstDocument::aClipStaysWhereBitsDoNotMoveIt()
{
    m_document->setBits({"stem"}, Role::Weight, 4);
    m_document->setValues("stem", Role::Weight, {{"scale", {0.1}}});
    m_document->setBits({"stem"}, Role::Weight, 5);
    QVERIFY(std::abs(m_document->spec("stem", Role::Weight)->values.at("scale")[0] * 15 - 0.7) < 1e-12);
    m_document->setBits({"stem"}, Role::Weight, 4);
    QVERIFY(std::abs(m_document->spec("stem", Role::Weight)->values.at("scale")[0] - 0.1) < 1e-12);
    // A range that is searched for is searched again.
    m_document->setOption({"stem"}, Role::Weight, "range", ParamValue(std::string("mse")));
    m_document->setValues("stem", Role::Weight, {{"scale", {0.1}}});
    m_document->setBits({"stem"}, Role::Weight, 5);
    QVERIFY(m_document->spec("stem", Role::Weight)->values.empty());
}

void TstDocument::oneBitLeavesNoTrace()
{
    m_document->setBits({"stem"}, Role::Weight, 4);
    const QuantSpec before = *m_document->spec("stem", Role::Weight);
    m_document->setBits({"stem"}, Role::Weight, 1);
    QVERIFY(!boolParam(m_document->spec("stem", Role::Weight)->options, "symmetric", true));
    m_document->setBits({"stem"}, Role::Weight, 4);
    QCOMPARE(boolParam(m_document->spec("stem", Role::Weight)->options, "symmetric", true),
             boolParam(before.options, "symmetric", true));
}

void TstDocument::masksAreOneStep()
{
    const double before = m_document->cost().sizeBits;
    const std::int64_t weights = m_document->layer("head")->weightCount;
    std::vector<std::uint8_t> kept(std::size_t(weights), 0);
    kept[3] = 1;
    ModelConfig config = m_document->config();
    setPrune(config, "head", {"magnitude", 0.9, {}, Mask::fromKept(kept)});
    m_document->setConfig(config, QStringLiteral("Prune"));
    QCOMPARE(m_document->prunedLayers(), LayerNames{"head"});
    QCOMPARE(m_document->mask("head").keptCount(), std::int64_t(1));
    QVERIFY(m_document->mask("stem").empty());
    QVERIFY(m_document->cost().sizeBits < before && !m_document->isFloat());
    m_document->setBits({"head"}, Role::Weight, 4);   // bits and mask are apart
    QCOMPARE(m_document->mask("head").keptCount(), std::int64_t(1));
    m_document->clearMasks({"head"});
    QVERIFY(m_document->prunedLayers().empty());
    QCOMPARE(m_document->undoStack()->count(), 3);
    while (m_document->undoStack()->canUndo())
        m_document->undoStack()->undo();
    QCOMPARE(m_document->cost().sizeBits, before);
    QVERIFY(m_document->isFloat());
}

void TstDocument::oneRoleIsAlwaysEdited()
{
    m_document->setEditsRole(Role::Activation, false);
    m_document->setEditsRole(Role::Weight, false);
    QVERIFY(m_document->editsRole(Role::Activation));
    QVERIFY(!m_document->editsRole(Role::Weight));
}

void TstDocument::aSmallerNetworkComesAndGoesWithItsWeights()
{
    const DocumentState start = m_document->state();
    const std::int64_t floatSize = m_document->floatSizeBytes();
    const double before = m_document->cost().sizeBits;
    auto smaller = std::make_shared<ModelSummary>(*fakeModel());
    for (LayerInfo &layer : smaller->layers)
        if (layer.name == "stem")
            layer.weightShape = {8, 1, 3, 3}, layer.weightCount = 72, smaller->parameters -= 72;
    const std::string name = "cut 2026 job 7";
    QSignalSpy refused(m_document.get(), &Document::refused);
    m_document->setState({m_document->config(), name}, QStringLiteral("Too early"));
    QCOMPARE(refused.count(), 1);
    QCOMPARE(m_document->state(), start);

    m_document->addNetwork(name, smaller);
    ChangeEvent seen;
    connect(m_document.get(), &Document::changed, this, [&](const ChangeEvent &event) { seen = event; });
    m_document->setState({m_document->config(), name}, QStringLiteral("Remove pruned channels"));
    QCOMPARE(m_document->layer("stem")->channels(), 8);
    QVERIFY(seen.diff.network && seen.weights && seen.touches("head"));
    QVERIFY(m_document->cost().sizeBits < before);
    QCOMPARE(m_document->floatSizeBytes(), floatSize);
    m_document->setState({m_document->config(), "fine-tuned 2026 job 8 epoch 1 of " + name}, QStringLiteral("Take"));
    QCOMPARE(m_document->layer("stem")->channels(), 8);
    m_document->undoStack()->undo();
    m_document->undoStack()->undo();
    QCOMPARE(m_document->layer("stem")->channels(), 16);
    QCOMPARE(m_document->state(), start);
    QCOMPARE(m_document->cost().sizeBits, before);
    m_document->undoStack()->redo();
    QCOMPARE(m_document->layer("stem")->channels(), 8);
}

QTEST_APPLESS_MAIN(TstDocument)
#include "tst_document.moc"
