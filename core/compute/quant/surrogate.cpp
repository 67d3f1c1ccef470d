// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/grid_quantizer.h"

#include <ATen/ATen.h>

#include <cmath>

namespace bitwright {
namespace {

constexpr float kClip = 1;   // of the hard-tanh: BNN's

/// Of one group: what the surrogates need of its grid.
struct StepShape {
    float top = 0;                    ///< highest level
    std::vector<float> at, jump;      ///< thresholds and how much the output rises there
    std::vector<float> sharpness;     ///< temperature at each
};

StepShape shapeOf(const QuantGrid &grid, std::size_t group)
{
    StepShape shape;
    const std::vector<double> levels = grid.levels(group), thresholds = grid.thresholds(group);
    shape.top = float(levels.back());
    for (std::size_t i = 0; i < thresholds.size() && i + 1 < levels.size(); ++i) {
        const double jump = levels[i + 1] - levels[i];
        shape.at.push_back(float(thresholds[i]));
        shape.jump.push_back(float(jump));
        // T = 4 / jump: the slope at the step is then 1, like that of the line through the levels
        shape.sharpness.push_back(jump > 0 ? float(4 / jump) : 0.0f);
    }
    return shape;
}

float sigmoidSum(float x, const StepShape &shape)
{
    float slope = 0;
    for (std::size_t i = 0; i < shape.at.size(); ++i) {
        const float z = std::clamp(shape.sharpness[i] * (x - shape.at[i]), -10.0f, 10.0f);
        const float s = 1 / (1 + std::exp(-z));
        slope += shape.sharpness[i] * shape.jump[i] * s * (1 - s);
    }
    return slope;
}

} // namespace

const std::vector<std::string> &surrogateNames()
{
    static const std::vector<std::string> names{"identity", "clipped", "approxsign", "relu", "clipped_relu", "log_tail", "sigmoid_sum"};
    return names;
}

at::Tensor surrogateGradient(const std::string &name, const at::Tensor &g, const at::Tensor &x, int axis, const QuantGrid &grid)
{
    std::vector<StepShape> shapes;
    const bool needsGrid = name == "clipped_relu" || name == "log_tail" || name == "sigmoid_sum";
    for (std::size_t i = 0; needsGrid && i < grid.groups.size(); ++i)
        shapes.push_back(shapeOf(grid, i));
    const auto by = [&](const auto &slope) {
        return fusedGradient(g, x, axis, [&](float v, float d, std::int64_t group) { return d * slope(v, group); });
    };
    const auto shape = [&](std::int64_t group) -> const StepShape & { return shapes[shapes.size() == 1 ? 0 : std::size_t(group)]; };
    if (name == "identity")
        return by([](float, std::int64_t) { return 1.0f; });
    if (name == "clipped")
        return by([](float v, std::int64_t) { return std::abs(v) <= kClip ? 1.0f : 0.0f; });
    if (name == "approxsign")
        return by([](float v, std::int64_t) { return std::abs(v) < 1 ? 2 - 2 * std::abs(v) : 0.0f; });
    if (name == "relu")
        return by([](float v, std::int64_t) { return v > 0 ? 1.0f : 0.0f; });
    if (name == "clipped_relu")
        return by([&](float v, std::int64_t group) { return v > 0 && v <= shape(group).top ? 1.0f : 0.0f; });
    if (name == "log_tail")
        return by([&](float v, std::int64_t group) {
            const float top = shape(group).top;
            return v <= 0 ? 0.0f : v <= top ? 1.0f : 1 / (v - (top - 1));
        });
    return by([&](float v, std::int64_t group) { return sigmoidSum(v, shape(group)); });
}

} // namespace bitwright
