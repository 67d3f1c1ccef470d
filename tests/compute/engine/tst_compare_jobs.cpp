// SPDX-License-Identifier: GPL-3.0-or-later
// Methods beside each other: on one weight or input, and on the whole network with and without training.
#include "cost/size_model.h"
#include "engine/engine.h"
#include "event_recorder.h"
#include "sample_networks.h"
#include "session/candidates.h"
#include "store/session_store.h"

#include <QtCore/QTemporaryDir>
#include <QtTest/QtTest>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

constexpr const char *kLayer = "blocks.1.depthwise.0";

QuantSpec spec(const std::string &method, int bits, ParamValues options = {})
{
    return {.method = method, .bits = bits, .options = std::move(options), .values = {}};
}

} // namespace

class TestCompareJobs : public QObject {
    Q_OBJECT

    EventRecorder m_events;
    std::unique_ptr<EngineApi> m_engine;

    template <typename T>
    std::vector<T> all(JobId job = 0)
    {
        std::vector<T> found = m_events.all<T>();
        std::erase_if(found, [&](const T &event) { return job != 0 && event.job != job; });
        return found;
    }
    JobEnded end(JobId job) { return m_events.end(job, std::chrono::seconds(120)); }
    JobId run(Request request)
    {
        const JobId job = m_engine->submit(std::move(request));
        const JobEnded ended = end(job);
        if (ended.outcome != JobOutcome::Finished)
            qWarning("%s", ended.error.message.c_str());
        return job;
    }

private Q_SLOTS:
    void init()
    {
        quietProcess();
        EngineOptions options;
        options.threads = 1;
        m_engine = makeEngine(options);
        m_events.listenTo(*m_engine);
        m_engine->submit(OpenModelRequest{samplePath("mobilenetv2_small.pt2")});
        run(OpenDataRequest{"sample:test,limit=64", "sample:train,limit=64", "sample:train,limit=128"});
    }
    void cleanup() { m_engine.reset(); }

    void methodsOnOneWeight()
    {
        CompareRequest request;
        request.layer = kLayer;
        request.specs = {spec("uniform", 4, {{"granularity", std::string("channel")}}), spec("uniform", 1), spec("kmeans", 3), spec("float", 32),
                         spec("nonsense", 4)};
        const auto rows = all<CompareReady>(run(request));
        QCOMPARE(rows.size(), request.specs.size());
        const LayerInfo layer = *all<ModelOpened>().back().model->layer(kLayer);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            QCOMPARE(rows[i].index, i);
            QCOMPARE(rows[i].layer, std::string(kLayer));
            QCOMPARE(rows[i].spec.method, request.specs[i].method);
        }
        // The same error as the preview's, which has tests of its own.
        for (const std::size_t i : {0U, 2U}) {
            PreviewRequest look;
            look.layer = kLayer;
            look.spec = request.specs[i];
            const PreviewReady preview = all<PreviewReady>(run(look)).back();
            QCOMPARE(rows[i].mse, preview.mse);
            QCOMPARE(rows[i].sqnrDb, preview.sqnrDb);
            QVERIFY(rows[i].grid == preview.grid);
            QVERIFY(rows[i].error.empty());
            QVERIFY(rows[i].entropyBits > 1 && rows[i].entropyBits <= request.specs[i].bits);
            QVERIFY(!rows[i].spec.values.empty());
        }
        const double count = double(layer.weightCount);
        QCOMPARE(rows[0].sizeBits, 4 * count + 32.0 * double(layer.channels()));
        QCOMPARE(rows[2].sizeBits, 3 * count + 8 * 32);
        QCOMPARE(rows[3].sizeBits, 32 * count);
        QCOMPARE(rows[3].mse, 0.0);
        QVERIFY(std::isnan(rows[3].sqnrDb));
        for (const std::size_t i : {1U, 4U}) {   // a grid of one level; no such method
            QVERIFY(rows[i].error.find(';') != std::string::npos);
            QCOMPARE(rows[i].sizeBits, 0.0);
        }
    }

    void whatIsPrunedCountsNowhere()
    {
        const LayerInfo layer = *all<ModelOpened>().back().model->layer(kLayer);
        std::vector<std::uint8_t> kept(std::size_t(layer.weightCount), 0);
        for (std::size_t i = 0; i < kept.size(); i += 10)
            kept[i] = 1;
        CompareRequest request;
        request.layer = kLayer;
        request.specs = {spec("kmeans", 8)};
        request.mask = Mask::fromKept(kept);
        const CompareReady row = all<CompareReady>(run(request)).back();
        // Levels reach over what is left alone: linear ones leave at most half a spacing, and k-means only betters that.
        const double spacing = (row.grid.level(0, 255) - row.grid.level(0, 0)) / 255;
        QVERIFY(row.mse > 0 && row.mse < spacing * spacing / 4);
        QVERIFY(row.entropyBits <= std::log2(double(request.mask.keptCount())));
        QCOMPARE(row.sizeBits, sparseBits(request.mask, 8, layer.weightShape[0]).least() + 32.0 * 256);
        QVERIFY2(row.warning.empty(), row.warning.c_str());
    }

    void methodsOnOneInput()
    {
        CompareRequest request;
        request.layer = kLayer;
        request.role = Role::Activation;
        request.specs = {spec("uniform", 2), spec("uniform", 6), spec("kmeans", 3)};
        const JobEnded early = end(m_engine->submit(request));
        QCOMPARE(early.outcome, JobOutcome::Failed);
        QVERIFY(early.error.message.find("has not been seen") != std::string::npos);
        run(StatisticsRequest{});
        const auto rows = all<CompareReady>(run(request));
        QCOMPARE(rows.size(), 3U);
        QVERIFY(rows[0].mse > rows[1].mse);
        QVERIFY(rows[0].entropyBits > 0 && rows[0].entropyBits <= 2 && rows[1].entropyBits > rows[0].entropyBits);
        QCOMPARE(rows[0].sizeBits, 0.0);
        QVERIFY(!rows[2].error.empty());   // k-means does not do inputs
    }

    void assignmentsBeforeAndAfterTraining()
    {
        QTemporaryDir folder;
        const std::string path = folder.filePath(QStringLiteral("s.bitwright")).toStdString();
        m_engine->setSession(path);
        CompareNetworksRequest request;
        request.limit = 64;
        request.training.epochs = 1;
        request.training.batch = 32;
        request.seed = 3;
        request.candidates = networkCandidates({}, m_engine->catalog(), {Role::Weight, Role::Activation}, {4, 2}, {}, {"uniform"});
        ModelConfig wrong;
        wrong.layers["not there"].weight = {.method = "uniform", .bits = 4};
        request.candidates.insert(request.candidates.begin() + 1, {"wrong", wrong});
        QCOMPARE(request.candidates.size(), 3U);
        const auto rows = all<NetworkCompared>(run(request));
        QCOMPARE(rows.size(), 5U);
        QVERIFY(!rows[0].trained && rows[1].trained && !rows[3].trained && rows[4].trained);
        QCOMPARE(rows[2].index, 1U);
        QCOMPARE(rows[2].title, std::string("wrong"));
        QVERIFY(rows[2].error.find("not there") != std::string::npos);
        for (const std::size_t i : {0U, 1U, 3U, 4U}) {
            QVERIFY2(rows[i].error.empty(), rows[i].error.c_str());
            QCOMPARE(rows[i].trained, !rows[i].weights.empty());
            QVERIFY(rows[i].trial.id > 0);
            QCOMPARE(rows[i].trial.samples, 64);
            QCOMPARE(rows[i].trial.seed, 3U);
            // Everything is there to have it again.
            EvaluateRequest again;
            again.config = rows[i].config;
            again.weights = rows[i].weights;
            again.limit = 64;
            again.record = false;
            const EvaluationReady repeated = all<EvaluationReady>(run(again)).back();
            QCOMPARE(repeated.trial.value, rows[i].trial.value);
            QCOMPARE(repeated.trial.sizeBytes, rows[i].trial.sizeBytes);
        }
        QVERIFY(rows[0].trial.sizeBytes > rows[3].trial.sizeBytes);
        QVERIFY(rows[1].weights != rows[4].weights);
        m_engine.reset();
        const auto trials = take(take(SessionStore::open(path, false))->trials());
        QCOMPARE(trials.size(), 4U);
        QCOMPARE(trials[1].kind, std::string("epoch"));
        QCOMPARE(trials[1].weights, rows[1].weights);
    }

    void cancellingKeepsWhatIsFinished()
    {
        CompareNetworksRequest request;
        request.candidates = networkCandidates({}, m_engine->catalog(), {Role::Weight}, {2, 3, 4, 5, 6, 7, 8}, {}, {"uniform", "kmeans"});
        request.training.epochs = 100;
        const JobId job = m_engine->submit(request);
        QVERIFY(m_events.waitFor<NetworkCompared>(1));
        m_engine->cancel(job);
        QCOMPARE(end(job).outcome, JobOutcome::Cancelled);
        const auto rows = all<NetworkCompared>(job);
        QCOMPARE(rows.size(), 1U);
        QVERIFY(rows[0].error.empty() && !rows[0].trained && rows[0].trial.id > 0);
        EvaluateRequest next;   // and the engine goes on
        next.config = rows[0].config;
        next.limit = 64;
        QCOMPARE(end(m_engine->submit(next)).outcome, JobOutcome::Finished);
    }

    /// What the levels-over-time plot is drawn from.
    void trainingTracesItsWeights()
    {
        FineTuneRequest request;
        request.config.defaults.weight = {.method = "kmeans", .bits = 2};
        request.config.policy.firstLast = LayerPolicy::Keep::Float;
        request.options.epochs = 2;
        request.options.optimizer = "adam";
        request.options.learningRate = 0.01;
        const auto epochs = all<TrainingEpoch>(run(request));
        QCOMPARE(epochs.size(), 2U);
        for (const TrainingEpoch &epoch : epochs) {
            QVERIFY(!epoch.traces.contains("stem.0") && !epoch.traces.contains("fc"));
            QCOMPARE(epoch.traces.at(kLayer).levels.size(), 4U);
            QVERIFY(std::ranges::is_sorted(epoch.traces.at(kLayer).levels));
        }
        QVERIFY(epochs[0].traces.at(kLayer).levels != epochs[1].traces.at(kLayer).levels);
    }

    void impossibleListsFailAtOnce()
    {
        CompareNetworksRequest request;
        request.candidates = {{"float", {}}};
        request.metric = "top7";
        QCOMPARE(end(m_engine->submit(request)).outcome, JobOutcome::Failed);
        QVERIFY(all<NetworkCompared>().empty());
    }
};

QTEST_GUILESS_MAIN(TestCompareJobs)
#include "tst_compare_jobs.moc"
