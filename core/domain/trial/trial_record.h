// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <string>

namespace bitwright {

/// One measured configuration: a point of the trade-off plot and enough to repeat it.
struct TrialRecord {
    std::int64_t id = 0;             ///< given by the store
    std::string kind;                ///< "evaluation", "epoch", "sweep"
    std::string assignment;          ///< JSON text, schema bitwright/assignment/1
    std::string modelPath, modelSha;
    std::string data;                ///< the --data SPEC
    std::string weights;             ///< "" for the float weights as loaded, else the path of the trained state
    std::string metric;
    double value = 0, low = 0, high = 0;   ///< share 0…1 (or dB for sqnr) with its 95 % interval
    double loss = 0;
    std::int64_t samples = 0;
    std::int64_t sizeBytes = 0;
    double bops = 0;
    std::uint64_t seed = 0;
    std::int64_t epoch = -1;         ///< of an "epoch" trial, from 1
    double seconds = 0;
    std::string versions;            ///< "bitwright 0.1.0, libtorch 2.13.0"
    std::string created;             ///< ISO 8601, UTC
    friend bool operator==(const TrialRecord &, const TrialRecord &) = default;
};

/// The share's 95 % Wilson interval for `correct` of `total`.
struct Interval {
    double low = 0, high = 0;
    friend bool operator==(const Interval &, const Interval &) = default;
};
Interval wilsonInterval(double correct, double total);

} // namespace bitwright
