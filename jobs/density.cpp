// whence density: influence of training instances in classical density estimators, by the paper's formulas
// and exactly.

#include <filesystem>
#include <fmt/format.h>

#include "whence/core/error.h"
#include "whence/core/provenance.h"
#include "whence/data/places.h"
#include "whence/data/shared_marks.h"
#include "whence/density/files.h"
#include "whence/density/queries.h"
#include "whence/io/summary.h"
#include "whence/train/result_file.h"

#include "data_start.h"
#include "dry_run.h"
#include "job.h"
#include "show_words.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using density::DensityInfluence;
using density::EstimatorOptions;
using density::Queries;

// "all" or a number of instances.
std::int64_t read_instances(const std::string& text) {
  if (text == "all") return every_instance;
  const auto list = integer_list("instances", text);
  if (list.size() != 1) refuse("--instances: '{}' is not all or one number", text);
  return list.front();
}

bool read_self_influence(const std::string& text) {
  if (text != "yes" && text != "no") refuse_value("self-influence", text, {"yes", "no"});
  return text == "yes";
}

void make_folder(const std::string& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) refuse("--out: cannot create {} ({})", folder, code.message());
}

std::string report(const EstimatorOptions& options, const DensityInfluence& result) {
  std::string text = fmt::format("{:<10} {:>24} {:>24}\n", "estimator", "largest |closed - exact|",
                                 "largest |corr. - exact|");
  for (std::size_t e = 0; e < options.estimators.size(); ++e) {
    const auto row = static_cast<std::int64_t>(e);
    const bool gmm = options.estimators[e] == "gmm";
    text += fmt::format("{:<10} {:>24.3e} {:>24}\n", options.estimators[e],
                        result.largest_difference[row].item<double>(),
                        gmm ? fmt::format("{:.3e}", result.corrected_difference) : "");
  }
  if (result.not_separated > 0)
    text += fmt::format(
        "gmm: without their nearest neighbour {} points (queries, instances) are in another "
        "cluster: the clusters are not well separated\n",
        result.not_separated);
  return text + fmt::format("V: loss of a query, -log p, in nats; {}\n", sign_convention);
}

}  // namespace

OptionTable density_options() {
  OptionTable table("density");
  table.required("out", "run folder to add density.h5 to; it is made where there is none")
      .add<std::string>("estimator", "knn,kde,gmm", "density estimators, comma between: knn, kde, gmm")
      .add<std::string>("data", "six-clusters",
                        source_forms() +
                            " (pixels scaled to [-1, 1]; COLUMN: name or number, from 1, of the clusters' "
                            "column); gmm takes labels as clusters")
      .add<std::string>("instances", "all", "N, training instances: all or a number")
      .add<std::int64_t>("k", 10, "k of k-NN: p = k / (N V_d R_k^d)")
      .add<double>("sigma", 1.0, "sigma of KDE, standard deviation of a kernel in the units of the data")
      .add<std::string>("queries", "auto",
                        "points whose influences are tabled: all, a number of instances chosen at random, "
                        "ids:ID,ID,..., held-out:NUMBER; auto: all up to 1,000 instances, else 128")
      .add<std::string>("self-influence", "yes", "influence of every instance on itself, N^2 d: yes or no")
      .add<std::int64_t>("seed", 0, "of drawn data, the choice of rows and the choice of queries")
      .add<std::int64_t>("memory", 1024,
                         "MiB a rank that the data may take in float64; of more, blocks are read as needed",
                         Kind::execution)
      .flag("overwrite", "replace a density.h5 that was made with other options");
  add_access_options(table);
  add_execution_options(table);
  return table;
}

void run_density(const Options& options, const Communicator& world) {
  const Log log = begin_job(options, world);
  const Stopwatch watch;
  const std::string folder = options.text("out"), result_path = folder + "/density.h5";
  EstimatorOptions estimators{};
  DataSplit data;
  Queries queries;
  density::QueryChoice choice;
  Attributes attributes;
  DataOptions source{};
  world.on_every_rank([&] {
    estimators = {split_list("estimator", options.text("estimator")), options.integer("k", 1),
                  options.real("sigma", 0, true), read_self_influence(options.text("self-influence")),
                  memory_limit(options)};
    choice = density::parse_queries(options.text("queries"));
    source = {absolute_source(options.text("data")), read_instances(options.text("instances")),
              choice.held_out(), options.seed("seed"), at::kDouble};
    source.access = access_of(options, &log);
  });
  mark_together(source, world);
  world.on_every_rank([&] {
    data = load_data(source);
    density::check_options(estimators, data.train);
    queries = density::choose_queries(choice, data, source.seed);
    attributes = {{"settings", options.settings()},
                  {"seed", std::to_string(source.seed)},
                  {"data", fingerprint(source, data)}};
    if (!options.flag("dry-run") && world.is_root()) make_folder(folder);
  });
  check_data_alike(data, attributes.at("data"), world);
  const ResultClaim claim(result_path, density::density_schema, attributes, claim_of(options, log), world);
  const std::int64_t n = data.train.size(), q = queries.points.size(0);
  if (options.flag("dry-run"))
    return say(needs_of_density(data.train, queries, estimators, folder, world), world);
  if (claim.done()) return log.say(result_path + ": already there");

  std::unique_ptr<Progress> progress;
  const Stopwatch computing;
  const DensityInfluence result =
      density::write_density(result_path, data.train, queries, estimators, attributes, world,
                             [&](std::int64_t parts, std::int64_t total) {
                               if (!progress)
                                 progress = std::make_unique<Progress>(log, "blocks of distances", total);
                               progress->advance_to(parts);
                             });
  const double computed = computing.seconds();
  std::int64_t bytes = 0;
  world.on_root([&] { bytes = static_cast<std::int64_t>(fs::file_size(result_path)); });
  say_foremost(log, "density.h5", {folder});
  log.say(
      record_cost(folder, {"density", watch.seconds(), n * q, "influences", bytes, true, computed}, world));
  print(world, (data.note.empty() ? "" : data.note + "\n") + report(estimators, result));
}

}  // namespace whence
