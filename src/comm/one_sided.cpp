#include "whence/comm/one_sided.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

namespace whence {
namespace {

constexpr const char* debian_settings = "/etc/openmpi/openmpi-mca-params.conf";

std::string without_blanks(std::string text) {
  text.erase(
      std::remove_if(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\t' || c == '\r'; }),
      text.end());
  return text;
}

std::string content(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  return text.str();
}

bool user_decided() {
  for (const char* name : {"OMPI_MCA_osc", "OMPI_MCA_mca_base_param_files", "OMPI_MCA_mca_param_files"})
    if (std::getenv(name) != nullptr) return true;
  const char* home = std::getenv("HOME");
  return home != nullptr && osc_in(content(std::string(home) + "/.openmpi/mca-params.conf")).has_value();
}

}  // namespace

std::optional<std::string> osc_in(const std::string& settings) {
  std::optional<std::string> found;
  std::istringstream lines(settings);
  for (std::string line; std::getline(lines, line);) {
    const std::string plain = without_blanks(line.substr(0, line.find('#')));
    if (plain.rfind("osc=", 0) == 0) found = plain.substr(4);
  }
  return found;
}

std::optional<std::string> osc_over_tcp(const std::string& system_settings) {
  const std::string osc = osc_in(system_settings).value_or("");
  if (osc.empty() || osc.front() != '^') return std::nullopt;
  std::vector<std::string> left;
  bool ruled_out = false;
  std::istringstream names(osc.substr(1));
  for (std::string name; std::getline(names, name, ',');)
    if (name == "pt2pt")
      ruled_out = true;
    else
      left.push_back(name);
  if (!ruled_out) return std::nullopt;
  std::string allowed;
  for (const std::string& name : left) allowed += (allowed.empty() ? "^" : ",") + name;
  return allowed;
}

void allow_windows_over_tcp() {
  if (user_decided()) return;
  if (const auto osc = osc_over_tcp(content(debian_settings))) setenv("OMPI_MCA_osc", osc->c_str(), 0);
}

}  // namespace whence
