#pragma once
// What the options of `whence influence` say.

#include <cstdint>
#include <string>

#include "whence/trace/trace_back.h"

namespace whence {

/// --grid; UsageError naming it where it is not one number of groups that there can be.
Grid read_grid(const std::string& text, std::int64_t ranks, std::int64_t queries, std::int64_t batch);

}  // namespace whence
