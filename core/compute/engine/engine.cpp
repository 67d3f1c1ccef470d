// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/engine.h"

#include "engine/job_host.h"
#include "engine/lane.h"
#include "exporters/exporter.h"
#include "quant/quantizer.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <thread>

namespace bitwright {

namespace {

class Engine final : public EngineApi {
public:
    explicit Engine(EngineOptions options)
        : m_options(std::move(options)), m_host(m_options, [this](Event event) { emit(std::move(event)); }),
          m_light([this](Event event) { emit(std::move(event)); }, [] { at::set_num_threads(1); }),
          m_heavy([this](Event event) { emit(std::move(event)); }, [this] { at::set_num_threads(threads()); },
                  [this] { m_light.waitIdle(m_heavyStop.get_token()); })
    {
    }

    ~Engine() override
    {
        setSink({});
        m_heavyStop.request_stop();
    }

    const Catalog &catalog() const override { return methodCatalog(); }

    const std::vector<ExportFormat> &exportFormats() const override { return bitwright::exportFormats(); }

    JobId submit(Request request) override
    {
        const JobId id = ++m_lastId;
        LaneJob job{id, requestTitle(request), {}, {}};
        auto shared = std::make_shared<const Request>(std::move(request));
        job.body = [this, id, shared](const JobContext &context) { return m_host.run(id, *shared, context); };
        if (const auto *preview = std::get_if<PreviewRequest>(shared.get())) {
            job.tag = preview->layer + '/' + roleName(preview->role) + (preview->errorAgainstBits ? "" : "/error only");
            m_light.submit(std::move(job));
        } else if (const auto *prune = std::get_if<PruneRequest>(shared.get()); prune && !needsData(*prune)) {
            job.tag = "prune";
            m_light.submit(std::move(job));
        } else if (std::holds_alternative<WeightRequest>(*shared)) {
            job.tag = "weight";
            m_light.submit(std::move(job));
        } else if (std::holds_alternative<DataPreviewRequest>(*shared)) {
            job.tag = "data preview";
            m_light.submit(std::move(job));
        } else if (std::holds_alternative<PackSizeRequest>(*shared)) {
            job.tag = "pack size";
            m_light.submit(std::move(job));
        } else if (std::holds_alternative<CompareRequest>(*shared)) {
            job.tag = "compare";
            m_light.submit(std::move(job));
        } else {
            m_heavy.submit(std::move(job));
        }
        return id;
    }

    void cancel(JobId job) override
    {
        if (!m_heavy.cancel(job))
            m_light.cancel(job);
    }

    void setPaused(JobId job, bool paused) override { m_heavy.setPaused(job, paused); }

    void setSink(Sink sink) override
    {
        std::lock_guard lock(m_sinkMutex);
        m_sink = std::move(sink);
    }

    void setSession(const std::string &path) override { m_host.setSession(path); }

private:
    static bool needsData(const PruneRequest &request)
    {
        const MethodTraits *method = methodCatalog().pruner(request.method);
        return method && method->needsData;
    }
    int threads() const
    {
        return m_options.threads > 0 ? m_options.threads : int(std::max(1U, std::thread::hardware_concurrency()));
    }
    void emit(Event event)
    {
        std::lock_guard lock(m_sinkMutex);
        if (m_sink)
            m_sink(std::move(event));
    }

    EngineOptions m_options;
    std::mutex m_sinkMutex;
    Sink m_sink;
    std::atomic<JobId> m_lastId = 0;
    std::stop_source m_heavyStop;   // lets the heavy lane out of waiting for the light one at the end
    JobHost m_host;
    Lane m_light, m_heavy;
};

} // namespace

std::unique_ptr<EngineApi> makeEngine(EngineOptions options)
{
    return std::make_unique<Engine>(std::move(options));
}

} // namespace bitwright
