// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/image_folder.h"

#include "data/fit_shape.h"
#include "data/npy_header.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace bitwright {

namespace fs = std::filesystem;

namespace {

struct Picture { std::string path; std::int64_t label = 0; };
struct Listing { std::vector<std::string> classes; std::vector<Picture> pictures; };
struct Target { std::int64_t channels = 0, height = 0, width = 0; };   ///< 0: as the first picture has it

bool isPicture(const fs::path &path)
{
    auto ending = path.extension().string();
    std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    for (const char *known : {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
        if (ending == known)
            return true;
    return false;
}

Result<Listing> listPictures(const std::string &folder)
{
    std::error_code code;
    if (!fs::is_directory(folder, code))
        return fail(ErrorKind::Io, folder + ", no such folder; check the path");
    Listing listing;
    std::vector<fs::path> classes;
    for (const auto &entry : fs::directory_iterator(folder, code))
        if (entry.is_directory(code))
            classes.push_back(entry.path());
    std::sort(classes.begin(), classes.end());
    std::vector<std::vector<std::string>> byClass;
    std::size_t longest = 0;
    for (const auto &path : classes) {
        auto &paths = byClass.emplace_back();
        for (const auto &entry : fs::directory_iterator(path, code))
            if (entry.is_regular_file(code) && isPicture(entry.path()))
                paths.push_back(entry.path().string());
        std::sort(paths.begin(), paths.end());
        longest = std::max(longest, paths.size());
        listing.classes.push_back(path.filename().string());
    }
    for (std::size_t i = 0; i < longest; ++i)
        for (std::size_t label = 0; label < byClass.size(); ++label)
            if (i < byClass[label].size())
                listing.pictures.push_back({byClass[label][i], std::int64_t(label)});
    if (listing.pictures.empty())
        return fail(ErrorKind::Invalid, folder + ", holds no pictures in folders; make one folder per class");
    return listing;
}

Target targetOf(const DataSpec &spec, const Shape &input)
{
    Target target;
    if (input.size() == 4) {
        target = {std::max<std::int64_t>(input[1], 0), std::max<std::int64_t>(input[2], 0), std::max<std::int64_t>(input[3], 0)};
    }
    if (spec.size) {
        target.height = spec.size->first;
        target.width = spec.size->second;
    }
    return target;
}

/// H x W x C bytes to C x H x W bytes of the target's sizes.
at::Tensor fitPicture(at::Tensor picture, const Target &target)
{
    auto planes = picture.permute({2, 0, 1});
    if (planes.size(0) == 4)
        planes = planes.narrow(0, 0, 3);
    if (planes.size(0) == 2)   // grey and alpha
        planes = planes.narrow(0, 0, 1);
    if (target.channels == 1 && planes.size(0) == 3) {
        const auto weights = at::tensor({0.299f, 0.587f, 0.114f}).view({3, 1, 1});
        planes = (planes.to(at::kFloat) * weights).sum(0, true).round().clamp(0, 255).to(at::kByte);
    } else if (target.channels == 3 && planes.size(0) == 1) {
        planes = planes.expand({3, planes.size(1), planes.size(2)});
    }
    if (target.height > 0 && target.width > 0 && (planes.size(1) != target.height || planes.size(2) != target.width))
        planes = at::_upsample_bilinear2d_aa(planes.to(at::kFloat).unsqueeze(0).contiguous(), {target.height, target.width},
                                             false).squeeze(0).round().clamp(0, 255).to(at::kByte);
    return planes.contiguous();
}

Result<at::Tensor> decodeOne(const DataContext &context, const std::string &path, const Target &target)
{
    BW_ASSIGN(auto picture, context.decodeImage(path));
    if (picture.dim() != 3 || picture.scalar_type() != at::kByte || picture.numel() == 0)
        return fail(ErrorKind::Parse, path + ", cannot be decoded; check the picture");
    return fitPicture(std::move(picture), target);
}

} // namespace

Result<Dataset> readImageFolder(const DataSpec &spec, const DataContext &context)
{
    if (!context.decodeImage)
        return fail(ErrorKind::Unsupported, "images:" + spec.path + ", the command line decodes no pictures; open the folder in "
                    "the window (bitwright --data images:DIR) or convert it to .npz");
    BW_ASSIGN(auto listing, listPictures(spec.path));
    const auto all = std::int64_t(listing.pictures.size());
    const auto begin = std::min(spec.first, all);
    const auto count = spec.limit < 0 ? all - begin : std::min(spec.limit, all - begin);
    if (count <= 0)
        return fail(ErrorKind::Invalid, "images:" + spec.path + ", has no pictures after first; lower it");
    const Target target = targetOf(spec, context.inputShape);
    Dataset data;
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < count; ++i) {
        if (context.job.stopped())
            return cancelled();
        const auto &[path, label] = listing.pictures[std::size_t(begin + i)];
        BW_ASSIGN(auto planes, decodeOne(context, path, target));
        if (i == 0) {
            const std::vector<std::int64_t> shape{count, planes.size(0), planes.size(1), planes.size(2)};
            BW_CHECK(checkedBytes(shape, 1, spec.path));
            data.images = at::empty(shape, at::kByte);
        }
        if (planes.sizes() != data.images.sizes().slice(1))
            return fail(ErrorKind::Invalid, path + ", is " + shapeText(planes.sizes().vec()) + ", the first picture " +
                                                shapeText(data.sampleShape()) + "; add size=HxW to bring all to one size");
        data.images.select(0, i).copy_(planes);
        labels.push_back(label);
        if (i % 32 == 0)
            context.job.progress("reading pictures", i, count);
    }
    data.labels = at::tensor(labels, at::kLong);
    data.classes = std::move(listing.classes);
    return data;
}

} // namespace bitwright
