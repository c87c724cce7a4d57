// whence counterfactual: takes the last epochs of a run again without each target instance, many targets at
// once as replicas, in blocks that ranks draw from a shared counter.

#include "whence/retrain/counterfactual.h"

#include <algorithm>
#include <fmt/format.h>

#include "whence/core/stop.h"
#include "whence/io/block_store.h"
#include "whence/io/summary.h"
#include "whence/retrain/begun_blocks.h"
#include "whence/retrain/counterfactual_rows.h"
#include "whence/retrain/retrain_blocks.h"
#include "whence/retrain/targets.h"
#include "whence/retrain/truth.h"
#include "whence/train/result_file.h"

#include "dry_run.h"
#include "job.h"
#include "metric_classifier.h"

namespace whence {
OptionTable counterfactual_options() {
  OptionTable table("counterfactual");
  table.required("run", "run folder")
      .add<std::string>(
          "metric", "all",
          "metrics, comma between: all, is, log-is, fid, disc-loss, gen-loss; for VAEs loss, loss:NUMBER")
      .add<std::string>("epochs-back", "1", "k, how many epochs to take again; several with commas between")
      .add<std::string>("targets", "200",
                        "how many instances, chosen at random, or a file of ids, one a line")
      .add<std::int64_t>("replicas", 32, "counterfactuals retrained together as one block")
      .flag("overwrite", "replace a counterfactual.h5 that was made with other options");
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
  CounterfactualTruth truth;
  std::int64_t replicas = 0;
  std::unique_ptr<Run> run;
  std::vector<std::shared_ptr<const Metric>> metrics;
  std::vector<std::vector<std::int64_t>> removals;
  std::string result;
  Attributes attributes;
  MetricClassifier metric_classifier;
  world.on_every_rank([&] {
    truth.metrics = split_list("metric", options.text("metric"));
    truth.epochs_back = integer_list("epochs-back", options.text("epochs-back"));
    replicas = options.integer("replicas", 1);
    run = std::make_unique<Run>(options.text("run"), place.device, places_of(options));
    const RunParts& parts = run->parts();
    run->check_epochs_back("epochs-back", truth.epochs_back);
    metric_classifier = read_metric_classifier(options, parts);
    metrics = make_metrics(truth.metrics, parts.game, validation_of(parts, metric_classifier));
    truth.target_positions = choose_targets(options.text("targets"), parts.data.train, parts.settings.seed);
    replicas = std::min<std::int64_t>(replicas, truth.target_positions.size());
    for (const std::int64_t position : truth.target_positions) {
      truth.target_ids.push_back(parts.data.train.ids[position]);
      removals.push_back({position});
    }
    result = run->folder() + "/counterfactual.h5";
    attributes = result_attributes(*run, options.settings(), truth.metrics);
    attributes["classifier"] = metric_classifier.fingerprint;
    attributes["targets"] = targets_fingerprint(truth.target_ids);
  });
  check_data_alike(run->parts().data, run->parts().data_fingerprint, world);
  const ResultClaim claim(result, counterfactual_schema, attributes, claim_of(options, log), world);
  if (claim.done() && !options.flag("dry-run")) return log.say(result + ": already there");

  const RecordedSteps steps = recorded_steps_of(*run);
  const auto blocks = plan_counterfactuals(steps, removals, truth.epochs_back, replicas);
  const std::int64_t block_count = blocks.size(), width = row_width(replicas, truth.metrics.size());
  const auto row = [&](const Retraining& block) { return as_row(block.result(metrics), width); };
  if (options.flag("dry-run"))
    return say(needs_of_retraining("counterfactual", *run, blocks, removals, width, row, world), world);

  if (!metric_classifier.caution.empty()) log.say(metric_classifier.caution);
  BlockStore store(result, counterfactual_blocks_schema, attributes, block_count, width, world,
                   unfinished_of(options));
  const BegunBlocks begun(result, attributes);
  const BlockProgress done_now = retrain_blocks(
      {steps, blocks, removals, store, begun, signals, "blocks of counterfactuals", row}, log, world);
  JobCost cost{"counterfactual",
               watch.seconds(),
               done_now.replica_steps,
               "replica_steps",
               8 * done_now.finished * width,
               done_now.complete,
               done_now.step_seconds};
  if (!cost.finished) leave_off(store, done_now.finished, block_count, run->folder(), cost, log, world);
  log.say(run->replay_report(world));
  const at::Tensor rows = store.close_and_read();
  assemble(truth, blocks, rows);
  world.on_root([&] { write_counterfactual(result, truth, attributes); });
  store.remove();
  log.say(fmt::format("replaying without removal differs from the recorded run by at most {:.1e}",
                      truth.distance.max().item<double>()));
  cost.seconds = watch.seconds();
  log.say(record_cost(run->folder(), cost, world));
}

}  // namespace whence
