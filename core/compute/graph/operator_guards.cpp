// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/operator_guards.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

namespace bitwright {

namespace {

using at::Tensor;

void checkSizes(const Tensor &tensor, at::IntArrayRef wanted)
{
    TORCH_CHECK(tensor.defined() && tensor.sizes() == wanted, "a recurrent layer's weight of another shape than its input and state ask for");
}

/// (input, state or states, parameters, has_biases, num_layers, dropout, train, bidirectional, batch_first): oneDNN takes the
/// parameters as they come and reads behind those that are too small.
template <std::int64_t Gates>
void checkRecurrent(const torch::jit::Stack &arguments)
{
    TORCH_CHECK(arguments.size() == 9 && arguments[0].isTensor() && arguments[2].isTensorList() && arguments[4].isInt(), "a recurrent layer without its arguments");
    const Tensor input = arguments[0].toTensor();
    const std::vector<Tensor> states = arguments[1].isTensorList() ? arguments[1].toTensorVector() : std::vector<Tensor>{arguments[1].toTensor()};
    const std::vector<Tensor> parameters = arguments[2].toTensorVector();
    const bool biases = arguments[3].toBool();
    const std::int64_t layers = arguments[4].toInt(), directions = arguments[7].toBool() ? 2 : 1;
    TORCH_CHECK(input.dim() == 3 && layers > 0 && layers <= 1024, "a recurrent layer of ", layers, " layers over ", input.dim(), " dimensions");
    const std::size_t cells = std::size_t(layers * directions);
    TORCH_CHECK(parameters.size() % cells == 0, parameters.size(), " parameters for ", cells, " recurrent layers");
    const std::size_t each = parameters.size() / cells, plain = biases ? 4 : 2;
    const bool projects = Gates == 4 && each == plain + 1;
    TORCH_CHECK(each == plain || projects, each, " parameters in a recurrent layer");
    TORCH_CHECK(parameters[1].dim() == 2 && parameters[0].dim() == 2 && parameters[0].size(0) % Gates == 0, "a recurrent layer's weights are no matrices");
    const std::int64_t hidden = parameters[0].size(0) / Gates, out = projects ? parameters[1].size(1) : hidden;
    const std::int64_t batch = input.size(arguments[8].toBool() ? 0 : 1);
    TORCH_CHECK(hidden > 0 && out > 0, "a recurrent layer without a state");
    for (std::size_t i = 0; i < cells; ++i) {
        const Tensor *const cell = &parameters[i * each];
        const std::int64_t in = i < std::size_t(directions) ? input.size(2) : out * directions;
        checkSizes(cell[0], {Gates * hidden, in});
        checkSizes(cell[1], {Gates * hidden, out});
        for (std::size_t bias = 2; bias < plain; ++bias)
            checkSizes(cell[bias], {Gates * hidden});
        if (projects)
            checkSizes(cell[plain], {out, hidden});
    }
    TORCH_CHECK(states.size() == (Gates == 4 ? 2 : 1), states.size(), " states of a recurrent layer");
    checkSizes(states[0], {std::int64_t(cells), batch, out});
    if (Gates == 4)
        checkSizes(states[1], {std::int64_t(cells), batch, hidden});
}

} // namespace

bool isAllowedOperator(const std::string &base)
{
    static const std::array<std::string, 2> kFiles{"aten::from_file", "aten::save"};
    return std::ranges::find(kFiles, base) == kFiles.end();
}

OperatorGuard operatorGuard(const std::string &base, const std::string &overload)
{
    if (overload != "input")
        return nullptr;
    if (base == "aten::lstm")
        return checkRecurrent<4>;
    if (base == "aten::gru")
        return checkRecurrent<3>;
    return base == "aten::rnn_tanh" || base == "aten::rnn_relu" ? checkRecurrent<1> : nullptr;
}

} // namespace bitwright
