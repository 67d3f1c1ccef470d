// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

namespace bitwright {

Status JobHost::job(JobId id, const PreviewRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weightsForLook(*session, request.weights));
    BW_ASSIGN(auto source, session->previewSource(request.layer, request.role, request.foldBatchNorm, *state, request.mask));
    if (context.stopped())
        return cancelled();
    BW_ASSIGN(PreviewReady preview, previewSite(*source, request));
    if (context.stopped())
        return cancelled();
    preview.job = id;
    m_emit(std::move(preview));
    return {};
}

} // namespace bitwright
