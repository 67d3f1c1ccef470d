// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "base/result.h"

#include <exception>
#include <string>
#include <type_traits>
#include <utility>

namespace bitwright {

/// First line of a library exception's text, without LibTorch's stack trace.
std::string firstLine(const char *what);

/// Runs `body` and turns every exception (LibTorch's, bad_alloc, …) into an Error of `kind` whose message starts with
/// `what`. `body` may return a Result, a Status or a plain value.
template <typename Body>
auto guarded(const std::string &what, ErrorKind kind, Body &&body)
{
    using Value = std::invoke_result_t<Body>;
    auto describe = [&](const char *text) { return Error{kind, what + ", " + firstLine(text), text}; };
    if constexpr (requires(Value v) { v.error(); }) {
        try {
            return body();
        } catch (const std::exception &e) {
            return Value(std::unexpected(describe(e.what())));
        }
    } else if constexpr (std::is_void_v<Value>) {
        try {
            body();
            return Status{};
        } catch (const std::exception &e) {
            return Status(std::unexpected(describe(e.what())));
        }
    } else {
        try {
            return Result<Value>(body());
        } catch (const std::exception &e) {
            return Result<Value>(std::unexpected(describe(e.what())));
        }
    }
}

} // namespace bitwright
