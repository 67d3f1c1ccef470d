// SPDX-License-Identifier: GPL-3.0-or-later
#include "fake_engine.h"
#include "models/trials_model.h"
#include "panels/data_dialog.h"
#include "panels/random_form.h"
#include "panels/samples_view.h"
#include "util/data_spec.h"
#include "window/status_line.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QLabel>
#include <QLineEdit>
#include <QPointer>
#include <QPushButton>
#include <QStandardItemModel>
#include <QStatusBar>
#include <QTabWidget>
#include <QtTest>

using namespace bitwright;

class TstDataDialog : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin does not support).*"))); }
    void specsReadBack_data();
    void specsReadBack();
    void whatTheNetworkReads();
    void offersRandomDataWhereNoneIsOpen();
    void asksOnlyForWhatIsNotKnown();
    void emptyFieldIsNamed();
    void kindsOfOneArrayAreGrey();
    void samplesWithAnswers();
    void waitsForTyping();
    void problemsAreShown();
    void everyKindOfSample();
    void randomDataIsNamedEverywhere();
    void metricFollowsTheData();
};

namespace {

InputNeed need(const std::string &name, Shape shape, const std::string &dtype, int axis, Shape guess, std::vector<std::int64_t> asked = {})
{
    InputNeed made;
    made.info = {name, std::move(shape), dtype};
    made.batchAxis = axis;
    made.shared = axis < 0;
    made.guess = std::move(guess);
    made.asked = std::move(asked);
    return made;
}

/// Ids with a table, a sound of any length, a state in layers, a rate.
std::vector<InputNeed> several()
{
    std::vector<InputNeed> inputs{need("ids", {-1, -1}, "int64", 0, {1, 12}, {1}), need("sound", {-1, -1}, "float32", 0, {1, 400}, {1}),
                                  need("state", {2, -1, 16}, "float32", 1, {2, 1, 16}), need("sr", {}, "int64", -1, {})};
    inputs[0].high = 100;
    inputs[0].rangeFrom = "words has 100 rows";
    inputs[3].low = 16000;
    inputs[3].high = 16001;
    inputs[3].rangeGuessed = true;
    return inputs;
}

struct Bench {
    FakeEngine engine;
    Document document{engine.catalog()};
    EngineController controller{engine, document};
    QPointer<DataDialog> dialog;

    explicit Bench(std::vector<InputNeed> inputs = {}, const std::string &data = {})
    {
        engine.automatic = true;
        if (!inputs.empty())
            engine.inputs = std::move(inputs);
        QObject::connect(&controller, &EngineController::modelOpened, &document, [this](const auto &model) { document.setModel(model); });
        controller.openModel(QStringLiteral("model.pt2"));
        settle();
        if (!data.empty()) {
            controller.openData({data, {}, {}});
            settle();
        }
        dialog = new DataDialog(controller);
    }
    ~Bench() { delete dialog; }
    void settle() const
    {
        QTest::qWait(80);
    }
    [[nodiscard]] SamplesView *view() const { return dialog->findChild<SamplesView *>(); }
    /// In the tab of the evaluation data, else anywhere.
    template <typename T>
    T *named(const QString &name) const
    {
        QList<T *> found;
        for (const DataSpecEditor *editor : dialog->findChildren<DataSpecEditor *>())
            if (editor->accessibleName() == QStringLiteral("Evaluation"))
                found = editor->findChildren<T *>();
        for (T *widget : found + dialog->findChildren<T *>())
            if (widget->accessibleName() == name)
                return widget;
        return nullptr;
    }
    [[nodiscard]] bool previewed() const
    {
        for (const auto &[job, request] : engine.requests)
            if (std::holds_alternative<DataPreviewRequest>(request))
                return true;
        return false;
    }
};

} // namespace

void TstDataDialog::specsReadBack_data()
{
    QTest::addColumn<QString>("text");
    QTest::newRow("plain") << "random:count=256";
    QTest::newRow("seed") << "random:count=64,seed=7";
    QTest::newRow("inputs") << "random:count=64,seed=7,x=1x3x224x224,ids.high=1000,in2=16000";
    QTest::newRow("npz") << "npz:/data/a.npz,mean=0.5,limit=10";
}

void TstDataDialog::specsReadBack()
{
    QFETCH(const QString, text);
    QCOMPARE(toText(dataSpecFromText(text)), text);
}

void TstDataDialog::whatTheNetworkReads()
{
    const Bench bench(several());
    const auto *label = bench.named<QLabel>(QStringLiteral("What the network reads"));
    QVERIFY(label);
    for (const char *line : {"4 inputs", "ids: N × ?, int64, 0 to 99 (words has 100 rows)", "state: 2 × N × 16, float32", "sr: one number, int64, one for all samples"})
        QVERIFY2(label->text().contains(QString::fromUtf8(line)), qPrintable(label->text()));
}

void TstDataDialog::offersRandomDataWhereNoneIsOpen()
{
    const Bench bench(several());
    QCOMPARE(bench.dialog->selection().evaluation, std::string("random:count=256,ids=1x12,sound=1x400,sr=16000"));
    QCOMPARE(bench.dialog->selection().training, std::string());
    const Bench open({}, "sample:test");
    QCOMPARE(open.dialog->selection().evaluation, std::string("sample:test"));
    const Bench plain;
    QCOMPARE(plain.dialog->selection().evaluation, std::string("random:count=256"));
}

void TstDataDialog::asksOnlyForWhatIsNotKnown()
{
    const Bench bench(several());
    QVERIFY(bench.named<QLineEdit>(QStringLiteral("Sizes of ids")));
    QVERIFY(!bench.named<QLineEdit>(QStringLiteral("Sizes of state")));
    auto *rate = bench.named<QLineEdit>(QStringLiteral("Value of sr"));
    QVERIFY(rate);
    QCOMPARE(rate->text(), QStringLiteral("16000"));
    rate->setText(QStringLiteral("8000"));
    bench.named<QLineEdit>(QStringLiteral("Sizes of sound"))->setText(QStringLiteral("1 × 512"));
    bench.named<QLineEdit>(QStringLiteral("ids lies below"))->setText(QStringLiteral("50"));
    QCOMPARE(bench.dialog->selection().evaluation, std::string("random:count=256,ids=1x12,ids.high=50,sound=1x512,sr=8000"));
}

void TstDataDialog::emptyFieldIsNamed()
{
    std::vector<InputNeed> inputs{need("codes", {-1, 4}, "int64", 0, {1, 4})};   // nothing tells how many there are
    const Bench bench(inputs);
    auto *ok = bench.dialog->findChild<QDialogButtonBox *>()->button(QDialogButtonBox::Ok);
    QVERIFY(!ok->isEnabled());
    const auto *problem = bench.named<QLabel>(QStringLiteral("Problem"));
    QVERIFY2(problem->text().contains(QStringLiteral("codes")), qPrintable(problem->text()));
    bench.named<QLineEdit>(QStringLiteral("codes lies below"))->setText(QStringLiteral("1024"));
    QVERIFY(ok->isEnabled());
    QCOMPARE(bench.dialog->selection().evaluation, std::string("random:count=256,codes.high=1024"));
}

void TstDataDialog::kindsOfOneArrayAreGrey()
{
    const auto enabled = [](const Bench &bench, const char *kind) {
        const auto *box = bench.named<QComboBox>(QStringLiteral("Kind"));
        const auto *items = qobject_cast<const QStandardItemModel *>(box->model());
        return items->item(box->findData(QString::fromLatin1(kind)))->isEnabled();
    };
    const Bench bench(several()), plain;
    for (const char *kind : {"sample", "idx", "images", "npy"}) {
        QVERIFY(!enabled(bench, kind));
        QVERIFY(enabled(plain, kind));
    }
    QVERIFY(enabled(bench, "npz") && enabled(bench, "random"));
}

void TstDataDialog::samplesWithAnswers()
{
    const Bench bench({}, "sample:test");
    bench.dialog->show();
    QTRY_VERIFY(bench.view()->headline().contains(QStringLiteral("first 4 samples")));
    QVERIFY(bench.view()->answerText(0).contains(QStringLiteral("Label: Ankle boot")));
    QVERIFY2(bench.view()->answerText(0).contains(QStringLiteral("Network: Ankle boot 91.0")), qPrintable(bench.view()->answerText(0)));
    QVERIFY(bench.view()->answerText(0).contains(QStringLiteral("✓")));
    QVERIFY(bench.view()->answerText(3).contains(QStringLiteral("✗")));
    QCOMPARE(int(bench.view()->findChildren<SamplePicture *>().size()), 4);
    QVERIFY(bench.named<QLabel>(QStringLiteral("What the network gives"))->text().contains(QStringLiteral("logits")));
}

void TstDataDialog::waitsForTyping()
{
    Bench bench(several());
    bench.dialog->show();
    QTRY_VERIFY(bench.previewed());
    bench.settle();
    const auto asked = [&] {
        return std::ranges::count_if(bench.engine.requests, [](const auto &entry) { return std::holds_alternative<DataPreviewRequest>(entry.second); });
    };
    const auto before = asked();
    auto *sizes = bench.named<QLineEdit>(QStringLiteral("Sizes of sound"));
    for (const char *text : {"1x5", "1x50", "1x500"})
        sizes->setText(QString::fromLatin1(text));
    QTRY_COMPARE(asked(), before + 1);
    const auto last = std::ranges::find_if(bench.engine.requests.rbegin(), bench.engine.requests.rend(),
                                           [](const auto &entry) { return std::holds_alternative<DataPreviewRequest>(entry.second); });
    QVERIFY(std::get<DataPreviewRequest>(last->second).spec.find("sound=1x500") != std::string::npos);
}

void TstDataDialog::problemsAreShown()
{
    Bench bench(several());
    bench.engine.automatic = false;
    bench.dialog->show();
    QTRY_VERIFY(bench.previewed());
    const JobId job = bench.engine.requests.back().first;
    bench.engine.emitEvent(JobEnded{job, JobOutcome::Failed, {ErrorKind::Invalid, "random data, input 'ids' cannot be", {}}, 0.1});
    QTRY_COMPARE(bench.view()->headline(), QStringLiteral("random data, input 'ids' cannot be"));
    QVERIFY(bench.view()->findChildren<SamplePicture *>().isEmpty());
}

void TstDataDialog::everyKindOfSample()
{
    std::vector<InputNeed> inputs = several();
    inputs.push_back(need("pictures", {-1, 3, 20, 30}, "float32", 0, {1, 3, 20, 30}));
    Bench bench(inputs);
    bench.dialog->show();
    QTRY_VERIFY(bench.previewed());
    QTRY_VERIFY(bench.view()->headline().startsWith(QStringLiteral("Random data")));
    QVERIFY2(bench.view()->headline().contains(QStringLiteral("sr is")), qPrintable(bench.view()->headline()));
    QList<SamplePicture::Kind> kinds;
    for (const SamplePicture *picture : bench.view()->findChildren<SamplePicture *>())
        kinds << picture->kind();
    QCOMPARE(int(kinds.size()), 16);   // four samples of four inputs, the shared one in the sentence
    QCOMPARE(int(kinds.count(SamplePicture::Kind::Numbers)), 4);
    QCOMPARE(int(kinds.count(SamplePicture::Kind::Curve)), 8);
    QCOMPARE(int(kinds.count(SamplePicture::Kind::Picture)), 4);
    QVERIFY(!bench.view()->grab().isNull());
    for (const SamplePicture *picture : bench.view()->findChildren<SamplePicture *>())
        QVERIFY(!picture->accessibleName().isEmpty());
}

void TstDataDialog::randomDataIsNamedEverywhere()
{
    Bench bench({}, "random:count=64");
    QStatusBar bar;
    const StatusLine line(&bar, bench.document, bench.controller, QStringLiteral("CPU"));
    QStringList texts;
    for (const QLabel *label : bar.findChildren<QLabel *>())
        texts << label->text();
    QVERIFY2(texts.join(QLatin1Char('|')).contains(QStringLiteral("Random data,")), qPrintable(texts.join(QLatin1Char('|'))));
    TrialsModel trials(bench.controller);
    TrialRecord trial;
    trial.data = "random:count=64";
    emit bench.controller.trialAdded(trial);
    QCOMPARE(trials.index(trials.rowCount() - 1, TrialsModel::Data).data().toString(), QStringLiteral("random data (random:count=64)"));
}

void TstDataDialog::metricFollowsTheData()
{
    Bench bench;
    const JobId job = bench.controller.openData({"random:count=64", {}, {}});
    DataOpened opened;
    opened.job = job;
    opened.spec = "random:count=64";
    opened.metric = "sqnr";
    QCOMPARE(bench.controller.metric(), std::string("top1"));   // the fake's own answer is labelled and tells no metric
    bench.engine.automatic = false;
    const JobId second = bench.controller.openData({"random:count=65", {}, {}});
    opened.job = second;
    bench.engine.emitEvent(opened);
    QTRY_COMPARE(bench.controller.metric(), std::string("sqnr"));
    opened.job = bench.controller.openData({"random:count=66", {}, {}});
    opened.metric = "agreement";
    bench.engine.emitEvent(opened);
    QTRY_COMPARE(bench.controller.metric(), std::string("agreement"));
}

QTEST_MAIN(TstDataDialog)
#include "tst_data_dialog.moc"
