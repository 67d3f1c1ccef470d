// SPDX-License-Identifier: GPL-3.0-or-later
#include "tensor/process_setup.h"

#include <array>
#include <climits>
#include <cstring>
#include <vector>

#include <malloc.h>
#include <unistd.h>

namespace {

/// Runs before any library's own start-up code: LibTorch's is not paid twice, and libgomp reads the new environment.
void startAgainPassive(int, char **arguments, char **environment)
{
    std::vector<char *> variables;
    for (char **entry = environment; *entry != nullptr; ++entry) {
        if (std::strncmp(*entry, "OMP_WAIT_POLICY=", 16) == 0)
            return;
        variables.push_back(*entry);
    }
    static std::array<char, 32> passive{"OMP_WAIT_POLICY=passive"};
    variables.push_back(passive.data());
    variables.push_back(nullptr);
    std::array<char, PATH_MAX> program{};
    const auto length = readlink("/proc/self/exe", program.data(), program.size() - 1);
    if (length > 0)
        execve(program.data(), arguments, variables.data());
    // where that fails the program goes on as it is, only warmer
}

__attribute__((section(".preinit_array"), used)) void (*const kStart)(int, char **, char **) = startAgainPassive;

} // namespace

namespace bitwright {

void setUpProcess()
{
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_TOP_PAD, 64 << 20);
}

} // namespace bitwright
