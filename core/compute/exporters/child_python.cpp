// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/child_python.h"

#include "tensor/guarded.h"

#include <cstdlib>
#include <filesystem>
#include <system_error>

#ifndef BITWRIGHT_VENV_PYTHON
#define BITWRIGHT_VENV_PYTHON ""
#endif

namespace bitwright {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::chrono::seconds kStartPatience{180}, kRunPatience{300};

std::string text(const json &answer, const char *key)
{
    return answer.is_object() && answer.contains(key) && answer[key].is_string() ? firstLine(answer[key].get<std::string>().c_str()) : std::string();
}

} // namespace

std::string pythonProgram()
{
    if (const char *wanted = std::getenv("BITWRIGHT_PYTHON"); wanted && *wanted)
        return wanted;
    std::error_code ignored;
    const fs::path self = fs::read_symlink("/proc/self/exe", ignored);
    for (const fs::path &candidate : {self.parent_path().parent_path() / "venv/bin/python", fs::path(BITWRIGHT_VENV_PYTHON)}) {
        if (!candidate.empty() && fs::exists(candidate, ignored))
            return candidate.string();
    }
    return "python3";
}

Status ChildPython::start(const std::vector<std::string> &arguments, const JobContext &context)
{
    if (!m_folder.valid())
        return fail(ErrorKind::Io, "temporary folder, it cannot be made; set TMPDIR to a folder that can be written");
    const std::string python = pythonProgram();
    std::vector<std::string> command{python, "-c", m_script.code};
    command.insert(command.end(), arguments.begin(), arguments.end());
    if (auto started = m_child.start(command); !started)
        return fail(ErrorKind::Unsupported, started.error().message);
    auto line = m_child.receive(context.stop, kStartPatience);
    if (!line) {
        if (isCancelled(line.error()))
            return std::unexpected(line.error());
        return fail(ErrorKind::Unsupported, line.error().message, line.error().context);
    }
    const auto answer = json::parse(*line, nullptr, false);
    if (answer.is_object() && answer.contains("missing"))
        return fail(ErrorKind::Unsupported, std::string(m_script.title) + " is not installed for " + python + " (" + text(answer, "missing") + ")");
    if (answer.is_object() && answer.contains("refused"))
        return fail(ErrorKind::Invalid, m_file + ", " + m_script.title + " refuses it: " + text(answer, "refused") + "; " + m_script.remedy);
    m_version = text(answer, "version");
    if (m_version.empty())
        return fail(ErrorKind::Unsupported, "the answer of " + python + " is not understood");
    return {};
}

Result<json> ChildPython::ask(const json &order, const JobContext &context)
{
    BW_CHECK(m_child.send(order.dump()));
    BW_ASSIGN(const std::string line, m_child.receive(context.stop, kRunPatience));
    json answer = json::parse(line, nullptr, false);
    if (!answer.is_object())
        return fail(ErrorKind::Io, std::string(m_script.title) + ", its answer is not understood; look at the log", line);
    if (answer.contains("failed"))
        return fail(ErrorKind::Invalid, m_file + ", " + m_script.title + " cannot run it: " + text(answer, "failed") + "; export it again or report it");
    return answer;
}

} // namespace bitwright
