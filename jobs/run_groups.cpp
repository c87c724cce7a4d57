#include "run_groups.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>
#include <sstream>

#include "whence/train/settings_defaults.h"

namespace whence {
namespace {

Settings settings_in(const std::string& text) {
  Settings settings;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find(" = ");
    if (equals != std::string::npos) settings[line.substr(0, equals)] = line.substr(equals + 3);
  }
  return settings;
}

std::string value_of(const Settings& settings, const std::string& name) {
  const auto found = settings.find(name);
  return found == settings.end() || found->second.empty() ? "none" : found->second;
}

}  // namespace

Settings experiment_of(const std::string& run_cfg) {
  Settings settings = settings_in(with_defaults(run_cfg));
  for (const char* name : {"seed", "record", "checkpoints"}) settings.erase(name);
  return settings;
}

std::vector<RunGroup> group_runs(const std::vector<Settings>& runs) {
  std::set<std::string> names, different;
  for (const Settings& run : runs)
    for (const auto& setting : run) names.insert(setting.first);
  for (const std::string& name : names)
    for (const Settings& run : runs)
      if (value_of(run, name) != value_of(runs.front(), name)) different.insert(name);

  std::vector<RunGroup> groups;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    RunGroup own{"all runs", {}, {i}};
    std::vector<std::string> parts;
    for (const std::string& name : different) {
      own.settings[name] = value_of(runs[i], name);
      parts.push_back(name + " " + own.settings[name]);
    }
    if (!parts.empty()) own.name = fmt::format("{}", fmt::join(parts, ", "));
    const auto same = std::find_if(groups.begin(), groups.end(),
                                   [&](const RunGroup& group) { return group.settings == own.settings; });
    if (same == groups.end())
      groups.push_back(own);
    else
      same->runs.push_back(i);
  }
  return groups;
}

}  // namespace whence
