// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

namespace bitwright {

Status JobHost::job(JobId, const SurgeryRequest &, const JobContext &)
{
    return fail(ErrorKind::Unsupported, "not built yet");
}

} // namespace bitwright
