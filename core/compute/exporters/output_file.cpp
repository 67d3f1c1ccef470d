// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/output_file.h"

#include "base/replace_file.h"
#include "base/text_file.h"
#include "tensor/mapped_file.h"

namespace bitwright {

Status writeChecked(const std::string &path, std::string_view bytes, const std::function<Status(const std::string &)> &check)
{
    return replaceFile(path, [&](const std::string &temporary) -> Status {
        if (Status status = writeTextFile(temporary, bytes); !status)
            return fail(status.error().kind, path + status.error().message.substr(temporary.size()));
        if (check)
            BW_CHECK(check(temporary));
        return mappedFilesIntact();   // what was written came out of them
    });
}

} // namespace bitwright
