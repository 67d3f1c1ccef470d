// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Networks of make_control.py: several cases each, so that every branch is taken.

#include "graph/executor.h"
#include "test_models.h"

#include <ATen/core/grad_mode.h>

#include <QtTest/QtTest>

namespace bitwright::testing {

inline std::string controlFolder()
{
    return modelFolder(QStringLiteral("make_control.py"), QStringLiteral("test_control"));
}

/// The inputs of one case; numbers where the graph takes numbers.
inline std::vector<c10::IValue> caseInputs(const Graph &graph, const Expected &expected, int index)
{
    std::vector<c10::IValue> inputs;
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
        const at::Tensor &value = expected.at(std::to_string(index) + "/in" + std::to_string(i));
        const std::string &dtype = graph.inputs[i].info.dtype;
        if (dtype == "int")
            inputs.emplace_back(value.item<std::int64_t>());
        else if (dtype == "float")
            inputs.emplace_back(value.item<double>());
        else if (dtype == "bool")
            inputs.emplace_back(value.item<bool>());
        else
            inputs.emplace_back(value);
    }
    return inputs;
}

/// Runs all cases and holds each result to PyTorch's.
inline void compareCases(const Graph &graph, const Expected &expected)
{
    const Executor executor(std::make_shared<Graph>(graph));
    const auto parameters = executor.bind();
    const at::NoGradGuard noGrad;
    int cases = 0;
    for (; expected.contains(std::to_string(cases) + "/out0"); ++cases) {
        const std::string prefix = std::to_string(cases) + "/out";
        const auto results = executor.run(caseInputs(graph, expected, cases), parameters);
        QVERIFY2(results.has_value(), results ? "" : results.error().message.c_str());
        const auto wanted = listOf(expected, prefix);
        QCOMPARE(results->size(), wanted.size());
        QCOMPARE(graph.outputNames.size(), wanted.size());
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            const c10::IValue &result = (*results)[i];
            QVERIFY2(result.isTensor() || result.isScalar(), qPrintable(QString::number(i)));
            const at::Tensor got = result.isTensor() ? result.toTensor() : at::scalar_tensor(result.toScalar(), at::kDouble);
            const double worst = difference(got, wanted[i]);
            QVERIFY2(worst < 1e-5, qPrintable(QStringLiteral("case %1 output %2: %3").arg(cases).arg(i).arg(worst)));
        }
    }
    QVERIFY(cases > 0);
}

} // namespace bitwright::testing
