// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace bitwright {

/// What kind of failure it was; the window and the command line word the way out by it.
enum class ErrorKind { Io, Parse, Unsupported, Invalid, Numeric, Cancelled, Internal };

/// An expected failure as a value. `message` is one sentence of the form "WHAT, WHY; HOW TO MEND" that names the
/// file, layer or option; `context` is extra detail for the log and may be empty.
struct [[nodiscard]] Error {
    ErrorKind kind = ErrorKind::Internal;
    std::string message;
    std::string context;
    friend bool operator==(const Error &, const Error &) = default;
};

/// A value or the error that prevented it.
template <typename T>
using Result = std::expected<T, Error>;
/// Success or an error.
using Status = std::expected<void, Error>;

/// Shorthand to return an error: `return fail(ErrorKind::Io, "model.pt2, no such file; check the path");`
[[nodiscard]] inline std::unexpected<Error> fail(ErrorKind kind, std::string message, std::string context = {})
{
    return std::unexpected(Error{kind, std::move(message), std::move(context)});
}

/// True for errors that mean "the user stopped it".
[[nodiscard]] inline bool isCancelled(const Error &error)
{
    return error.kind == ErrorKind::Cancelled;
}

} // namespace bitwright

#define BITWRIGHT_CONCAT_(a, b) a##b
#define BITWRIGHT_CONCAT(a, b) BITWRIGHT_CONCAT_(a, b)
/// Evaluates a Result or Status and returns its error from the calling function if it has one.
#define BW_CHECK(expression)                                                                                          \
    do {                                                                                                              \
        if (auto bwStatus = (expression); !bwStatus)                                                                  \
            return std::unexpected(std::move(bwStatus.error()));                                                      \
    } while (false)
/// `BW_ASSIGN(auto graph, load(path));` unwraps a Result or returns its error from the calling function.
#define BW_ASSIGN(declaration, expression)                                                                            \
    auto BITWRIGHT_CONCAT(bwResult, __LINE__) = (expression);                                                         \
    if (!BITWRIGHT_CONCAT(bwResult, __LINE__))                                                                        \
        return std::unexpected(std::move(BITWRIGHT_CONCAT(bwResult, __LINE__).error()));                              \
    declaration = std::move(*BITWRIGHT_CONCAT(bwResult, __LINE__))
