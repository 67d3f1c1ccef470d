// SPDX-License-Identifier: GPL-3.0-or-later
#include "graph/graph.h"

#include <algorithm>

namespace bitwright {

Argument Argument::of(ValueId id)
{
    Argument argument;
    argument.kind = Kind::Value;
    argument.value = id;
    return argument;
}

Argument Argument::of(c10::IValue constant)
{
    Argument argument;
    argument.constant = std::move(constant);
    return argument;
}

Argument Argument::of(std::vector<Argument> list)
{
    Argument argument;
    argument.kind = Kind::List;
    argument.list = std::move(list);
    return argument;
}

ValueId Graph::addValue(std::string name)
{
    valueNames.push_back(std::move(name));
    return ValueId(valueNames.size()) - 1;
}

ParameterMap Graph::parameterMap() const
{
    ParameterMap map;
    for (const Parameter &parameter : parameters)
        map.emplace(parameter.name, parameter.tensor);
    return map;
}

const Parameter *Graph::parameter(const std::string &name) const
{
    auto found = std::ranges::find(parameters, name, &Parameter::name);
    return found == parameters.end() ? nullptr : &*found;
}

int Graph::parameterOf(ValueId value) const
{
    if (value == kNoValue)
        return -1;
    auto found = std::ranges::find(parameters, value, &Parameter::value);
    return found == parameters.end() ? -1 : int(found - parameters.begin());
}

std::int64_t Graph::trainableCount() const
{
    std::int64_t count = 0;
    for (const Parameter &parameter : parameters)
        count += parameter.trainable ? parameter.tensor.numel() : 0;
    return count;
}

} // namespace bitwright
