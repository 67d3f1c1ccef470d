// SPDX-License-Identifier: GPL-3.0-or-later
#include "frontends/torchscript_archive.h"

#include "frontends/archive_records.h"
#include "frontends/weights_file.h"

#include <zip.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <memory>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

namespace bitwright::torchscript {

namespace {

using Zip = std::unique_ptr<zip_t, decltype([](zip_t *archive) { zip_discard(archive); })>;

/// More program text than any network has.
constexpr std::size_t kMostCode = 64U << 20;
/// What LibTorch's loader bears on the stack that it is given (1 GB): it calls itself for each level of an expression and
/// each function that another calls first.
constexpr std::size_t kDeepestCode = 500, kMostFunctions = 40000, kMostElifs = 2000;

std::string_view trimmed(std::string_view line)
{
    const auto first = line.find_first_not_of(" \t");
    return first == std::string_view::npos ? std::string_view() : line.substr(first);
}

std::size_t countLines(const std::string &code, std::string_view start)
{
    std::size_t count = 0;
    std::istringstream lines(code);
    for (std::string line; std::getline(lines, line);)
        count += trimmed(line).starts_with(start) ? 1 : 0;
    return count;
}

/// Whether a program calls what LibTorch has for other files, as "torch.save(…)" or "ops.aten.from_file(…)".
bool touchesFiles(const std::string &code)
{
    for (const std::string_view name : {".save", ".from_file"})
        for (auto at = code.find(name); at != std::string::npos; at = code.find(name, at + 1)) {
            const auto next = code.find_first_not_of(" \t\n", at + name.size());
            if (next != std::string::npos && code[next] == '(')
                return true;
        }
    return false;
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

/// Sizes of the storages that the pickle "folder/NAME.pkl" refers to: they are the records "folder/NAME/KEY".
StorageBytes storagesOf(zip_t *archive, const std::string &pickle)
{
    // Traced inputs are written without their values and read without a device: only their sizes count.
    if (pickle.ends_with("/traced_inputs.pkl"))
        return [](const std::string &) -> Result<std::uint64_t> { return std::uint64_t(std::numeric_limits<std::int64_t>::max()); };
    return [archive, folder = pickle.substr(0, pickle.find_last_of('.')) + '/'](const std::string &key) -> Result<std::uint64_t> {
        zip_stat_t stat;
        zip_stat_init(&stat);
        if (zip_stat(archive, (folder + key).c_str(), ZIP_FL_ENC_RAW, &stat) != 0 || (stat.valid & ZIP_STAT_SIZE) == 0)
            return fail(ErrorKind::Parse, "the storage " + key + " is missing");
        return std::uint64_t(stat.size);
    };
}

} // namespace

std::size_t nestingOf(const std::string &code)
{
    static constexpr std::string_view kOperators = "+-*/%<>=&|^~.!@";
    std::vector<std::size_t> open{0};   // operators and finished brackets since the last comma, in each open bracket
    std::size_t now = 0, deepest = 0, word = 0;
    const auto add = [&] {
        ++open.back();
        deepest = std::max(deepest, ++now);
    };
    for (std::size_t i = 0; i < code.size(); ++i) {
        const char c = code[i];
        if (std::isalpha(static_cast<unsigned char>(c)) || c == '_') {
            word += 1;
            continue;
        }
        const std::string_view last(code.data() + i - word, word);
        word = 0;
        if (last == "not" || last == "and" || last == "or" || last == "if" || last == "else" || last == "in" || last == "is")
            add();
        const bool inNumber = i > 0 && std::isdigit(static_cast<unsigned char>(code[i - 1]));
        if (c == '"' || c == '\'') {
            for (++i; i < code.size() && code[i] != c && code[i] != '\n'; ++i)
                i += code[i] == '\\' ? 1 : 0;
        } else if (c == '#') {
            i = std::min(code.find('\n', i), code.size()) - 1;
        } else if (c == '(' || c == '[' || c == '{') {
            add();
            open.push_back(0);
        } else if ((c == ')' || c == ']' || c == '}') && open.size() > 1) {
            now -= open.back();
            open.pop_back();
        } else if (c == ',' || (c == '\n' && open.size() == 1)) {
            now -= open.back();
            open.back() = 0;
            if (c == '\n')
                deepest = std::max(deepest, std::min(code.find_first_not_of(' ', i + 1), code.size()) - i - 1);
        } else if (kOperators.find(c) != std::string_view::npos && !(c == '.' && inNumber)) {
            add();
        }
    }
    return deepest;
}

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
    BW_CHECK(checkUnpackedSize(path));   // before a byte is unpacked
    std::vector<char> buffer(1 << 16);
    std::vector<std::string> programs;
    std::set<std::string> names;   // readers differ in which of two they take
    std::size_t size = 0, functions = 0, elifs = 0;
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); ++i) {
        const char *entry = zip_get_name(archive.get(), zip_uint64_t(i), 0);
        const std::string name = entry ? entry : "";
        if (!names.insert(name).second)
            return fail(ErrorKind::Parse, path + " is damaged, it holds the record " + name + " twice" + mend);
        const bool code = name.find("/code/") != std::string::npos && name.ends_with(".py");
        const bool pickle = name.ends_with("pkl");
        std::string text;
        zip_file_t *record = zip_fopen_index(archive.get(), zip_uint64_t(i), 0);
        zip_int64_t got = record ? 1 : -1;
        while (got > 0) {
            got = zip_fread(record, buffer.data(), buffer.size());
            if ((code || pickle) && got > 0 && (size += std::size_t(got)) <= kMostCode)
                text.append(buffer.data(), std::size_t(got));
        }
        if (record)
            zip_fclose(record);
        if (got < 0)
            return fail(ErrorKind::Parse, path + " is damaged, the checksum of its record " + name + " does not match" + mend);
        if (size > kMostCode)
            return fail(ErrorKind::Unsupported, path + " holds more than 64 MB of program text; export the network itself");
        if (pickle)
            if (const Status status = checkPickle(text, storagesOf(archive.get(), name)); !status)
                return fail(ErrorKind::Parse, path + ", its record " + name + " cannot be read: " + status.error().message + mend);
        if (code) {
            functions += countLines(text, "def ");
            elifs += countLines(text, "elif");
            if (nestingOf(text) > kDeepestCode || functions > kMostFunctions || elifs > kMostElifs)
                return fail(ErrorKind::Unsupported, path + ", its program " + name + " nests deeper than can be loaded; export the network with "
                                                                                    "torch.export.save");
            programs.push_back(std::move(text));
        }
    }
    if (std::ranges::any_of(programs, touchesFiles))
        return fail(ErrorKind::Unsupported, path + " reads or writes other files (save, from_file), which no network does here; save it without that");
    const bool loops = std::ranges::any_of(programs, hasLoop);
    for (const std::string &program : programs)
        if (const std::string owner = restoresInALoop(program, loops); !owner.empty())
            return fail(ErrorKind::Unsupported, path + ", class " + owner
                                                    + " restores itself with a loop (__setstate__), which could keep the loader from "
                                                      "ever returning; save the network without it or with torch.export.save");
    return {};
}

} // namespace bitwright::torchscript
