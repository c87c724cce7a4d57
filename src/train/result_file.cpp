#include "whence/train/result_file.h"

#include <algorithm>
#include <filesystem>

#include "whence/core/error.h"
#include "whence/core/options.h"

namespace whence {

Attributes result_attributes(const Run& run, const std::string& settings,
                             const std::vector<std::string>& metrics) {
  return {{"run", run.trajectory().fingerprint()},
          {"run_settings", run.trajectory().attribute("settings")},
          {"seed", std::to_string(run.parts().settings.seed)},
          {"data", run.trajectory().attribute("data")},
          {"settings", settings},
          {"metrics", join_list(metrics)}};
}

H5File open_result(const std::string& path, const Schema& schema, const std::string& run_fingerprint) {
  H5File file = open_artifact(path, schema);
  if (file.attribute("run") != run_fingerprint)
    fail("{}: was made from another run than the trajectory beside it", path);
  return file;
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
