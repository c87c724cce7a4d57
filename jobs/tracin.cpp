// whence tracin: VAE-TracIn scores of all training instances, from a run's checkpoints; ranks draw blocks of
// (checkpoint, instances) from a shared counter.

#include <filesystem>
#include <fmt/format.h>

#include "whence/comm/work_queue.h"
#include "whence/core/error.h"
#include "whence/core/stop.h"
#include "whence/influence/files.h"
#include "whence/influence/tracin_file.h"
#include "whence/io/summary.h"

#include "job.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// The place of `value` among the names an option has.
std::size_t choice(const Options& options, const std::string& option, const std::vector<std::string>& names) {
  const std::string value = options.text(option);
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == value) return i;
  refuse("--{}: '{}' is not one of {}", option, value, fmt::join(names, ", "));
}

TracinOptions read_tracin_options(const Options& options) {
  TracinOptions read;
  read.gradient.loss = static_cast<TracinLoss>(choice(options, "loss", {"training", "scoring"}));
  read.gradient.latent =
      static_cast<LatentGradient>(choice(options, "estimator", {"reparameterised", "score-function"}));
  read.gradient.samples = options.integer("samples", 1);
  if (const std::string layers = options.text("layers"); layers != "all") {
    const auto list = integer_list("layers", layers.rfind("last:", 0) == 0 ? layers.substr(5) : "");
    if (list.size() != 1) refuse("--layers: '{}' is not all or last:NUMBER", layers);
    read.gradient.last_layers = list.front();
  }
  read.weights =
      static_cast<CheckpointWeights>(choice(options, "weights", {"none", "rate", "published", "visits"}));
  read.instances = choice(options, "instances", {"all", "none"}) == 0;
  read.fixed_noise = choice(options, "query-noise", {"fresh", "fixed"}) == 1;
  read.memory = options.integer("memory", 1) << 20;
  return read;
}

std::string result_path(const Run& run, const std::string& name) {
  if (name.find_first_of("/ .") != std::string::npos)
    refuse("--name: '{}' has a slash, a dot or a blank", name);
  return run.folder() + "/tracin" + (name.empty() ? "" : "-" + name) + ".h5";
}

}  // namespace

OptionTable tracin_options() {
  OptionTable table("tracin");
  table.required("run", "run folder of a VAE")
      .add<std::string>(
          "queries", "test:128",
          "self, test:NUMBER (the first held-out instances), train:NUMBER (the first training "
          "instances), ids:FILE (training instances, one id a line) or mixtures (of two labels)")
      .add<std::string>("checkpoints", "all", "all, last, last:NUMBER or STEP,STEP,... of the recorded steps")
      .add<std::int64_t>("samples", 16, "m, samples of the latent a gradient")
      .add<std::string>("loss", "training",
                        "training, or scoring: (squared error of sigmoid output + beta KL) / 12288")
      .add<std::string>("estimator", "reparameterised",
                        "encoder's gradient: reparameterised, or score-function (eq. 9)")
      .add<std::string>("layers", "all",
                        "all, or last:NUMBER, so many last layers of encoder and decoder each")
      .add<std::string>("weights", "none",
                        "of checkpoints: none, rate, published (rate * batch * steps since the last / N), or "
                        "visits (rate / batch for every visit of an instance up to the next checkpoint)")
      .add<std::string>("instances", "all", "all, or none: the queries' losses alone")
      .add<std::string>(
          "query-noise", "fresh",
          "fresh noise at each checkpoint, or fixed: one for all, held-out ones that of metrics")
      .add<std::int64_t>("list", 100, "K, how many largest and smallest scores are listed")
      .add<std::int64_t>("memory", 1024, "MiB a rank; bounds the blocks of instances and queries")
      .add<std::string>("name", "", "writes tracin-NAME.h5 in place of tracin.h5", Kind::execution)
      .flag("overwrite", "replace a file that was made with other options");
  add_execution_options(table);
  return table;
}

void run_tracin(const Options& options, const Communicator& world) {
  const Log log = begin_job(options, world);
  const Stopwatch watch;
  const StopSignals signals;
  std::unique_ptr<Run> run;
  TracinOptions tracin;
  TracinQueries queries;
  TracinPlan plan;
  std::string result;
  Attributes attributes;
  std::int64_t listed = 0;
  bool done = false;
  world.together([&] {
    tracin = read_tracin_options(options);
    listed = options.integer("list", 1);
    run = std::make_unique<Run>(options.text("run"));
    result = result_path(*run, options.text("name"));
    vae_of(*run);
    queries = choose_tracin_queries(options.text("queries"), run->parts().data, run->parts().settings.seed);
    plan = plan_tracin(*run, queries, tracin,
                       choose_checkpoints(options.text("checkpoints"), run->trajectory(),
                                          tracin.weights == CheckpointWeights::visits));
    attributes = result_attributes(*run, options.settings(), {});
    attributes["queries"] = fingerprint(queries);
    attributes["shape"] = fmt::format("{}", fmt::join(run->parts().data.train.shape, ","));
    done = !options.flag("overwrite") && already_there(result, tracin_schema, attributes);
  });
  const std::int64_t blocks = plan.blocks.size();
  if (options.flag("dry-run"))
    return print(
        world, fmt::format("checkpoints {}, queries {}, blocks {} of {} instances and {} queries, scores on "
                           "disk {}, memory {} a rank\n",
                           plan.steps.size(), queries.size(), blocks, plan.block, plan.query_chunk,
                           human_bytes(8.0 * blocks * plan.row_width()),
                           human_bytes(static_cast<double>(tracin.memory))));
  if (done) return log.say(result + ": already there");

  std::unique_ptr<RunLock> lock;
  world.on_root([&] { lock = std::make_unique<RunLock>(run->folder(), fs::path(result).stem().string()); });
  BlockStore store(result, tracin_blocks_schema, attributes, blocks, plan.row_width(), world);
  if (store.finished_count() > 0)
    log.say(fmt::format("{} of {} blocks are already finished", store.finished_count(), blocks));
  std::int64_t finished = 0, gradients = 0;
  {
    WorkQueue queue(world, blocks);
    Progress progress(log, "blocks of scores", blocks);
    TracinWorker worker(*run, queries, tracin, plan);
    while (const auto b = queue.next()) {
      progress.advance_to(*b);
      if (store.finished(*b)) continue;
      store.write(*b, worker.row(plan.blocks[*b]));
      gradients += plan.blocks[*b].instances.size();
      ++finished;
      if (queue.stopped(signals)) break;
    }
    if (!queue.stopped(signals)) progress.advance_to(blocks);
  }
  finished = world.sum(finished);
  const std::int64_t done_blocks = store.finished_count() + finished;
  JobCost cost{"tracin",
               watch.seconds(),
               world.sum(gradients),
               "gradients",
               8 * finished * plan.row_width(),
               done_blocks == blocks};
  if (!cost.finished) {
    store.close();
    log.say(record_cost(run->folder(), cost, world));
    throw Interrupted(stopped_at(run->folder(), "block", done_blocks, blocks));
  }
  store.close_and_check();
  world.on_root([&] { write_tracin(result, *run, queries, tracin, plan, store, listed, attributes); });
  store.remove();
  cost.seconds = watch.seconds();
  log.say(record_cost(run->folder(), cost, world));
}

}  // namespace whence
