// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "network/model_summary.h"
#include "session/data_preview.h"

#include <ATen/core/ivalue.h>
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

/// One input's part of the samples, or the one value that serves all of them.
struct InputColumn {
    std::string name;
    at::Tensor values;                  ///< N x one sample without the batch axis, contiguous; the value itself where shared
    at::ScalarType type = at::kFloat;   ///< what the network reads
    int batchAxis = 0;                  ///< where the network counts samples; -1: nowhere
    bool shared = false;
    bool number = false;                ///< goes in as a plain number, not as a tensor
    Preprocessing preprocessing;        ///< of floating point inputs
    /// The value (shared) or these rows, as the network reads them.
    [[nodiscard]] c10::IValue rows(const at::Tensor &index) const;
    [[nodiscard]] c10::IValue rows(std::int64_t first, std::int64_t count, std::int64_t full) const;

private:
    [[nodiscard]] c10::IValue asRead(at::Tensor rows) const;
};

/// Samples in memory as they came (bytes stay bytes); batches are made float and preprocessed when asked for.
class Dataset {
public:
    at::Tensor images;                  ///< N x C x H x W or N x anything, uint8 or float32; where there are columns the first that is not shared
    /// By the network's inputs; empty where the network reads one float32 tensor with the batch first: `images` is it.
    std::vector<InputColumn> columns;
    at::Tensor labels;                  ///< int64 [N]; undefined when there are none
    Preprocessing preprocessing;
    std::vector<std::string> classes;
    std::string spec;                   ///< the --data SPEC it came from
    [[nodiscard]] std::int64_t size() const;
    [[nodiscard]] bool labelled() const { return labels.defined(); }
    [[nodiscard]] Shape sampleShape() const;
    /// Rows [first, first + count) as the network wants them; only for networks with one input (isSingle).
    [[nodiscard]] at::Tensor inputs(std::int64_t first, std::int64_t count) const;
    /// The rows of `index` (int64), for shuffled training; only for networks with one input.
    [[nodiscard]] at::Tensor inputs(const at::Tensor &index) const;
    /// All inputs of the network for rows [first, first + count), in its order. Where `full` is more than `count` the last
    /// row is repeated up to it, for networks that insist on a batch size.
    [[nodiscard]] std::vector<c10::IValue> arguments(std::int64_t first, std::int64_t count, std::int64_t full = 0) const;
    /// The same of the rows of `index` (int64), for shuffled training.
    [[nodiscard]] std::vector<c10::IValue> arguments(const at::Tensor &index) const;
    /// True where the network reads one tensor.
    [[nodiscard]] bool isSingle() const { return columns.size() <= 1; }
    /// True where the network knows no batch: every sample is a pass of its own.
    [[nodiscard]] bool isOneByOne() const;
    /// Made up samples: what is measured on them says nothing of the task.
    [[nodiscard]] bool isRandom() const { return isRandomData(spec); }
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
    std::vector<InputNeed> needs;       ///< all inputs of the network (input_needs.h); empty: one float tensor of inputShape
    std::int64_t most = 0;              ///< > 0: no more samples than that are read
    ImageDecoder decodeImage;           ///< may be empty
    JobContext job;
};

/// Opens a --data SPEC (cli.md, docs/data.md): idx, images, npz, npy, sample, random (cifar and synthetic come with later
/// issues). Shapes are brought to the network's; a shape that does not fit is an error that gives both. Networks with
/// several inputs read npz, with an array for each, and random.
Result<std::shared_ptr<const Dataset>> openData(const std::string &spec, const DataContext &context);

} // namespace bitwright
