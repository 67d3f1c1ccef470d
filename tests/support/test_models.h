// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Networks that make_models.py writes once per build folder, and PyTorch's own answers to them.

#include "graph/graph.h"

#include <QtCore/QCryptographicHash>
#include <QtCore/QDir>
#include <QtCore/QFile>
#include <QtCore/QProcess>
#include <QtCore/QStringList>

#include <torch/csrc/jit/serialization/pickle.h>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace bitwright::testing {

/// The folder with NAME.script.pt, NAME.trace.pt, NAME.pt2 and NAME.expected, made where missing or older than the
/// script. Empty, with a message on standard error, where Python failed.
inline std::string modelFolder(const QStringList &names = {})
{
    const QString folder = qEnvironmentVariable("BITWRIGHT_BINARY_DIR", QDir::currentPath()) + QStringLiteral("/test_models");
    const QString source = qEnvironmentVariable("BITWRIGHT_SOURCE_DIR", QStringLiteral(BITWRIGHT_TEST_DATA "/.."));
    const QString script = source + QStringLiteral("/tests/support/make_models.py");
    // Importing torch takes Python two seconds: not when the script has not changed since it wrote everything.
    auto read = [](const QString &path) {
        QFile file(path);
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    };
    if (read(folder + QStringLiteral("/all.stamp")) ==
        QCryptographicHash::hash(read(script), QCryptographicHash::Sha256).toHex())
        return folder.toStdString();
    QProcess python;
    python.setProcessChannelMode(QProcess::ForwardedChannels);
    python.start(qEnvironmentVariable("BITWRIGHT_PYTHON", QStringLiteral("python3")), QStringList{script, folder} + names);
    if (!python.waitForFinished(240000) || python.exitCode() != 0)
        return {};
    return folder.toStdString();
}

/// What make_models.py wrote about a network: in0, out0, cot0, grad/NAME, train0, buffer/NAME.
using Expected = std::map<std::string, at::Tensor>;

inline Expected readExpected(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    Expected all;
    for (const auto &entry : torch::jit::pickle_load(bytes).toGenericDict())
        all.emplace(entry.key().toStringRef(), entry.value().toTensor());
    return all;
}

/// in0, in1… of the first `batch` samples.
inline std::vector<c10::IValue> inputsOf(const Expected &expected, std::int64_t batch)
{
    std::vector<c10::IValue> inputs;
    for (int i = 0; expected.contains("in" + std::to_string(i)); ++i)
        inputs.emplace_back(expected.at("in" + std::to_string(i)).narrow(0, 0, batch).contiguous());
    return inputs;
}

/// The tensors of one prefix in order: out0, out1…
inline std::vector<at::Tensor> listOf(const Expected &expected, const std::string &prefix)
{
    std::vector<at::Tensor> tensors;
    for (int i = 0; expected.contains(prefix + std::to_string(i)); ++i)
        tensors.push_back(expected.at(prefix + std::to_string(i)));
    return tensors;
}

/// Largest difference relative to the size of the expected values (absolute below 1); infinity where shapes differ.
inline double difference(const at::Tensor &got, const at::Tensor &wanted)
{
    if (!got.defined() || got.sizes() != wanted.sizes())
        return std::numeric_limits<double>::infinity();
    if (wanted.numel() == 0)
        return 0;
    const double scale = std::max(1.0, wanted.abs().max().item<double>());
    const double worst = (got.to(at::kDouble) - wanted.to(at::kDouble)).abs().max().item<double>() / scale;
    return std::isnan(worst) ? std::numeric_limits<double>::infinity() : worst;
}

/// The same for another script of this folder that writes all it has into `folder` of the build.
inline std::string modelFolder(const QString &script, const QString &folder)
{
    const QString target = qEnvironmentVariable("BITWRIGHT_BINARY_DIR", QDir::currentPath()) + QLatin1Char('/') + folder;
    const QString source = qEnvironmentVariable("BITWRIGHT_SOURCE_DIR", QStringLiteral(BITWRIGHT_TEST_DATA "/.."));
    const QString support = source + QStringLiteral("/tests/support/");
    auto read = [](const QString &path) {
        QFile file(path);
        return file.open(QIODevice::ReadOnly) ? file.readAll() : QByteArray();
    };
    // The script leaves the digest of itself and of what it imports.
    const QByteArray text = read(support + script) + read(support + QStringLiteral("make_models.py"));
    if (read(target + QStringLiteral("/stamp")) == QCryptographicHash::hash(text, QCryptographicHash::Sha256).toHex())
        return target.toStdString();
    QProcess python;
    python.setProcessChannelMode(QProcess::ForwardedChannels);
    python.start(qEnvironmentVariable("BITWRIGHT_PYTHON", QStringLiteral("python3")), QStringList{support + script, target});
    return python.waitForFinished(240000) && python.exitCode() == 0 ? target.toStdString() : std::string();
}

} // namespace bitwright::testing
