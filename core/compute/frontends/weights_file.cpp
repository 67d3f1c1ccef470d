// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/weights_file.h"

#include "tensor/guarded.h"

namespace bitwright {

Graph weightsGraph(const std::string &format, NamedTensors tensors)
{
    Graph graph;
    graph.format = format;
    graph.weightsOnly = true;
    graph.obstacles.emplace_back("the file holds weights without the network that runs them; export the network from Python with "
                              "torch.export as .pt2 to run it");
    for (auto &[name, tensor] : tensors) {
        Parameter parameter;
        parameter.name = name;
        parameter.value = graph.addValue(name);
        const bool statistic = name.ends_with("running_mean") || name.ends_with("running_var");
        parameter.trainable = c10::isFloatingType(tensor.scalar_type()) && !statistic;
        parameter.tensor = std::move(tensor);
        graph.parameters.push_back(std::move(parameter));
    }
    return graph;
}

Result<Graph> loadWeights(const std::string &path, const std::string &kind, const JobContext &context,
                          Result<Graph> (*read)(const std::string &path, const JobContext &context))
{
    auto graph = guarded(path, ErrorKind::Parse, [&] { return read(path, context); });
    if (!graph && !isCancelled(graph.error()) && !graph.error().message.starts_with(path))
        return fail(graph.error().kind, path + " (" + kind + "), " + graph.error().message +
                                            (graph.error().kind == ErrorKind::Parse ? "; copy or save it again" : ""));
    return graph;
}

} // namespace bitwright
