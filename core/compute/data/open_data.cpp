// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/dataset.h"

#include "base/names.h"
#include "data/array_file.h"
#include "data/byte_source.h"
#include "data/data_spec.h"
#include "data/fit_shape.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>

namespace bitwright {

namespace fs = std::filesystem;

namespace {

constexpr double kByteScale = 1.0 / 255.0;

Status countsAgree(const std::string &images, std::int64_t imageRows, const std::string &labels, std::int64_t labelRows)
{
    if (imageRows != labelRows)
        return fail(ErrorKind::Invalid, images + " holds " + std::to_string(imageRows) + " samples, " + labels + " holds " +
                                            std::to_string(labelRows) + " labels; they must be as many");
    return {};
}

Result<Dataset> readIdxPair(const std::string &folder, const std::string &split, const DataSpec &spec)
{
    BW_ASSIGN(const auto pair, findIdxPair(folder, split));
    std::int64_t images = 0, labels = 0;
    Dataset data;
    BW_ASSIGN(data.images, readIdx(pair.images, spec.first, spec.limit, &images));
    BW_ASSIGN(data.labels, readIdx(pair.labels, spec.first, spec.limit, &labels));
    BW_CHECK(countsAgree(pair.images, images, pair.labels, labels));
    return data;
}

Result<Dataset> openIdx(const DataSpec &spec, const DataContext &)
{
    auto path = spec.path;
    std::error_code code;
    if (!fs::exists(path, code)) {
        auto name = path.starts_with("datasets/") ? path.substr(9) : path;
        const auto installed = fs::path(path).is_relative() ? findInstalledData(name) : std::nullopt;
        if (!installed)
            return fail(ErrorKind::Io, path + ", no such folder, nor under datasets/ in XDG_DATA_DIRS; check the path");
        path = *installed;
    }
    return readIdxPair(path, spec.split.value_or("test"), spec);
}

Result<Dataset> openSample(const DataSpec &spec, const DataContext &context)
{
    const auto samples = findSamples(context.modelPath);
    if (!samples)
        return fail(ErrorKind::Io, "sample:" + spec.path + ", the folder sample_models/data is not found; set BITWRIGHT_SAMPLES "
                    "to the folder sample_models");
    BW_ASSIGN(auto data, readIdxPair(*samples + "/data", spec.path, spec));
    data.classes = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
    return data;
}

Result<Dataset> openNpz(const DataSpec &spec, const DataContext &)
{
    BW_ASSIGN(const auto names, npzNames(spec.path));
    const auto has = [&names](const char *name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    const char *images = has("x") ? "x" : "images";
    const char *labels = has("x") ? "y" : "labels";
    if (!has(images))
        return fail(ErrorKind::Invalid, spec.path + ", has no array 'x' or 'images', it has: " + joinNames(names) +
                                            "; name the inputs x and the labels y");
    std::int64_t imageRows = 0, labelRows = 0;
    Dataset data;
    BW_ASSIGN(data.images, readNpz(spec.path, images, spec.first, spec.limit, &imageRows));
    if (has(labels)) {
        BW_ASSIGN(data.labels, readNpz(spec.path, labels, spec.first, spec.limit, &labelRows));
        BW_CHECK(countsAgree(spec.path + " (" + images + ")", imageRows, std::string("its ") + labels, labelRows));
    }
    return data;
}

Result<Dataset> openNpy(const DataSpec &spec, const DataContext &)
{
    Dataset data;
    BW_ASSIGN(auto source, openFile(spec.path));
    BW_ASSIGN(data.images, readNpy(*source, spec.first, spec.limit));
    return data;
}

Result<Dataset> readKind(const DataSpec &spec, const DataContext &context)
{
    if (spec.kind == "idx")
        return openIdx(spec, context);
    if (spec.kind == "images")
        return readImageFolder(spec, context);
    if (spec.kind == "npz")
        return openNpz(spec, context);
    if (spec.kind == "npy")
        return openNpy(spec, context);
    return openSample(spec, context);
}

/// Bytes go to 0…1; a sample's own preprocessing is the default; options win. Numbers that are no bytes are taken to
/// be 0…1 already.
Status setPreprocessing(Dataset &data, bool bytes, const DataSpec &spec, const std::optional<SampleSideFile> &side,
                        const std::string &text)
{
    auto &preprocessing = data.preprocessing;
    if (side)
        preprocessing = side->preprocessing;
    else
        preprocessing.scale = kByteScale;
    if (!bytes)
        preprocessing.scale = 1;
    if (!spec.mean.empty())
        preprocessing.mean = spec.mean;
    if (!spec.std.empty())
        preprocessing.std = spec.std;
    const auto channels = std::size_t(data.images.dim() > 2 ? data.images.size(1) : 1);
    for (const auto &[name, list] : {std::pair{"mean", preprocessing.mean}, std::pair{"std", preprocessing.std}})
        if (list.size() > 1 && list.size() != channels)
            return fail(ErrorKind::Invalid, "data '" + text + "', " + name + " has " + std::to_string(list.size()) +
                                                " entries, the samples " + std::to_string(channels) +
                                                " channels; give one entry or one per channel");
    return {};
}

} // namespace

Result<std::shared_ptr<const Dataset>> openData(const std::string &text, const DataContext &context)
{
    BW_ASSIGN(const auto spec, parseDataSpec(text));
    return guarded("data '" + text + "'", ErrorKind::Io, [&]() -> Result<std::shared_ptr<const Dataset>> {
        BW_ASSIGN(auto data, readKind(spec, context));
        BW_ASSIGN(data.images, fitShape(data.images, context.acceptedShape.empty() ? context.inputShape : context.acceptedShape, spec.kind + ":" + spec.path));
        if (data.size() == 0)
            return fail(ErrorKind::Invalid, "data '" + text + "', has no samples" +
                                                (spec.first > 0 ? " after first; lower it" : "; choose another file"));
        if (data.labels.defined()) {
            BW_ASSIGN(data.labels, fitLabels(data.labels, data.size(), spec.kind + ":" + spec.path));
        }
        const bool bytes = data.images.scalar_type() == at::kByte;
        data.images = (bytes ? data.images : data.images.to(at::kFloat)).contiguous();
        const auto side = context.modelPath.empty() ? std::nullopt : readSideFile(context.modelPath);
        BW_CHECK(setPreprocessing(data, bytes, spec, side, text));
        if (data.classes.empty() && side && data.labels.defined() &&
            data.labels.max().item<std::int64_t>() < std::int64_t(side->classes.size()))
            data.classes = side->classes;
        data.spec = text;
        return std::make_shared<const Dataset>(std::move(data));
    });
}

} // namespace bitwright
