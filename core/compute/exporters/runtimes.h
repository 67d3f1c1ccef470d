// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "frontends/onnx_proto.h"
#include "session/engine_api.h"
#include "simulate/network.h"

#include <ATen/core/Tensor.h>

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

/// Something that runs a written file as it stands.
class Runtime {
public:
    virtual ~Runtime() = default;
    [[nodiscard]] virtual std::string name() const = 0;
    virtual Result<RuntimeOutput> run(const at::Tensor &input, const JobContext &context) = 0;
};

/// ONNX Runtime in a child Python. The error is of kind Unsupported where there is no Python or no onnxruntime.
Result<std::unique_ptr<Runtime>> onnxRuntime(const std::string &path, const onnx::Model &model,
                                             const std::vector<QuantizedSite> &sites, int threads, const JobContext &context);
/// Our own reader and executor.
Result<std::unique_ptr<Runtime>> readerRuntime(const std::string &path, const std::vector<QuantizedSite> &sites, const JobContext &context);
/// A pack's weights and input quantizers in `network`'s graph, and where its weights differ from `simulated`.
struct PackContents {
    std::unique_ptr<Runtime> runtime;
    std::vector<LayerAgreement> weights;   ///< by parameter
};
Result<PackContents> packRuntime(const std::string &path, std::shared_ptr<const Network> network, const ParameterMap &simulated);
/// PyTorch in a child Python, for `.pt2`. The error is of kind Unsupported where there is no Python or no torch.
Result<std::unique_ptr<Runtime>> pytorchRuntime(const std::string &path, int threads, const JobContext &context);
/// `plain`'s output, and the quantized inputs of the layers as our reader finds them in the same file; `plain` may be none:
/// then the output is the reader's, too. `sites` is filled with what is seen; empty for a file of somebody else.
Result<std::unique_ptr<Runtime>> tappedRuntime(const std::string &path, std::unique_ptr<Runtime> plain, std::vector<QuantizedSite> &sites,
                                               const JobContext &context);
/// LibTorch's own interpreter, for TorchScript files.
Result<std::unique_ptr<Runtime>> torchscriptRuntime(const std::string &path);

/// The Python that runs files: BITWRIGHT_PYTHON, else that of the build's virtual environment, else python3.
std::string pythonProgram();

} // namespace bitwright
