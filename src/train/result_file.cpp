#include "whence/train/result_file.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/settings_text.h"

namespace whence {

Attributes result_attributes(const Run& run, const std::string& settings,
                             const std::vector<std::string>& metrics) {
  Attributes attributes{
      {"run", run.trajectory().fingerprint()},
      {"run_settings", run.trajectory().attribute("settings")},
      {"seed", std::to_string(run.parts().settings.seed)},
      {"data", run.trajectory().attribute("data")},
      {"settings", metrics.empty() ? settings : with_setting(settings, "metric", join_list(metrics))},
      {"metrics", join_list(metrics)}};
  if (const std::string model = run.parts().game->fingerprint(); !model.empty()) attributes["model"] = model;
  return attributes;
}

H5File open_result(const std::string& path, const Schema& schema, const Trajectory& trajectory) {
  H5File file = open_artifact(path, schema);
  if (file.attribute("run") != trajectory.fingerprint())
    fail("{}: was made from another run than the trajectory beside it", path);
  return file;
}

std::vector<std::string> names_in(const H5File& file, const std::string& attribute) {
  const std::string text = file.attribute(attribute);
  std::vector<std::string> names{""};
  for (const char c : text) {
    if (c == ',')
      names.emplace_back();
    else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("-+.:_", c) != nullptr)
      names.back() += c;
    else
      fail("{}: its attribute {} is not a list of names; the file is damaged", file.path(), attribute);
  }
  if (std::count(names.begin(), names.end(), "") > 0)
    fail("{}: its attribute {} is not a list of names; the file is damaged", file.path(), attribute);
  return names;
}

Sizes check_result(const H5File& file, const ArrayRules& rules, const Trajectory& trajectory, Sizes known) {
  known["N"] = trajectory.instances();
  const Sizes sizes = check_shapes(file, rules, known);
  check_contents(file, rules, sizes);
  if (file.has("instance_id") && file.verified_integers("instance_id") != trajectory.instance_ids())
    fail("{}: its instances are not those of the run; the file is damaged", file.path());
  return sizes;
}

std::string attribute_or_none(const H5File& file, const std::string& name) {
  const auto names = file.attributes();
  return std::count(names.begin(), names.end(), name) > 0 ? file.attribute(name) : "none";
}

bool already_there(const std::string& path, const Schema& schema, const Attributes& attributes) {
  if (!std::filesystem::exists(path)) return false;
  const H5File file = open_artifact(path, schema);
  if (const std::string differs = difference(file, attributes); !differs.empty())
    fail("{}: already there, made with other options ({}); --overwrite replaces it", path, differs);
  return true;
}

}  // namespace whence
