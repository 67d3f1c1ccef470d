// SPDX-License-Identifier: GPL-3.0-or-later
#include "session/engine_api.h"

#include <QtTest/QtTest>

using namespace bitwright;

class TestRequestTitle : public QObject {
    Q_OBJECT
private slots:
    void titles()
    {
        ModelConfig quantized;
        quantized.defaults.weight = {.method = "uniform", .bits = 4};
        const std::vector<std::pair<Request, std::string>> rows{
            {OpenModelRequest{"a/b/net.pt2"}, "Open net.pt2"},
            {OpenModelRequest{"net.pt2"}, "Open net.pt2"},
            {OpenDataRequest{.evaluation = "sample:test", .calibration = {}, .training = {}}, "Open data sample:test"},
            {OpenDataRequest{.evaluation = {}, .calibration = {}, .training = "sample:train"}, "Open data sample:train"},
            {StatisticsRequest{}, "Distributions"},
            {PreviewRequest{.layer = "fc", .role = Role::Activation, .spec = {}}, "Preview fc, activation"},
            {CalibrateRequest{.config = quantized}, "Calibrate on 512 samples"},
            {EvaluateRequest{.config = quantized, .weights = {}}, "Evaluate, top1"},
            {EvaluateRequest{.config = {}, .metric = "sqnr", .limit = 1, .weights = {}}, "Evaluate the float network, sqnr, 1 sample"},
            {SweepRequest{}, "Sweep at 8, 4, 2 bits"},
            {FineTuneRequest{.config = quantized, .options = {.epochs = 1}, .weights = {}, .checkpoint = {}}, "Fine-tune, 1 epoch"},
            {FineTuneRequest{.config = quantized, .options = {.epochs = 3}, .weights = {}, .checkpoint = {}}, "Fine-tune, 3 epochs"},
            {ExportRequest{.config = quantized, .path = "/x/net.onnx", .weights = {}}, "Export net.onnx"},
        };
        for (const auto &[request, title] : rows)
            QCOMPARE(requestTitle(request), title);
    }
};

QTEST_APPLESS_MAIN(TestRequestTitle)
#include "tst_request_title.moc"
