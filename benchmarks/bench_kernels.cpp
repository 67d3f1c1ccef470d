// SPDX-License-Identifier: GPL-3.0-or-later
#include "bench_groups.h"

#include "quant/preview.h"
#include "tensor/kernels.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace bitwright {
namespace {

constexpr std::int64_t kValues = 1 << 20;
constexpr int kRounds = 40;

/// Both on one thread, without gradients.
BenchTimes onOneThread(const std::function<void()> &subject, const std::function<void()> &yardstick, int rounds = kRounds)
{
    const c10::NoGradGuard noGrad;
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    const BenchTimes times = timeInTurns(subject, yardstick, rounds);
    at::set_num_threads(threads);
    return times;
}

at::Tensor values()
{
    at::manual_seed(1);
    return at::randn({kValues});
}

AffineGrid tensorGrid()
{
    return {{0.03f}, {128}, 0, 255, -1};
}

/// 512 output channels of 2048 weights.
constexpr std::int64_t kChannels = 512;
at::Tensor weights()
{
    return values().reshape({kChannels, kValues / kChannels});
}
AffineGrid channelGrid()
{
    return {std::vector<float>(kChannels, 0.03f), std::vector<float>(kChannels, 0), -127, 127, 0};
}

Result<BenchTimes> histogram(const BenchContext &)
{
    const at::Tensor x = values();
    return onOneThread([&] { (void)histogramOf(x, -4, 4, 2048); }, [&] { at::histc(x, 2048, -4, 4); });
}

Result<BenchTimes> moments(const BenchContext &)
{
    const at::Tensor x = values();
    return onOneThread([&] { (void)momentsOf(x); }, [&] { at::aminmax(x); });
}

Result<BenchTimes> tensorAgainstCopy(const BenchContext &)
{
    const at::Tensor x = values();
    const AffineGrid grid = tensorGrid();
    return onOneThread([&] { affineFakeQuant(x, grid); }, [&] { x.clone(); });
}

Result<BenchTimes> tensorAgainstTorch(const BenchContext &)
{
    const at::Tensor x = values();
    const AffineGrid grid = tensorGrid();
    return onOneThread([&] { affineFakeQuant(x, grid); }, [&] { at::fake_quantize_per_tensor_affine(x, 0.03, 128, 0, 255); });
}

Result<BenchTimes> channelAgainstCopy(const BenchContext &)
{
    const at::Tensor x = weights();
    const AffineGrid grid = channelGrid();
    return onOneThread([&] { affineFakeQuant(x, grid); }, [&] { x.clone(); });
}

Result<BenchTimes> channelAgainstTorch(const BenchContext &)
{
    const at::Tensor x = weights();
    const AffineGrid grid = channelGrid();
    const at::Tensor scale = at::full({kChannels}, 0.03f), zero = at::zeros({kChannels}, at::kInt);
    return onOneThread([&] { affineFakeQuant(x, grid); },
                       [&] { at::fake_quantize_per_channel_affine(x, scale, zero, 0, -127, 127); });
}

/// Channels innermost, as in a linear layer's transposed weight.
Result<BenchTimes> lastAxisAgainstCopy(const BenchContext &)
{
    const at::Tensor x = values().reshape({kValues / kChannels, kChannels});
    AffineGrid grid = channelGrid();
    grid.axis = 1;
    return onOneThread([&] { affineFakeQuant(x, grid); }, [&] { x.clone(); });
}

/// Gradient of x and of the step in one pass, against one product.
Result<BenchTimes> learnedStep(const BenchContext &)
{
    const at::Tensor x = values(), g = at::randn({kValues});
    const AffineGrid grid{{0.03f}, {0}, -128, 127, -1};
    return onOneThread([&] { (void)lsqBackward(g, x, grid); }, [&] { x.mul(g); });
}

Result<BenchTimes> preview(const BenchContext &)
{
    const at::Tensor weight = at::randn({2048, 4900});   // ten million
    const auto source = previewSource(weight, {"fc", Role::Weight, 0, false});
    if (!source)
        return std::unexpected(source.error());
    PreviewRequest request;
    request.spec = {"uniform", 4, {}, {}};
    constexpr int kFew = 5;
    return onOneThread([&] { (void)previewSite(*source, request); }, [&] { weight.abs().max(); }, kFew);
}

/// So many free levels, best for a normal tensor.
Result<BenchTimes> freeLevels(int bits)
{
    const at::Tensor x = values();
    auto quantizer = makeQuantizer({"kmeans", bits, {{"init", std::string("density")}}, {}}, {"", Role::Weight, 0, false});
    if (!quantizer)
        return std::unexpected(quantizer.error());
    if (const Status status = (*quantizer)->calibrate(x); !status)
        return std::unexpected(status.error());
    return onOneThread([&] { (void)(*quantizer)->apply(x, false); }, [&] { x.clone(); });
}

/// A method's element-wise part at a usual width, values known.
Result<BenchTimes> method(const MethodTraits &traits, int bits, Role role)
{
    const at::Tensor x = role == Role::Weight ? weights() : values();
    QuantSpec spec{traits.id, bits, {}, {}};
    auto quantizer = makeQuantizer(spec, {"layer", role, 0, false});
    if (!quantizer)
        return std::unexpected(quantizer.error());
    if (const Status status = (*quantizer)->calibrate(x); !status)
        return std::unexpected(status.error());
    return onOneThread([&] { (void)(*quantizer)->apply(x, false); }, [&] { x.clone(); });
}

} // namespace

std::vector<BenchRow> kernelBenchmarks()
{
    std::vector<BenchRow> rows{{"histogram", "torch.histc, 2048 bins, 1 M floats", 0.1, histogram},
            {"moments", "torch.aminmax, 1 M floats", 0, moments},
            {"fake-quant-tensor", "copy, 1 M floats", 1.3, tensorAgainstCopy},
            {"fake-quant-tensor-torch", "torch.fake_quantize_per_tensor_affine", 1.0, tensorAgainstTorch},
            {"fake-quant-channel", "copy, 512 channels of 2048", 1.3, channelAgainstCopy},
            {"fake-quant-channel-torch", "torch.fake_quantize_per_channel_affine", 1.0, channelAgainstTorch},
            {"fake-quant-last-axis", "copy, 2048 rows of 512 channels", 1.3, lastAxisAgainstCopy},
            {"learned-step-backward", "one product, 1 M floats", 0, learnedStep},
            {"preview-10M", "abs().max() of the 10 M weights", 1.0, preview},
            {"levels-8", "copy, 1 M floats", 3, [](const BenchContext &) { return freeLevels(3); }},
            {"levels-16", "copy, 1 M floats", 5, [](const BenchContext &) { return freeLevels(4); }},
            {"levels-256", "copy, 1 M floats", 16, [](const BenchContext &) { return freeLevels(8); }}};
    for (const MethodTraits &traits : methodCatalog().methods()) {
        if (traits.kind != MethodKind::Quantizer)
            continue;
        for (const Role role : traits.roles) {
            const int bits = std::clamp(3, traits.minimumBits, traits.maximumBits);   // at most 8 levels
            rows.push_back({"method-" + traits.id + '-' + roleName(role), "copy, 1 M floats", 3,
                            [&traits, bits, role](const BenchContext &) { return method(traits, bits, role); }});
        }
    }
    return rows;
}

} // namespace bitwright
