// whence counterfactual: takes the last epochs of a run again without each target instance, many targets at
// once as replicas, in blocks that ranks draw from a shared counter.

#include "whence/retrain/counterfactual.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "whence/core/stop.h"
#include "whence/io/block_store.h"
#include "whence/io/summary.h"
#include "whence/retrain/begun_blocks.h"
#include "whence/retrain/counterfactual_rows.h"
#include "whence/retrain/retrain_blocks.h"
#include "whence/retrain/truth.h"
#include "whence/train/result_file.h"

#include "block_replicas.h"
#include "data_start.h"
#include "dry_run.h"
#include "job.h"
#include "metric_classifier.h"
#include "removals.h"

namespace whence {
namespace {

constexpr std::int64_t largest_block = 32;  // of --replicas auto; results depend on it (starts_of)

// k of --epochs-back; with --from-start all of them.
std::vector<std::int64_t> horizons_of(const Options& options, const Run& run) {
  auto horizons = integer_list("epochs-back", options.text("epochs-back"));
  if (options.flag("from-start")) {
    const std::int64_t each = run.parts().schedule.steps_per_epoch();
    if (run.steps() % each != 0)
      refuse("--from-start: the run's {} steps are no whole number of epochs of {} steps", run.steps(), each);
    horizons = {run.steps() / each};
  }
  run.check_epochs_back("epochs-back", horizons);
  return horizons;
}

}  // namespace

OptionTable counterfactual_options() {
  OptionTable table("counterfactual");
  add_metric_option(table.required("run", "run folder"), "metrics")
      .add<std::string>("epochs-back", "1", "k, how many epochs to take again; several with commas between")
      .flag("from-start", "take the whole training again, whatever --epochs-back is");
  add_noise_draws_option(add_replicas_option(add_removal_options(table), "counterfactuals", largest_block))
      .flag("overwrite", "replace a result that was made with other options");
  add_place_options(table);
  add_classifier_option(table);
  add_device_options(table);
  add_determinism_option(table);
  add_execution_options(table);
  return table;
}

void run_counterfactual(const Options& options, const Communicator& all) {
  const Log log = begin_job(options, all);
  const Place place = take_place(options, all);
  const Communicator& world = place.world;
  choose_determinism(options, place.device);
  const Stopwatch watch;
  const StopSignals signals;
  RetrainedValues values;
  Removals removals;
  std::unique_ptr<Run> run;
  std::vector<std::shared_ptr<const Metric>> metrics;
  std::string result;
  std::optional<std::int64_t> replicas;
  Attributes attributes;
  MetricClassifier metric_classifier;
  const DataPlaces places = start_data(options, log, world);
  world.on_every_rank([&] {
    replicas = asked_replicas(options);
    run = std::make_unique<Run>(options.text("run"), place.device, places);
    const RunParts& parts = run->parts();
    values.metrics = metric_names_of(options, *parts.game);
    values.epochs_back = horizons_of(options, *run);
    metric_classifier = read_metric_classifier(options, parts);
    metrics = metrics_over_draws(values.metrics, parts, metric_classifier, options.integer("noise-draws", 1));
    removals = choose_removals(options, *run, values);
    values.weight = removals.weight;
    values.classifier = metric_classifier.fingerprint;
    result = run->folder() + "/" + removals.file;
    attributes = result_attributes(*run, options.settings(), values.metrics);
    attributes["classifier"] = metric_classifier.fingerprint;
    attributes.insert(removals.attribute);
    attributes["from_start"] = options.flag("from-start") ? "yes" : "none";
  });
  check_data_alike(run->parts().data, run->parts().data_fingerprint, world);
  const ResultClaim claim(result, removals.schema(), attributes, claim_of(options, log), world);
  if (claim.done() && !options.flag("dry-run")) return log.say(result + ": already there");

  const RecordedSteps steps = recorded_steps_of(*run);
  const BlockPlan plan = plan_blocks({*run, removals.sets, values.epochs_back, replicas, largest_block,
                                      result, counterfactual_blocks_schema, attributes},
                                     world);
  const auto& blocks = plan.blocks;
  const std::int64_t block_count = blocks.size(), width = row_width(plan.replicas, values.metrics.size());
  const auto row = [&](const Retraining& block) { return as_row(block.result(metrics), width); };
  if (options.flag("dry-run"))
    return say(needs_of_retraining("counterfactual", *run, blocks, removals.sets, width, row, world), world);

  if (!metric_classifier.caution.empty()) log.say(metric_classifier.caution);
  BlockStore store(result, counterfactual_blocks_schema, plan.of_store, block_count, width, world,
                   unfinished_of(options));
  const BegunBlocks begun(result, attributes);
  const BlockProgress done_now = retrain_blocks({steps, blocks, removals.sets, store, begun, signals,
                                                 "blocks of counterfactuals", row, removals.weight},
                                                log, world);
  JobCost cost{"counterfactual",
               watch.seconds(),
               done_now.replica_steps,
               "replica_steps",
               8 * done_now.finished * width,
               done_now.complete,
               done_now.step_seconds,
               std::filesystem::path(result).stem().string()};
  if (!cost.finished) leave_off(store, done_now.finished, block_count, run->folder(), cost, log, world);
  log.say(run->replay_report(world));
  const at::Tensor rows = store.close_and_read();
  assemble(values, static_cast<std::int64_t>(removals.sets.size()), blocks, rows);
  world.on_root([&] { write_truth(result, removals, values, *run, attributes); });
  store.remove();
  log.say(fmt::format("replaying without removal differs from the recorded run by at most {:.1e}",
                      values.distance.max().item<double>()));
  cost.seconds = watch.seconds();
  log.say(record_cost(run->folder(), cost, world));
}

}  // namespace whence
