// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <string>

namespace bitwright::torchscript {

/// What must hold before LibTorch's loader sees a file: its records unpack to no more than such a file has (the loader
/// would take the memory), programs and values nest no deeper than its stack bears, every record matches its checksum (the loader trusts the bytes),
/// and no class restores itself with a loop: the loader runs __setstate__, where nothing could stop it.
Status checkArchive(const std::string &path);

/// How deep a program's text makes its parser call itself, at most: brackets, and operators and calls in a row.
std::size_t nestingOf(const std::string &code);
/// The class of a program's text whose __setstate__ might not end, or nothing. It may call other code only where the
/// whole program (`loopsAnywhere` false) has no loop.
std::string restoresInALoop(const std::string &code, bool loopsAnywhere);
/// True where a program's text holds a loop.
bool hasLoop(const std::string &code);

} // namespace bitwright::torchscript
