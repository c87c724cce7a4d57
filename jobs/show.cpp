// whence show RUN: the instances that matter most, by every result that the run folder holds.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/core/provenance.h"
#include "whence/core/text.h"

#include "job.h"
#include "run_files.h"
#include "show_words.h"

namespace whence {
namespace {

constexpr const char* everything = "every";

RankingChoice read_choice(const Options& options) {
  RankingChoice choice;
  if (options.text("metric") != everything) choice.metrics = split_list("metric", options.text("metric"));
  if (options.text("epochs-back") != everything)
    choice.epochs_back = integer_list("epochs-back", options.text("epochs-back"));
  const std::string width = options.text("kink-width"), query = options.text("query");
  choice.all_kink_widths = width == everything;
  if (width != "best" && width != everything) choice.kink_widths = real_list("kink-width", width);
  choice.queries.clear();
  // An instance has no place among groups, and a group no picture.
  choice.groups = options.text("instance") == "none" && options.text("pictures").empty();
  if (query == "all") return choice;
  for (const std::string& part : split_list("query", query)) {
    const auto number = whole_number(part);
    if (!number || *number < 0) refuse("--query: '{}' is not a number from 0 on", visible(part));
    choice.queries.push_back(*number);
  }
  return choice;
}

std::int64_t instance_asked(const Options& options) {
  const auto id = whole_number(options.text("instance"));
  if (!id) refuse("--instance: '{}' is not a whole number", visible(options.text("instance")));
  return *id;
}

std::int64_t position_of(const RankedRun& run, const std::vector<Ranking>& rankings, std::int64_t id) {
  const std::vector<std::int64_t>& ids =
      run.ids.empty() && !rankings.empty() ? rankings.front().ids : run.ids;
  const auto found = std::find(ids.begin(), ids.end(), id);
  if (found == ids.end()) refuse("--instance: {} is not the id of a training instance of {}", id, run.folder);
  return found - ids.begin();
}

std::string nothing_to_show(const RankedRun& run, const RankingChoice& choice) {
  std::string text = fmt::format("{}: ", run.folder);
  for (const std::string& note : run.notes) text += note + "; ";
  if (!choice.metrics.empty() || !choice.epochs_back.empty() || !choice.kink_widths.empty())
    return text + "no result is of this --metric, --epochs-back and --kink-width";
  return text +
         fmt::format("no result puts instances in order (whence influence --run {} makes one)", run.folder);
}

// What is asked for, of rankings that are there.
std::string answer(const Options& options, const RankedRun& run, const std::vector<Ranking>& rankings) {
  const std::int64_t top = options.integer("top", 1);
  const bool merged = options.flag("merged"), json = options.flag("json"), csv = options.flag("csv");
  nlohmann::json object{{"run", run.folder},
                        {"sign_convention", sign_convention},
                        {"notes", run.notes},
                        {"whence_version", version()},
                        {"git_sha", git_sha()}};
  std::string text = csv ? csv_header : fmt::format("{}\n", sign_convention);
  if (options.text("instance") != "none") {
    const std::int64_t position = position_of(run, rankings, instance_asked(options));
    if (json) object.update(instance_as_json(run, rankings, position));
    text += instance_in_words(run, rankings, position);
  } else {
    for (const Ranking& one : rankings) {
      if (json) object["rankings"].push_back(ranking_as_json(one, top, merged));
      text += csv ? ranking_as_csv(one, top, merged) : "\n" + ranking_in_words(one, top, merged);
    }
  }
  if (json) return object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  for (const std::string& note : run.notes)
    if (!csv) text += "\n" + note + "\n";
  return text;
}

void check_together(const Options& options) {
  if (options.flag("csv") && options.flag("json")) refuse("--csv: --json asks for another form");
  const bool instance = options.text("instance") != "none";
  if (instance) instance_asked(options);
  if (instance && options.flag("csv")) refuse("--csv: lists rankings; --instance has --json");
  if (instance && !options.text("pictures").empty()) refuse("--pictures: draws rankings, not one --instance");
}

std::vector<std::string> files_read(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".h5") files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

OptionTable show_options() {
  OptionTable table("show");
  table.required("run", "run folder")
      .add<std::int64_t>("top", 20, "how many of each end")
      .add<std::string>("metric", everything,
                        "metrics, comma between; every: all that there are, and other results")
      .add<std::string>("epochs-back", everything, "k, comma between; every: all that there are")
      .add<std::string>(
          "kink-width", "best",
          "widths, comma between, or every; best: the one that agrees best with the truth for the metric "
          "and k, the first where nothing was retrained")
      .add<std::string>("query", "0", "of tracin and density files: numbers from 0 on, comma between, or all")
      .add<std::string>("instance", "none", "everything that is known of the training instance with this id")
      .add<std::string>("pictures", "", "also write the instances as images into this PNG file",
                        Kind::execution)
      .flag("merged",
            "one order: by the true value where an instance was retrained, by the estimate elsewhere")
      .flag("csv", "comma-separated values, a line an instance")
      .flag("json", "JSON");
  add_place_options(table);
  add_reading_options(table);
  return table;
}

void run_show(const Options& options, const Communicator& world) {
  world.on_root([&] {
    const std::string folder = options.text("run"), pictures = options.text("pictures");
    const RankingChoice choice = read_choice(options);
    options.integer("top", 1);
    check_together(options);
    RankedRun run = open_ranked(folder, places_of(options));
    if (told_dry_run(options, world, files_read(folder),
                     pictures.empty() ? std::vector<std::string>{} : std::vector<std::string>{pictures}))
      return;
    const std::vector<Ranking> rankings = rankings_of(run, choice);
    if (rankings.empty()) fail("{}", nothing_to_show(run, choice));
    const std::string text = answer(options, run, rankings);
    if (!pictures.empty())
      write_pictures(pictures, run, rankings, options.integer("top"), options.flag("merged"));
    tell(options, world, text);
  });
}

}  // namespace whence
