// SPDX-License-Identifier: GPL-3.0-or-later
#include "train/correct.h"

#include "train/batch_norm.h"
#include "train/bias_correction.h"

#include <algorithm>

namespace bitwright {

namespace {

constexpr std::int64_t kBatch = 64;

Correction withChanges(const CorrectInput &input, const ParameterMap &changed)
{
    Correction correction;
    correction.parameters = input.start.tensors;
    for (const auto &[name, tensor] : changed) {
        correction.parameters[name] = tensor;
        correction.changed.push_back(name);
    }
    return correction;
}

} // namespace

Result<Correction> batchNormStep(const CorrectInput &input, const JobContext &context)
{
    const std::string &path = input.network->summary().path;
    if (input.foldBatchNorm)
        return fail(ErrorKind::Invalid, path + ", its batch norms are folded into the layers under this assignment, so there are no statistics "
                                               "to re-estimate; unfold them or correct the biases");
    BW_ASSIGN(const auto simulation, Simulation::make(input.network, input.config, false, input.start));
    const std::int64_t rows = input.samples > 0 ? std::min(input.samples, input.data->size()) : input.data->size();
    const std::int64_t batch = std::min(kBatch, std::max<std::int64_t>(1, rows));
    BW_ASSIGN(const ParameterMap buffers,
              reestimateBatchNorm(*input.network, *simulation, *input.data, batch, std::max<std::int64_t>(1, rows / batch), context));
    if (buffers.empty())
        return fail(ErrorKind::Unsupported, path + ", it has no batch norm with running statistics; correct the biases instead");
    return withChanges(input, buffers);
}

Result<Correction> biasStep(const CorrectInput &input, const JobContext &context)
{
    BW_ASSIGN(const BiasCorrection found,
              correctBias(input.network, input.config, input.foldBatchNorm, input.start, *input.data, input.samples, context));
    std::string why;
    for (const auto &[layer, reason] : found.skipped)
        why += (why.empty() ? "" : "; ") + layer + ": " + reason;
    if (found.parameters.empty())
        return fail(ErrorKind::Unsupported, input.network->summary().path + ", no layer's bias can be corrected (" + why +
                                                "); re-estimate the batch norms or fine-tune instead");
    Correction correction = withChanges(input, found.parameters);
    if (!why.empty())
        correction.notes.push_back("bias correction left alone " + why);
    return correction;
}

} // namespace bitwright
