// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/dataset.h"

#include "base/names.h"
#include "data/array_file.h"
#include "data/byte_source.h"
#include "data/data_spec.h"
#include "data/fit_shape.h"
#include "data/idx.h"
#include "data/image_folder.h"
#include "data/input_column.h"
#include "data/random_data.h"
#include "tensor/guarded.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <filesystem>
#include <set>

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

/// True where the network reads one tensor of floats with the batch first, or where nothing is known of it.
bool isOnePlain(const DataContext &context)
{
    return context.needs.empty() || (context.needs.size() == 1 && isPlain(context.needs[0]));
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

/// An array for each input of the network, by its name or by in0, in1…; labels as elsewhere.
Result<Dataset> openNamed(const DataSpec &spec, const DataContext &context, const std::vector<std::string> &names)
{
    const auto has = [&names](const std::string &name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    const std::string what = "npz:" + spec.path;
    std::vector<InputColumn> columns;
    std::set<std::string> taken;
    std::int64_t samples = -1;
    std::string counted;
    const auto agree = [&](const std::string &name, std::int64_t count) -> Status {
        if (samples >= 0 && samples != count)
            return fail(ErrorKind::Invalid, what + ", '" + counted + "' has " + std::to_string(samples) + " samples, '" + name + "' " +
                                                std::to_string(count) + "; they must be as many");
        counted = samples < 0 ? name : counted;
        samples = count;
        return {};
    };
    for (std::size_t i = 0; i < context.needs.size(); ++i) {
        const InputNeed &need = context.needs[i];
        const std::string place = "in" + std::to_string(i);
        const bool lone = context.needs.size() == 1;
        const std::string name = has(need.info.name) ? need.info.name : has(place) ? place : lone && has("x") ? "x" : lone && has("images") ? "images" : "";
        if (name.empty())
            return fail(ErrorKind::Invalid, what + ", has no array for input '" + need.info.name + "', it has: " + joinNames(names) + "; name one '" +
                                                need.info.name + "' or '" + place + "'");
        taken.insert(name);
        const bool rows = !need.shared && need.batchAxis <= 0;   // the samples are dimension 0: only those wanted are read
        std::int64_t total = 0;
        BW_ASSIGN(const at::Tensor array, readNpz(spec.path, name, rows ? spec.first : 0, rows ? spec.limit : -1, &total));
        BW_ASSIGN(InputColumn column, columnOf(array, need, what + ", input '" + need.info.name + "'"));
        if (!column.shared)
            BW_CHECK(agree(name, rows ? total : column.values.size(0)));
        if (!column.shared && !rows) {
            const std::int64_t begin = std::min(spec.first, column.values.size(0)), left = column.values.size(0) - begin;
            column.values = column.values.narrow(0, begin, spec.limit < 0 ? left : std::min(spec.limit, left)).contiguous();
        }
        columns.push_back(std::move(column));
    }
    Dataset data;
    BW_CHECK(setColumns(data, std::move(columns), what));
    for (const char *labels : {"y", "labels"}) {
        if (!has(labels) || taken.contains(labels) || data.labels.defined())
            continue;
        std::int64_t total = 0;
        BW_ASSIGN(data.labels, readNpz(spec.path, labels, spec.first, spec.limit, &total));
        BW_CHECK(countsAgree(what + " (" + counted + ")", samples, std::string("its ") + labels, total));
    }
    return data;
}

Result<Dataset> openNpz(const DataSpec &spec, const DataContext &context)
{
    BW_ASSIGN(const auto names, npzNames(spec.path));
    if (!isOnePlain(context))
        return openNamed(spec, context, names);
    const auto has = [&names](const char *name) { return std::find(names.begin(), names.end(), name) != names.end(); };
    const char *images = has("x") ? "x" : "images";
    const char *labels = has("x") ? "y" : "labels";
    if (!has(images) && !context.needs.empty() && (has(context.needs[0].info.name.c_str()) || has("in0")))
        return openNamed(spec, context, names);
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

/// Data of one array for a network that reads something else than floats with the batch first.
Result<Dataset> openLone(const DataSpec &spec, const DataContext &context, Result<Dataset> (*open)(const DataSpec &, const DataContext &))
{
    const std::string what = spec.kind + ":" + spec.path;
    if (context.needs.size() > 1) {
        std::vector<std::string> inputs;
        for (const InputNeed &need : context.needs)
            inputs.push_back(need.info.name);
        return fail(ErrorKind::Invalid, what + ", holds one array but the network reads " + std::to_string(inputs.size()) + " (" + joinNames(inputs) +
                                            "); use npz:FILE with an array of each name, or random");
    }
    BW_ASSIGN(Dataset data, open(spec, context));
    std::vector<InputColumn> columns(1);
    BW_ASSIGN(columns[0], columnOf(data.images, context.needs[0], what));
    BW_CHECK(setColumns(data, std::move(columns), what));
    return data;
}

Result<Dataset> readKind(const DataSpec &spec, const DataContext &context)
{
    if (spec.kind == "random")
        return makeRandomData(spec, context);
    if (!isOnePlain(context) && spec.kind != "npz")
        return openLone(spec, context, spec.kind == "idx" ? openIdx : spec.kind == "images" ? readImageFolder : spec.kind == "npy" ? openNpy : openSample);
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
    if (spec.kind == "random") {   // made as the network wants them
        preprocessing = {};
        preprocessing.mean = spec.mean;
        preprocessing.std = spec.std;
    }
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
    BW_ASSIGN(auto spec, parseDataSpec(text));
    if (context.most > 0)
        spec.limit = spec.limit < 0 ? context.most : std::min(spec.limit, context.most);
    return guarded("data '" + text + "'", ErrorKind::Io, [&]() -> Result<std::shared_ptr<const Dataset>> {
        BW_ASSIGN(auto data, readKind(spec, context));
        if (data.columns.empty()) {
            BW_ASSIGN(data.images, fitShape(data.images, context.acceptedShape.empty() ? context.inputShape : context.acceptedShape, spec.kind + ":" + spec.path));
        }
        if (data.size() == 0)
            return fail(ErrorKind::Invalid, "data '" + text + "', has no samples" +
                                                (spec.first > 0 ? " after first; lower it" : "; choose another file"));
        if (data.labels.defined()) {
            BW_ASSIGN(data.labels, fitLabels(data.labels, data.size(), spec.kind + ":" + spec.path));
        }
        const bool bytes = data.images.scalar_type() == at::kByte;
        if (data.columns.empty())
            data.images = (bytes ? data.images : data.images.to(at::kFloat)).contiguous();
        const auto side = context.modelPath.empty() ? std::nullopt : readSideFile(context.modelPath);
        BW_CHECK(setPreprocessing(data, bytes, spec, side, text));
        if (const auto first = std::ranges::find(data.columns, false, &InputColumn::shared); first != data.columns.end() && at::isFloatingType(first->type))
            first->preprocessing = data.preprocessing;
        if (data.classes.empty() && side && data.labels.defined() &&
            data.labels.max().item<std::int64_t>() < std::int64_t(side->classes.size()))
            data.classes = side->classes;
        data.spec = text;
        return std::make_shared<const Dataset>(std::move(data));
    });
}

} // namespace bitwright
