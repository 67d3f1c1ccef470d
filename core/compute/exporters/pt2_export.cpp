// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/fake_quant_graph.h"
#include "exporters/pt2_writer.h"
#include "exporters/torch_exporters.h"
#include "tensor/guarded.h"

#include <filesystem>

namespace bitwright {

namespace {

Result<ExportReport> write(const ExportInput &input, const std::string &path, const JobContext &context)
{
    return guarded(path + " cannot be written", ErrorKind::Internal, [&]() -> Result<ExportReport> {
        context.progress("exporting", 0, 2);
        BW_ASSIGN(FakeQuantGraph made, fakeQuantGraph(input));
        BW_CHECK(onlyAtenNodes(made.graph, ".pt2"));
        if (context.stopped())
            return cancelled();
        context.progress("exporting", 1, 2);
        BW_CHECK(writeGraphPt2(made.graph, path, context, {{"bitwright.assignment", assignmentText(input)}}));
        context.progress("exporting", 2, 2);
        ExportReport report;
        std::error_code ignored;
        report.bytes = std::int64_t(std::filesystem::file_size(path, ignored));
        report.layers = std::move(made.layers);
        report.notes.push_back("weights are their quantized values in float32 and inputs are quantized by ordinary operators; torch.export.load of PyTorch 2.13 reads it");
        return report;
    });
}

} // namespace

Exporter pt2Exporter()
{
    return {{"pt2", "PyTorch .pt2", ".pt2", {true, true, true, true, 1, 16, false},
             "The network with quantizing operators; torch.export.load reads it."}, write};
}

} // namespace bitwright
