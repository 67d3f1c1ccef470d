// SPDX-License-Identifier: GPL-3.0-or-later
#include "cost/size_model.h"
#include "engine/export_model.h"
#include "exporters/report.h"
#include "report/report_html.h"
#include "sample_networks.h"

#include <QtTest/QtTest>
#include <QXmlStreamReader>

#include <cmath>

using namespace bitwright;
using namespace bitwright::testing;

namespace {

/// What a strict parser says against the page; empty when nothing.
QString parseError(const std::string &html)
{
    QXmlStreamReader reader(QByteArray::fromStdString(html));
    while (!reader.atEnd())
        reader.readNext();
    return reader.hasError() ? reader.errorString() + QStringLiteral(" in line ") + QString::number(reader.lineNumber()) : QString();
}

} // namespace

class TestReport : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void tellsWhatTheSizeModelSays()
    {
        const auto network = take(Network::open(samplePath("resnet20.pt2")));
        ModelConfig config;
        config.defaults.weight.method = "uniform";
        config.defaults.weight.bits = 4;
        const auto resolved = take(resolve(config, network->summary(), methodCatalog()));
        const auto input = take(exportInput({network, config, resolved, {}}, {}));
        ExportEvidence evidence;
        evidence.summary = network->summary();
        evidence.config = config;
        const auto content = take(reportContent(input, evidence, {}));
        const ModelCost cost = modelCost(network->summary(), resolved, false);
        QCOMPARE(content.bytes, cost.sizeBytes());
        QCOMPARE(content.layers.size(), network->summary().layers.size());
        const std::string html = reportHtml(content);
        QCOMPARE(parseError(html), QString());
        double bits = content.otherBytes * 8;
        for (const ReportLayer &row : content.layers) {
            bits += row.bytes * 8;
            QVERIFY2(html.find("<td>" + row.name + "</td>") != std::string::npos, row.name.c_str());
            if (const auto found = cost.layers.find(row.name); found != cost.layers.end())
                QCOMPARE(row.bytes * 8, found->second.totalBits());
            if (row.method == "float")
                continue;
            QCOMPARE(row.bits, 4);
            QVERIFY(std::isfinite(row.sqnrDb));
            QCOMPARE(row.plots.size(), std::size_t(1));
            QVERIFY(row.plots[0].levels.size() >= 15);
            QVERIFY(html.find("<td class=\"n\">" + std::to_string(std::int64_t(std::ceil(row.bytes))) + "</td>") != std::string::npos);
        }
        QVERIFY(std::abs(bits - cost.sizeBits) < 1);
        QVERIFY(html.find("<script") == std::string::npos && html.find("http") == std::string::npos);
    }

    void escapesHostileNames()
    {
        ReportContent content;
        const std::string hostile = "</td><script>alert('x')</script>&\"\xff\xed\xa0\x80\xef\xbf\xbf" + std::string(1, '\0') + "\x01{}";
        content.file = hostile;
        content.assignment = content.sha256 = content.versions = hostile;
        content.commands = {hostile};
        ReportLayer layer;
        layer.name = layer.op = layer.method = hostile;
        layer.plots.push_back({{-1, 1, {1, 5, 2}}, {-1, 0, 1}, hostile});
        content.layers.push_back(layer);
        TrialRecord trial;
        trial.metric = hostile;
        trial.value = 0.5;
        trial.high = 0.6;
        trial.low = 0.4;
        content.trials = {trial};
        const std::string html = reportHtml(content);
        QCOMPARE(parseError(html), QString());
        QVERIFY(html.find("<script") == std::string::npos);
        QVERIFY(html.find("&lt;script&gt;alert(&#39;x&#39;)") != std::string::npos);
        QVERIFY(html.find("<circle") != std::string::npos);
    }
};

QTEST_GUILESS_MAIN(TestReport)
#include "tst_report.moc"
