// Rankings of TracIn's scores, of influence in densities, and of what cleansing removes first.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include <ATen/ops/equal.h>

#include "whence/core/error.h"
#include "whence/core/settings_text.h"
#include "whence/density/files.h"
#include "whence/ranking/ranking.h"
#include "whence/retrain/cleansing.h"
#include "whence/trace/estimates.h"
#include "whence/tracin/file.h"
#include "whence/train/result_file.h"

namespace whence {
namespace {

std::vector<std::int64_t> integers(const H5File& file, const std::string& name) {
  return file.has(name) ? file.verified_integers(name) : std::vector<std::int64_t>{};
}

// Those asked for, of Q.
std::vector<std::int64_t> chosen_queries(const RankingChoice& choice, std::int64_t count, RankedRun& run,
                                         const std::string& name) {
  std::vector<std::int64_t> all;
  for (std::int64_t q = 0; q < count; ++q)
    if (choice.queries.empty() || std::count(choice.queries.begin(), choice.queries.end(), q) > 0)
      all.push_back(q);
  if (all.size() < static_cast<std::size_t>(count))
    run.notes.push_back(fmt::format("{}: quer{} {} of {} (from 0); --query 1,2 or --query all shows others",
                                    name, all.size() == 1 ? "y" : "ies", fmt::join(all, ", "), count));
  return all;
}

// What query q of a TracIn file is the loss of; `settings` says what the queries are.
std::string name_of_query(const std::string& settings, std::int64_t q, std::int64_t id) {
  const std::string text = setting_in(settings, "queries");
  const std::string kind = text.substr(0, text.find(':'));
  if (kind == "metric") {
    std::string rest = text.substr(text.find(':') + 1);
    for (; q > 0; --q) rest = rest.substr(rest.find(',') + 1);
    return rest.substr(0, rest.find(','));
  }
  if (kind == "sum") return "the sum of the losses of " + text.substr(4);
  if (kind == "mixtures") return fmt::format("loss of mixture {}", q);
  if (kind == "file") return fmt::format("loss of instance {} of {}", id, text.substr(5));
  return fmt::format("loss of {}instance {}", kind == "test" ? "held-out " : "", id);
}

// A score of a query's loss is positive for proponents, whose removal raises it.
void as_proponents(Ranking& one) {
  one.first = "strongest opponents (harmful)";
  one.last = "strongest proponents (helpful)";
  one.first_is_largest = false;
}

void as_self_influence(Ranking& one) {
  one.of = "self-influence";
  one.quantity = "self-influence";
  one.first = "largest";
  one.last = "smallest";
  one.first_is_largest = true;
}

// Whether the selection's harm is the influence that is there now: larger_is_better decides its sign.
bool is_influence_of_today(const at::Tensor& harm, const std::string& metric, std::int64_t epochs_back,
                           const InfluenceEstimates& estimates) {
  for (std::size_t m = 0; m < estimates.metrics.size(); ++m)
    for (std::size_t k = 0; k < estimates.epochs_back.size(); ++k)
      if (estimates.metrics[m] == metric && estimates.epochs_back[k] == epochs_back) {
        const at::Tensor influence = estimates.influence[0][m][k];
        return at::equal(harm, influence) || at::equal(harm, -influence);
      }
  return false;
}

// Why a selection's order is not that of the results beside it; "" where it is.
std::string overtaken(RankedRun& run, const std::string& selection, const at::Tensor& harm,
                      std::int64_t epochs_back) {
  const std::string metric = selection == "disc-loss"                ? selection
                             : selection.rfind("influence:", 0) == 0 ? selection.substr(10)
                                                                     : "";
  const std::string path = run.folder + "/influence.h5";
  if (metric.empty() || !std::filesystem::exists(path)) return "";
  try {
    if (is_influence_of_today(harm, metric, epochs_back, read_influence(path, *run.trajectory))) return "";
  } catch (const Error&) {
    return "";
  }
  return "stale: made of another influence.h5 than the one there now (whence cleanse again)";
}

}  // namespace

std::vector<Ranking> tracin_rankings(RankedRun& run, const std::string& name, const RankingChoice& choice) {
  const std::string path = run.folder + "/" + name;
  const H5File file = open_result(path, tracin_schema, *run.trajectory);
  if (choice.check) verify_tracin(path, *run.trajectory);
  Ranking blank;
  blank.file = name;
  blank.ids = file.verified_integers("instance_id");
  blank.labels = file.has("label") ? file.verified("label") : at::Tensor();
  blank.quantity = "score";
  if (file.has("self_influence")) {
    as_self_influence(blank);
    blank.value = file.verified("self_influence");
    return {blank};
  }
  if (!file.has("score")) return {};  // of --instances none
  const std::string settings = file.attribute("settings");
  const auto ids = integers(file, "query_id");
  const H5Array scores = file.array("score");
  std::vector<Ranking> rankings;
  for (const std::int64_t q : chosen_queries(choice, scores.shape()[0], run, name)) {
    Ranking one = blank;
    one.of = name_of_query(settings, q, ids[q]);
    if (!choice.metrics.empty() && std::count(choice.metrics.begin(), choice.metrics.end(), one.of) == 0)
      continue;
    as_proponents(one);
    if (setting_in(settings, "queries").rfind("metric:", 0) == 0) name_ends(one, one.of, run.game.get());
    one.value = scores.read({q, 0}, {1, scores.shape()[1]})[0].contiguous();
    rankings.push_back(std::move(one));
  }
  return rankings;
}

std::vector<Ranking> density_rankings(RankedRun& run, const RankingChoice& choice) {
  const std::string path = run.folder + "/density.h5";
  if (choice.check) density::verify_density(path);
  const H5File file = open_artifact(path, density::density_schema);
  const auto estimators = names_in(file, "estimators");
  const auto ids = file.verified_integers("instance_id"), query_ids = file.verified_integers("query_id"),
             positions = file.verified_integers("query_position");
  const at::Tensor labels = file.has("cluster") ? file.verified("cluster") : at::Tensor();
  const H5Array table = file.array("influence_exact");
  std::vector<Ranking> rankings;
  const auto queries = chosen_queries(choice, table.shape()[1], run, "density.h5");
  for (std::size_t e = 0; e < estimators.size(); ++e) {
    Ranking blank;
    blank.file = "density.h5";
    blank.ids = ids;
    blank.labels = labels;
    blank.unit = "nats";
    blank.note = "exact: fitted again without each instance";
    for (const std::int64_t q : queries) {
      Ranking one = blank;
      one.of = fmt::format("{}: loss of {} {}", estimators[e],
                           positions[q] < 0 ? "held-out point" : "instance", query_ids[q]);
      one.quantity = "influence";
      as_proponents(one);
      one.value =
          table.read({static_cast<std::int64_t>(e), q, 0}, {1, 1, table.shape()[2]})[0][0].contiguous();
      if (choice.metrics.empty()) rankings.push_back(std::move(one));
    }
    if (!file.has("self_influence_exact") || !choice.metrics.empty()) continue;
    as_self_influence(blank);
    blank.of = estimators[e] + ": self-influence";
    blank.value = file.verified("self_influence_exact")[static_cast<std::int64_t>(e)].contiguous();
    rankings.push_back(std::move(blank));
  }
  return rankings;
}

std::vector<Ranking> cleansing_rankings(RankedRun& run, const RankingChoice& choice) {
  const std::string path = run.folder + "/cleansing.h5";
  const Cleansing cleansing = read_cleansing(path, *run.trajectory);
  const std::string epochs =
      setting_in(open_artifact(path, cleansing_schema).attribute("settings"), "epochs-back");
  std::vector<Ranking> rankings;
  for (std::size_t s = 0; s < cleansing.selections.size(); ++s) {
    Ranking one;
    if (cleansing.selections[s] == "random" || !choice.metrics.empty()) continue;
    one.file = "cleansing.h5";
    one.of = "selection " + cleansing.selections[s];
    one.epochs_back = std::stoll(epochs);
    one.quantity = "harm";
    one.first = "removed first";
    one.last = "removed last";
    one.ids = cleansing.instance_ids;
    one.labels = run.labels;
    one.value = cleansing.harm[s].contiguous();
    one.note = overtaken(run, cleansing.selections[s], one.value, one.epochs_back);
    for (std::size_t m = 0; m < cleansing.metrics.size(); ++m)
      for (std::size_t h = 0; h < cleansing.remove.size(); ++h)
        one.note += fmt::format(
            "{}{:+.3g} after removing {}",
            h > 0 ? ", " : (one.note.empty() ? "" : "; ") + ("test " + cleansing.metrics[m]) + " ",
            (cleansing.value[s][h][m] - cleansing.baseline[m]).item<double>(), cleansing.remove[h]);
    rankings.push_back(std::move(one));
  }
  return rankings;
}

}  // namespace whence
