// SPDX-License-Identifier: GPL-3.0-or-later
#include "quant/methods/methods.h"

#include "tensor/codebook.h"
#include "tensor/guarded.h"
#include "tensor/kernels.h"
#include "tensor/sorted_values.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace bitwright {
namespace {

constexpr int kMostRounds = 1000;   // far beyond what was ever needed; rounding could make two states alternate

/// The centroids to start from, ascending (methods.md B1).
std::vector<float> initialCentroids(const SortedValues &x, std::size_t count, const std::string &init, std::uint64_t seed)
{
    std::vector<float> centroids(count);
    const double low = double(x.values().front()), high = double(x.values().back());
    std::mt19937_64 random(seed);
    for (std::size_t j = 0; j < count; ++j) {
        if (init == "density")
            centroids[j] = float(x.quantile((double(j) + 0.5) / double(count)));
        else if (init == "linear")
            centroids[j] = float(low + double(j) * (high - low) / double(count - 1));
    }
    if (init == "random") {   // Forgy: members of the data, no element twice while they last
        std::vector<std::size_t> chosen;
        std::vector<std::size_t> all(x.size());
        for (std::size_t i = 0; i < all.size(); ++i)
            all[i] = i;
        for (std::size_t j = 0; j < count; ++j) {
            const std::size_t first = j % all.size();
            // not std::uniform_int_distribution, which is another one in each library
            std::swap(all[first], all[first + random() % (all.size() - first)]);
            centroids[j] = x.values()[all[first]];
        }
    }
    std::ranges::sort(centroids);
    return centroids;
}

/// Lloyd's rounds over the sorted values, until no index changes. Clusters are stretches, so one round costs a search for
/// each centroid, however many values there are.
std::vector<float> lloyd(const SortedValues &x, std::vector<float> centroids)
{
    std::vector<std::size_t> before;
    for (int round = 0; round < kMostRounds; ++round) {
        std::vector<float> moved = centroids;
        auto bounds = lloydRound(x, moved);
        if (bounds == before)
            break;
        centroids = std::move(moved);
        before = std::move(bounds);
    }
    return centroids;
}

class KMeans final : public Quantizer {
public:
    KMeans(const QuantSpec &spec, std::string label)
        : m_init(textParam(spec.options, "init", "linear")), m_seed(std::uint64_t(intParam(spec.options, "seed", 0))),
          m_levels(std::size_t(1) << spec.bits), m_label(std::move(label))
    {
    }

    bool calibrated() const override { return m_codebook.defined(); }

    Status calibrate(const at::Tensor &x) override
    {
        return guarded(m_label, ErrorKind::Numeric, [&] {
            const SortedValues values(x);
            set(values.size() == 0 ? std::vector<float>(m_levels, 0.0f)
                                   : lloyd(values, initialCentroids(values, m_levels, m_init, m_seed)));
        });
    }

    Status calibrate(const SiteStatistics &) override
    {
        return fail(ErrorKind::Unsupported, m_label + ", k-means needs the values themselves; use another method for activations");
    }

    void freeze(const at::Tensor &x) override
    {
        m_frozen = levelCodes(x, table());
        // Codes count the levels in their order; the codebook may have been learned out of it.
        std::vector<std::uint8_t> entry;
        for (const std::int64_t i : order())
            entry.push_back(std::uint8_t(i));
        auto *codes = m_frozen.mutable_data_ptr<std::uint8_t>();
        for (std::int64_t i = 0; i < m_frozen.numel(); ++i)
            codes[i] = entry[codes[i]];
    }

    at::Tensor frozen() const override
    {
        return m_frozen.defined() ? lookUp(m_frozen, m_codebook) : at::Tensor();
    }

    at::Tensor forward(const at::Tensor &x) override
    {
        if (!c10::GradMode::is_enabled() && !m_frozen.defined())
            return apply(x, false);
        at::Tensor codes = m_frozen;
        if (!codes.defined()) {
            KMeans once(*this);
            once.freeze(x);
            codes = once.m_frozen;
        }
        TORCH_CHECK(codes.sizes() == x.sizes(), m_label, ", its codes were frozen for another shape");
        const at::Tensor y = sharedValues(x.to(at::kFloat), m_codebook, codes);
        const at::Tensor kept = m_frozen.defined() ? y : at::where(x.isnan(), x.to(at::kFloat), y);
        return x.is_floating_point() ? kept.to(x.scalar_type()) : kept;
    }

    at::Tensor apply(const at::Tensor &x, bool mayOverwrite) override { return toLevels(x, table(), mayOverwrite); }

    QuantGrid grid() const override
    {
        QuantGrid grid;
        grid.uniform = false;
        QuantGrid::Group group;
        for (const float level : sorted())
            group.levels.push_back(double(level));
        for (std::size_t i = 1; i < group.levels.size(); ++i) {
            // the midpoint itself still belongs to the lower level
            const double middle = (group.levels[i - 1] + group.levels[i]) / 2;
            group.thresholds.push_back(std::nextafter(middle, std::numeric_limits<double>::infinity()));
        }
        grid.sideBits = 32.0 * double(group.levels.size());
        grid.groups.push_back(std::move(group));
        return grid;
    }

    std::vector<Learnable> learnables() override
    {
        return calibrated() ? std::vector<Learnable>{{"codebook", m_codebook}} : std::vector<Learnable>{};
    }

    std::map<std::string, std::vector<double>> values() const override
    {
        if (!calibrated())
            return {};
        const auto levels = sorted();
        return {{"codebook", {levels.begin(), levels.end()}}};
    }

    void set(std::vector<float> codebook)
    {
        c10::NoGradGuard noGrad;
        std::ranges::sort(codebook);
        m_frozen = at::Tensor();
        const at::Tensor fresh = at::tensor(codebook, at::kFloat);
        // an optimizer may hold the leaf: keep it where the shape allows
        if (m_codebook.defined() && m_codebook.sizes() == fresh.sizes()) {
            m_codebook.copy_(fresh);
            return;
        }
        m_codebook = fresh;
        m_codebook.set_requires_grad(true);
    }

private:
    /// Training may move one centroid past another.
    std::vector<float> sorted() const
    {
        const auto values = floatSpan(m_codebook);
        std::vector<float> levels(values.begin(), values.end());
        std::ranges::sort(levels);
        return levels;
    }
    std::vector<std::int64_t> order() const
    {
        const auto values = floatSpan(m_codebook);
        std::vector<std::int64_t> index(values.size());
        for (std::size_t i = 0; i < index.size(); ++i)
            index[i] = std::int64_t(i);
        std::ranges::stable_sort(index, {}, [&](std::int64_t i) { return values[std::size_t(i)]; });
        return index;
    }
    LevelTable table() const
    {
        TORCH_CHECK(calibrated(), m_label, " has no codebook yet");
        return nearestLevels(sorted());
    }

    std::string m_init;
    std::uint64_t m_seed;
    std::size_t m_levels;
    std::string m_label;
    at::Tensor m_codebook;   ///< float32, a leaf
    at::Tensor m_frozen;     ///< uint8 indices into the codebook, while training
};

Result<std::unique_ptr<Quantizer>> make(const QuantSpec &spec, const Site &site)
{
    const std::string label = siteLabel(site, spec.method);
    auto quantizer = std::make_unique<KMeans>(spec, label);
    if (const auto given = spec.values.find("codebook"); given != spec.values.end()) {
        const std::size_t most = std::size_t(1) << spec.bits;
        if (given->second.empty() || given->second.size() > most)
            return fail(ErrorKind::Invalid, label + ", codebook has " + std::to_string(given->second.size()) + " values and "
                                                + std::to_string(spec.bits) + " bits count " + std::to_string(most)
                                                + "; give 1 to " + std::to_string(most));
        std::vector<float> levels;
        for (const double level : given->second) {
            if (!std::isfinite(float(level)))
                return fail(ErrorKind::Invalid, label + ", a value of codebook is not finite as float32; give finite numbers");
            levels.push_back(float(level));
        }
        quantizer->set(std::move(levels));
    }
    return quantizer;
}

MethodTraits traits()
{
    MethodTraits t;
    t.id = "kmeans";
    t.title = "k-means sharing";
    t.family = "codebook";
    t.paper = "Han, Mao, Dally, ICLR 2016 (Deep Compression)";
    t.year = 2016;
    t.roles = {Role::Weight};
    t.minimumBits = 1;
    t.maximumBits = 8;
    t.values = {"codebook"};
    t.summary = "Groups the weights around 2^b shared values, which training then moves.";
    t.options = {
        {"init", ParamType::Choice, ParamValue(std::string("linear")), 0, 0, {"linear", "density", "random"}, {},
         "Where the centroids start: evenly between the extremes, evenly by count, or at weights drawn by chance.", false},
        {"seed", ParamType::Int, ParamValue(std::int64_t(0)), 0, 1e9, {}, {}, "Of init=random: the draw.", false, "init=random"},
    };
    return t;
}

} // namespace

QuantizerRow kmeansRow()
{
    return {traits(), make, false, false};
}

} // namespace bitwright
