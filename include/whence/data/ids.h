#pragma once
// Lists of instance ids as text.

#include <cstdint>
#include <string>
#include <vector>

namespace whence {

/// The ids in a file, one a line, blank lines passed over, in their order. UsageError naming `option` when
/// the file cannot be read, holds no ids or something else, or has an id twice.
std::vector<std::int64_t> ids_in_file(const std::string& option, const std::string& path);

}  // namespace whence
