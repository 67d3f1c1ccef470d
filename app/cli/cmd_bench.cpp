// SPDX-License-Identifier: GPL-3.0-or-later
#include "commands.h"
#include "format.h"

#include "base/names.h"
#include "bench.h"

#include <CLI/CLI.hpp>

namespace bitwright::cli {

Work declareBench(CLI::App &app)
{
    auto wanted = std::make_shared<std::string>();
    app.add_option("NAME", *wanted, "Run only the benchmarks whose name starts so");
    return [wanted](Console &console) -> Result<Output> {
        constexpr auto kRight = TextTable::Align::Right;
        TextTable table({{"benchmark"}, {"seconds", kRight}, {"yardstick"}, {"seconds", kRight}, {"ratio", kRight}, {"aim", kRight}});
        Output output;
        output.firstKeys = {"name", "seconds", "yardstick", "yardstick_seconds", "ratio"};
        output.json = {{"results", nlohmann::json::array()}};
        std::vector<std::string> names;
        const auto rows = allBenchmarks();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto &row = rows[i];
            names.push_back(row.name);
            if (!row.name.starts_with(*wanted))
                continue;
            auto job = console.job();
            job.progress("benchmark " + row.name, std::int64_t(i), std::int64_t(rows.size()));
            if (job.stopped())
                return cancelled();
            BW_ASSIGN(const auto times, row.run(BenchContext{job, console.options().threads}));
            const double ratio = times.seconds / times.yardstickSeconds;
            output.json["results"].push_back({{"name", row.name}, {"seconds", times.seconds}, {"yardstick", row.yardstick},
                                              {"yardstick_seconds", times.yardstickSeconds}, {"ratio", ratio}, {"aim", row.aim}});
            table.add({row.name, fixed(times.seconds, 6), row.yardstick, fixed(times.yardstickSeconds, 6), fixed(ratio, 3),
                       row.aim > 0 ? fixed(row.aim, 3) : ""});
        }
        if (table.empty())
            return fail(ErrorKind::Invalid, "benchmark '" + *wanted + "', there is none of that name; there are " + joinNames(names));
        output.text = table.text();
        return output;
    };
}

} // namespace bitwright::cli
