// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include <functional>

namespace bitwright {

namespace {

using at::Tensor;

using Activation = std::function<Tensor(const Tensor &)>;

Activation activationOf(const std::string &name, double alpha, double beta, bool hasAlpha, bool hasBeta)
{
    if (name == "Sigmoid")
        return [](const Tensor &x) { return at::sigmoid(x); };
    if (name == "Tanh")
        return [](const Tensor &x) { return at::tanh(x); };
    if (name == "Relu")
        return [](const Tensor &x) { return at::relu(x); };
    if (name == "Affine")
        return [=](const Tensor &x) { return x * (hasAlpha ? alpha : 1) + (hasBeta ? beta : 0); };
    if (name == "LeakyRelu")
        return [=](const Tensor &x) { return at::leaky_relu(x, hasAlpha ? alpha : 0.01); };
    if (name == "ThresholdedRelu")
        return [=](const Tensor &x) { return at::where(x > (hasAlpha ? alpha : 1), x, at::zeros_like(x)); };
    if (name == "ScaledTanh")
        return [=](const Tensor &x) { return at::tanh(x * (hasBeta ? beta : 1)) * (hasAlpha ? alpha : 1); };
    if (name == "HardSigmoid")
        return [=](const Tensor &x) { return (x * (hasAlpha ? alpha : 0.2) + (hasBeta ? beta : 0.5)).clamp(0, 1); };
    if (name == "Elu")
        return [=](const Tensor &x) { return at::elu(x, hasAlpha ? alpha : 1); };
    if (name == "Softsign")
        return [](const Tensor &x) { return x / (1 + x.abs()); };
    if (name == "Softplus")
        return [](const Tensor &x) { return at::softplus(x); };
    TORCH_CHECK(false, "the activation ", name, " is not known");
}

/// As it is after quantization to 8 bits by its own range, which DynamicQuantizeLinear takes.
Tensor dynamicallyQuantized(const Tensor &x)
{
    if (x.numel() == 0)
        return x;
    const Tensor low = x.min().clamp_max(0), high = x.max().clamp_min(0);
    Tensor scale = (high - low) / 255;
    scale = at::where(scale == 0, at::ones_like(scale), scale);
    const Tensor zero = (-low / scale).clamp(0, 255).round();
    return (((x / scale).round() + zero).clamp(0, 255) - zero) * scale;
}

/// One direction's step: from the input's share of the gates (W x + Wb) to the next state.
struct Cell {
    Tensor w, r, wb, rb, peephole;
    std::vector<Activation> f;
    double clip = 0;
    bool linearBeforeReset = false, quantizesState = false;
    Tensor h, c;

    [[nodiscard]] Tensor clipped(const Tensor &x) const { return clip > 0 ? x.clamp(-clip, clip) : x; }
    void rnn(const Tensor &x) { h = f[0](clipped(x + at::matmul(h, r.t()) + rb)); }
    void gru(const Tensor &x);
    void lstm(const Tensor &x);
};

void Cell::gru(const Tensor &x)
{
    const std::int64_t n = h.size(-1);
    const auto part = [&](const Tensor &t, int gate) { return t.narrow(-1, gate * n, n); };
    const auto recurrent = [&](const Tensor &state, int gate) { return at::matmul(state, r.narrow(0, gate * n, n).t()); };
    const Tensor z = f[0](clipped(part(x, 0) + recurrent(h, 0) + part(rb, 0)));
    const Tensor reset = f[0](clipped(part(x, 1) + recurrent(h, 1) + part(rb, 1)));
    const Tensor candidate = linearBeforeReset ? f[1](clipped(part(x, 2) + reset * (recurrent(h, 2) + part(rb, 2))))
                                               : f[1](clipped(part(x, 2) + recurrent(reset * h, 2) + part(rb, 2)));
    h = (1 - z) * candidate + z * h;
}

void Cell::lstm(const Tensor &x)
{
    const std::int64_t n = h.size(-1);
    const Tensor gates = x + at::matmul(quantizesState ? dynamicallyQuantized(h) : h, r.t()) + rb;
    const auto gate = [&](int index, int hole, const Tensor &cell) {
        Tensor made = gates.narrow(-1, index * n, n);
        if (peephole.defined() && hole >= 0)
            made = made + peephole.narrow(0, hole * n, n) * cell;
        return clipped(made);
    };
    const Tensor i = f[0](gate(0, 0, c)), forget = f[0](gate(2, 2, c)), candidate = f[1](gate(3, -1, c));
    c = forget * c + i * candidate;
    const Tensor o = f[0](gate(1, 1, c));
    h = o * f[2](c);
}

enum class Kind { Rnn, Gru, Lstm };

OnnxValues recurrent(const OnnxCall &call, const OnnxValues &in, Kind kind, bool quantizes = false)
{
    const int gates = kind == Kind::Rnn ? 1 : kind == Kind::Gru ? 3 : 4;
    const bool batchFirst = call.integer("layout", 0) != 0;
    Tensor x = tensorIn(in, 0);
    const Tensor weights = tensorIn(in, 1), recurrents = tensorIn(in, 2);
    TORCH_CHECK(x.dim() == 3 && weights.dim() == 3 && recurrents.dim() == 3, "a recurrent layer over ", x.dim(), " dimensions");
    if (batchFirst)
        x = x.transpose(0, 1);
    if (quantizes)
        x = dynamicallyQuantized(x);
    const std::int64_t length = x.size(0), batch = x.size(1), directions = weights.size(0), hidden = recurrents.size(2);
    checkCount(length);
    checkCount(directions);
    const std::string direction = call.text("direction", "forward");
    const std::vector<std::string> fallback = kind == Kind::Rnn ? std::vector<std::string>{"Tanh"}
                                            : kind == Kind::Gru ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                                                : std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"};
    const auto names = call.texts("activations");
    const auto alphas = call.numbers("activation_alpha"), betas = call.numbers("activation_beta");
    const auto state = [&](std::size_t index) {
        if (!given(in, index))
            return at::zeros({directions, batch, hidden}, x.options());
        return batchFirst ? tensorIn(in, index).transpose(0, 1) : tensorIn(in, index);
    };
    const Tensor firstHidden = state(5), firstCell = kind == Kind::Lstm ? state(6) : Tensor();
    std::vector<Tensor> outputs, lastHidden, lastCell;
    std::size_t alpha = 0, beta = 0;
    for (std::int64_t d = 0; d < directions; ++d) {
        Cell cell;
        cell.w = weights.select(0, d);
        cell.r = recurrents.select(0, d);
        const Tensor both = given(in, 3) ? tensorIn(in, 3).select(0, d) : at::zeros({2 * gates * hidden}, x.options());
        cell.wb = both.narrow(0, 0, gates * hidden);
        cell.rb = both.narrow(0, gates * hidden, gates * hidden);
        if (kind == Kind::Lstm && given(in, 7))
            cell.peephole = tensorIn(in, 7).select(0, d);
        cell.clip = call.number("clip", 0);
        cell.quantizesState = quantizes;
        cell.linearBeforeReset = call.integer("linear_before_reset", 0) != 0;
        for (std::size_t i = 0; i < fallback.size(); ++i) {
            const std::size_t at = std::size_t(d) * fallback.size() + i;
            const std::string &name = at < names.size() ? names[at] : fallback[i];
            const bool takesAlpha = name != "Sigmoid" && name != "Tanh" && name != "Relu" && name != "Softsign" && name != "Softplus";
            const bool takesBeta = name == "Affine" || name == "ScaledTanh" || name == "HardSigmoid";
            const bool hasAlpha = takesAlpha && alpha < alphas.size(), hasBeta = takesBeta && beta < betas.size();
            const double a = hasAlpha ? alphas[alpha++] : 0, b = hasBeta ? betas[beta++] : 0;
            cell.f.push_back(activationOf(name, a, b, hasAlpha, hasBeta));
        }
        cell.h = firstHidden.select(0, d);
        if (kind == Kind::Lstm) {
            cell.c = firstCell.select(0, d);
            if (call.integer("input_forget", 0) != 0)
                TORCH_CHECK(false, "an LSTM whose input and forget gates are coupled");
        }
        const bool backwards = direction == "reverse" || d == 1;
        Tensor lengths;
        if (given(in, 4))
            lengths = tensorIn(in, 4).to(at::kLong);
        const Tensor fromInput = at::matmul(x, cell.w.t()) + cell.wb;
        std::vector<Tensor> steps;
        steps.resize(std::size_t(length));
        for (std::int64_t s = 0; s < length; ++s) {
            const std::int64_t t = backwards ? length - 1 - s : s;
            const Tensor h = cell.h, c = cell.c;
            const Tensor now = fromInput.select(0, t);
            if (kind == Kind::Rnn)
                cell.rnn(now);
            else if (kind == Kind::Gru)
                cell.gru(now);
            else
                cell.lstm(now);
            Tensor shown = cell.h;
            if (lengths.defined()) {
                // Past a sequence's end its state stays and its output is zero.
                const Tensor real = (lengths > t).unsqueeze(1);
                shown = at::where(real, cell.h, at::zeros_like(cell.h));
                cell.h = at::where(real, cell.h, h);
                if (kind == Kind::Lstm)
                    cell.c = at::where(real, cell.c, c);
            }
            steps[std::size_t(t)] = shown;
        }
        outputs.push_back(length > 0 ? at::stack(steps) : at::zeros({0, batch, hidden}, x.options()));
        lastHidden.push_back(cell.h);
        if (kind == Kind::Lstm)
            lastCell.push_back(cell.c);
    }
    Tensor y = at::stack(outputs, 1), h = at::stack(lastHidden);
    Tensor c = kind == Kind::Lstm ? at::stack(lastCell) : Tensor();
    if (batchFirst) {
        y = y.permute({2, 0, 1, 3});
        h = h.transpose(0, 1);
        if (c.defined())
            c = c.transpose(0, 1);
    }
    OnnxValues made{y, h};
    if (c.defined())
        made.emplace_back(c);
    return made;
}

OnnxValues rnn(const OnnxCall &call, const OnnxValues &in) { return recurrent(call, in, Kind::Rnn); }
OnnxValues gru(const OnnxCall &call, const OnnxValues &in) { return recurrent(call, in, Kind::Gru); }
OnnxValues lstm(const OnnxCall &call, const OnnxValues &in) { return recurrent(call, in, Kind::Lstm); }

/// com.microsoft's LSTM over int8 weights [directions, inputs, gates × hidden]; input and state are quantized as they come.
OnnxValues dynamicQuantizeLstm(const OnnxCall &call, const OnnxValues &in)
{
    const auto real = [&](std::size_t weight, std::size_t scale) {
        const Tensor codes = tensorIn(in, weight);
        TORCH_CHECK(codes.dim() == 3, "weights of ", codes.dim(), " dimensions");
        const auto spread = [&](const Tensor &parameter) {
            return parameter.numel() == codes.size(0) ? parameter.reshape({-1, 1, 1}) : parameter.reshape({codes.size(0), 1, codes.size(2)});
        };
        const Tensor values = codes.to(at::kFloat) - (given(in, scale + 1) ? spread(tensorIn(in, scale + 1)).to(at::kFloat) : at::zeros({}));
        return (values * spread(tensorIn(in, scale))).transpose(1, 2);
    };
    OnnxValues plain(in.begin(), in.begin() + std::ptrdiff_t(std::min<std::size_t>(in.size(), 8)));
    plain.at(1) = real(1, 8);
    plain.at(2) = real(2, 10);
    return recurrent(call, plain, Kind::Lstm, true);
}

} // namespace

std::span<const OnnxKernelRow> onnxRecurrentKernels()
{
    static const OnnxKernelRow kRows[] = {{"RNN", rnn}, {"GRU", gru}, {"LSTM", lstm}, {"com.microsoft::DynamicQuantizeLSTM", dynamicQuantizeLstm}};
    return kRows;
}

} // namespace bitwright
