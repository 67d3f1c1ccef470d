// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "network/model_summary.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// How raw values become the network's input: (raw * scale - mean) / std per channel.
struct Preprocessing {
    double scale = 1;
    std::vector<double> mean, std;      ///< empty: none; one entry: all channels
    friend bool operator==(const Preprocessing &, const Preprocessing &) = default;
};

/// The side file beside a sample model (sample_models/NAME.json), or nothing when there is none.
struct SampleSideFile {
    std::string name, title;
    Shape inputShape;
    Preprocessing preprocessing;
    std::vector<std::string> classes;
    double floatTop1 = 0;
};
/// Looks at MODEL.json (resnet20.pt2.json) first, then at the stem's (resnet20.json); other JSON files are passed over.
std::optional<SampleSideFile> readSideFile(const std::string &modelPath);
/// Gives a model written from a sample (fine-tuned weights) the sample's preprocessing and classes: writes TO.json, as
/// the stem's name is likely taken by an assignment. Does nothing where `from` has no side file.
Status copySideFile(const std::string &from, const std::string &to);

/// Samples in memory as they came (bytes stay bytes); batches are made float and preprocessed when asked for.
class Dataset {
public:
    at::Tensor images;                  ///< N x C x H x W or N x anything, uint8 or float32
    at::Tensor labels;                  ///< int64 [N]; undefined when there are none
    Preprocessing preprocessing;
    std::vector<std::string> classes;
    std::string spec;                   ///< the --data SPEC it came from
    [[nodiscard]] std::int64_t size() const;
    [[nodiscard]] bool labelled() const { return labels.defined(); }
    [[nodiscard]] Shape sampleShape() const;
    /// Rows [first, first + count) as the network wants them, float32.
    [[nodiscard]] at::Tensor inputs(std::int64_t first, std::int64_t count) const;
    /// The rows of `index` (int64), for shuffled training.
    [[nodiscard]] at::Tensor inputs(const at::Tensor &index) const;
};

/// Decodes one image file to H x W x C bytes (uint8 tensor); the GUI program injects Qt's decoder, the command line none.
using ImageDecoder = std::function<Result<at::Tensor>(const std::string &path)>;

/// The folder of an installed data set ("fashion-mnist") under XDG_DATA_DIRS, datasets/NAME, or nothing.
std::optional<std::string> findInstalledData(const std::string &name);
/// The folder sample_models: BITWRIGHT_SAMPLES, the model's own, the program's ../../sample_models, the source tree's.
std::optional<std::string> findSamples(const std::string &modelPath = {});

struct DataContext {
    std::string modelPath;              ///< a sample's own preprocessing is the default
    Shape inputShape;                   ///< of the network's first input, [-1, C, H, W]; empty when unknown
    Shape acceptedShape;                ///< the same with -1 for sizes that may differ; pictures are brought to inputShape
    ImageDecoder decodeImage;           ///< may be empty
    JobContext job;
};

/// Opens a --data SPEC (cli.md): idx, images, npz, npy, sample (cifar and synthetic come with later issues). Shapes are
/// brought to the network's; a shape that does not fit is an error that gives both.
Result<std::shared_ptr<const Dataset>> openData(const std::string &spec, const DataContext &context);

} // namespace bitwright
