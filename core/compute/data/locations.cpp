// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/dataset.h"

#include <array>
#include <cstdlib>
#include <filesystem>

namespace bitwright {

namespace fs = std::filesystem;

std::optional<std::string> findInstalledData(const std::string &name)
{
    const char *given = std::getenv("XDG_DATA_DIRS");
    std::string list = given != nullptr && *given != '\0' ? given : "/usr/local/share:/usr/share";
    std::error_code code;
    for (std::size_t begin = 0; begin <= list.size();) {
        const auto end = std::min(list.find(':', begin), list.size());
        const fs::path folder = list.substr(begin, end - begin);
        for (const auto &candidate : {folder / "datasets" / name, folder / name})
            if (!folder.empty() && fs::is_directory(candidate, code))
                return candidate.string();
        begin = end + 1;
    }
    return std::nullopt;
}

std::optional<std::string> findSamples(const std::string &modelPath)
{
    std::vector<fs::path> candidates;
    if (const char *given = std::getenv("BITWRIGHT_SAMPLES"))
        candidates.emplace_back(given);
    if (!modelPath.empty())
        candidates.push_back(fs::path(modelPath).parent_path());
    std::error_code code;
    if (const auto program = fs::read_symlink("/proc/self/exe", code); !code)
        candidates.push_back(program.parent_path().parent_path().parent_path() / "sample_models");
    candidates.emplace_back(BITWRIGHT_SOURCE_SAMPLES);
    for (const auto &candidate : candidates)
        if (fs::exists(candidate / "data" / "t10k-images-idx3-ubyte.gz", code))
            return candidate.string();
    return std::nullopt;
}

} // namespace bitwright
