// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "network/model_summary.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bitwright {

/// What one input of a network asks of data: what is known from the file and what only a person knows.
struct InputNeed {
    TensorInfo info;
    bool rankKnown = true;              ///< false: the file says nothing about the shape
    int batchAxis = 0;                  ///< dimension of info.shape that counts samples; -1: it has none
    bool shared = false;                ///< without a batch axis: one value serves all samples; else each sample is run by itself
    Shape guess;                        ///< one sample as the network reads it: a batch of 1, free sizes at a usual one
    std::vector<std::int64_t> asked;    ///< dimensions of `guess` that are guesses only; ascending
    std::int64_t low = 0, high = 0;     ///< whole numbers: low <= value < high; high 0: it has to be asked for
    std::string rangeFrom;              ///< where `high` is from: "bert.embeddings.word has 30522 rows"
    bool rangeGuessed = false;          ///< low and high come from the input's name only and have to be confirmed
    bool fromEnd = false;               ///< negative ids are fine: they count from the end
    [[nodiscard]] bool isWhole() const; ///< reads whole numbers (ids, counts), flags not among them
    [[nodiscard]] bool isFlag() const;  ///< reads true or false
    [[nodiscard]] bool isNumber() const { return rankKnown && info.shape.empty(); }
    friend bool operator==(const InputNeed &, const InputNeed &) = default;
};

/// The first samples of one input, for the eye.
struct InputSamples {
    std::string name, dtype;
    Shape shape;                        ///< of one sample, without the batch
    Shape shown;                        ///< of the values here: large samples are thinned out
    bool shared = false;                ///< one value for all samples
    bool picture = false;               ///< shown is channels x height x width with 1 or 3 channels
    std::vector<std::vector<float>> samples;   ///< as stored, before the preprocessing; one entry where shared
};

/// One output of the network over the samples shown.
struct OutputRange {
    std::string name;
    Shape shape;                        ///< with the batch
    double low = 0, high = 0;           ///< of its finite values
    std::int64_t nonFinite = 0;         ///< values that are NaN or infinite
};

/// What the network says about one sample.
struct SampleAnswer {
    std::vector<std::pair<std::int64_t, double>> top;   ///< class and share, best first, where the first output is a score vector
    double low = 0, high = 0, mean = 0;                 ///< of the sample's part of the first output else
};

/// The name that a --data SPEC can give to input number `index` (from 0): its own, or in0, in1… where that would not read
/// back from a spec.
[[nodiscard]] std::string dataNameOf(const std::string &input, std::size_t index);
/// True for a --data SPEC whose samples are made up: what is measured on them says nothing of the task.
[[nodiscard]] bool isRandomData(const std::string &spec);
/// "random data" in front of such a spec, as every place that shows one writes it; any other spec as it is.
[[nodiscard]] std::string dataLabel(const std::string &spec);

} // namespace bitwright
