#pragma once
// Where in a --config file an option stands.

#include <string>
#include <vector>

namespace whence {

/// A refusal ("--epochs: ...") of an option that the file `config` gives, with the file and the line before
/// it; any other as it is, and so where the option is among the `arguments`, which come before the file.
std::string with_line(const std::string& refusal, const std::string& config,
                      const std::vector<std::string>& arguments);

}  // namespace whence
