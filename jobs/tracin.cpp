// whence tracin: TracIn scores of all training instances, from a run's checkpoints; ranks draw blocks of
// (checkpoint, instances) from a shared counter.

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "whence/comm/work_queue.h"
#include "whence/core/stop.h"
#include "whence/io/summary.h"
#include "whence/tracin/file.h"
#include "whence/train/result_file.h"

#include "data_start.h"
#include "dry_run.h"
#include "job.h"
#include "metric_classifier.h"
#include "show_words.h"
#include "tracin_files.h"
#include "tracin_options.h"

namespace whence {
namespace {

// What --queries says, or stands for.
std::string queries_of(const Options& options, const Run& run) {
  const std::string text = options.text("queries");
  constexpr std::int64_t usual = 128;
  return text == "auto" ? fmt::format("test:{}", std::min(usual, run.parts().data.held_out.size())) : text;
}

TracinQueries read_queries(const std::string& text, const Options& options, const Run& run) {
  const RunParts& parts = run.parts();
  if (text.rfind("metric:", 0) != 0) return choose_tracin_queries(text, parts.data, parts.settings.data);
  return metric_queries(make_metrics(split_list("queries", text.substr(7)), parts.game,
                                     validation_of(parts, read_metric_classifier(options, parts))));
}

}  // namespace

void run_tracin(const Options& options, const Communicator& all) {
  const Log log = begin_job(options, all);
  const Place place = take_place(options, all);
  const Communicator& world = place.world;
  const Stopwatch watch;
  const StopSignals signals;
  std::unique_ptr<Run> run;
  TracinOptions tracin;
  TracinQueries queries;
  TracinPlan plan;
  std::vector<ScoreFile> files;
  std::int64_t listed = 0;
  const DataPlaces places = start_data(options, log, world);
  world.on_every_rank([&] {
    tracin = read_tracin_options(options);
    listed = options.integer("list", 1);
    run = std::make_unique<Run>(options.text("run"), place.device, places);
    tracin.gradient.tensors = choose_tensors(options.text("layers"), run->parts().game->layout());
    const std::string chosen = queries_of(options, *run);
    queries = read_queries(chosen, options, *run);
    plan = plan_tracin(*run, queries, tracin,
                       choose_checkpoints(options.text("checkpoints"), run->trajectory(),
                                          tracin.weights == CheckpointWeights::visits));
    files = score_files(options, *run, queries, chosen, tracin);
  });
  check_data_alike(run->parts().data, run->parts().data_fingerprint, world);
  std::vector<ResultClaim> claims;
  for (const ScoreFile& file : files)
    claims.emplace_back(file.path, tracin_schema, file.attributes, claim_of(options, log), world);
  // The blocks lie beside the first file that is still to come, whose lock is held; it is written last, so
  // that another start finds them there.
  const auto owner =
      std::find_if(claims.begin(), claims.end(), [](const auto& claim) { return !claim.done(); });
  const std::int64_t blocks = plan.blocks.size();
  if (options.flag("dry-run")) return say(needs_of_tracin(*run, queries, tracin, plan, world), world);
  if (owner == claims.end()) {
    for (const ScoreFile& file : files) log.say(file.path + ": already there");
    return;
  }
  if (plan.query_chunk > 0 && plan.query_chunk < queries.size())
    log.say(fmt::format(
        "--memory holds {} of the {} queries, so every instance's gradient is taken {} times; more "
        "memory takes fewer",
        plan.query_chunk, queries.size(), (queries.size() + plan.query_chunk - 1) / plan.query_chunk));

  const ScoreFile& to_come = files[owner - claims.begin()];
  Attributes of_store = to_come.attributes;
  if (plan.norms) of_store["norms"] = "kept";
  BlockStore store(to_come.path, tracin_blocks_schema, of_store, blocks, plan.row_width(), world,
                   unfinished_of(options));
  if (store.finished_count() > 0)
    log.say(fmt::format("{} of {} blocks are already finished", store.finished_count(), blocks));
  std::int64_t finished = 0, gradients = 0;
  double in_blocks = 0;
  {
    WorkQueue queue(world, blocks);
    Progress progress(log, "blocks of scores", blocks);
    TracinWorker worker(*run, queries, tracin, plan, [&queue] { queue.progress(); });
    while (const auto b = queue.next()) {
      progress.advance_to(*b);
      if (store.finished(*b)) continue;
      const Stopwatch block;
      const at::Tensor row = worker.row(plan.blocks[*b]);
      in_blocks += block.seconds();
      store.write(*b, row);
      gradients += plan.blocks[*b].instances.size();
      ++finished;
      if (queue.stopped(signals)) break;
    }
    if (!queue.stopped(signals)) progress.advance_to(blocks);
  }
  finished = world.sum(finished);
  JobCost cost{"tracin",
               watch.seconds(),
               world.sum(gradients),
               "gradients",
               8 * finished * plan.row_width(),
               store.finished_count() + finished == blocks,
               in_blocks,
               std::filesystem::path(files.front().path).stem().string()};
  if (!cost.finished) leave_off(store, finished, blocks, run->folder(), cost, log, world);
  store.close_and_check();
  for (std::size_t i = files.size(); i-- > 0;)
    if (!claims[i].done())
      write_tracin(files[i].path, *run, queries, files[i].options, plan, store, listed, files[i].attributes,
                   world);
  store.remove();
  say_foremost(log, std::filesystem::path(files.front().path).filename().string(), ranked(*run));
  cost.seconds = watch.seconds();
  log.say(record_cost(run->folder(), cost, world));
}

}  // namespace whence
