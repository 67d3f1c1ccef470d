// SPDX-License-Identifier: GPL-3.0-or-later
#include "report/report_text.h"

#include "report/fill.h"
#include "session/data_preview.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>

namespace bitwright {

namespace {

std::string accuracyText(const ReportContent &content)
{
    if (!content.measured)
        return "not measured: there was neither data nor a trial of this assignment";
    const TrialRecord &trial = content.accuracy;
    const std::string unit = trial.metric == "sqnr" ? " dB" : "";
    std::string text = filled("{} {:.4f}{} ({:.4f} to {:.4f}), 95 % interval, on {} samples of {}", trial.metric, trial.value, unit, trial.low,
                              trial.high, trial.samples, dataLabel(trial.data));
    if (!trial.created.empty())
        text += ", measured " + trial.created;
    return text;
}

/// On what the ranges of the inputs were found, and whether that makes the accuracy look too good.
std::string calibrationText(const ReportContent &content)
{
    if (content.calibrationData.empty())
        return "the ranges of the inputs came with the assignment; on which data they were found is not recorded";
    const std::string where = content.calibrationSamples > 0 ? filled("the first {} samples of ", content.calibrationSamples) : std::string();
    if (content.measured && sameSamples(content.calibrationData, content.accuracy.data))
        return "on the same data: the ranges of the inputs were found on " + where + dataLabel(content.calibrationData) +
               ", so the accuracy may be a little better than on data that the network has not seen";
    return "the ranges of the inputs were found on " + where + dataLabel(content.calibrationData);
}

/// The parts of a --data SPEC that say which samples, without how many and how they are scaled.
std::set<std::string> identityOf(const std::string &spec)
{
    std::set<std::string> parts;
    for (std::size_t at = 0; at <= spec.size();) {
        const std::size_t end = std::min(spec.find(',', at), spec.size());
        const std::string part = spec.substr(at, end - at);
        const std::string name = part.substr(0, part.find('='));
        if (at == 0 || (name != "limit" && name != "first" && name != "mean" && name != "std" && part != "split=test"))
            parts.insert(part);
        at = end + 1;
    }
    return parts;
}

constexpr std::size_t kMostNumbers = 24, kMostCharacters = 160;

bool hasParts(const nlohmann::json &value)
{
    return std::ranges::any_of(value, [](const nlohmann::json &each) { return each.is_object() && !each.empty(); });
}

/// Objects without objects in them and lists on one line; long lists and long texts cut.
void print(const nlohmann::json &value, std::size_t depth, std::string &out, bool &shortened)
{
    const std::string indent(2 * (depth + 1), ' ');
    const auto dump = [](const nlohmann::json &each) { return each.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); };
    if (value.is_object() && !value.empty()) {
        const bool broken = hasParts(value);
        out += broken ? "{\n" : "{";
        std::size_t left = value.size();
        for (const auto &[key, each] : value.items()) {
            out += (broken ? indent : std::string()) + dump(key) + ": ";
            print(each, depth + 1, out, shortened);
            out += --left == 0 ? "" : broken ? ",\n" : ", ";
        }
        out += broken ? "\n" + std::string(2 * depth, ' ') + "}" : "}";
    } else if (value.is_array()) {
        out += "[";
        for (std::size_t i = 0; i < value.size() && i < kMostNumbers; ++i) {
            out += i > 0 ? ", " : "";
            print(value[i], depth + 1, out, shortened);
        }
        if (value.size() > kMostNumbers) {
            out += filled(", … {} in all", value.size());
            shortened = true;
        }
        out += "]";
    } else if (value.is_string() && value.get_ref<const std::string &>().size() > kMostCharacters) {
        const std::string text = dump(value);
        out += text.substr(0, 60) + filled("… {} characters in all\"", value.get_ref<const std::string &>().size());
        shortened = true;
    } else {
        out += dump(value);
    }
}

} // namespace

std::string bytesText(double bytes)
{
    return bytes < 1e3 ? filled("{:.0f} B", bytes) : bytes < 1e6 ? filled("{:.1f} kB", bytes / 1e3) : filled("{:.2f} MB", bytes / 1e6);
}

std::string reportTitle(const ReportContent &content)
{
    return content.file.substr(content.file.find_last_of('/') + 1);
}

std::vector<ReportFact> reportFacts(const ReportContent &content)
{
    std::vector<ReportFact> facts{{"SHA-256", content.sha256}};
    if (!content.weights.empty())
        facts.push_back({"Weights", "trained: " + content.weights});
    facts.push_back({"Float size", bytesText(double(content.floatBytes))});
    facts.push_back({"Configured size", filled("{} ({:.2f} times smaller)", bytesText(double(content.bytes)),
                                               double(content.floatBytes) / double(std::max<std::int64_t>(1, content.bytes)))});
    facts.push_back({"Accuracy", accuracyText(content)});
    if (content.calibrated)
        facts.push_back({"Calibration", calibrationText(content)});
    return facts;
}

std::vector<ReportFact> reportOrigin(const ReportContent &content)
{
    return {{"Versions", content.versions}, {"Seed", std::to_string(content.seed)}, {"Made", content.created}};
}

const std::vector<ReportColumn> &reportColumns()
{
    static const std::vector<ReportColumn> columns{{"Layer"}, {"Operator"}, {"Shape"}, {"Parameters", true}, {"Method"}, {"Bits", true},
                                                   {"Granularity"}, {"Input"}, {"Sparsity", true}, {"Bytes", true}, {"SQNR, dB", true},
                                                   {"Share", true}};
    return columns;
}

std::vector<std::string> reportCells(const ReportLayer &layer)
{
    return {layer.name, layer.op, layer.shape, std::to_string(layer.parameters), layer.method, std::to_string(layer.bits), layer.granularity,
            layer.activation, filled("{:.1f} %", layer.sparsity * 100), filled("{:.0f}", std::ceil(layer.bytes)),
            std::isfinite(layer.sqnrDb) ? filled("{:.1f}", layer.sqnrDb) : "–", filled("{:.1f} %", layer.share * 100)};
}

std::string reportRest(const ReportContent &content)
{
    return "Outside these layers: " + bytesText(content.otherBytes) + ".";
}

std::string plotCaption(const ReportPlot &plot)
{
    return plot.caption + filled("; {} levels", plot.levels.size());
}

std::string tradeOffMetric(const ReportContent &content)
{
    return content.measured ? content.accuracy.metric : content.trials.empty() ? std::string() : content.trials.back().metric;
}

std::string shellWord(const std::string &text)
{
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

bool sameSamples(const std::string &a, const std::string &b)
{
    return !a.empty() && identityOf(a) == identityOf(b);
}

std::string printableAssignment(const std::string &assignment, bool &shortened)
{
    shortened = false;
    const auto document = nlohmann::json::parse(assignment, nullptr, false);
    if (document.is_discarded())
        return assignment;
    std::string out;
    print(document, 0, out, shortened);
    return out;
}

} // namespace bitwright
