// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/torchscript_archive.h"

#include <zip.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

namespace bitwright::torchscript {

namespace {

using Zip = std::unique_ptr<zip_t, decltype([](zip_t *archive) { zip_discard(archive); })>;

/// More program text than any network has.
constexpr std::size_t kMostCode = 64U << 20;

std::string_view trimmed(std::string_view line)
{
    const auto first = line.find_first_not_of(" \t");
    return first == std::string_view::npos ? std::string_view() : line.substr(first);
}

bool startsLoop(std::string_view line)
{
    line = trimmed(line);
    return line.starts_with("while ") || line.starts_with("for ") || line.starts_with("while(");
}

/// Whether a line calls code of the file itself: a method, written "(self).name(…)", or a function of a class's module.
bool callsOwnCode(std::string_view line)
{
    return line.find("__torch__.") != std::string_view::npos || line.find(").") != std::string_view::npos;
}

} // namespace

bool hasLoop(const std::string &code)
{
    std::istringstream lines(code);
    for (std::string line; std::getline(lines, line);)
        if (startsLoop(line))
            return true;
    return false;
}

std::string restoresInALoop(const std::string &code, bool loopsAnywhere)
{
    std::istringstream lines(code);
    std::string owner;
    std::size_t depth = std::string::npos;   // of the method that is being read
    bool body = false;                       // past its signature
    for (std::string line; std::getline(lines, line);) {
        const std::string_view text = trimmed(line);
        const std::size_t indent = line.size() - text.size();
        if (text.empty())
            continue;
        if (text.starts_with("class "))
            owner = std::string(text.substr(6, text.find_first_of("(:") - 6));
        if (text.starts_with("def __setstate__")) {
            depth = indent;
            body = text.ends_with(':');
        } else if (depth != std::string::npos && indent <= depth) {
            depth = std::string::npos;
        } else if (depth != std::string::npos && !body) {
            body = text.ends_with(':');
        } else if (depth != std::string::npos && (startsLoop(text) || (loopsAnywhere && callsOwnCode(text)))) {
            return owner.empty() ? "without a name" : owner;
        }
    }
    return {};
}

Status checkArchive(const std::string &path)
{
    int error = 0;
    const Zip archive(zip_open(path.c_str(), ZIP_RDONLY, &error));
    const std::string mend = "; copy or export the file again";
    if (!archive)
        return fail(ErrorKind::Parse, path + " is no readable archive, it is cut off or damaged" + mend);
    std::vector<char> buffer(1 << 16);
    std::vector<std::string> programs;
    std::size_t size = 0;
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); ++i) {
        const char *entry = zip_get_name(archive.get(), zip_uint64_t(i), 0);
        const std::string name = entry ? entry : "";
        const bool code = name.find("/code/") != std::string::npos && name.ends_with(".py");
        std::string text;
        zip_file_t *record = zip_fopen_index(archive.get(), zip_uint64_t(i), 0);
        zip_int64_t got = record ? 1 : -1;
        while (got > 0) {
            got = zip_fread(record, buffer.data(), buffer.size());
            if (code && got > 0 && (size += std::size_t(got)) <= kMostCode)
                text.append(buffer.data(), std::size_t(got));
        }
        if (record)
            zip_fclose(record);
        if (got < 0)
            return fail(ErrorKind::Parse, path + " is damaged, the checksum of its record " + name + " does not match" + mend);
        if (code)
            programs.push_back(std::move(text));
    }
    if (size > kMostCode)
        return fail(ErrorKind::Unsupported, path + " holds more than 64 MB of program text; export the network itself");
    const bool loops = std::ranges::any_of(programs, hasLoop);
    for (const std::string &program : programs)
        if (const std::string owner = restoresInALoop(program, loops); !owner.empty())
            return fail(ErrorKind::Unsupported, path + ", class " + owner
                                                    + " restores itself with a loop (__setstate__), which could keep the loader from "
                                                      "ever returning; save the network without it or with torch.export.save");
    return {};
}

} // namespace bitwright::torchscript
