// SPDX-License-Identifier: GPL-3.0-or-later
#include "bridge/document.h"

#include "bridge/change_state.h"
#include "config/layer_policy.h"
#include "config/stored_spec.h"
#include "config/uniform_form.h"
#include "session/trained_weights.h"
#include "session/weights_name.h"
#include "util/format.h"

#include <algorithm>
#include <set>

namespace bitwright {

namespace {

/// As far as a person goes back, and no further: the list must not grow with an hour of arrow keys.
constexpr std::size_t kSelectionHistory = 200;
/// LayerPolicy::Keep::EightBit.
constexpr int kKeptBits = 8;

/// One bit of a restricted symmetric grid is the single level 0: two levels need the asymmetric one.
void allowOneBit(QuantSpec &spec, Role role)
{
    if (spec.method != "uniform")
        return;
    const UniformForm form = uniformForm(spec, role);
    if (form.qmin == form.qmax)
        spec.options["symmetric"] = false;
}

/// Codes from zero to the end that a clip is measured by.
double codesOf(const UniformForm &form)
{
    return double(std::max<std::int64_t>(1, form.symmetric && form.isSigned ? form.qmax : form.qmax - form.qmin));
}

/// Other bits on the same clip where the range does not depend on them; else the method finds its own again.
void changeBits(QuantSpec &spec, const LayerInfo &info, Role role, int bits)
{
    const bool nonNegative = role == Role::Activation && info.nonNegativeInput;
    const UniformForm before = uniformForm(spec, role, nonNegative);
    if (spec.bits == 1 && role == Role::Weight)   // one bit made it asymmetric; see allowOneBit
        spec.options.erase("symmetric");
    spec.bits = bits;
    allowOneBit(spec, role);
    const UniformForm after = uniformForm(spec, role, nonNegative);
    static const std::set<std::string> kBitsDoNotMatter{"minmax", "average", "percentile", "scaled"};
    const auto zero = spec.values.find("zero_point");
    const auto scale = spec.values.find("scale");
    // A zero point between the ends was rounded on the old grid: the clip has moved with it.
    const bool fixed = zero == spec.values.end() || std::ranges::all_of(zero->second, [](double z) { return z == 0; });
    const bool same = before.symmetric == after.symmetric && before.isSigned == after.isSigned;
    if (spec.method != "uniform" || scale == spec.values.end() || !fixed || !same ||
        !kBitsDoNotMatter.contains(textParam(spec.options, "range", "minmax"))) {
        spec.values.clear();
        return;
    }
    for (double &step : scale->second)
        step *= codesOf(before) / codesOf(after);
}

void dropValues(QuantSpec &spec)
{
    spec.values.clear();
}

QuantSpec floatSpec()
{
    return {};
}

bool canDo(const MethodTraits &method, Role role)
{
    return method.kind == MethodKind::Quantizer && method.id != kFloatMethod && method.hasRole(role);
}

/// Fresh options of a method: its defaults, with the choices that nearly everybody wants for the role.
Result<ParamValues> freshOptions(const MethodTraits &method, Role role)
{
    ParamValues wanted;
    const ParamSpec *granularity = method.option("granularity");
    if (role == Role::Weight && granularity && std::ranges::find(granularity->choices, "channel") != granularity->choices.end())
        wanted["granularity"] = std::string("channel");
    const ParamSpec *symmetric = method.option("symmetric");
    if (role == Role::Activation && symmetric && !symmetric->optional)   // left out, the method decides by role
        wanted["symmetric"] = false;
    return completeParams(method.options, wanted, method.id);
}

std::string text(int number)
{
    return std::to_string(number);
}

} // namespace

QString siteText(const LayerNames &layers, const std::vector<Role> &roles)
{
    const QString where = layers.size() == 1 ? toQString(layers.front())
                                             : counted(qint64(layers.size()), Document::tr("%1 layer"), Document::tr("%1 layers"));
    if (roles.size() > 1)
        return where;
    return roles.front() == Role::Weight ? Document::tr("weights of %1").arg(where)
                                         : Document::tr("activations of %1").arg(where);
}

Document::Document(const Catalog &catalog, QObject *parent) : QObject(parent), m_catalog(catalog), m_undo(this)
{
}

Document::~Document()
{
    // Commands refer to this object; the stack's own destructor would run after our members are gone.
    m_undo.disconnect();
    m_undo.clear();
}

// ---- the network ----

std::shared_ptr<const ModelSummary> Document::networkFor(const std::string &weights) const
{
    const std::string name = networkOf(weights);
    const auto cut = m_cut.find(name);
    const auto network = name.empty() ? m_opened : cut == m_cut.end() ? nullptr : cut->second;
    if (!network || !weights.starts_with(kTrainedPrefix) || std::ranges::none_of(network->layers, [](const LayerInfo &info) { return info.storedWeight.has_value(); }))
        return network;
    auto &trained = m_trained[network];
    if (!trained)
        trained = std::make_shared<const ModelSummary>(afterTraining(*network));
    return trained;
}

void Document::addNetwork(const std::string &name, std::shared_ptr<const ModelSummary> model)
{
    m_cut[name] = std::move(model);
}

void Document::setModel(std::shared_ptr<const ModelSummary> model, DocumentState state, Networks cut)
{
    m_undo.clear();
    m_model = m_opened = std::move(model);
    m_cut = std::move(cut);
    m_trained.clear();
    m_baseline.reset();
    m_baselineResolved.clear();
    m_baselineCost = {};
    m_selection.clear();
    m_current.clear();
    m_history.clear();
    m_historyAt = 0;
    m_state = {};
    m_resolved.clear();
    m_cost = m_floatCost = {};
    QString problem;
    if (m_model) {
        ModelConfig plain;
        if (auto resolved = resolve(plain, *m_model, m_catalog)) {
            m_resolved = *resolved;
            m_cost = m_floatCost = modelCost(*m_model, m_resolved, false);
        }
        state.config.modelSha = m_model->sha256;
        state.config.modelLayers = m_model->quantizableLayers();
        if (const auto network = networkFor(state.weights))
            m_model = network;
        else
            state = {};   // its smaller network is lost; the log says why
        if (auto resolved = resolve(state.config, *m_model, m_catalog)) {
            m_resolved = std::move(*resolved);
            m_state = std::move(state);
            m_cost = modelCost(*m_model, m_resolved, m_state.config.foldBatchNorm);
        } else {
            problem = toQString(resolved.error().message);
            m_state.config.modelSha = m_model->sha256;
            m_state.config.modelLayers = m_model->quantizableLayers();
        }
    }
    emit modelChanged();
    emit baselineChanged();
    emit selectionChanged(m_selection);
    if (!problem.isEmpty())
        emit refused(problem);
}

const LayerInfo *Document::layer(const std::string &name) const
{
    return m_model ? m_model->layer(name) : nullptr;
}

bool Document::isQuantizable(const std::string &name) const
{
    const LayerInfo *info = layer(name);
    return info && info->status == LayerStatus::Quantizable;
}

const QuantSpec *Document::spec(const std::string &name, Role role) const
{
    const auto it = m_resolved.find(name);
    return it == m_resolved.end() ? nullptr : &it->second.of(role);
}

const QuantSpec *Document::baselineSpec(const std::string &name, Role role) const
{
    const auto it = m_baselineResolved.find(name);
    return it == m_baselineResolved.end() ? nullptr : &it->second.of(role);
}

std::int64_t Document::floatSizeBytes() const
{
    return m_opened ? bitwright::floatSizeBytes(*m_opened) : 0;
}

bool Document::isFloat() const
{
    return m_state.weights.empty() && std::ranges::all_of(m_resolved, [](const auto &entry) {
        return entry.second.weight.isFloat() && entry.second.activation.isFloat() && entry.second.prune.isNone();
    });
}

LayerNames Document::prunedLayers() const
{
    LayerNames names;
    for (const auto &[name, config] : m_resolved)
        if (!config.prune.isNone())
            names.push_back(name);
    return names;
}

Mask Document::mask(const std::string &layer) const
{
    const auto found = m_resolved.find(layer);
    return found == m_resolved.end() ? Mask() : found->second.prune.mask;
}

void Document::clearMasks(const LayerNames &layers)
{
    DocumentState next = m_state;
    for (const std::string &layer : layers)
        if (const auto found = next.config.layers.find(layer); found != next.config.layers.end())
            found->second.prune = {};
    setState(next, tr("Unprune %1").arg(siteText(layers, {Role::Weight, Role::Activation})));
}

PruneSpec Document::pruneSpec(const std::string &layer) const
{
    const auto found = m_resolved.find(layer);
    return found == m_resolved.end() ? PruneSpec() : found->second.prune;
}

void Document::setPrunes(const std::map<std::string, PruneSpec> &specs, const QString &text, quint64 drag)
{
    edit(text, [&](ModelConfig &config) -> Status {
        for (const auto &[name, spec] : specs) {
            if (spec == pruneSpec(name))
                continue;
            if (spec.isNone() && config.defaults.prune.empty())
                config.layers[name].prune = {};
            else
                setPrune(config, name, spec);
        }
        return {};
    }, drag);
}

// ---- edits ----

void Document::edit(const QString &text, const Edit &change, quint64 drag)
{
    if (!m_model)
        return;
    DocumentState next = m_state;
    Status done = change(next.config);
    if (done) {
        if (auto resolved = resolve(next.config, *m_model, m_catalog); !resolved)
            done = std::unexpected(resolved.error());
    }
    if (!done)
        emit refused(toQString(done.error().message));
    else
        push(next, text, drag);
}

void Document::editSites(const QString &text, const LayerNames &layers, const std::vector<Role> &roles,
                         const SiteEdit &change, quint64 drag)
{
    LayerNames able;
    std::ranges::copy_if(layers, std::back_inserter(able), [this](const auto &name) { return isQuantizable(name); });
    if (able.empty()) {
        const LayerInfo *info = layers.empty() ? nullptr : layer(layers.front());
        if (info)
            emit refused(tr("%1 cannot be quantized: %2").arg(toQString(info->name), toQString(info->reason)));
        return;
    }
    if (roles == std::vector{Role::Activation} && std::ranges::none_of(able, [this](const auto &name) { return layer(name)->inputQuantizable(); })) {
        const LayerInfo &info = *layer(able.front());
        emit refused(tr("Only the weight of %1 can be quantized: %2").arg(toQString(info.name), toQString(weightOnlyReason(info))));
        return;
    }
    edit(text, [&](ModelConfig &config) -> Status {
        for (const std::string &name : able) {
            for (const Role role : roles) {
                if (role == Role::Activation && !layer(name)->inputQuantizable())
                    continue;
                QuantSpec site = *spec(name, role);
                const QuantSpec before = site;
                BW_CHECK(change(*layer(name), role, site));
                if (site != before)
                    bitwright::setSpec(config, name, role, site);
            }
        }
        return {};
    }, drag);
}

bool Document::hasStored() const
{
    return m_model && std::ranges::any_of(m_model->layers, [](const LayerInfo &info) {
        return info.status == LayerStatus::Quantizable && (info.storedWeight || info.storedInput);
    });
}

void Document::takeStored(const LayerNames &layers)
{
    if (!m_model)
        return;
    const StoredConfig stored = storedConfig(*m_model, m_catalog);
    LayerNames taken;
    std::ranges::copy_if(layers, std::back_inserter(taken), [&](const auto &name) { return stored.config.layers.contains(name); });
    if (taken.empty())
        for (const auto &[name, patch] : stored.config.layers)
            taken.push_back(name);
    if (taken.empty()) {
        emit refused(stored.left.empty() ? tr("The file quantizes nothing; choose a method and bits") : toQString(stored.left.front()));
        return;
    }
    edit(tr("%1 as in the file").arg(siteText(taken, {Role::Weight, Role::Activation})), [&](ModelConfig &config) -> Status {
        for (const std::string &name : taken)
            for (const Role role : {Role::Weight, Role::Activation})
                if (const QuantPatch &patch = stored.config.layers.at(name).of(role); !patch.empty())
                    config.layers[name].of(role) = patch;
        return {};
    });
}

Result<QuantSpec> Document::defaultSpec(Role role, int bits) const
{
    for (const MethodTraits &method : m_catalog.methods()) {
        if (!canDo(method, role) || bits < method.minimumBits || bits > method.maximumBits)
            continue;
        BW_ASSIGN(auto options, freshOptions(method, role));
        return QuantSpec{.method = method.id, .bits = bits, .options = std::move(options), .values = {}};
    }
    return fail(ErrorKind::Invalid, "no method quantizes " + std::string(roleName(role)) + "s to " + text(bits) +
                                        " bits; choose other bits");
}

Result<QuantSpec> Document::freshSpec(const std::string &id, Role role, int bits) const
{
    const MethodTraits *method = m_catalog.quantizer(id);
    if (!method || !canDo(*method, role))
        return fail(ErrorKind::Invalid, id + " does not quantize " + roleName(role) + "s; choose another method");
    if (bits < method->minimumBits || bits > method->maximumBits)
        return fail(ErrorKind::Invalid, id + " has " + text(method->minimumBits) + " to " + text(method->maximumBits) + " bits; choose among them");
    BW_ASSIGN(auto options, freshOptions(*method, role));
    QuantSpec spec{.method = id, .bits = bits, .options = std::move(options), .values = {}};
    if (bits == 1)
        allowOneBit(spec, role);
    return spec;
}

LayerPolicy::Keep Document::keptAs(const std::string &name, Role role) const
{
    const LayerInfo *info = layer(name);
    if (!info || info->status != LayerStatus::Quantizable || (role == Role::Activation && info->weightOnly))
        return LayerPolicy::Keep::Same;
    const std::optional<std::string> &beneath = m_state.config.defaults.of(role).method;
    if (!beneath || *beneath == kFloatMethod)
        return LayerPolicy::Keep::Same;
    const LayerPolicy::Keep keep = keepFor(m_state.config.policy, *info, *m_model);
    const auto own = m_state.config.layers.find(name);
    if (own == m_state.config.layers.end() || !own->second.of(role).method)
        return keep;
    // Calibration writes an entry of the layer's own with what the policy gave it.
    const QuantPatch &patch = own->second.of(role);
    const bool asKept = keep == LayerPolicy::Keep::Float ? *patch.method == kFloatMethod : *patch.method == "uniform" && patch.bits == kKeptBits;
    return asKept ? keep : LayerPolicy::Keep::Same;
}

LayerNames Document::quantizedLayers() const
{
    LayerNames names;
    for (const auto &[name, config] : m_resolved) {
        if (!config.weight.isFloat() || !config.activation.isFloat())
            names.push_back(name);
    }
    return names;
}

void Document::setBits(const LayerNames &layers, const std::vector<Role> &roles, int bits)
{
    const QString what = bits == 0 ? tr("%1 to float").arg(siteText(layers, roles))
                                   : counted(bits, tr("%2 to %1 bit"), tr("%2 to %1 bits")).arg(siteText(layers, roles));
    editSites(what, layers, roles, [&](const LayerInfo &info, Role role, QuantSpec &site) -> Status {
        if (bits == 0) {
            site = floatSpec();
            return {};
        }
        if (site.isFloat()) {
            BW_ASSIGN(site, defaultSpec(role, bits));
            allowOneBit(site, role);
            return {};
        }
        if (site.bits == bits)
            return {};
        const MethodTraits *method = m_catalog.quantizer(site.method);
        if (method && (bits < method->minimumBits || bits > method->maximumBits)) {
            return fail(ErrorKind::Invalid, info.name + ", " + site.method + " has " + text(method->minimumBits) + " to " +
                                                text(method->maximumBits) + " bits; choose another method first");
        }
        changeBits(site, info, role, bits);
        return {};
    });
}

void Document::stepBits(const LayerNames &layers, const std::vector<Role> &roles, int delta)
{
    const QString what = delta > 0 ? tr("%1 one bit more").arg(siteText(layers, roles))
                                   : tr("%1 one bit less").arg(siteText(layers, roles));
    editSites(what, layers, roles, [&](const LayerInfo &info, Role role, QuantSpec &site) -> Status {
        const MethodTraits *method = m_catalog.quantizer(site.method);
        if (site.isFloat() || !method)
            return {};
        const int bits = std::clamp(site.bits + delta, method->minimumBits, method->maximumBits);
        if (bits != site.bits)
            changeBits(site, info, role, bits);
        return {};
    });
}

void Document::setMethod(const LayerNames &layers, Role role, const std::string &id)
{
    const MethodTraits *method = m_catalog.quantizer(id);
    const bool toFloat = id == kFloatMethod;
    if (!toFloat && (!method || !canDo(*method, role))) {
        emit refused(tr("%1 cannot quantize %2; choose another method")
                         .arg(toQString(id), role == Role::Weight ? tr("weights") : tr("activations")));
        return;
    }
    const QString title = toFloat ? tr("float") : toQString(method->title);
    editSites(tr("%1 to %2").arg(siteText(layers, {role}), title), layers, {role},
              [&](const LayerInfo &, Role siteRole, QuantSpec &site) -> Status {
                  if (site.method == id)
                      return {};
                  if (toFloat) {
                      site = floatSpec();
                      return {};
                  }
                  const int bits = std::clamp(site.isFloat() ? 8 : site.bits, method->minimumBits, method->maximumBits);
                  BW_ASSIGN(auto options, freshOptions(*method, siteRole));
                  site = {.method = id, .bits = bits, .options = std::move(options), .values = {}};
                  return {};
              });
}

void Document::setOption(const LayerNames &layers, const std::vector<Role> &roles, const std::string &name,
                         const std::optional<ParamValue> &value)
{
    editSites(tr("%1 of %2").arg(toQString(name), siteText(layers, roles)), layers, roles,
              [&](const LayerInfo &, Role, QuantSpec &site) -> Status {
                  const MethodTraits *method = m_catalog.quantizer(site.method);
                  // Of several layers those whose method lacks the option simply stay.
                  if (site.isFloat() || !method || !method->option(name))
                      return {};
                  const QuantSpec before = site;
                  if (value)
                      site.options[name] = *value;
                  else
                      site.options.erase(name);
                  BW_ASSIGN(site.options, completeParams(method->options, site.options, site.method));
                  if (site.options != before.options)
                      dropValues(site);
                  return {};
              });
}

void Document::setSpec(const LayerNames &layers, Role role, const QuantSpec &value, const QString &text)
{
    editSites(text.isEmpty() ? tr("Quantize %1").arg(siteText(layers, {role})) : text, layers, {role},
              [&](const LayerInfo &, Role, QuantSpec &site) -> Status {
                  site = value;
                  return {};
              });
}

void Document::setValues(const std::string &name, Role role, const std::map<std::string, std::vector<double>> &values,
                         quint64 drag)
{
    editSites((values.contains("codebook") ? tr("Levels of %1") : tr("Range of %1")).arg(siteText({name}, {role})), {name}, {role},
              [&](const LayerInfo &, Role, QuantSpec &site) -> Status {
                  if (site.isFloat())
                      return {};
                  for (const auto &[key, list] : values) {
                      if (list.empty())
                          site.values.erase(key);
                      else
                          site.values[key] = list;
                  }
                  return {};
              },
              drag);
}

void Document::endDrag()
{
    emit dragEnded();
}

void Document::setPolicy(const LayerPolicy &policy)
{
    edit(tr("First, last and shortcut layers"), [&](ModelConfig &config) -> Status {
        for (const Role role : {Role::Weight, Role::Activation})
            makeDefault(config, role, policy);
        bitwright::setPolicy(config, policy, *m_model);
        return {};
    });
}

/// A policy acts where the defaults quantize. An assignment that was made layer by layer has none: what most of the
/// quantized layers have becomes the default, and those in float say so themselves.
void Document::makeDefault(ModelConfig &config, Role role, const LayerPolicy &policy) const
{
    if (policy == LayerPolicy{} || config.defaults.of(role).method)
        return;
    std::vector<std::pair<QuantSpec, int>> seen;
    const auto isKept = [&](const std::string &name) { return keepFor(policy, *layer(name), *m_model) != LayerPolicy::Keep::Same; };
    for (const auto &[name, site] : m_resolved) {
        QuantSpec spec = site.of(role);
        if (spec.isFloat() || isKept(name))
            continue;
        spec.values.clear();
        const auto same = std::ranges::find(seen, spec, &std::pair<QuantSpec, int>::first);
        if (same == seen.end())
            seen.emplace_back(spec, 1);
        else
            ++same->second;
    }
    const auto most = std::ranges::max_element(seen, {}, &std::pair<QuantSpec, int>::second);
    if (most == seen.end())
        return;
    config.defaults.of(role) = {.method = most->first.method, .bits = most->first.bits, .options = most->first.options};
    for (const auto &[name, site] : m_resolved) {
        if (site.of(role).isFloat() && !isKept(name))
            bitwright::setSpec(config, name, role, floatSpec());
    }
}

void Document::setFoldBatchNorm(bool fold)
{
    edit(fold ? tr("Fold batch norm") : tr("Keep batch norm"), [&](ModelConfig &config) -> Status {
        if (config.foldBatchNorm == fold)
            return {};
        config.foldBatchNorm = fold;
        // Folding scales the weights: a range that was right for the old ones is wrong for the new.
        for (const LayerInfo &info : m_model->layers) {
            const auto it = config.layers.find(info.name);
            if (!info.batchNorm.empty() && it != config.layers.end())
                it->second.weight.values.clear();
        }
        return {};
    });
}

void Document::setState(const DocumentState &state, const QString &text)
{
    if (!m_model)
        return;
    DocumentState next = state;
    next.config.modelSha = m_state.config.modelSha;
    next.config.modelLayers = m_state.config.modelLayers;
    const auto network = networkFor(state.weights);
    if (!network)
        emit refused(tr("These weights belong to a smaller network that is not in this session; remove the channels again."));
    else if (auto resolved = resolve(next.config, *network, m_catalog); !resolved)
        emit refused(toQString(resolved.error().message));
    else
        push(next, text, 0);
}

void Document::push(const DocumentState &next, const QString &text, quint64 drag)
{
    StateDelta delta = difference(m_state, next);
    if (delta.empty())
        return;
    QString title = text;
    if (!title.isEmpty())
        title[0] = title[0].toUpper();
    m_undo.push(new ChangeState(*this, std::move(delta), title, drag));
}

void Document::take(const DocumentState &next, ChangeEvent event)
{
    const auto network = networkFor(next.weights);
    auto resolved = network ? resolve(next.config, *network, m_catalog) : fail(ErrorKind::Internal, "no such network");
    if (!resolved) {   // every path here was checked before
        emit refused(toQString(resolved.error().message));
        return;
    }
    if (network == m_model) {
        event.diff = diff(m_state.config, next.config, *m_model, m_catalog);
    } else {
        event.diff.network = event.weights = true;
        for (const LayerInfo &layer : network->layers)
            event.diff.layers[layer.name] = {};
        m_model = network;
    }
    m_state = next;
    m_resolved = std::move(*resolved);
    m_cost = modelCost(*m_model, m_resolved, m_state.config.foldBatchNorm);
    emit changed(event);
}

void Document::absorbCalibration(const ModelConfig &calibrated)
{
    if (!m_model)
        return;
    const auto theirs = resolve(calibrated, *m_model, m_catalog);
    if (!theirs)
        return;
    DocumentState next = m_state;
    for (const auto &[name, mine] : m_resolved) {
        const auto it = theirs->find(name);
        if (it == theirs->end() || mine.activation.isFloat() || !mine.activation.values.empty())
            continue;
        QuantSpec bare = it->second.activation;
        bare.values.clear();
        if (bare == mine.activation && !it->second.activation.values.empty())
            bitwright::setSpec(next.config, name, Role::Activation, it->second.activation);
    }
    if (next != m_state)
        take(next, {.diff = {}, .weights = false, .interactive = false, .calibration = true});
}

// ---- baseline ----

void Document::pinBaseline()
{
    if (!m_model)
        return;
    m_baseline = m_state;
    m_baselineResolved = m_resolved;
    m_baselineCost = m_cost;
    emit baselineChanged();
}

void Document::clearBaseline()
{
    m_baseline.reset();
    m_baselineResolved.clear();
    m_baselineCost = {};
    emit baselineChanged();
}

// ---- selection ----

void Document::setSelection(const LayerNames &layers, const std::string &current)
{
    SelectionEntry entry;
    std::ranges::copy_if(layers, std::back_inserter(entry.layers), [this](const auto &name) { return layer(name); });
    if (!entry.layers.empty()) {
        const bool known = std::ranges::find(entry.layers, current) != entry.layers.end();
        entry.current = known ? current : entry.layers.front();
    }
    if (entry.layers == m_selection && entry.current == m_current)
        return;
    if (!entry.layers.empty()) {
        m_history.resize(m_history.empty() ? 0 : m_historyAt + 1);
        m_history.push_back(entry);
        if (m_history.size() > kSelectionHistory)
            m_history.erase(m_history.begin());
        m_historyAt = m_history.size() - 1;
    }
    select(entry);
}

void Document::select(const SelectionEntry &entry)
{
    m_selection = entry.layers;
    m_current = entry.current;
    emit selectionChanged(m_selection);
}

void Document::goBack()
{
    if (canGoBack())
        select(m_history[--m_historyAt]);
}

void Document::goForward()
{
    if (canGoForward())
        select(m_history[++m_historyAt]);
}

void Document::setEditsRole(Role role, bool on)
{
    bool &mine = role == Role::Weight ? m_editWeights : m_editActivations;
    bool &other = role == Role::Weight ? m_editActivations : m_editWeights;
    if (mine == on)
        return;
    mine = on;
    if (!m_editWeights && !m_editActivations)
        other = true;
    emit editedRolesChanged();
}

std::vector<Role> Document::editedRoles() const
{
    std::vector<Role> roles;
    if (m_editWeights)
        roles.push_back(Role::Weight);
    if (m_editActivations)
        roles.push_back(Role::Activation);
    return roles;
}

} // namespace bitwright
