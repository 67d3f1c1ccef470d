// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

namespace bitwright {

namespace {

using at::Tensor;

std::vector<Tensor> sequenceIn(const OnnxValues &in, std::size_t index)
{
    TORCH_CHECK(given(in, index) && in[index].isList(), "input ", index, " is no sequence");
    std::vector<Tensor> made;
    for (const c10::IValue &element : in[index].toListRef())
        made.push_back(element.toTensor());
    return made;
}

c10::IValue sequence(const std::vector<Tensor> &elements)
{
    c10::List<Tensor> list;
    for (const Tensor &element : elements)
        list.push_back(element);
    return list;
}

std::int64_t place(const OnnxValues &in, std::size_t index, std::int64_t size, std::int64_t fallback)
{
    if (!given(in, index))
        return fallback;
    const std::int64_t at = intsIn(in, index).at(0), wrapped = at < 0 ? at + size : at;
    TORCH_CHECK(wrapped >= 0 && wrapped <= size, "place ", at, " of a sequence of ", size);
    return wrapped;
}

OnnxValues empty(const OnnxCall &, const OnnxValues &) { return {sequence({})}; }

OnnxValues construct(const OnnxCall &, const OnnxValues &in)
{
    std::vector<Tensor> elements;
    for (std::size_t i = 0; i < in.size(); ++i)
        elements.push_back(tensorIn(in, i));
    return {sequence(elements)};
}

OnnxValues at(const OnnxCall &, const OnnxValues &in)
{
    const auto elements = sequenceIn(in, 0);
    return {elements.at(std::size_t(place(in, 1, std::int64_t(elements.size()), 0)))};
}

OnnxValues length(const OnnxCall &, const OnnxValues &in)
{
    return {at::scalar_tensor(std::int64_t(sequenceIn(in, 0).size()), at::TensorOptions(at::kLong))};
}

OnnxValues insert(const OnnxCall &, const OnnxValues &in)
{
    auto elements = sequenceIn(in, 0);
    const auto size = std::int64_t(elements.size());
    elements.insert(elements.begin() + place(in, 2, size, size), tensorIn(in, 1));
    return {sequence(elements)};
}

OnnxValues erase(const OnnxCall &, const OnnxValues &in)
{
    auto elements = sequenceIn(in, 0);
    const auto size = std::int64_t(elements.size());
    const std::int64_t where = place(in, 1, size, size - 1);
    TORCH_CHECK(where >= 0 && where < size, "place ", where, " of a sequence of ", size);
    elements.erase(elements.begin() + where);
    return {sequence(elements)};
}

OnnxValues concat(const OnnxCall &call, const OnnxValues &in)
{
    const auto elements = sequenceIn(in, 0);
    const std::int64_t axis = call.integer("axis", 0);
    return {call.integer("new_axis", 0) != 0 ? at::stack(elements, axis) : at::cat(elements, axis)};
}

OnnxValues split(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(call.integer("axis", 0), x.dim());
    if (!given(in, 1)) {
        checkCount(x.size(axis));
        std::vector<Tensor> parts;
        for (const Tensor &part : x.split(1, axis))
            parts.push_back(call.integer("keepdims", 1) != 0 ? part : part.squeeze(axis));
        return {sequence(parts)};
    }
    const auto sizes = intsIn(in, 1);
    if (tensorIn(in, 1).dim() == 0 && sizes.at(0) > 0)
        checkCount(x.size(axis) / sizes.at(0));
    if (tensorIn(in, 1).dim() == 0)
        return {sequence(x.split(sizes.at(0), axis))};
    return {sequence(x.split_with_sizes(sizes, axis))};
}

OnnxValues optionalElement(const OnnxCall &, const OnnxValues &in)
{
    TORCH_CHECK(given(in, 0), "an optional value that is not there");
    return {in[0]};
}
OnnxValues hasElement(const OnnxCall &, const OnnxValues &in)
{
    return {at::scalar_tensor(given(in, 0), at::TensorOptions(at::kBool))};
}
OnnxValues optional(const OnnxCall &, const OnnxValues &in) { return {given(in, 0) ? in[0] : c10::IValue()}; }

} // namespace

std::span<const OnnxKernelRow> onnxSequenceKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"SequenceEmpty", empty}, {"SequenceConstruct", construct}, {"SequenceAt", at}, {"SequenceLength", length},
        {"SequenceInsert", insert}, {"SequenceErase", erase}, {"ConcatFromSequence", concat}, {"SplitToSequence", split},
        {"Optional", optional}, {"OptionalGetElement", optionalElement}, {"OptionalHasElement", hasElement},
    };
    return kRows;
}

} // namespace bitwright
