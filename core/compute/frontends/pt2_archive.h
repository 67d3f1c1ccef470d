// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"
#include "graph/graph.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace bitwright {

/// Where a weight lies in the archive and how its record is to be read.
struct Pt2Weight {
    std::string record;                 ///< "data/weights/weight_3"
    at::ScalarType dtype = at::kFloat;
    std::vector<std::int64_t> sizes, strides;
    std::int64_t offset = 0;
    friend bool operator==(const Pt2Weight &, const Pt2Weight &) = default;
};

/// A .pt2 archive opened for reading: records, the model's JSON, weights and constants.
class Pt2Archive {
public:
    static Result<Pt2Archive> open(const std::string &path);
    ~Pt2Archive();
    Pt2Archive(Pt2Archive &&) noexcept;
    Pt2Archive &operator=(Pt2Archive &&) noexcept;

    /// The exported program as JSON.
    [[nodiscard]] Result<nlohmann::json> program() const;
    /// Weights, buffers and constants by qualified name.
    [[nodiscard]] const std::map<std::string, Pt2Weight> &weights() const;
    /// One as a contiguous tensor: a view of the mapped file where it lies there as it is.
    [[nodiscard]] Result<at::Tensor> tensor(const Pt2Weight &weight) const;

    [[nodiscard]] const std::vector<std::string> &records() const;
    [[nodiscard]] Result<std::string> bytes(const std::string &record) const;
    /// Writes a copy of the archive with some records replaced.
    [[nodiscard]] Status copyTo(const std::string &target, const std::map<std::string, std::string> &replaced) const;

private:
    Pt2Archive();
    Status readConfig(const std::string &record, const std::string &folder);
    struct Private;
    std::unique_ptr<Private> d;
};

/// The scalar type of a dtype code as torch.export writes it.
Result<at::ScalarType> pt2ScalarType(std::int64_t code);
/// Whether a view lies inside a storage of so many bytes.
Status checkView(std::int64_t bytes, const Pt2Weight &weight);
/// A view over storage bytes, checked to lie inside them.
Result<at::Tensor> pt2View(const at::Tensor &bytes, const Pt2Weight &weight);

} // namespace bitwright
