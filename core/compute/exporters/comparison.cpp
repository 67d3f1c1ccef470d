// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/comparison.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace bitwright {

namespace {

/// Places that are looked at to find out why a layer differs.
constexpr std::int64_t kMostPlaces = 4096;
/// Sums in another order differ by about this share of the largest term; and by this part of a step at least.
constexpr double kRoundingShare = 4e-6, kRoundingSteps = 1e-3;

at::Tensor realRows(const at::Tensor &tensor, const Comparison::Rows &rows)
{
    return tensor.dim() > 0 && tensor.size(0) == rows.all && rows.real < rows.all ? tensor.narrow(0, 0, rows.real) : tensor;
}

std::string counted(std::int64_t count, const char *what)
{
    std::string text = std::to_string(count);
    for (int at = int(text.size()) - 3; at > 0; at -= 3)
        text.insert(std::size_t(at), ",");
    return text + " " + what + (count == 1 ? "" : "s");
}

std::string shortly(double value)
{
    char text[32];
    std::snprintf(text, sizeof text, "%.2g", value);
    return text;
}

} // namespace

Comparison::Comparison(const std::vector<QuantizedSite> &sites, bool sitesKnown) : m_sites(sites), m_sitesKnown(sitesKnown), m_layers(sites.size())
{
    for (std::size_t i = 0; i < sites.size(); ++i)
        m_layers[i].layer = sites[i].layer;
}

Status Comparison::add(const NetworkInputs &inputs, const Rows &rows, const SimulationTrace &simulated, const RuntimeOutput &ran)
{
    const std::int64_t count = rows.real;
    const at::Tensor ours = realRows(simulated.output, rows).to(at::kFloat);
    const at::Tensor theirs = realRows(ran.output, rows).to(at::kFloat);
    if (ours.sizes() != theirs.sizes())
        return fail(ErrorKind::Invalid, "output, the file gives another shape than the simulation; export it again");
    if (m_report.samples == 0)
        noteMissing(simulated);
    const at::Tensor difference = (ours - theirs).abs();
    // Infinity against the same infinity is agreement.
    const at::Tensor real = at::where(ours == theirs, at::zeros({}), difference);
    const double largest = real.numel() > 0 ? real.max().item().toDouble() : 0;
    m_report.maxAbsDifference = std::isnan(largest) ? largest : std::max(m_report.maxAbsDifference, largest);
    const at::Tensor agree = ours.dim() > 1 ? ours.argmax(1) == theirs.argmax(1) : ours == theirs;
    if (agree.dim() > 0 && agree.size(0) == count)
        m_agreeing += agree.reshape({count, -1}).all(1).sum().item().toLong();
    else
        m_agreeing += agree.all().item().toBool() ? count : 0;   // no dimension counts the samples
    m_report.samples += count;
    m_differing = at::zeros({count}, at::kBool);
    for (std::size_t i = 0; i < m_sites.size() && i < ran.steps.size(); ++i)
        BW_CHECK(addSite(i, inputs, rows, simulated, ran.steps[i]));
    m_report.differingSamples += m_differing.sum().item<std::int64_t>();
    return {};
}

/// Layers whose input the assignment quantizes and a file with sites does not.
void Comparison::noteMissing(const SimulationTrace &simulated)
{
    std::vector<std::string> missing;
    for (const auto &[layer, inputs] : simulated.quantizedInputs)
        if (std::ranges::find(m_sites, layer, &QuantizedSite::layer) == m_sites.end())
            missing.push_back(layer);
    if (!m_sitesKnown || missing.empty())
        return;
    m_report.firstDifferingLayer = missing.front();
    m_report.notes.push_back("the file does not quantize the inputs of " + std::to_string(missing.size()) +
                             (missing.size() == 1 ? " layer" : " layers") + " that the assignment quantizes, " + missing.front() +
                             " among them; export it with this assignment");
}

Status Comparison::addSite(std::size_t index, const NetworkInputs &inputs, const Rows &rows, const SimulationTrace &simulated, const at::Tensor &steps)
{
    const QuantizedSite &site = m_sites[index];
    const auto found = simulated.quantizedInputs.find(site.layer);
    if (found == simulated.quantizedInputs.end() || std::size_t(site.call) >= found->second.size())
        return fail(ErrorKind::Invalid, "layer " + site.layer + ", the file quantizes its input but the assignment does not; "
                                                                "give the assignment that it was exported with");
    at::Tensor values = found->second[std::size_t(site.call)];
    // A linear map over more than two dimensions is written as one over rows.
    if (values.numel() == steps.numel())
        values = values.reshape(steps.sizes());
    bool padded = values.dim() > 2 && values.dim() == steps.dim() && values.size(0) == steps.size(0) && values.size(1) == steps.size(1);
    for (std::int64_t axis = 2; axis < values.dim() && padded; ++axis)
        padded = values.size(axis) >= steps.size(axis);
    if (padded && values.sizes() != steps.sizes()) {
        const std::string note = "layer " + site.layer + " is padded before its input is quantized in the simulation, after it in the file: "
                                                         "zeros are zeros in both, its codes are not compared one by one";
        if (std::ranges::find(m_report.notes, note) == m_report.notes.end())
            m_report.notes.push_back(note);
        return {};
    }
    if (values.sizes() != steps.sizes())
        return fail(ErrorKind::Invalid, "layer " + site.layer + ", its input has another shape in the file");
    const bool free = site.scale == 0;
    const at::Tensor ours = free ? values.to(at::kFloat).contiguous().view(at::kInt) : (values.to(at::kFloat) / site.scale).round().to(at::kInt);
    // A sample may be several rows.
    const std::int64_t lines = ours.dim() > 0 ? ours.size(0) : 0;
    const std::int64_t kept = rows.real < rows.all && lines % rows.all == 0 ? lines / rows.all * rows.real : lines;
    const at::Tensor apart = ours.dim() > 0 ? (ours.narrow(0, 0, kept) - steps.narrow(0, 0, kept)).abs() : (ours - steps).abs();
    const std::int64_t differing = apart.count_nonzero().item().toLong();
    if (differing == 0)
        return {};
    m_layers[index].differingLevels += differing;
    const double largest = free ? (values.to(at::kFloat) - steps.contiguous().view(at::kFloat)).abs().max().item().toDouble()
                                : apart.max().item().toDouble() * double(site.scale);
    m_layers[index].maxAbsDifference = std::max(m_layers[index].maxAbsDifference, largest);
    noteSamples(apart, rows.real);
    if (!m_first || index < m_first->site) {
        const at::Tensor places = apart.reshape({-1}).nonzero().reshape({-1});
        m_first = First{index, inputs, places.narrow(0, 0, std::min(places.size(0), kMostPlaces)), free ? 0 : apart.max().item().toLong()};
    }
    return {};
}

void Comparison::noteSamples(const at::Tensor &apart, std::int64_t count)
{
    if (apart.dim() > 0 && count > 0 && apart.size(0) % count == 0)
        m_differing.logical_or_(apart.reshape({count, -1}).ne(0).any(1));
    else
        m_differing.fill_(true);
}

/// What the values that fell on another level were before: on the border between two levels a rounding decides.
Result<std::string> Comparison::reason(const Unquantized &unquantized) const
{
    const QuantizedSite &site = m_sites[m_first->site];
    const std::int64_t differing = m_layers[m_first->site].differingLevels, others = m_report.differingLevels - differing;
    const std::string layer = "layer " + site.layer + ", the first that differs";
    if (!unquantized || site.scale == 0)
        return std::string();
    BW_ASSIGN(const at::Tensor seen, unquantized(site.layer, site.call, m_first->inputs));
    if (!seen.defined() || seen.numel() <= m_first->places.max().item<std::int64_t>())
        return std::string();
    const at::Tensor flat = seen.to(at::kDouble).reshape({-1});
    const at::Tensor steps = flat.index_select(0, m_first->places) / double(site.scale);
    const double border = (steps - steps.floor() - 0.5).abs().max().item<double>(), size = steps.abs().max().item<double>();
    const double between = (steps - steps.round()).abs().max().item<double>();
    if (m_first->steps <= 1 && between <= std::max(kRoundingSteps, kRoundingShare * size))
        return "rounding before it, as far as can be seen: " + layer + ", has " + counted(differing, "value") + " one level away whose input is on levels "
               "already, because the network quantizes it itself before; where its sums are rounded otherwise they fall on the next level there";
    if (m_first->steps > 1 || !(border <= std::max(kRoundingSteps, kRoundingShare * size)))
        return "more than rounding: " + layer + ", has values that lie up to " + shortly(border) + " of a step from the border between two levels and still get another one"
               + (m_first->steps > 1 ? ", up to " + counted(m_first->steps, "step") + " away" : "") + "; check that file and assignment belong together, else report it";
    return "rounding: " + layer + ", has " + counted(differing, "value") + (differing == 1 ? " that lies within " : " that lie within ") + shortly(border)
           + " of a step from the border between two levels, where a sum that is rounded otherwise falls on the other side"
           + (others > 0 ? "; the " + counted(others, "differing level") + " in layers behind it follow from that or are of the same kind" : "")
           + "; all in " + std::to_string(m_report.differingSamples) + " of " + counted(m_report.samples, "sample");
}

Result<VerifyReport> Comparison::finish(const Unquantized &unquantized)
{
    m_report.top1Agreement = m_report.samples > 0 ? double(m_agreeing) / double(m_report.samples) : 0;
    for (const LayerAgreement &site : m_layers) {
        m_report.differingLevels += site.differingLevels;
        if (site.differingLevels > 0 && m_report.firstDifferingLayer.empty())
            m_report.firstDifferingLayer = site.layer;
        // Calls of one layer are one entry.
        const auto known = std::ranges::find(m_report.layers, site.layer, &LayerAgreement::layer);
        if (known == m_report.layers.end()) {
            m_report.layers.push_back(site);
        } else {
            known->differingLevels += site.differingLevels;
            known->maxAbsDifference = std::max(known->maxAbsDifference, site.maxAbsDifference);
        }
    }
    if (m_first) {
        BW_ASSIGN(m_report.reason, reason(unquantized));
    }
    return std::move(m_report);
}

} // namespace bitwright
