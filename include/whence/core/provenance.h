#pragma once
// Which Whence made a result.

#include <string>

namespace whence {

std::string version();
/// The commit Whence was built from, with "-dirty" when the tree had changes; "unknown" outside a repository.
std::string git_sha();

/// The one sign convention of every estimate, truth, file and table.
inline constexpr const char* sign_convention =
    "influence of j = V without j minus V with j (positive: removing j raises V)";

}  // namespace whence
