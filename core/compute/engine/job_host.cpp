// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

#include "tensor/mapped_file.h"
#include "train/checkpoint.h"

#include <cmath>
#include <limits>

namespace bitwright {

namespace {

/// From a session file into memory; nothing happens where the file has no such weights.
Status loadState(SessionStore &file, ModelSession &session, const std::string &name)
{
    BW_ASSIGN(auto bytes, file.blob(name));
    if (!bytes)
        return {};
    BW_ASSIGN(TensorArchive archive, unpackTensors(*bytes, "weights " + name));
    session.addState(std::make_shared<const WeightsState>(WeightsState{name, std::move(archive.tensors)}));
    return {};
}

} // namespace

Status JobHost::run(JobId id, const Request &request, const JobContext &context)
{
    const auto run = [&] { return std::visit([&](const auto &concrete) { return job(id, concrete, context); }, request); };
    if (std::holds_alternative<OpenModelRequest>(request))
        return run();
    // Weights are read where they lie in their file: another program may have changed it.
    BW_CHECK(mappedFilesIntact());
    BW_CHECK(run());
    return mappedFilesIntact();
}

void JobHost::setSession(const std::string &path)
{
    std::lock_guard lock(m_mutex);
    m_storePath = path;
}

Result<std::shared_ptr<ModelSession>> JobHost::session(const std::string &weights) const
{
    std::lock_guard lock(m_mutex);
    if (!m_session)
        return fail(ErrorKind::Invalid, "no network is open; open one first");
    const std::string name = networkOf(weights);
    if (name.empty())
        return m_session;
    if (const auto found = m_cuts.find(name); found != m_cuts.end())
        return found->second;
    return fail(ErrorKind::Invalid, "weights " + weights + ", the smaller network that they belong to is not in this session; undo, or cut again");
}

std::shared_ptr<ModelSession> JobHost::addCut(const std::shared_ptr<ModelSession> &base, std::shared_ptr<const Network> network,
                                              const std::string &name)
{
    auto made = std::make_shared<ModelSession>(std::move(network), m_options.cacheBytes, name, base->original());
    made->takeDataOf(*base);
    std::lock_guard lock(m_mutex);
    m_cuts[name] = made;
    return made;
}

void JobHost::log(JobId id, LogMessage::Level level, const std::string &text, const std::string &layer)
{
    m_emit(LogMessage{id, level, text, layer});
}

SessionStore *JobHost::store(JobId id)
{
    std::string path;
    {
        std::lock_guard lock(m_mutex);
        path = m_storePath;
    }
    if (path == m_openStorePath)
        return m_store.get();
    m_store.reset();
    m_openStorePath = path;
    if (path.empty())
        return nullptr;
    auto opened = SessionStore::open(path, true);
    if (!opened) {
        log(id, LogMessage::Level::Error, opened.error().message);
        return nullptr;
    }
    m_store = std::move(*opened);
    return m_store.get();
}

void JobHost::record(JobId id, TrialRecord &trial)
{
    trial.id = ++m_lastTrial;
    if (SessionStore *file = store(id)) {
        if (auto stored = file->addTrial(trial))
            trial.id = m_lastTrial = *stored;
        else
            log(id, LogMessage::Level::Error, stored.error().message);
    }
}

void JobHost::storeWeights(JobId id, const WeightsState &state)
{
    SessionStore *file = store(id);
    if (!file)
        return;
    auto bytes = packTensors({state.tensors, "{}"});
    const Status stored = bytes ? file->setBlob(state.name, *bytes) : Status(std::unexpected(bytes.error()));
    if (!stored)
        log(id, LogMessage::Level::Error, stored.error().message);
}

Result<std::shared_ptr<const WeightsState>> JobHost::weights(ModelSession &session, const std::string &name)
{
    if (!session.hasState(name))
        if (SessionStore *file = store(0))
            BW_CHECK(loadState(*file, session, name));
    return session.state(name);
}

Result<std::shared_ptr<const WeightsState>> JobHost::weightsForLook(ModelSession &session, const std::string &name)
{
    std::string path;
    {
        std::lock_guard lock(m_mutex);
        path = m_storePath;
    }
    if (!session.hasState(name) && !path.empty()) {
        BW_ASSIGN(auto file, SessionStore::open(path, false));
        BW_CHECK(loadState(*file, session, name));
    }
    return session.state(name);
}

std::size_t JobHost::keepPoint(ModelSession &session, const ResolvedConfig &config, const std::string &variant, bool folded)
{
    const Executor &executor = session.network->executor(folded);
    std::size_t first = std::numeric_limits<std::size_t>::max();
    if (session.lastVariant == variant) {
        for (std::size_t i = 0; i < executor.bindings().size(); ++i) {
            const std::string &name = executor.bindings()[i].info.name;
            const auto before = session.lastConfig.find(name);
            const auto now = config.find(name);
            const bool known = before != session.lastConfig.end() && now != config.end();
            if (known && !(before->second == now->second))
                first = std::min(first, executor.firstNodeOf(i));
        }
    }
    session.lastConfig = config;
    session.lastVariant = variant;
    return first == std::numeric_limits<std::size_t>::max() ? 0 : first;
}

double JobHost::floatValue(ModelSession &session, Metric metric, std::int64_t limit, const JobContext &context)
{
    const auto key = std::pair(std::string(metricName(metric)), limit);
    if (auto found = session.floatValues.find(key); found != session.floatValues.end())
        return found->second;
    auto measure = [&]() -> Result<double> {
        BW_ASSIGN(Evaluator *evaluator, session.evaluator());
        BW_ASSIGN(auto simulation, Simulation::make(session.network, {}, false));
        EvaluationOptions options;
        options.metric = metric;
        options.limit = limit;
        BW_ASSIGN(const Estimate estimate, evaluator->evaluate(*simulation, options, context));
        return estimate.value;
    };
    auto value = measure();
    if (!value)
        return std::numeric_limits<double>::quiet_NaN();
    session.floatValues[key] = *value;
    return *value;
}

} // namespace bitwright
