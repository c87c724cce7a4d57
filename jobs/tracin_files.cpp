#include "tracin_files.h"

#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/core/settings_text.h"
#include "whence/core/text.h"
#include "whence/train/result_file.h"

#include "tracin_options.h"

namespace whence {
namespace {

std::string result_path(const Run& run, const std::string& name) {
  if (name.find_first_of("/ .:") != std::string::npos)
    refuse("--name: '{}' has a slash, a dot, a colon or a blank", visible(name));
  return run.folder() + "/tracin" + (name.empty() ? "" : "-" + name) + ".h5";
}

Attributes attributes_of(const Run& run, const TracinQueries& queries, const std::string& settings) {
  Attributes attributes = result_attributes(run, settings, {});
  attributes["queries"] = fingerprint(queries);
  attributes["shape"] = fmt::format("{}", fmt::join(run.parts().data.train.shape, ","));
  return attributes;
}

}  // namespace

std::vector<ScoreFile> score_files(const Options& options, const Run& run, const TracinQueries& queries,
                                   const std::string& chosen, const TracinOptions& tracin) {
  const auto file = [&](const std::string& name, bool normalised) {
    TracinOptions own = tracin;
    own.normalise = normalised;
    return ScoreFile{
        result_path(run, name),
        attributes_of(run, queries, with_setting(tracin_settings(options, normalised), "queries", chosen)),
        own};
  };
  const std::string name = options.text("name");
  std::vector<ScoreFile> files{file(name, tracin.normalise)};
  if (tracin.norms) files.push_back(file(name.empty() ? "cosines" : name + "-cosines", true));
  return files;
}

}  // namespace whence
