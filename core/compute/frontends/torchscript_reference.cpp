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

void flatten(const c10::IValue &value, std::vector<c10::IValue> &leaves)
{
    if (value.isTuple()) {
        for (const c10::IValue &item : value.toTupleRef().elements())
            flatten(item, leaves);
    } else if (value.isList()) {
        for (const c10::IValue &item : value.toListRef())
            flatten(item, leaves);
    } else if (value.isGenericDict()) {
        for (const auto &entry : value.toGenericDict())
            flatten(entry.value(), leaves);
    } else if (!value.isNone()) {
        leaves.push_back(value);
    }
}

/// The interpreter's message begins with the place in the program; what went wrong is at its end.
std::string interpreterReason(const std::string &text)
{
    constexpr std::string_view kMark = "RuntimeError: ";
    const std::size_t at = text.rfind(kMark);
    return firstLine(text.c_str() + (at == std::string::npos ? 0 : at + kMark.size()));
}

/// Puts the arguments of forward together out of the leaves that a reader of the program counts through.
class Arguments {
public:
    Arguments(const std::vector<c10::IValue> &leaves, const std::vector<std::string> &names) : m_leaves(leaves), m_names(names) {}

    c10::IValue make(const std::string &name, const c10::TypePtr &type)
    {
        switch (type->kind()) {
        case c10::TypeKind::TupleType: return tuple(name, type);
        case c10::TypeKind::ListType: return list(name, type->castRaw<c10::ListType>()->getElementType());
        case c10::TypeKind::DictType: return dict(name, type);
        case c10::TypeKind::OptionalType: return make(name, type->castRaw<c10::OptionalType>()->getElementType());
        default: return leaf(name, type);
        }
    }
    [[nodiscard]] bool allTaken() const { return m_next == m_leaves.size(); }

private:
    c10::IValue leaf(const std::string &name, const c10::TypePtr &type)
    {
        TORCH_CHECK(m_next < m_leaves.size(), "nothing is given for its input ", name);
        const c10::IValue &given = m_leaves[m_next++];
        const auto kind = type->kind();
        if (kind != c10::TypeKind::IntType && kind != c10::TypeKind::FloatType && kind != c10::TypeKind::BoolType)
            return given;
        const c10::Scalar number = given.isTensor() ? given.toTensor().item() : given.toScalar();
        return kind == c10::TypeKind::IntType ? c10::IValue(number.toLong()) : kind == c10::TypeKind::FloatType ? c10::IValue(number.toDouble())
                                                                                                               : c10::IValue(number.toBool());
    }

    c10::IValue tuple(const std::string &name, const c10::TypePtr &type)
    {
        const auto *declared = type->castRaw<c10::TupleType>();
        std::vector<c10::IValue> items;
        for (std::size_t i = 0; i < declared->elements().size(); ++i) {
            const std::string field = declared->schema() ? declared->schema()->arguments()[i].name() : std::string();
            items.push_back(make(name + "." + (field.empty() ? std::to_string(i) : field), declared->elements()[i]));
        }
        return declared->schema() ? c10::ivalue::Tuple::createNamed(std::move(items), type->cast<c10::TupleType>())
                                  : c10::ivalue::Tuple::create(std::move(items));
    }

    c10::IValue list(const std::string &name, const c10::TypePtr &element)
    {
        c10::impl::GenericList items(element);
        for (std::string item = name + ".0"; begins(item); item = name + "." + std::to_string(items.size()))
            items.push_back(make(item, element));
        return items;
    }

    c10::IValue dict(const std::string &name, const c10::TypePtr &type)
    {
        const auto *declared = type->castRaw<c10::DictType>();
        c10::impl::GenericDict made(declared->getKeyType(), declared->getValueType());
        const auto inner = declared->getValueType()->kind();
        const bool nested = inner == c10::TypeKind::TupleType || inner == c10::TypeKind::ListType || inner == c10::TypeKind::DictType;
        while (m_next < m_names.size() && m_names[m_next].starts_with(name + ".")) {
            std::string key = m_names[m_next].substr(name.size() + 1);
            if (nested)
                key = key.substr(0, key.find('.'));
            made.insert(key, make(name + "." + key, declared->getValueType()));
        }
        return made;
    }

    /// Whether the next leaf belongs to `name`.
    [[nodiscard]] bool begins(const std::string &name) const
    {
        return m_next < m_names.size() && (m_names[m_next] == name || m_names[m_next].starts_with(name + "."));
    }

    const std::vector<c10::IValue> &m_leaves;
    const std::vector<std::string> &m_names;
    std::size_t m_next = 0;
};

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
        std::vector<c10::IValue> leaves;
        flatten(d->module.forward({inputs.begin(), inputs.end()}), leaves);
        std::vector<at::Tensor> outputs;
        for (const c10::IValue &leaf : leaves)
            if (leaf.isTensor())
                outputs.push_back(leaf.toTensor());
        return outputs;
    });
}

Result<std::vector<c10::IValue>> TorchScriptReference::runLeaves(const std::vector<c10::IValue> &leaves, const std::vector<std::string> &names)
{
    auto result = guarded("cannot run " + d->name, ErrorKind::Invalid, [&] {
        Arguments arguments(leaves, names);
        std::vector<c10::IValue> given;
        const auto &declared = d->module.get_method("forward").function().getSchema().arguments();
        for (std::size_t i = 1; i < declared.size(); ++i) {   // the first is the module itself
            const bool tensor = declared[i].type()->isSubtypeOf(*c10::TensorType::get());
            // As our reader does: what has a default and is no tensor keeps it.
            given.push_back(!tensor && declared[i].default_value() ? *declared[i].default_value() : arguments.make(declared[i].name(), declared[i].type()));
        }
        TORCH_CHECK(arguments.allTaken(), "it reads fewer inputs than the ", leaves.size(), " that are given");
        std::vector<c10::IValue> outputs;
        flatten(d->module.forward(given), outputs);
        return outputs;
    });
    if (!result)
        result.error().message = "cannot run " + d->name + ", " + interpreterReason(result.error().context);
    return result;
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
