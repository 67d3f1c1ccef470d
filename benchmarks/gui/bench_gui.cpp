// SPDX-License-Identifier: GPL-3.0-or-later
// bitwright-bench-gui: how long the window takes from an edit to its picture. One JSON document on standard output.
#include "bridge/document.h"
#include "bridge/engine_controller.h"
#include "panels/distribution_panel.h"
#include "panels/mask_panel.h"
#include "plots/histogram_plot.h"
#include "plots/mask_picture.h"
#include "plots/threshold_plot.h"

#include <nlohmann/json.hpp>

#include <QApplication>
#include <QElapsedTimer>
#include <QEvent>
#include <QMouseEvent>
#include <QTimer>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

using namespace bitwright;

namespace {

constexpr double kFrameSeconds = 0.016;
constexpr int kRounds = 200;

/// An engine that never answers: what is measured is the window alone.
class SilentEngine : public EngineApi {
public:
    explicit SilentEngine(Catalog catalog) : m_catalog(std::move(catalog)) {}
    const Catalog &catalog() const override { return m_catalog; }
    const std::vector<ExportFormat> &exportFormats() const override { return m_formats; }
    JobId submit(Request request) override
    {
        ++m_last;
        if (std::holds_alternative<WeightRequest>(request))
            m_asked = m_last;
        return m_last;
    }
    void cancel(JobId) override {}
    void setPaused(JobId, bool) override {}
    void setSink(Sink sink) override { m_sink = std::move(sink); }
    void setSession(const std::string &) override {}
    void tell(Event event) { m_sink(std::move(event)); }
    [[nodiscard]] JobId last() const { return m_last; }
    /// The last that asked for a weight.
    [[nodiscard]] JobId asked() const { return m_asked; }

private:
    Catalog m_catalog;
    std::vector<ExportFormat> m_formats;
    Sink m_sink;
    JobId m_last = 0, m_asked = 0;
};

Catalog fewMethods()
{
    MethodTraits uniform;
    uniform.id = "uniform";
    uniform.title = "Uniform";
    uniform.roles = {Role::Weight, Role::Activation};
    uniform.maximumBits = 16;
    uniform.values = {"scale", "zero_point"};
    const auto option = [&](const char *name, ParamType type, ParamValue fallback, std::vector<std::string> choices) {
        ParamSpec spec;
        spec.name = name;
        spec.type = type;
        spec.fallback = std::move(fallback);
        spec.choices = std::move(choices);
        uniform.options.push_back(spec);
    };
    option("symmetric", ParamType::Bool, true, {});
    option("granularity", ParamType::Choice, std::string("tensor"), {"tensor", "channel"});
    option("range", ParamType::Choice, std::string("minmax"), {"minmax", "mse"});
    MethodTraits magnitude;
    magnitude.id = "magnitude";
    magnitude.title = "Magnitude";
    magnitude.kind = MethodKind::Pruner;
    return Catalog({uniform, magnitude});
}

/// A layer of ten million weights, as in a big network's classifier, and a convolution of 2.4 million.
std::shared_ptr<const ModelSummary> bigModel()
{
    auto model = std::make_shared<ModelSummary>();
    LayerInfo layer;
    layer.name = "classifier";
    layer.op = "linear";
    layer.weightShape = {1000, 10000};
    layer.weightCount = 10'000'000;
    layer.status = LayerStatus::Quantizable;
    LayerInfo convolution;
    convolution.name = "convolution";
    convolution.op = "conv2d";
    convolution.weightShape = {512, 512, 3, 3};
    convolution.weightCount = 2'359'296;
    convolution.status = LayerStatus::Quantizable;
    model->layers = {layer, convolution};
    model->parameters = layer.weightCount + convolution.weightCount;
    return model;
}

/// The histogram of ten million normal draws; drawing each would only take time.
StatisticsReady bigStatistics(JobId job)
{
    StatisticsReady event;
    event.job = job;
    event.layer = "classifier";
    event.histogram = {-0.3, 0.3, std::vector<std::uint64_t>(2048), 0, 0, 0};
    std::mt19937 noise(1);
    for (std::size_t i = 0; i < event.histogram.counts.size(); ++i) {
        const double z = event.histogram.center(i) / 0.05;
        const double mean = 1e7 * event.histogram.binWidth() / 0.05 * 0.39894 * std::exp(-z * z / 2);
        event.histogram.counts[i] = std::poisson_distribution<std::uint64_t>(std::max(mean, 1e-9))(noise);
    }
    event.moments.count = event.histogram.total();
    event.moments.min = -0.27;
    event.moments.max = 0.28;
    event.moments.sumSquares = 1e7 * 0.0025;
    event.channels.assign(1000, event.moments);
    for (Moments &channel : event.channels)
        channel.count = 10000;
    return event;
}

WeightReady normalWeight(JobId job, const LayerInfo &layer)
{
    WeightReady event;
    event.job = job;
    event.request.layer = layer.name;
    event.shape = layer.weightShape;
    std::mt19937 noise(1);
    std::normal_distribution<float> normal(0, 0.02F);
    std::vector<float> values(std::size_t(layer.weightCount), 0);
    std::ranges::generate(values, [&] { return normal(noise); });
    event.values = std::make_shared<const std::vector<float>>(std::move(values));
    return event;
}

/// What a hand does: press, move and release at this share of the threshold plot's width.
void mouse(ThresholdPlot &plot, QEvent::Type type, double share)
{
    const QPointF at(share * plot.width(), plot.height() / 2.0);
    const bool up = type == QEvent::MouseButtonRelease;
    QMouseEvent event(type, at, plot.mapToGlobal(at), type == QEvent::MouseMove ? Qt::NoButton : Qt::LeftButton,
                      up ? Qt::NoButton : Qt::LeftButton, Qt::NoModifier);
    QApplication::sendEvent(&plot, &event);
}

/// Calls `edit` again and again and takes the time until the plot's next painting is done.
class Meter : public QObject {
public:
    Meter(QWidget *canvas, int rounds, std::function<void(int)> edit, std::function<void(std::vector<double>)> done)
        : m_canvas(canvas), m_rounds(rounds), m_edit(std::move(edit)), m_done(std::move(done))
    {
        canvas->installEventFilter(this);
        QTimer::singleShot(0, this, &Meter::next);
    }

protected:
    bool eventFilter(QObject *, QEvent *event) override
    {
        // The event posted here is delivered after this painting and the flush to the screen.
        if (event->type() == QEvent::Paint && m_waiting) {
            m_waiting = false;
            QTimer::singleShot(0, this, [this] {
                m_seconds.push_back(double(m_timer.nsecsElapsed()) * 1e-9);
                // A short rest, as between two key presses; all that was queued is done by then.
                QTimer::singleShot(5, this, &Meter::next);
            });
        }
        return false;
    }

private:
    void next()
    {
        if (m_round == m_rounds) {
            m_canvas->removeEventFilter(this);
            m_done(m_seconds);
            deleteLater();
            return;
        }
        m_waiting = true;
        m_timer.start();
        m_edit(m_round++);
    }

    QWidget *m_canvas;
    int m_rounds, m_round = 0;
    bool m_waiting = false;
    std::function<void(int)> m_edit;
    std::function<void(std::vector<double>)> m_done;
    QElapsedTimer m_timer;
    std::vector<double> m_seconds;
};

nlohmann::json summary(const char *name, std::vector<double> seconds)
{
    std::ranges::sort(seconds);
    const auto at = [&](double share) { return seconds[std::size_t(share * double(seconds.size() - 1))]; };
    return {{"name", name}, {"seconds", at(0.95)}, {"median_seconds", at(0.5)}, {"rounds", seconds.size()},
            {"yardstick", "one frame, 95th percentile"}, {"yardstick_seconds", kFrameSeconds},
            {"ratio", at(0.95) / kFrameSeconds}};
}

} // namespace

int main(int argc, char **argv)
{
    QApplication application(argc, argv);
    SilentEngine engine(fewMethods());
    Document document(engine.catalog());
    EngineController controller(engine, document);
    document.setModel(bigModel());
    controller.collectStatistics();
    engine.tell(bigStatistics(engine.last()));
    document.setBits({"classifier"}, Role::Weight, 4);
    document.setSelection({"classifier"});
    DistributionPanel panel(document, controller);
    panel.resize(760, 640);
    panel.show();

    nlohmann::json results = nlohmann::json::array();
    QWidget *canvas = panel.histogram().canvas();
    MaskPanel masks(document, controller);
    masks.resize(760, 640);
    const auto finish = [&](std::vector<double> seconds) {
        mouse(masks.threshold(), QEvent::MouseButtonRelease, 0.2);
        results.push_back(summary("mask threshold drag to repaint, 2.4 M weights", std::move(seconds)));
        std::printf("%s\n", nlohmann::json{{"results", results}}.dump(2).c_str());
        QApplication::quit();
    };
    const auto dragThreshold = [&] {
        mouse(masks.threshold(), QEvent::MouseButtonPress, 0.02);
        new Meter(&masks.picture(), kRounds, [&masks](int round) {
            mouse(masks.threshold(), QEvent::MouseMove, 0.02 + 0.0025 * round);
        }, finish);
    };
    const auto showMasks = [&](std::vector<double> seconds) {
        results.push_back(summary("clip drag to repaint, 10 M weights", std::move(seconds)));
        panel.hide();
        masks.show();
        document.setSelection({"convolution"});
        engine.tell(normalWeight(engine.asked(), *document.layer("convolution")));
        QTimer::singleShot(500, &application, dragThreshold);
    };
    const auto dragClips = [&](std::vector<double> seconds) {
        results.push_back(summary("bits to repaint, 10 M weights", std::move(seconds)));
        document.setBits({"classifier"}, Role::Weight, 4);
        const quint64 drag = document.beginDrag();
        new Meter(canvas, kRounds, [&document, drag](int round) {
            document.setValues("classifier", Role::Weight, {{"scale", {0.02 + 0.0001 * round}}}, drag);
        }, showMasks);
    };
    // After half a second the window stands and the statistics have come in.
    QTimer::singleShot(500, &application, [&] {
        new Meter(canvas, kRounds, [&document](int round) {
            document.setBits({"classifier"}, Role::Weight, 2 + round % 7);
        }, dragClips);
    });
    return QApplication::exec();
}
