#include "whence/core/config_line.h"

#include <fmt/format.h>
#include <fstream>
#include <string_view>

#include "whence/core/text.h"

namespace whence {

std::string with_line(const std::string& refusal, const std::string& config,
                      const std::vector<std::string>& arguments) {
  const std::string option = refusal.substr(0, refusal.find_first_of(": ,"));
  if (config.empty() || option.size() < 3 || option.rfind("--", 0) != 0) return refusal;
  for (const std::string& word : arguments)
    if (word.substr(0, word.find('=')) == option) return refusal;
  std::ifstream lines(config);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::string_view text = without_mark(line);
    if (trimmed(text.substr(0, text.find('='))) == option.substr(2))
      return fmt::format("{}, line {}: {}", config, number, refusal);
  }
  return refusal;
}

}  // namespace whence
