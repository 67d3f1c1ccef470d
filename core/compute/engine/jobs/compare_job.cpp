// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/job_host.h"

namespace bitwright {

Status JobHost::job(JobId, const CompareRequest &, const JobContext &)
{
    return fail(ErrorKind::Internal, "comparison, it is being written");
}

Status JobHost::job(JobId, const CompareNetworksRequest &, const JobContext &)
{
    return fail(ErrorKind::Internal, "comparison, it is being written");
}

} // namespace bitwright
