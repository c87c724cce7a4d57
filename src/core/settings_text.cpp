#include "whence/core/settings_text.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <sstream>

#include "whence/core/text.h"

namespace whence {
namespace {

using Values = std::map<std::string, std::string>;

Values values_in(const std::string& text) {
  Values values;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string_view view = line;
    values[std::string(trimmed(view.substr(0, equals)))] = std::string(trimmed(view.substr(equals + 1)));
  }
  return values;
}

bool only(const std::string& text, const char* characters) {
  return text.find_first_not_of(characters) == std::string::npos;
}

bool same_value(const std::string& name, const std::string& a, const std::string& b) {
  if (without_place(name, a) == without_place(name, b)) return true;
  const auto first = real_number(a), second = real_number(b);
  return first && second && *first == *second;
}

// Options of jobs on runs that came later, and values that say what was done before there were such options.
// Those of runs themselves: train/settings_defaults.h.
bool as_before(const std::string& name, const std::string& value) {
  if (name == "replicas") return true;  // results of earlier versions name it; nothing depends on it
  static const std::multimap<std::string, std::string> before{{"formula", "own"},
                                                              {"crossings", "off"},
                                                              {"crossings", "auto"},  // which were counted:
                                                                                      // an attribute
                                                              {"paths", "0"},
                                                              {"among", "none"},
                                                              {"groups", "none"},
                                                              {"fraction", "0.01,0.05,0.1"},
                                                              {"weight", "0"},
                                                              {"noise-draws", "1"}};
  const auto [first, last] = before.equal_range(name);
  return std::any_of(first, last, [&](const auto& known) { return same_value(name, known.second, value); });
}

std::string shown(const Values& values, const std::string& name) {
  const auto found = values.find(name);
  if (found == values.end()) return "not given";
  return found->second.empty() ? "empty" : visible(found->second, 80);
}

}  // namespace

std::string without_place(const std::string& name, const std::string& value) {
  if (name == "data" || name == "game") return value.substr(0, value.find(':'));
  if (name == "plant" && value.find(':') != std::string::npos) return value.substr(value.rfind(':'));
  if (name == "from" && value != "none") return "given parameters";
  if ((name == "without" || name == "train-ids") && value != "none") return "a file of ids";
  if ((name == "targets" || (name == "among" && value != "none")) && !only(value, "0123456789"))
    return "a file of ids";
  if (name == "queries" && value.rfind("ids:", 0) == 0 && !only(value.substr(4), "0123456789,"))
    return "a file of ids";
  if (name == "queries" && (value.rfind("file:", 0) == 0 || value.rfind("sum:file:", 0) == 0))
    return "a file of instances";
  return value;
}

std::string setting_in(const std::string& settings, const std::string& name) {
  const Values values = values_in(settings);
  const auto found = values.find(name);
  return found == values.end() ? "" : found->second;
}

std::string with_setting(const std::string& settings, const std::string& name, const std::string& value) {
  std::istringstream lines(settings);
  std::string text;
  for (std::string line; std::getline(lines, line);)
    text += (line.rfind(name + " = ", 0) == 0 ? name + " = " + value : line) + "\n";
  return text;
}

std::string settings_difference(const std::string& there, const std::string& here) {
  const Values before = values_in(there), now = values_in(here);
  std::set<std::string> names;
  for (const Values* values : {&before, &now})
    for (const auto& [name, value] : *values) names.insert(name);
  std::string text;
  for (const std::string& name : names) {
    const auto was = before.find(name), is = now.find(name);
    const bool both = was != before.end() && is != now.end();
    if (both && same_value(name, was->second, is->second)) continue;
    if (!both && as_before(name, was != before.end() ? was->second : is->second)) continue;
    text += fmt::format("{}{} is {} there and {} here", text.empty() ? "" : "; ", name, shown(before, name),
                        shown(now, name));
  }
  return text;
}

bool same_data(const std::string& there, const std::string& here) {
  return there == here || there == here.substr(0, here.find(" labels="));
}

std::string attribute_difference(const std::string& name, const std::string& there, const std::string& here) {
  if (there == here) return "";
  if (name == "settings" || name == "run_settings") return settings_difference(there, here);
  if (name == "data" && same_data(there, here)) return "";
  if (name == "layout") return "its networks are others";
  return fmt::format("{} is '{}' there and '{}' here", name, visible(there, 120), visible(here, 120));
}

std::string settings_without_places(const std::string& settings) {
  std::istringstream lines(settings);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find(" = "));
    text += name + " = " + without_place(name, line.substr(std::min(line.size(), name.size() + 3))) + "\n";
  }
  return text;
}

}  // namespace whence
