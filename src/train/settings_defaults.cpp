#include "whence/train/settings_defaults.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <vector>

#include "whence/core/error.h"
#include "whence/core/settings_text.h"
#include "whence/train/settings.h"

namespace whence {
namespace {

// What a game's own options say in the settings of other games.
const std::string of_other_games = "preset";

// The part of a line `name = value` before the equals sign, without blanks.
std::string name_in(const std::string& line) {
  const std::string name = line.substr(0, line.find('='));
  return name.substr(0, name.find_last_not_of(" \t") + 1);
}

}  // namespace

std::string with_defaults(const std::string& settings) {
  const OptionTable table = train_options();
  std::vector<std::string> arguments{"--out=unused"};
  std::map<std::string, std::string> lines;
  std::istringstream there(settings);
  for (std::string line; std::getline(there, line);) {
    const std::string name = name_in(line);
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", equals + 1);
    const std::string value = begin == std::string::npos ? "" : line.substr(begin);
    if (value == of_other_games && table.forms().count(name) > 0) continue;  // it may have it by now
    lines[name] = line;
    if (table.forms().count(name) > 0) arguments.push_back("--" + name + "=" + value);
  }
  std::string all;
  try {
    all = choose_options(Options(table, arguments)).settings();
  } catch (const UsageError&) {
    return settings;
  }
  std::istringstream today(all);
  for (std::string line; std::getline(today, line);) lines.insert({name_in(line), line});
  std::string text;
  for (const auto& [name, line] : lines) text += line + "\n";
  return text;
}

std::string run_settings_difference(const std::string& there, const std::string& here) {
  return settings_difference(with_defaults(there), with_defaults(here));
}

Attributes as_old_as(const H5File& file, Attributes wanted) {
  const auto own = wanted.find("settings");
  const std::vector<std::string> names = file.attributes();
  if (own == wanted.end() || std::count(names.begin(), names.end(), "settings") == 0) return wanted;
  const std::string there = file.attribute("settings");
  if (run_settings_difference(there, own->second).empty()) own->second = there;
  return wanted;
}

}  // namespace whence
