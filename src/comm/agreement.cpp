#include "whence/comm/agreement.h"

#include <algorithm>
#include <fmt/format.h>
#include <sstream>

namespace whence {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

// As one text: lengths before the parts, which may hold anything.
std::string packed(const Values& values) {
  std::string text;
  for (const auto& [name, value] : values)
    text += fmt::format("{} {}\n{}{}", name.size(), value.size(), name, value);
  return text;
}

Values unpacked(const std::string& text) {
  Values values;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t line = text.find('\n', at), blank = text.find(' ', at);
    const std::size_t name = std::stoul(text.substr(at, blank - at)),
                      value = std::stoul(text.substr(blank + 1, line - blank - 1));
    values.emplace_back(text.substr(line + 1, name), text.substr(line + 1 + name, value));
    at = line + 1 + name + value;
  }
  return values;
}

std::string shown(const std::string& text) {
  constexpr std::size_t most = 160;
  return text.size() <= most ? "'" + text + "'" : "'" + text.substr(0, most) + "...'";
}

// The first pair of lines that differ.
std::pair<std::string, std::string> first_difference(const std::string& a, const std::string& b) {
  std::istringstream in_a(a), in_b(b);
  std::string line_a, line_b;
  do {
    if (!std::getline(in_a, line_a)) line_a.clear();
    if (!std::getline(in_b, line_b)) line_b.clear();
  } while (line_a == line_b && (in_a || in_b));
  return {line_a, line_b};
}

// What this rank has otherwise than rank 0, as a sentence; "" when it has the same.
std::string difference(const Values& roots, const Values& own, const std::string& root,
                       const std::string& here) {
  const std::size_t count = std::max(roots.size(), own.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (i < std::min(roots.size(), own.size()) && roots[i] == own[i]) continue;
    const bool paired = i < std::min(roots.size(), own.size()) && roots[i].first == own[i].first;
    if (!paired) return fmt::format("{} and {} are not given the same options", root, here);
    const auto [of_root, of_this] = first_difference(roots[i].second, own[i].second);
    return fmt::format("{} is {} on {} but {} on {}; all ranks need the same", own[i].first, shown(of_root),
                       root, shown(of_this), here);
  }
  return "";
}

}  // namespace

void check_alike(const Values& values, const Communicator& ranks) {
  if (ranks.size() == 1) return;
  const std::string here = rank_and_host(), root = ranks.broadcast(here);
  const Values roots = unpacked(ranks.broadcast(packed(values)));
  const std::string found = difference(roots, values, root, here);
  const auto none = static_cast<std::int64_t>(ranks.size());
  const std::int64_t lowest = ranks.min(found.empty() ? none : ranks.rank());
  if (lowest == none) return;
  throw SharedUsageError(ranks.broadcast(found, static_cast<int>(lowest)));
}

}  // namespace whence
