// SPDX-License-Identifier: GPL-3.0-or-later
// Opening a network and its data.
#include "engine/job_host.h"

#include "engine/trials.h"
#include "simulate/sample_batches.h"

#include <ATen/ATen.h>

#include <algorithm>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace bitwright {

namespace {

/// Some rows of the input that differs from sample to sample, as floats.
at::Tensor firstInput(const Dataset &data)
{
    constexpr std::int64_t kRows = 256;
    const std::int64_t rows = std::min(data.size(), data.isOneByOne() ? 1 : kRows);
    if (data.columns.empty())
        return data.inputs(0, rows);
    const auto first = std::ranges::find(data.columns, false, &InputColumn::shared);
    return first->rows(0, rows, 0).toTensor().to(at::kFloat);
}

} // namespace

Status JobHost::job(JobId id, const OpenModelRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto network, Network::open(request.path, context));
    if (context.stopped())
        return cancelled();
    auto session = std::make_shared<ModelSession>(network, m_options.cacheBytes);
    auto summary = std::make_shared<const ModelSummary>(network->summary());
    {
        std::lock_guard lock(m_mutex);
        m_session = session;
        m_cuts.clear();
        m_evaluationSpec.clear();
    }
#ifdef __GLIBC__
    malloc_trim(0);   // the process keeps freed memory on purpose; a closed network is the time to give it back
#endif
    auto cuts = loadCuts(id, session, context);
    m_emit(ModelOpened{id, std::move(summary), std::move(cuts), network->needs()});
    return {};
}

Status JobHost::job(JobId id, const OpenDataRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session());
    DataContext data = dataContext(*session->network);
    data.decodeImage = m_options.decodeImage;
    data.job = context;
    auto open = [&](const std::string &spec) -> Result<std::shared_ptr<const Dataset>> {
        if (spec.empty())
            return std::shared_ptr<const Dataset>();
        return openData(spec, data);
    };
    BW_ASSIGN(auto evaluation, open(request.evaluation));
    BW_ASSIGN(auto calibration, open(request.calibration));
    BW_ASSIGN(auto training, open(request.training));
    const auto &shown = evaluation ? evaluation : calibration ? calibration : training;
    if (!shown)
        return fail(ErrorKind::Invalid, "data, none was named; give evaluation data at least");
    session->setData(evaluation, calibration, training);
    {
        std::lock_guard lock(m_mutex);
        for (const auto &[name, cut] : m_cuts)
            cut->takeDataOf(*session);
    }
    m_evaluationSpec = request.evaluation;

    DataOpened event;
    event.job = id;
    event.spec = shown->spec;
    event.samples = shown->size();
    event.sampleShape = shown->sampleShape();
    event.labelled = shown->labelled();
    event.classes = shown->classes;
    const at::Tensor some = firstInput(*shown);
    event.inputMean = some.mean().item<double>();
    event.inputStd = some.numel() > 1 ? some.std().item<double>() : 0;
    const auto metric = defaultMetric(*session->network, *shown, context);
    if (context.stopped())
        return cancelled();
    if (metric)
        event.metric = metricName(*metric);
    else   // its inputs can be looked at all the same
        log(id, LogMessage::Level::Warning, metric.error().message);
    if (shown->isRandom())
        log(id, LogMessage::Level::Info, "random data: what is measured on it tells how far the network moves from the float one, nothing of its task");
    m_emit(std::move(event));
    return {};
}

} // namespace bitwright
