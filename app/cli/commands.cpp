// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"

namespace bitwright::cli {

const std::vector<Command> &commands()
{
    static const std::vector<Command> table{
        {"inspect", "Open a network and list its layers", declareInspect},
        {"run", "Run one forward pass on an array", declareRun},
        {"methods", "List every quantizer, pruner and training recipe", declareMethods},
        {"trials", "List what a session file holds", declareTrials},
        {"bench", "Run the benchmarks, each beside its yardstick", declareBench},
    };
    return table;
}

} // namespace bitwright::cli
