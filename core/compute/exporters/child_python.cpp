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

// One line of JSON when it has started: {"version": …}, {"missing": why} where it lacks its library, {"refused": why} where
// that does not take the file. Then a line for each line of orders, {"failed": why} where one cannot be done.
constexpr const char *kBefore = R"python(
import ctypes, json, sys, warnings
warnings.simplefilter("ignore")
out = sys.stdout
sys.stdout = sys.stderr
def say(**answer):
    print(json.dumps(answer), file=out, flush=True)
def refuse(problem):
    say(refused=str(problem))
    sys.exit(0)
)python";
constexpr const char *kBehind = R"python(
try:
    version = load(sys.argv[1:])
except Exception as problem:
    say(missing=str(problem))
    sys.exit(0)
say(version=version)
for line in sys.stdin:
    try:
        say(**answer(json.loads(line)))
    except Exception as problem:
        say(failed=str(problem))
)python";

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
    std::vector<std::string> command{python, "-c", std::string(kBefore) + m_script.code + kBehind};
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
