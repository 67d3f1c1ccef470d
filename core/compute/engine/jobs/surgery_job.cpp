// SPDX-License-Identifier: GPL-3.0-or-later
// Networks that surgery makes, and how a session file keeps them.
#include "engine/job_host.h"

#include "engine/trials.h"
#include "exporters/pt2_writer.h"
#include "frontends/frontend.h"
#include "simulate/surgery.h"
#include "train/checkpoint.h"

#include <ATen/ATen.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace bitwright {

namespace {

/// A file that is gone when this object is.
struct Temporary {
    std::string path = (std::filesystem::temp_directory_path() / ("bitwright-" + std::to_string(::getpid()) + "-cut.pt2")).string();
    ~Temporary()
    {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
};

Result<std::vector<char>> packed(const Graph &graph)
{
    const Temporary file;
    BW_CHECK(writeGraphPt2(graph, file.path));
    std::ifstream in(file.path, std::ios::binary);
    std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
    at::Tensor content = at::from_blob(bytes.data(), {std::int64_t(bytes.size())}, at::kByte);
    return packTensors({{{"pt2", content}}, "{}"});
}

Result<std::shared_ptr<const Network>> unpacked(const std::vector<char> &bytes, const std::string &name, const std::string &modelPath)
{
    BW_ASSIGN(const TensorArchive archive, unpackTensors(bytes, "network " + name));
    const auto found = archive.tensors.find("pt2");
    if (found == archive.tensors.end())
        return fail(ErrorKind::Parse, "network " + name + ", the session does not hold it whole; cut again");
    const Temporary file;
    const at::Tensor content = found->second.contiguous();
    {
        std::ofstream out(file.path, std::ios::binary);
        out.write(static_cast<const char *>(content.const_data_ptr()), std::streamsize(content.nbytes()));
        if (!out)
            return fail(ErrorKind::Io, file.path + ", it cannot be written; is the disk full?");
    }
    BW_ASSIGN(Graph graph, loadGraph(file.path));
    return Network::make(std::move(graph), modelPath);
}

} // namespace

Status JobHost::job(JobId id, const SurgeryRequest &request, const JobContext &context)
{
    BW_ASSIGN(auto session, this->session(request.weights));
    BW_ASSIGN(auto state, weights(*session, request.weights));
    BW_ASSIGN(CutNetwork cut, cutNetwork(*session->network, request.config, *state, session->network->summary().path, context));
    const std::string name = kCutPrefix + timeText() + " job " + std::to_string(id);
    addCut(session, cut.network, name);
    if (SessionStore *file = store(id)) {
        auto bytes = packed(cut.network->graph());
        const Status stored = bytes ? file->setBlob(name, *bytes) : Status(std::unexpected(bytes.error()));
        if (!stored)
            log(id, LogMessage::Level::Warning, "the smaller network is not in the session file: " + stored.error().message);
    }
    const std::int64_t before = session->network->summary().parameters, after = cut.network->summary().parameters;
    log(id, LogMessage::Level::Info, "surgery: " + std::to_string(cut.removedUnits) + " channels removed, " + std::to_string(after) + " of " +
                                         std::to_string(before) + " parameters left");
    m_emit(WeightsReady{id, cut.config, name, "Remove pruned channels", std::make_shared<const ModelSummary>(cut.network->summary())});
    return {};
}

std::map<std::string, std::shared_ptr<const ModelSummary>> JobHost::loadCuts(JobId id, const std::shared_ptr<ModelSession> &base,
                                                                            const JobContext &context)
{
    std::map<std::string, std::shared_ptr<const ModelSummary>> cuts;
    SessionStore *file = store(id);
    const auto names = file ? file->blobNames(kCutPrefix) : Result<std::vector<std::string>>();
    if (!names)
        return cuts;
    for (const std::string &name : *names) {
        if (context.stopped())
            break;
        auto network = [&]() -> Result<std::shared_ptr<const Network>> {
            BW_ASSIGN(const auto bytes, file->blob(name));
            return unpacked(bytes.value_or(std::vector<char>()), name, base->network->summary().path);
        }();
        if (!network) {
            log(id, LogMessage::Level::Warning, network.error().message);
            continue;
        }
        addCut(base, *network, name);
        cuts[name] = std::make_shared<const ModelSummary>((*network)->summary());
    }
    return cuts;
}

} // namespace bitwright
