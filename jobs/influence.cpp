// whence influence: takes the gradient of each metric at the end of a run and traces it back through the
// recorded steps, which gives every training instance's influence on it.

#include <cmath>
#include <fmt/format.h>

#include "whence/comm/agreement.h"
#include "whence/comm/stop_vote.h"
#include "whence/io/summary.h"
#include "whence/metric/metric.h"
#include "whence/trace/adjoint_norms.h"
#include "whence/trace/estimates.h"
#include "whence/trace/trace_back.h"
#include "whence/trace/trace_checkpoint.h"
#include "whence/train/result_file.h"

#include "crossing_plan.h"
#include "data_start.h"
#include "dry_run.h"
#include "influence_options.h"
#include "influence_paths.h"
#include "job.h"
#include "metric_classifier.h"
#include "show_words.h"

namespace whence {

void run_influence(const Options& options, const Communicator& all) {
  const Log log = begin_job(options, all);
  const Place place = take_place(options, all);
  const Communicator& world = place.world;
  const Stopwatch watch;
  const StopSignals signals;
  std::vector<std::string> metric_names;
  const std::string formula = options.text("formula");
  TraceBackOptions trace{};
  std::unique_ptr<Run> run;
  std::vector<std::shared_ptr<const Metric>> metrics;
  std::string result;
  Attributes attributes;
  MetricClassifier metric_classifier;
  CrossingPlan crossings;
  PathPlan paths;
  const DataPlaces places = start_data(options, log, world);
  world.on_every_rank([&] {
    if (formula != "own" && formula != "sgd") refuse_value("formula", formula, {"own", "sgd"});
    trace = {integer_list("epochs-back", options.text("epochs-back")),
             real_list("kink-width", options.text("kink-width"))};
    run = std::make_unique<Run>(options.text("run"), place.device, places);
    const RunParts& parts = run->parts();
    metric_names = metric_names_of(options, *parts.game);
    run->check_epochs_back("epochs-back", trace.epochs_back);
    run->walk_back(world, memory_limit(options));
    metric_classifier = read_metric_classifier(options, parts);
    metrics = metrics_over_draws(metric_names, parts, metric_classifier, options.integer("noise-draws", 1));
    trace.grid = read_grid(options.text("grid"), world.size(), static_cast<std::int64_t>(metrics.size()),
                           parts.settings.schedule.batch);
    result = run->folder() + "/influence.h5";
    attributes = result_attributes(*run, options.settings(), metric_names);
    attributes["classifier"] = metric_classifier.fingerprint;
  });
  check_data_alike(run->parts().data, run->parts().data_fingerprint, world);
  const RecordedSteps recorded = recorded_steps_of(*run);
  world.on_every_rank([&] {
    crossings = plan_crossings(options.text("crossings"), recorded, trace, formula, memory_limit(options),
                               world.size());
    follow(crossings, trace, attributes);
    paths = plan_paths(options, recorded, trace.epochs_back);
  });
  check_alike({{"--crossings", crossings.sentence}}, world);
  const ResultClaim claim(result, influence_schema, attributes, claim_of(options, log), world);
  const std::int64_t steps = trace.epochs_back.back() * run->parts().schedule.steps_per_epoch();
  const std::int64_t numbers =
      trace.kink_widths.size() * metrics.size() * trace.epochs_back.size() * run->parts().data.train.size();
  if (options.flag("dry-run"))
    return say(needs_of_tracing_back(*run, metrics, trace, paths, memory_limit(options), world), world);
  if (claim.done()) return log.say(result + ": already there");
  if (!metric_classifier.caution.empty()) log.say(metric_classifier.caution);
  if (!crossings.sentence.empty()) log.say(crossings.sentence);
  if (const auto kinks = run->parts().game->kinks_left_out(); !kinks.empty() && trace.kink_widths.back() > 0)
    log.say(fmt::format("--kink-width: left out, for lack of known curvature: {}", fmt::join(kinks, ", ")));
  const std::int64_t points = metrics.size() * run->parts().data.held_out.size();
  Progress evaluated(log, "points of metrics", points);
  Evaluations at_end = evaluate_all(metrics, run->params(run->steps()), world, [&](double share) {
    evaluated.advance_to(std::llround(share * static_cast<double>(points)));
  });
  TraceBack sweep(formula == "sgd" ? as_plain_steps(recorded) : recorded, at_end.gradients, trace, world);
  at_end.gradients.reset();  // as large as what is traced
  const Attributes claimed = attributes;
  const TraceCheckpoint checkpoint(result, claimed, unfinished_of(options), world);
  if (checkpoint.load(sweep)) log.say(fmt::format("going on from step {} of {}", sweep.taken(), steps));
  const Stopwatch tracing;
  const std::int64_t first = sweep.taken();
  PathProgress along{0, 0, 0};
  const auto cost = [&](bool done) {
    return JobCost{"influence",      watch.seconds(),        sweep.taken() - first + along.steps,
                   "steps",          done ? 8 * numbers : 0, done,
                   tracing.seconds()};
  };
  const auto leave = [&](const std::string& stopped) {
    log.say(record_cost(run->folder(), cost(false), world));
    throw Interrupted(stopped);
  };
  StopVote vote(signals, world);
  if (const CarryProgress carried = look_back(sweep, recorded, trace, vote, log);
      carried.done < carried.total)
    leave(carrying_stopped_at(run->folder(), carried));
  Progress progress(log, "steps traced back", steps, first);
  bool stop = false;
  for (double saved = 0; !sweep.done(); progress.advance_to(sweep.taken())) {
    sweep.step();
    stop = vote.agreed() || stop;  // it may have been agreed where the sweep could not be left
    if (sweep.done() || !sweep.settled()) continue;
    if (!stop && vote.seconds() - saved < TraceCheckpoint::seconds_between) continue;
    checkpoint.save(sweep);
    saved = vote.seconds();
    if (!stop) continue;
    leave(stopped_at(run->folder(), "step", sweep.taken(), steps));
  }
  InfluenceEstimates estimates{metric_names,
                               trace.kink_widths,
                               trace.epochs_back,
                               run->parts().data.train.ids,
                               {},
                               at_end.values,
                               metric_classifier.fingerprint,
                               sweep.near_zero_shares(),
                               sweep.adjoint_norms(),
                               noted_steps(steps)};
  EstimateParts parts{sweep.part(), {}};
  log.say(run->replay_report(world));
  log.say(note_crossings(trace.counted, sweep.crossings_each(), attributes));
  log.say(growth_in_words(estimates, recorded.steps_per_epoch));
  if (paths.count > 0) {
    if (sweep.taken() > first) checkpoint.save(sweep);
    along = find_spread({*run, recorded, formula, metrics, trace, paths, memory_limit(options), claimed,
                         unfinished_of(options), signals},
                        estimates, parts, log, world);
    if (along.done < along.total && along.failure.empty())
      leave(stopped_at(run->folder(), "trace along a path", along.done, along.total));
    log.say(along.failure.empty() ? expected_in_words(estimates, has_kinks(recorded)) : along.failure);
  }
  write_influence(result, estimates, parts, attributes, world);
  checkpoint.remove();
  world.on_root([&] { remove_traces(*run); });
  say_foremost(log, "influence.h5", ranked(*run));
  log.say(record_cost(run->folder(), cost(true), world));
}

}  // namespace whence
