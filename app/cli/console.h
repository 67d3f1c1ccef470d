// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "base/result.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bitwright::cli {

/// The options that every command has.
struct CommonOptions {
    bool json = false;
    bool quiet = false;
    std::uint64_t seed = 0;
    int threads = 0;              ///< 0: all cores
    std::string device = "cpu";
};

/// What a command hands back: one document for --json, text for people.
struct Output {
    nlohmann::json json;
    std::string text;
    std::vector<std::string> firstKeys;   ///< of the document, in this order before the others
};

/// Standard error for a command: log lines and one progress line. Standard output is written once, at the end.
class Console {
public:
    Console(CommonOptions options, std::stop_token stop);
    ~Console();

    [[nodiscard]] const CommonOptions &options() const { return m_options; }
    /// The context that long functions get: stops on SIGINT, reports here.
    [[nodiscard]] JobContext job();
    /// A line of log, silenced by --quiet.
    void note(const std::string &text);
    /// A line that --quiet does not silence.
    void warn(const std::string &text);
    /// Ends the progress line.
    void endProgress();

private:
    struct ProgressLine;
    CommonOptions m_options;
    std::stop_token m_stop;
    std::unique_ptr<ProgressLine> m_progress;
};

/// Writes all of `text` to standard output; a closed pipe or a full disk is an error.
Status writeOutput(const std::string &text);

} // namespace bitwright::cli
