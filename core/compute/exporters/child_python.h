// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/job_context.h"
#include "exporters/child_files.h"
#include "exporters/child_process.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace bitwright {

/// The Python that runs files: BITWRIGHT_PYTHON, else that of the build's virtual environment, else python3.
std::string pythonProgram();

/// A program for a child Python: two functions in Python. `load(arguments)` imports its library, loads the file and gives
/// the library's version; it calls `refuse` instead of letting an error of the file through. `answer(order)` gives a
/// dictionary for a dictionary. json, sys, ctypes and warnings are there.
struct PythonScript {
    const char *title;      ///< the library, as errors and reports name it
    const char *code;       ///< load and answer
    const char *remedy;     ///< what to do about a refused file
};

/// A script at work, with a folder for what is handed over. Ended when this goes away.
class ChildPython {
public:
    /// `file` is what errors are about. The error is of kind Unsupported where there is no Python or no library.
    ChildPython(const PythonScript &script, std::string file) : m_script(script), m_file(std::move(file)) {}
    Status start(const std::vector<std::string> &arguments, const JobContext &context);
    /// Sends one order and waits for its answer, an object.
    Result<nlohmann::json> ask(const nlohmann::json &order, const JobContext &context);
    /// A place in the folder.
    [[nodiscard]] std::string place(const std::string &name) const { return m_folder.file(name); }
    /// "PyTorch 2.13.0"
    [[nodiscard]] std::string name() const { return std::string(m_script.title) + " " + m_version; }

private:
    PythonScript m_script;
    std::string m_file, m_version;
    TemporaryFolder m_folder;
    ChildProcess m_child;   // ends before its files go
};

} // namespace bitwright
