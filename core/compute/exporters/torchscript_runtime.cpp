// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/runtimes.h"
#include "frontends/torchscript_reference.h"

namespace bitwright {

namespace {

/// LibTorch's own interpreter of TorchScript files.
class TorchScriptRuntime final : public Runtime {
public:
    TorchScriptRuntime(TorchScriptReference reference, std::vector<std::string> inputs)
        : m_reference(std::move(reference)), m_inputs(std::move(inputs))
    {
    }
    std::string name() const override { return "LibTorch"; }
    Result<RuntimeOutput> run(const std::vector<c10::IValue> &inputs, const JobContext &) override
    {
        BW_ASSIGN(const auto outputs, m_reference.runLeaves(inputs, m_inputs));
        BW_ASSIGN(const at::Tensor first, firstOutput(outputs));
        return RuntimeOutput{first, {}};
    }

private:
    TorchScriptReference m_reference;
    std::vector<std::string> m_inputs;
};

} // namespace

Result<std::unique_ptr<Runtime>> torchscriptRuntime(const std::string &path, std::vector<std::string> inputs)
{
    BW_ASSIGN(auto reference, TorchScriptReference::load(path));
    return std::unique_ptr<Runtime>(std::make_unique<TorchScriptRuntime>(std::move(reference), std::move(inputs)));
}

} // namespace bitwright
