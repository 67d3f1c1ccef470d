// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "console.h"

#include <functional>
#include <vector>

namespace CLI { class App; }

namespace bitwright::cli {

/// Runs after the options are parsed.
using Work = std::function<Result<Output>(Console &)>;

/// One command. `declare` adds its options to the sub-command and gives what to do with them.
struct Command {
    const char *name;
    const char *summary;
    Work (*declare)(CLI::App &app);
};

/// Every command, in the order of the help text.
const std::vector<Command> &commands();

// One function per command, each in cmd_NAME.cpp.
Work declareInspect(CLI::App &app);
Work declareRun(CLI::App &app);
Work declareMethods(CLI::App &app);
Work declareQuantize(CLI::App &app);
Work declareStats(CLI::App &app);
Work declareCalibrate(CLI::App &app);
Work declareEvaluate(CLI::App &app);
Work declareCompare(CLI::App &app);
Work declareSweep(CLI::App &app);
Work declarePrune(CLI::App &app);
Work declareSurgery(CLI::App &app);
Work declareCorrect(CLI::App &app);
Work declareFinetune(CLI::App &app);
Work declareExport(CLI::App &app);
Work declareVerify(CLI::App &app);
Work declareUnpack(CLI::App &app);
Work declareTrials(CLI::App &app);
Work declareBench(CLI::App &app);

} // namespace bitwright::cli
