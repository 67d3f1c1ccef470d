// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "catalog/export_format.h"
#include "catalog/method_traits.h"
#include "config/model_config.h"
#include "grid/quant_grid.h"
#include "network/model_summary.h"
#include "session/data_preview.h"
#include "stats/histogram.h"
#include "trial/trial_record.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace bitwright {

using JobId = std::uint64_t;
struct ReportContent;

// ---- what may be asked. Every request holds copies; the engine owns model, data and weights. ----

/// Opens a network; on success it becomes the engine's model and earlier data, statistics and weights are dropped.
struct OpenModelRequest { std::string path; };
/// Opens data for calibration, evaluation and training, each a --data SPEC (cli.md). `training` may be empty.
struct OpenDataRequest { std::string evaluation, calibration, training; };
/// Light lane, newest wins: the first samples of a --data SPEC and what the network says about them. The data that is open
/// stays what it is.
struct DataPreviewRequest { std::string spec; std::int64_t samples = 8; };
/// Weight histograms at once, then input-activation histograms streamed over the calibration data.
struct StatisticsRequest {
    int bins = 512;
    std::int64_t samples = 512;
    std::string weights;               ///< "" for the float weights, else a weights state's name
    bool foldBatchNorm = false;
};
/// Light lane, newest wins per (layer, role), those without errorAgainstBits apart (a table's column must not take the
/// picture away): the grid, the quantized histogram and the error of one site.
struct PreviewRequest {
    std::string layer;
    Role role = Role::Weight;
    QuantSpec spec;
    bool foldBatchNorm = false;
    std::string weights;               ///< "" for the float weights, else a weights state's name
    Mask mask = {};                    ///< weights: what is pruned is left out of histograms, levels and errors
    std::int64_t channel = -1;         ///< >= 0: histograms and error of this output channel only (weights)
    bool errorAgainstBits = true;      ///< also fill errorByBits
    int bins = 512;
};
/// Masks for the named layers (none: all that can be pruned) by one criterion. Light lane, newest wins; a criterion that
/// needs data goes to the heavy lane.
struct PruneRequest {
    ModelConfig config;                ///< that the masks are put into
    std::vector<std::string> layers;
    std::string method;                ///< a pruner's id
    ParamValues options;
    double sparsity = 0;               ///< share of the weights (channels), or of what `target` names, that goes
    std::string target = "share";      ///< share, size (bytes), bops
    bool global = false;               ///< one ranking over all the layers instead of one for each
    std::string weights;               ///< "" for the float weights, else a weights state's name
};
/// Fills in what activations lack (ranges, scales) on the calibration data; weights follow by themselves.
struct CalibrateRequest { ModelConfig config; std::int64_t samples = 512; std::string weights; };
/// First estimate from a slice, then refined to the whole set. Calibrates missing activation values first.
struct EvaluateRequest {
    ModelConfig config;
    std::string metric = "top1";       ///< top1, top5, agreement, sqnr
    std::int64_t limit = 0;            ///< samples, 0 for all
    std::string weights;               ///< "" for the float weights, else a weights state's name
    std::uint64_t seed = 0;
    bool record = true;                ///< add a trial to the session
};
/// One layer at a time at each of these bits, the others float.
struct SweepRequest {
    std::vector<int> bits{8, 4, 2};
    std::string role = "both";         ///< weight, activation, both
    std::string measure = "metric";    ///< metric, sqnr
    LayerPatch spec;                   ///< method and options; the bits come from the list
    std::int64_t limit = 0;
    std::uint64_t seed = 0;
};
/// A training recipe of the catalog with its options; several compose in their order.
struct RecipeChoice {
    std::string id;
    ParamValues options = {};
    friend bool operator==(const RecipeChoice &, const RecipeChoice &) = default;
};
struct FineTuneOptions {
    int epochs = 1;
    std::int64_t batch = 64;
    std::string optimizer = "sgd";     ///< sgd, adam
    double learningRate = 0.01;
    double momentum = 0.9;
    double weightDecay = 1e-4;
    std::string schedule = "cosine";   ///< cosine, step, constant
    double labelSmoothing = 0;
    bool shift = true, flip = true;    ///< augmentation
    bool reestimateBatchNorm = true;   ///< at the end
    std::uint64_t seed = 0;
    std::vector<RecipeChoice> recipes = {};   ///< beside plain training: distillation, gradual pruning, …
    std::string teacher = {};          ///< file of the network that distillation learns from; "" for the one that was opened
    friend bool operator==(const FineTuneOptions &, const FineTuneOptions &) = default;
};
struct FineTuneRequest {
    ModelConfig config;
    FineTuneOptions options;
    std::string weights;               ///< start from this state; "" for the float weights
    std::string checkpoint;            ///< file to write each epoch and to resume from; "" for none
};
struct ExportRequest {
    ModelConfig config;
    std::string format = "onnx";       ///< id of a row of exportFormats()
    std::string path;
    std::string weights;
    bool verify = true;
    std::int64_t verifySamples = 256;
    std::vector<TrialRecord> trials = {};   ///< of a document: what has been measured on this network
};

/// Light lane, newest wins: one weight's values for the picture of its mask, with a criterion's view of it.
struct WeightRequest {
    std::string layer;
    std::string weights;               ///< "" for the float weights, else a weights state's name
    bool foldBatchNorm = false;
    std::string criterion;             ///< a pruner's id that needs no data, or "" for the values alone
    ParamValues options;
};
/// One layer at a time pruned to each of these shares, the others as they are in the float network.
struct SensitivityRequest {
    std::string method = "magnitude";
    ParamValues options;
    std::vector<double> sparsities{0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95};
    std::string measure = "metric";    ///< metric, sqnr
    std::int64_t limit = 0;
    std::uint64_t seed = 0;
};
/// Closed-form repair after pruning or quantization; answers with WeightsReady.
struct CorrectRequest {
    enum class Step { BatchNorm, Bias };
    ModelConfig config;
    std::string weights;
    Step step = Step::BatchNorm;
    std::int64_t samples = 2048;
};
/// Removes the channels that structured masks emptied; answers with WeightsReady and a smaller network.
struct SurgeryRequest { ModelConfig config; std::string weights; };
/// Light lane, newest wins: what `pack` would write.
struct PackSizeRequest { ModelConfig config; std::string weights; };

/// Light lane, newest wins: each of these specs on one site by itself. One CompareReady each, in their order.
struct CompareRequest {
    std::string layer;
    Role role = Role::Weight;
    std::vector<QuantSpec> specs;
    bool foldBatchNorm = false;
    std::string weights;               ///< "" for the float weights, else a weights state's name
    Mask mask = {};                    ///< weights: what is pruned counts nowhere
};
/// Each of these assignments in turn: calibrated, evaluated and, where `training` has epochs, fine-tuned and evaluated
/// again. One NetworkCompared each (two with training); an assignment that fails says so and the next one follows.
/// Trials are recorded, so the trade-off fills as it goes.
struct CompareNetworksRequest {
    struct Candidate { std::string title; ModelConfig config; };
    std::vector<Candidate> candidates;
    std::string metric = "top1";
    std::int64_t limit = 0;            ///< samples, 0 for all
    FineTuneOptions training = {.epochs = 0};
    std::string weights;               ///< start from this state; "" for the float weights
    std::uint64_t seed = 0;
};

using Request = std::variant<OpenModelRequest, OpenDataRequest, StatisticsRequest, PreviewRequest, PruneRequest, CalibrateRequest,
                             EvaluateRequest, SweepRequest, FineTuneRequest, ExportRequest, WeightRequest, SensitivityRequest,
                             CorrectRequest, SurgeryRequest, PackSizeRequest, CompareRequest, CompareNetworksRequest, DataPreviewRequest>;

// ---- what comes back. Immutable values; each job ends with exactly one JobEnded. ----

struct JobStarted { JobId job = 0; std::string title; };
struct JobProgress { JobId job = 0; Progress progress; double elapsedSeconds = 0; };
enum class JobOutcome { Finished, Failed, Cancelled };
struct JobEnded { JobId job = 0; JobOutcome outcome = JobOutcome::Finished; Error error; double seconds = 0; };

struct ModelOpened {
    JobId job = 0;
    std::shared_ptr<const ModelSummary> model;
    /// Networks that surgery had made of it, from the session file, by name (weights_name.h).
    std::map<std::string, std::shared_ptr<const ModelSummary>> cut = {};
    std::vector<InputNeed> inputs = {};   ///< what data has to bring, in the order of model->inputs
};
struct DataOpened {
    JobId job = 0;
    std::string spec;
    std::int64_t samples = 0;
    Shape sampleShape;
    bool labelled = false;
    std::vector<std::string> classes;
    double inputMean = 0, inputStd = 0;
    std::string metric = {};           ///< what can be measured on it: top1 with labels, else agreement, or sqnr where the network gives no scores
};
struct DataPreviewReady {
    JobId job = 0;
    DataPreviewRequest request;
    std::vector<InputSamples> inputs;
    std::vector<std::int64_t> labels;  ///< of the samples shown; empty without labels
    std::vector<std::string> classes;
    std::vector<SampleAnswer> answers; ///< one per sample; empty where the network could not be run on them
    std::vector<OutputRange> outputs;
    std::string problem;               ///< why the network could not be run on them; may be empty
};
/// Weight (and later activation) distribution of one layer; sent once per layer and role.
struct StatisticsReady {
    JobId job = 0;
    std::string layer;
    Role role = Role::Weight;
    Moments moments;
    Histogram histogram;
    std::vector<Moments> channels;     ///< weights: one per output channel
};
struct BitsError { int bits = 0; double mse = 0, sqnrDb = 0; };
struct PreviewReady {
    JobId job = 0;
    PreviewRequest request;
    QuantSpec spec;                    ///< the request's with its values filled in
    QuantGrid grid;
    Histogram original, quantized;     ///< same bins
    double mse = 0, sqnrDb = 0;
    double clippedShare = 0;           ///< share of values outside the outermost levels
    double emptyLevelShare = 0;        ///< share of levels that no value takes
    std::vector<BitsError> errorByBits;
    std::string warning;               ///< for example "2 bits symmetric has 3 levels"; may be empty
};
struct PruneReady { JobId job = 0; ModelConfig config; std::int64_t kept = 0, total = 0; };
struct CalibrationReady { JobId job = 0; ModelConfig config; };
/// A running estimate; `final` when all samples are in. `config` is the request's with calibrated values.
struct EvaluationReady {
    JobId job = 0;
    bool final = false;
    TrialRecord trial;                 ///< id > 0 once it is stored
    ModelConfig config;
    double floatValue = 0;             ///< the same metric of the float network on the same samples, NaN if unknown
};
struct SweepPoint {
    JobId job = 0;
    std::string layer;
    int bits = 0;
    double value = 0, delta = 0, sqnrDb = 0;
    std::int64_t sizeBytes = 0;
};
struct TrainingStep {
    JobId job = 0;
    std::int64_t step = 0, totalSteps = 0;   ///< of the whole run, from 1
    int epoch = 0;                           ///< from 1
    double loss = 0, metric = 0, learningRate = 0;
    std::string recipes = {};                ///< what they are doing, "pruned 43 %, goal 60 %"; may be empty
};
/// What an epoch did to one weight, for its levels over time.
struct WeightTrace {
    std::vector<double> levels;        ///< of the first group, ascending
    Histogram gradients;               ///< of the epoch's last step, what the quantizer passed back
};
struct TrainingEpoch {
    JobId job = 0;
    int epoch = 0;                     ///< from 1
    double trainLoss = 0;
    TrialRecord trial;                 ///< the evaluation after this epoch
    std::string weights;               ///< name of the weights state that now exists
    ModelConfig config;                ///< with learned values
    std::map<std::string, WeightTrace> traces = {};   ///< by layer, quantized weights only
    std::map<std::string, double> recipeNumbers = {};   ///< what recipes measured: "sparsity", "distillation_loss", …
};
struct LayerAgreement { std::string layer; double maxAbsDifference = 0; std::int64_t differingLevels = 0; };
struct ExportReady {
    JobId job = 0;
    std::string path;
    std::int64_t bytes = 0;
    struct Layer { std::string name; int bits = 0; std::string encoding; };
    std::vector<Layer> layers;
    std::vector<std::string> notes;    ///< what was approximated or left out
    bool verified = false;
    std::string runtime;               ///< "ONNX Runtime 1.32", "LibTorch", "Bitwright reader"
    double maxAbsDifference = 0, top1Agreement = 0;
    std::int64_t differingLevels = 0;
    std::string firstDifferingLayer;
    std::vector<LayerAgreement> agreement;
    std::shared_ptr<const ReportContent> report = {};   ///< of a document: what it says (report/report_content.h); else null
};
/// The picture of one weight. Values in storage order, shared and never written.
struct WeightReady {
    JobId job = 0;
    WeightRequest request;
    Shape shape;
    int channelAxis = 0;
    std::shared_ptr<const std::vector<float>> values;
    std::shared_ptr<const std::vector<float>> scores;   ///< one per element or per output channel; null without a criterion
};
struct SensitivityPoint {
    JobId job = 0;
    std::string layer;
    double sparsity = 0;
    double value = 0, delta = 0, sqnrDb = 0;   ///< as in SweepPoint
    std::int64_t sizeBytes = 0;
};
/// New weights that the document may take over, as one undo step. `model` is not null where the network itself changed:
/// these weights belong to that network, whose layers `config` then names.
struct WeightsReady {
    JobId job = 0;
    ModelConfig config;
    std::string weights;
    std::string title;                 ///< of the undo step
    std::shared_ptr<const ModelSummary> model;
};
struct PackSizeReady {
    JobId job = 0;
    std::int64_t bytes = 0;            ///< of the whole file
    struct Layer { std::string name, encoding; double bits = 0; };
    std::vector<Layer> layers;
};
/// One method at one width on one site.
struct CompareReady {
    JobId job = 0;
    std::size_t index = 0;             ///< of the request's specs
    std::string layer;
    Role role = Role::Weight;
    QuantSpec spec;                    ///< with its values
    QuantGrid grid;
    double mse = 0, sqnrDb = 0;        ///< sqnrDb is not a number where signal or error is 0
    double entropyBits = 0;            ///< of the codes, bits a value
    double sizeBits = 0;               ///< the layer's weight with its side data; 0 for activations
    std::string warning;               ///< may be empty
    std::string error;                 ///< why the method refuses; then nothing else counts
};
struct NetworkCompared {
    JobId job = 0;
    std::size_t index = 0;             ///< of the request's candidates
    std::string title;
    bool trained = false;              ///< the evaluation after fine-tuning
    TrialRecord trial;
    ModelConfig config;                ///< with values
    std::string weights;               ///< the state that training made; empty before
    std::string error;                 ///< why it could not be done; then nothing else counts
};
struct LogMessage { JobId job = 0; enum class Level { Info, Warning, Error } level = Level::Info; std::string text, layer; };

using Event = std::variant<JobStarted, JobProgress, JobEnded, ModelOpened, DataOpened, StatisticsReady, PreviewReady, PruneReady,
                           CalibrationReady, EvaluationReady, SweepPoint, TrainingStep, TrainingEpoch, ExportReady, WeightReady,
                           SensitivityPoint, WeightsReady, PackSizeReady, CompareReady, NetworkCompared, DataPreviewReady, LogMessage>;

/// What the window may ask of the engine. Calls return at once, from any thread; events arrive on an engine thread
/// through the sink (which must not block), in the order of a job. Tests hand in a fake.
class EngineApi {
public:
    using Sink = std::function<void(Event)>;
    virtual ~EngineApi() = default;
    [[nodiscard]] virtual const Catalog &catalog() const = 0;
    /// What an ExportRequest can write, in the order of the menus.
    [[nodiscard]] virtual const std::vector<ExportFormat> &exportFormats() const = 0;
    virtual JobId submit(Request request) = 0;
    virtual void cancel(JobId job) = 0;
    virtual void setPaused(JobId job, bool paused) = 0;
    /// An empty sink detaches; afterwards no call into the old one is running or will come.
    virtual void setSink(Sink sink) = 0;
    /// Trials are also written to this session file from now on ("" for none).
    virtual void setSession(const std::string &path) = 0;
};

/// A human title for a request: "Evaluate", "Fine-tune, 3 epochs", …
std::string requestTitle(const Request &request);

} // namespace bitwright
