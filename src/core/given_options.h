#pragma once
// Reading options as words of a command line and as lines of a file.

#include <optional>
#include <string>
#include <vector>

#include "whence/core/options.h"

namespace whence {

/// An option and the text it is given; a flag on a command line has none.
struct GivenOption {
  std::string name;
  std::optional<std::string> value;
};

/// Why `text` is no value of this form, or "".
std::string not_in_form(Form form, const std::string& text);

/// `--name value`, `--name=value` and `--flag`. Whole names only: a guessed abbreviation in a batch script
/// would change its meaning when options are added. UsageError naming the word that is wrong.
std::vector<GivenOption> options_in_arguments(const OptionTable& table,
                                              const std::vector<std::string>& arguments);

/// `name = value`, one a line, blanks around both dropped; # begins a comment. UsageError naming file and
/// line.
std::vector<GivenOption> options_in_file(const OptionTable& table, const std::string& path);

}  // namespace whence
