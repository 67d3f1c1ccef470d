// SPDX-License-Identifier: GPL-3.0-or-later
#include "application.h"
#include "tensor/process_setup.h"

#include <QApplication>
#include <QCommandLineParser>
#include <QIcon>
#include <QTimer>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#ifndef BITWRIGHT_VERSION
#define BITWRIGHT_VERSION "0.1.0"
#endif

using namespace bitwright;

namespace {

/// A picture can be taken where there is no display at all.
void chooseSurface(int argc, char **argv)
{
    const auto missing = [](const char *name) {
        const char *value = std::getenv(name);
        return value == nullptr || *value == '\0';
    };
    bool picture = false;
    for (int i = 1; i < argc; ++i)
        picture = picture || std::string_view(argv[i]).starts_with("--screenshot");
    if (missing("QT_QPA_PLATFORM") && (picture || (missing("DISPLAY") && missing("WAYLAND_DISPLAY"))))
        setenv("QT_QPA_PLATFORM", "offscreen", 0);
}

QStringList toList(int argc, char **argv)
{
    QStringList list;
    for (int i = 0; i < argc; ++i)
        list << QString::fromLocal8Bit(argv[i]);
    return list;
}

/// Qt takes `--session ID` for the desktop's session manager and would swallow ours.
std::vector<char *> withoutSession(int argc, char **argv)
{
    std::vector<char *> kept;
    for (int i = 0; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--session" || argument == "-session")
            ++i;
        else if (!argument.starts_with("--session="))
            kept.push_back(argv[i]);
    }
    kept.push_back(nullptr);
    return kept;
}

std::optional<Launch> parse(const QStringList &arguments, QString &problem)
{
    const auto tr = [](const char *text) { return QCoreApplication::translate("main", text); };
    QCommandLineParser parser;
    parser.setApplicationDescription(tr("See, quantize and shrink trained neural networks."));
    parser.addHelpOption();
    parser.addVersionOption();
    parser.addPositionalArgument(QStringLiteral("MODEL"), tr("A network (.pt2 or TorchScript) or a session (.bitwright)."), QStringLiteral("[MODEL]"));
    const auto option = [&](const char *name, const char *value, const QString &text) {
        parser.addOption({QString::fromLatin1(name), text, QString::fromLatin1(value)});
    };
    option("session", "FILE", tr("Go on with this session, or keep the new one there."));
    option("data", "SPEC", tr("Evaluation data, for example sample:test or idx:DIR,split=test; training data follow from it."));
    option("config", "FILE", tr("Start with this assignment."));
    option("threads", "N", tr("Threads to compute with (default: all cores)."));
    option("screenshot", "FILE.png", tr("Save a picture of the window when it is complete, then end."));
    option("size", "WxH", tr("Size of the window."));
    option("theme", "THEME", tr("dark or light."));
    option("show", "TAB", tr("Bring this tab to the front."));
    option("layer", "NAME", tr("Select this layer."));
    parser.process(arguments);   // --help and --version end here

    Launch launch;
    const auto value = [&](const char *name) { return parser.value(QString::fromLatin1(name)); };
    launch.model = parser.positionalArguments().value(0);
    launch.session = value("session");
    launch.data = value("data");
    launch.config = value("config");
    launch.screenshot = value("screenshot");
    launch.tab = value("show");
    launch.layer = value("layer");
    launch.threads = value("threads").toInt();
    if (const QString size = value("size"); !size.isEmpty()) {
        launch.size = QSize(size.section(QChar(u'x'), 0, 0).toInt(), size.section(QChar(u'x'), 1).toInt());
        if (launch.size.isEmpty())
            problem = tr("--size %1, it is not WIDTHxHEIGHT; use for example 1280x800").arg(size);
    }
    if (const QString theme = value("theme"); theme == QStringLiteral("dark") || theme == QStringLiteral("light"))
        launch.theme = theme == QStringLiteral("dark") ? Theme::Dark : Theme::Light;
    else if (!theme.isEmpty())
        problem = tr("--theme %1, there is no such theme; use dark or light").arg(theme);
    if (parser.positionalArguments().size() > 1)
        problem = tr("%1, more than one network was named; name one").arg(parser.positionalArguments().at(1));
    return problem.isEmpty() ? std::optional(launch) : std::nullopt;
}

} // namespace

int main(int argc, char **argv)
{
    setUpProcess();
    chooseSurface(argc, argv);
    const QStringList arguments = toList(argc, argv);
    std::vector<char *> forQt = withoutSession(argc, argv);
    int count = int(forQt.size()) - 1;
    QApplication application(count, forQt.data());
    QApplication::setApplicationName(QStringLiteral("Bitwright"));
    QApplication::setApplicationVersion(QStringLiteral(BITWRIGHT_VERSION));
    QString problem;
    const std::optional<Launch> launch = parse(arguments, problem);
    if (!launch) {
        std::fprintf(stderr, "error: %s\n", qPrintable(problem));
        return 2;
    }
    Application program(*launch);
    QApplication::setWindowIcon(themedIcon(QStringLiteral("bitwright")));
    // From inside the event loop, so that an early exit() counts.
    QTimer::singleShot(0, &program, &Application::start);
    return QApplication::exec();
}
