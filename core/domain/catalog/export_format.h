// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <vector>

namespace bitwright {

/// What a format can express; the dialog shows what it cannot before writing.
struct ExportCapabilities {
    bool uniform = false, codebook = false, masks = false;
    bool perChannelWeights = false;
    int minimumBits = 1, maximumBits = 16;
    bool integerWeights = false;     ///< codes are stored, not their float values
    std::vector<int> widths = {};    ///< integer types that it has, ascending; other widths go into the next one. Empty: any
    bool activations = true;         ///< the file itself quantizes inputs
    bool operators = true;           ///< holds the network; without, it runs only beside the one that it was made from
};

/// One row of the table of export formats: all that a menu, a dialog and the command line need to know.
struct ExportFormat {
    std::string id;        ///< as on the command line, never translated
    std::string title;     ///< as people say it
    std::string suffix;    ///< of its files, with the dot
    ExportCapabilities capabilities;
    std::string summary;   ///< one sentence: what is in the file and who reads it
    bool document = false; ///< a page for people: takes data and trials, and there is nothing to run
};

} // namespace bitwright
