// whence cleanse: takes the last epochs of a run again without the most harmful instances of each selection,
// and says how the metrics on the test instances change.

#include <fmt/format.h>

#include "whence/io/summary.h"
#include "whence/retrain/cleansing.h"
#include "whence/retrain/retrain_blocks.h"
#include "whence/train/result_file.h"

#include "block_replicas.h"
#include "cleanse_plan.h"
#include "cleansing_table.h"
#include "data_start.h"
#include "dry_run.h"
#include "job.h"

namespace whence {
namespace {

constexpr std::int64_t largest_block = 16;  // of --replicas auto; results depend on it (starts_of)

}  // namespace

OptionTable cleanse_options() {
  OptionTable table("cleanse");
  add_metric_option(
      table.required("run", "run folder, trained with --test N and with the influence.h5 that --select needs")
          .add<std::string>("select", "influence:all,disc-loss,isolation-forest,random",
                            "selections, comma between: influence:METRIC, disc-loss (short for "
                            "influence:disc-loss), isolation-forest (on features with --classifier), random")
          .add<std::string>("remove", "500,1000",
                            "n_h, how many of the most harmful to remove; several with commas"),
      "test metrics")
      .add<std::int64_t>("epochs-back", 1, "k, how many epochs to take again")
      .add<std::string>("samples", "auto",
                        "generated samples kept of each model; auto: 10,000 of up to 3 numbers, else 64")
      .flag("overwrite", "replace a cleansing.h5 that was made with other options");
  add_replicas_option(table, "removal sets", largest_block);
  add_place_options(table);
  add_classifier_option(table);
  add_device_options(table);
  add_determinism_option(table);
  add_execution_options(table);
  return table;
}

void run_cleanse(const Options& options, const Communicator& all) {
  const Log log = begin_job(options, all);
  const Place place = take_place(options, all);
  const Communicator& world = place.world;
  choose_determinism(options, place.device);
  const Stopwatch watch;
  const StopSignals signals;
  CleansePlan plan;
  const DataPlaces places = start_data(options, log, world);
  world.on_every_rank([&] { plan = read_cleanse_plan(options, places, place.device); });
  check_data_alike(plan.run->parts().data, plan.run->parts().data_fingerprint, world);
  const ResultClaim claim(plan.path, cleansing_schema, plan.attributes, claim_of(options, log), world);
  if (claim.done() && !options.flag("dry-run")) return log.say(plan.path + ": already there");
  const auto removals = removal_sets(order_instances(plan, world), plan.result.remove);
  const std::int64_t width = plan.run->parts().data.train.width();
  const BlockPlan cut = plan_blocks({*plan.run,
                                     removals,
                                     {plan.epochs_back},
                                     plan.replicas,
                                     largest_block,
                                     plan.path,
                                     cleansing_blocks_schema,
                                     plan.attributes},
                                    world);
  const auto& blocks = cut.blocks;
  const std::int64_t row = cleansed_row_width(cut.replicas, plan.metrics.size(), plan.samples * width);
  const at::Tensor latents = plan.run->parts().test_latents().narrow(0, 0, plan.samples);
  const auto cleansed = [&](const Retraining& block) {
    return cleansed_row(block, *plan.run->parts().game, plan.metrics, latents, row);
  };
  const RecordedSteps recorded = recorded_steps_of(*plan.run);
  if (options.flag("dry-run"))
    return say(needs_of_retraining("cleanse", *plan.run, blocks, removals, row, cleansed, world), world);

  if (!plan.metric_classifier.caution.empty()) log.say(plan.metric_classifier.caution);
  BlockStore store(plan.path, cleansing_blocks_schema, cut.of_store, blocks.size(), row, world,
                   unfinished_of(options));
  const BegunBlocks begun(plan.path, plan.attributes);
  const BlockProgress done_now = retrain_blocks(
      {recorded, blocks, removals, store, begun, signals, "blocks of removal sets", cleansed}, log, world);
  JobCost cost{"cleanse",
               watch.seconds(),
               done_now.replica_steps,
               "replica_steps",
               8 * done_now.finished * row,
               done_now.complete,
               done_now.step_seconds};
  if (!cost.finished)
    leave_off(store, done_now.finished, blocks.size(), plan.run->folder(), cost, log, world);
  log.say(plan.run->replay_report(world));
  assemble(plan.result, blocks, store.close_and_read(), plan.samples, width);
  world.on_root([&] { write_cleansing(plan.path, plan.result, plan.attributes); });
  store.remove();
  print(world, cleansing_table(cleansing_rows({plan.result})));
  cost.seconds = watch.seconds();
  log.say(record_cost(plan.run->folder(), cost, world));
}

}  // namespace whence
