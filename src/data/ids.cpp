#include "whence/data/ids.h"

#include <set>
#include <sstream>

#include "whence/core/error.h"
#include "whence/core/text.h"

#include "text_file.h"

namespace whence {
namespace {

std::string text_of(const std::string& option, const std::string& path) {
  try {
    return read_text_file(path);
  } catch (const Error& error) {
    refuse("--{}: {}", option, error.what());
  }
}

}  // namespace

std::vector<std::int64_t> ids_in_file(const std::string& option, const std::string& path) {
  std::istringstream text(text_of(option, path));
  std::vector<std::int64_t> ids;
  std::set<std::int64_t> seen;
  std::int64_t number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    const std::string_view word = trimmed(line);
    if (word.empty()) continue;
    const auto id = whole_number(word);
    if (!id)
      refuse("--{}: {}, line {}: '{}' is not an instance id (a whole number, one a line)", option, path,
             number, visible(word, 60));
    if (!seen.insert(*id).second)
      refuse("--{}: {}, line {}: the id {} is there twice", option, path, number, *id);
    ids.push_back(*id);
  }
  if (ids.empty()) refuse("--{}: {} holds no ids", option, path);
  return ids;
}

}  // namespace whence
