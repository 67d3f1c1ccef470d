// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "graph/graph.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright::torchscript {

struct Value;
using ValuePtr = std::shared_ptr<Value>;

/// What is known about one value of a TorchScript program while it is walked. Shared like Python's objects: a list
/// that two names hold is one Value.
struct Value {
    enum class Kind {
        Constant,   ///< does not depend on the network's input nor on a parameter
        Dynamic,    ///< computed when the network runs
        List,
        Tuple,
        Dict,
        Object,     ///< a module
        Unknown     ///< cannot be expressed; an error only if it matters
    };
    Kind kind = Kind::Unknown;
    c10::IValue constant;               ///< of Constant and Object
    c10::TypePtr type;                  ///< TorchScript's type of List and Dict
    ValueId id = kNoValue;              ///< of Dynamic
    std::optional<c10::IValue> sample;  ///< of Dynamic: its value for the sample input
    std::vector<ValuePtr> items;        ///< of List, Tuple and Dict (its values)
    std::vector<c10::IValue> keys;      ///< of Dict
    std::string path;                   ///< of Object: its qualified name
    std::string reason;                 ///< of Unknown
    bool positive = false;              ///< of a number: a size, which is never 0
    bool growing = false;               ///< of Dynamic: a list whose length the run decides
    bool optional = false;              ///< of Dynamic: may be None when the network runs
    bool chosen = false;                ///< of a number: depends on a number that is an input of the network
    bool uninitialized = false;         ///< of Unknown: what a branch leaves open because nobody reads it after that branch
    int scope = -1;                     ///< how many bodies deep it was made; -1: not known yet
    ValuePtr number;                    ///< of a tensor made from a number: that number

    static ValuePtr ofConstant(c10::IValue value);
    static ValuePtr dynamic(ValueId id, std::optional<c10::IValue> sample);
    static ValuePtr unknown(std::string reason);
    static ValuePtr container(Kind kind, std::vector<ValuePtr> items, c10::TypePtr type = {});
};

/// Lists, tuples and dictionaries become containers of values, the rest a constant.
ValuePtr fromConstant(const c10::IValue &value);
/// The constant that a value is, containers included; nothing where any part is not.
std::optional<c10::IValue> constantOf(const Value &value);
/// Its value for the sample input; nothing where it is not known.
std::optional<c10::IValue> sampleOf(const Value &value);
/// The reason of the first unknown part, or null.
const std::string *unknownPart(const Value &value);
/// True for the constant None.
bool isNone(const Value &value);

} // namespace bitwright::torchscript
