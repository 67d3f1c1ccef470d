// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "exporters/runtimes.h"
#include "exporters/verify.h"

#include <optional>
#include <vector>

namespace bitwright {

/// Counts, over all batches, where a file's run and the simulation differ.
class Comparison {
public:
    /// `sitesKnown`: the format says where it quantizes inputs, so that one which is missing is a difference.
    Comparison(const std::vector<QuantizedSite> &sites, bool sitesKnown);
    /// Samples of a batch; those behind the real ones fill a fixed batch up.
    struct Rows { std::int64_t real = 0, all = 0; };
    /// One batch.
    Status add(const NetworkInputs &inputs, const Rows &rows, const SimulationTrace &simulated, const RuntimeOutput &ran);
    /// The result, without runtime and with the notes made here; `unquantized` may be empty. Use once.
    Result<VerifyReport> finish(const Unquantized &unquantized);

private:
    /// The first batch in which the first differing site differs.
    struct First {
        std::size_t site = 0;
        NetworkInputs inputs;
        at::Tensor places;      ///< int64, where in the flat values
        std::int64_t steps = 0; ///< by how many steps at most
    };

    void noteMissing(const SimulationTrace &simulated);
    Status addSite(std::size_t index, const NetworkInputs &inputs, const Rows &rows, const SimulationTrace &simulated, const at::Tensor &steps);
    void noteSamples(const at::Tensor &apart, std::int64_t count);
    Result<std::string> reason(const Unquantized &unquantized) const;

    const std::vector<QuantizedSite> &m_sites;
    bool m_sitesKnown;
    std::vector<LayerAgreement> m_layers;   ///< by site
    VerifyReport m_report;
    std::int64_t m_agreeing = 0;
    at::Tensor m_differing;                 ///< by sample of this batch
    std::optional<First> m_first;
};

} // namespace bitwright
