// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/onnx/onnx_kernel.h"

#include <cmath>
#include <numbers>

namespace bitwright {

namespace {

using at::Tensor;

at::ScalarType wantedType(const OnnxCall &call, const char *attribute, at::ScalarType fallback)
{
    if (!call.has(attribute))
        return fallback;
    const at::ScalarType type = scalarTypeOf(onnx::DataType(call.integer(attribute, 1)));
    TORCH_CHECK(type != at::ScalarType::Undefined, "the element type ", call.integer(attribute, 1));
    return type;
}

/// Last dimension 1 (real) or 2 (real, imaginary) as a complex tensor without it.
Tensor complexOf(const Tensor &x)
{
    const Tensor real = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
    if (real.size(-1) == 2)
        return at::view_as_complex(real.contiguous());
    return at::complex(real.select(-1, 0).contiguous(), at::zeros_like(real.select(-1, 0)).contiguous());
}

OnnxValues dft(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor x = tensorIn(in, 0);
    const std::int64_t axis = wrapAxis(given(in, 2) ? intsIn(in, 2).at(0) : call.integer("axis", call.opset >= 20 ? -2 : 1), x.dim());
    const bool inverse = call.integer("inverse", 0) != 0, oneSided = call.integer("onesided", 0) != 0;
    const std::optional<std::int64_t> length = given(in, 1) ? std::optional(intsIn(in, 1).at(0)) : std::nullopt;
    const Tensor made = complexOf(x);
    if (oneSided && inverse)
        return {at::fft_irfft(made, length ? *length : std::optional<std::int64_t>(2 * (x.size(axis) - 1)), axis).unsqueeze(-1).to(x.scalar_type())};
    Tensor spectrum = inverse ? at::fft_ifft(made, length, axis) : at::fft_fft(made, length, axis);
    if (oneSided)
        spectrum = spectrum.narrow(axis, 0, spectrum.size(axis) / 2 + 1);
    return {at::view_as_real(spectrum).to(x.scalar_type())};
}

OnnxValues stft(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor signal = tensorIn(in, 0);
    const std::int64_t step = intsIn(in, 1).at(0);
    const std::int64_t frame = given(in, 3) ? intsIn(in, 3).at(0) : tensorIn(in, 2).size(0);
    TORCH_CHECK(step > 0 && frame > 0 && frame <= signal.size(1), "frames of ", frame, " in steps of ", step);
    Tensor frames = complexOf(signal.dim() == 3 ? signal : signal.unsqueeze(-1)).unfold(1, frame, step);
    if (given(in, 2))
        frames = frames * tensorIn(in, 2);
    Tensor made = at::fft_fft(frames, std::nullopt, -1);
    if (call.integer("onesided", 1) != 0)
        made = made.narrow(-1, 0, frame / 2 + 1);
    return {at::view_as_real(made).to(signal.scalar_type())};
}

OnnxValues window(const OnnxCall &call, const OnnxValues &in, double a, double b, double c)
{
    const std::int64_t size = intsIn(in, 0).at(0);
    TORCH_CHECK(size > 0 && size < (1LL << 31), "a window of ", size, " samples");
    const double period = double(call.integer("periodic", 1) != 0 ? size : size - 1);
    const Tensor angle = at::arange(size, at::TensorOptions(at::kDouble)) * (2 * std::numbers::pi / period);
    return {(a - b * at::cos(angle) + c * at::cos(angle * 2)).to(wantedType(call, "output_datatype", at::kFloat))};
}
OnnxValues hann(const OnnxCall &call, const OnnxValues &in) { return window(call, in, 0.5, 0.5, 0); }
OnnxValues hamming(const OnnxCall &call, const OnnxValues &in) { return window(call, in, 25.0 / 46, 21.0 / 46, 0); }
OnnxValues blackman(const OnnxCall &call, const OnnxValues &in) { return window(call, in, 0.42, 0.5, 0.08); }

OnnxValues melWeights(const OnnxCall &call, const OnnxValues &in)
{
    const std::int64_t bins = intsIn(in, 0).at(0), length = intsIn(in, 1).at(0), rate = intsIn(in, 2).at(0);
    const double low = tensorIn(in, 3).item<double>(), high = tensorIn(in, 4).item<double>();
    const std::int64_t rows = length / 2 + 1;
    TORCH_CHECK(bins > 0 && rows > 0 && bins < 100000 && rows < 10000000 && rate > 0, "a mel matrix of ", bins, " bins");
    const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
    std::vector<std::int64_t> edges;
    for (std::int64_t i = 0; i < bins + 2; ++i) {
        const double point = mel(low) + double(i) * (mel(high) - mel(low)) / double(bins + 2);
        const double edge = std::floor(double(length + 1) * (700 * (std::pow(10, point / 2595) - 1)) / double(rate));
        TORCH_CHECK(std::abs(edge) < 1e15, "a mel matrix from ", low, " to ", high, " Hz");
        edges.push_back(std::int64_t(edge));
    }
    Tensor made = at::zeros({rows, bins}, at::kDouble);
    auto cells = made.accessor<double, 2>();
    const auto set = [&](std::int64_t row, std::int64_t column, double value) {
        if (row >= 0 && row < rows)
            cells[row][column] = value;
    };
    for (std::int64_t i = 0; i < bins; ++i) {
        const std::int64_t a = edges[std::size_t(i)], b = edges[std::size_t(i) + 1], c = edges[std::size_t(i) + 2];
        if (b == a)
            set(b, i, 1);
        for (std::int64_t j = std::max<std::int64_t>(a, 0); j <= std::min(b, rows - 1) && b > a; ++j)
            set(j, i, double(j - a) / double(b - a));
        for (std::int64_t j = std::max<std::int64_t>(b, 0); j < std::min(c, rows) && c > b; ++j)
            set(j, i, double(c - j) / double(c - b));
    }
    return {made.to(wantedType(call, "output_datatype", at::kFloat))};
}

// ---- random numbers: drawn anew at each run, from LibTorch's generator ----

Tensor likeOrShape(const OnnxCall &call, const OnnxValues &in)
{
    if (given(in, 0))
        return at::empty(tensorIn(in, 0).sizes(), at::TensorOptions(wantedType(call, "dtype", tensorIn(in, 0).scalar_type())));
    return at::empty(call.integers("shape"), at::TensorOptions(wantedType(call, "dtype", at::kFloat)));
}
OnnxValues normal(const OnnxCall &call, const OnnxValues &in) { return {likeOrShape(call, in).normal_(call.number("mean", 0), call.number("scale", 1))}; }
OnnxValues uniform(const OnnxCall &call, const OnnxValues &in) { return {likeOrShape(call, in).uniform_(call.number("low", 0), call.number("high", 1))}; }
OnnxValues bernoulli(const OnnxCall &call, const OnnxValues &in)
{
    const Tensor p = tensorIn(in, 0);
    return {at::bernoulli(p).to(wantedType(call, "dtype", p.scalar_type()))};
}
OnnxValues multinomial(const OnnxCall &call, const OnnxValues &in)
{
    return {at::multinomial(tensorIn(in, 0).exp(), call.integer("sample_size", 1), true).to(wantedType(call, "dtype", at::kInt))};
}

} // namespace

std::span<const OnnxKernelRow> onnxSignalKernels()
{
    static const OnnxKernelRow kRows[] = {
        {"DFT", dft}, {"STFT", stft}, {"HannWindow", hann}, {"HammingWindow", hamming}, {"BlackmanWindow", blackman},
        {"MelWeightMatrix", melWeights}, {"RandomNormal", normal}, {"RandomNormalLike", normal}, {"RandomUniform", uniform},
        {"RandomUniformLike", uniform}, {"Bernoulli", bernoulli}, {"Multinomial", multinomial},
    };
    return kRows;
}

} // namespace bitwright
