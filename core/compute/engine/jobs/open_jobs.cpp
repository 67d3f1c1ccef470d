// SPDX-License-Identifier: GPL-3.0-or-later
// Opening a network and its data.
#include "engine/job_host.h"

#include <ATen/ATen.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace bitwright {

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
    m_emit(ModelOpened{id, std::move(summary), std::move(cuts)});
    return {};
}

Status JobHost::job(JobId id, const OpenDataRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session());
    const ModelSummary &model = session->network->summary();
    DataContext data;
    data.modelPath = model.path;
    if (!model.inputs.empty()) {
        data.inputShape = model.inputs.front().shape;
        data.acceptedShape = model.inputs.front().acceptedShape();
    }
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
    const at::Tensor some = shown->inputs(0, std::min<std::int64_t>(shown->size(), 256));
    event.inputMean = some.mean().item<double>();
    event.inputStd = some.numel() > 1 ? some.std().item<double>() : 0;
    m_emit(std::move(event));
    return {};
}

} // namespace bitwright
