// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"

namespace bitwright::cli {

const std::vector<Command> &commands()
{
    static const std::vector<Command> table{
        {"inspect", "Open a network and list its layers", declareInspect},
        {"run", "Run one forward pass on an array", declareRun},
        {"methods", "List every quantizer, pruner and training recipe", declareMethods},
        {"quantize", "Quantize one array with one method", declareQuantize},
        {"stats", "Distributions of weights and layer inputs", declareStats},
        {"calibrate", "Fill in the ranges that an assignment lacks", declareCalibrate},
        {"evaluate", "Measure accuracy, size and cost", declareEvaluate},
        {"compare", "Methods beside each other, on one layer or on the whole network", declareCompare},
        {"sweep", "Measure one layer at a time at several widths or sparsities", declareSweep},
        {"prune", "Masks by a criterion, into an assignment", declarePrune},
        {"surgery", "Remove the channels that masks emptied, for real", declareSurgery},
        {"correct", "Re-estimate batch norm or correct biases after pruning and quantizing", declareCorrect},
        {"finetune", "Train the quantized network", declareFinetune},
        {"export", "Write the configured network to a file", declareExport},
        {"verify", "Run a written file beside the simulation", declareVerify},
        {"unpack", "Write the tensors of a pack as arrays", declareUnpack},
        {"trials", "List what a session file holds", declareTrials},
        {"bench", "Run the benchmarks, each beside its yardstick", declareBench},
    };
    return table;
}

} // namespace bitwright::cli
