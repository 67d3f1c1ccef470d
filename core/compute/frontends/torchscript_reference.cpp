// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/torchscript_reference.h"

#include "frontends/torchscript_archive.h"
#include "tensor/guarded.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>

namespace bitwright {

struct TorchScriptReference::Private {
    torch::jit::Module module;
    std::string name;
};

namespace {

void flatten(const c10::IValue &value, std::vector<at::Tensor> &tensors)
{
    if (value.isTensor())
        tensors.push_back(value.toTensor());
    else if (value.isTuple())
        for (const c10::IValue &item : value.toTupleRef().elements())
            flatten(item, tensors);
    else if (value.isList())
        for (const c10::IValue &item : value.toListRef())
            flatten(item, tensors);
    else if (value.isGenericDict())
        for (const auto &entry : value.toGenericDict())
            flatten(entry.value(), tensors);
}

} // namespace

TorchScriptReference::TorchScriptReference(std::unique_ptr<Private> private_) : d(std::move(private_)) {}
TorchScriptReference::TorchScriptReference(TorchScriptReference &&) noexcept = default;
TorchScriptReference &TorchScriptReference::operator=(TorchScriptReference &&) noexcept = default;
TorchScriptReference::~TorchScriptReference() = default;

Result<TorchScriptReference> TorchScriptReference::load(const std::string &path)
{
    const std::string name = std::filesystem::path(path).filename().string();
    auto state = std::make_unique<Private>();
    state->name = name;
    BW_CHECK(torchscript::checkArchive(path));
    BW_CHECK(guarded("cannot read " + name + " as TorchScript", ErrorKind::Parse, [&] {
        state->module = torch::jit::load(path, c10::Device(c10::kCPU), false);
        state->module.eval();
    }));
    return TorchScriptReference(std::move(state));
}

Result<std::vector<at::Tensor>> TorchScriptReference::run(const std::vector<at::Tensor> &inputs)
{
    return guarded("cannot run " + d->name, ErrorKind::Invalid, [&] {
        std::vector<at::Tensor> outputs;
        flatten(d->module.forward({inputs.begin(), inputs.end()}), outputs);
        return outputs;
    });
}

Status TorchScriptReference::warmUp(const std::vector<at::Tensor> &inputs, int passes)
{
    for (int i = 0; i < passes; ++i)
        BW_CHECK(run(inputs));
    return {};
}

std::vector<std::pair<std::string, at::Tensor>> TorchScriptReference::parameters() const
{
    std::vector<std::pair<std::string, at::Tensor>> all;
    for (const auto &parameter : d->module.named_parameters(true))
        all.emplace_back(parameter.name, parameter.value);
    for (const auto &buffer : d->module.named_buffers(true))
        all.emplace_back(buffer.name, buffer.value);
    return all;
}

void TorchScriptReference::train(bool on)
{
    d->module.train(on);
}

Result<std::vector<at::Tensor>> runTorchScriptReference(const std::string &path, const std::vector<at::Tensor> &inputs)
{
    const at::NoGradGuard noGrad;
    BW_ASSIGN(TorchScriptReference reference, TorchScriptReference::load(path));
    return reference.run(inputs);
}

} // namespace bitwright
