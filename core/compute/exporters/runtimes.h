// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "config/model_config.h"
#include "frontends/onnx_proto.h"
#include "session/engine_api.h"
#include "simulate/network.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// Where a written file quantizes a layer's input; in file order.
struct QuantizedSite {
    std::string layer;
    int call = 0;
    std::string codes, values;   ///< names of the integer and of the dequantized tensor
    float scale = 1;                    ///< 0: free levels, compared by their values
    std::int64_t zeroPoint = 0;
};
/// Finds them by the names that our exporter gives; empty for a file of somebody else.
Result<std::vector<QuantizedSite>> quantizedSites(const onnx::Model &model);

struct RuntimeOutput {
    at::Tensor output;                 ///< the first output of the network
    std::vector<at::Tensor> steps;     ///< one per site: multiples of the scale, integers as int32; the floats' bits where it is 0
};

/// The first of a network's outputs as a tensor; a number becomes one without dimensions. An error says what else it is.
Result<at::Tensor> firstOutput(const std::vector<c10::IValue> &outputs);

/// Something that runs a written file as it stands.
class Runtime {
public:
    virtual ~Runtime() = default;
    [[nodiscard]] virtual std::string name() const = 0;
    /// `inputs`: one value per input of the network, in order; numbers as numbers or as tensors without dimensions.
    virtual Result<RuntimeOutput> run(const std::vector<c10::IValue> &inputs, const JobContext &context) = 0;
};

/// ONNX Runtime in a child Python. The error is of kind Unsupported where there is no Python or no onnxruntime.
Result<std::unique_ptr<Runtime>> onnxRuntime(const std::string &path, const onnx::Model &model,
                                             const std::vector<QuantizedSite> &sites, int threads, const JobContext &context);
/// Our own reader and executor.
Result<std::unique_ptr<Runtime>> readerRuntime(const std::string &path, const std::vector<QuantizedSite> &sites, const JobContext &context);
/// PyTorch in a child Python, for `.pt2`. The error is of kind Unsupported where there is no Python or no torch.
Result<std::unique_ptr<Runtime>> pytorchRuntime(const std::string &path, int threads, const JobContext &context);
/// `plain`'s output, and the quantized inputs of the layers as our reader finds them in the same file; `plain` may be none:
/// then the output is the reader's, too. `sites` is filled with what is seen; empty for a file of somebody else.
Result<std::unique_ptr<Runtime>> tappedRuntime(const std::string &path, std::unique_ptr<Runtime> plain, std::vector<QuantizedSite> &sites,
                                               const JobContext &context);
/// LibTorch's own interpreter, for TorchScript files. `inputs`: names of the network's inputs, as our reader finds them.
Result<std::unique_ptr<Runtime>> torchscriptRuntime(const std::string &path, std::vector<std::string> inputs);

/// A file of weights: what runs them in their network, and how each parameter compares with the simulation's, in the
/// order of the file.
struct WeightsContents {
    std::unique_ptr<Runtime> runtime;      ///< none where the network cannot be run
    std::string reader;                    ///< who read the file: "PyTorch 2.13.0", "Bitwright reader"
    std::vector<LayerAgreement> weights;   ///< by parameter
    std::vector<std::string> notes;
};
Result<WeightsContents> packContents(const std::string &path, std::shared_ptr<const Network> network, const ParameterMap &simulated);
/// A state dict or safetensors file, read by our reader and, a state dict, by PyTorch in a child Python where it is
/// installed. An error names the first tensor that is missing, too many, of another shape, or read differently by the two.
struct StateDictInput {
    std::string path;
    std::shared_ptr<const Network> network;
    bool foldBatchNorm = false;
    const ResolvedConfig &config;          ///< how the network quantizes inputs
    const ParameterMap &simulated;
    bool ownReaderOnly = false;
};
Result<WeightsContents> stateDictContents(const StateDictInput &input, const JobContext &context);

/// How many elements of a parameter differ, in any bit but the sign of a zero.
LayerAgreement compareWeights(const std::string &name, const at::Tensor &ours, const at::Tensor &theirs);
/// `network`'s own graph with these parameters, the inputs of its layers quantized by `config`.
Result<std::unique_ptr<Runtime>> weightsRuntime(const std::string &path, std::shared_ptr<const Network> network, bool folded,
                                                const ResolvedConfig &config, const ParameterMap &parameters);

} // namespace bitwright
