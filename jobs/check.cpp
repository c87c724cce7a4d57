// whence check MODEL.pt: whether an exported model keeps what every job relies on, and what it costs.

#include <fmt/format.h>
#include <sys/resource.h>

#include <ATen/ops/ones.h>

#include "whence/core/error.h"
#include "whence/game/game_check.h"
#include "whence/io/summary.h"
#include "whence/train/step.h"

#include "dry_run.h"
#include "job.h"

namespace whence {
namespace {

// The run that the options speak of, in one dtype.
RunParts parts_of(const Options& options, const std::string& dtype) {
  const std::string batch = std::to_string(options.integer("batch", 4));
  std::vector<std::string> words{"--out=.",          "--game=script:" + options.text("model"),
                                 "--rates=1",        "--epochs=1",
                                 "--record=all",     "--instances=" + batch,
                                 "--batch=" + batch, "--held-out=1",
                                 "--engine=torch",   "--seed=" + std::to_string(options.seed("seed")),
                                 "--dtype=" + dtype};
  for (const char* name : {"data", "pixels"})
    words.push_back(fmt::format("--{}={}", name, options.text(name)));
  return RunParts(read_settings(Options(train_options(), words)));
}

Batch batch_of(const RunParts& parts) {
  return make_batch(parts.training_data, parts.schedule.batch(0), parts.settings.seed, 0,
                    {0, parts.settings.schedule.batch}, *parts.game);
}

std::string about(const RunParts& parts, const std::string& model) {
  const Game& game = *parts.game;
  std::string text = fmt::format("{}: {}\n", model, game.fingerprint());
  for (std::int64_t p = 0; p < game.layout().player_count(); ++p) {
    const auto [begin, end] = game.layout().block(p);
    text += fmt::format("  player {}: {} parameters\n", game.layout().players()[p], end - begin);
  }
  text += fmt::format("  noise: {} numbers a row; points for metrics: {}\n", game.latent_size(),
                      game.generator() != nullptr ? "yes" : "no");
  const auto left_out = game.kinks_left_out();
  return text + fmt::format("  kinks without curvature: {}\n",
                            left_out.empty() ? "none" : fmt::format("{}", fmt::join(left_out, ", ")));
}

// Steps and traces a second, and the most memory that the process has had.
std::string costs(const RunParts& parts, const Communicator& world) {
  const Batch batch = batch_of(parts);
  const at::Tensor theta = parts.game->initial_parameters(parts.settings.seed), one = theta.unsqueeze(0);
  const at::Tensor present = at::ones({1, batch.instances.size(0)}, theta.options());
  const double step = seconds_each(
      [&](std::int64_t count) {
        for (; count > 0; --count) parts.engine->gradient(one, batch, present);
      },
      world);
  const double trace = seconds_each(
      [&](std::int64_t count) {
        for (; count > 0; --count) parts.engine->trace(theta, batch, one, 0);
      },
      world);
  const at::Tensor queries = one.expand({8, -1}).contiguous();
  const double eight = seconds_each(
      [&](std::int64_t count) {
        for (; count > 0; --count) parts.engine->trace(theta, batch, queries, 0);
      },
      world);
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return fmt::format(
      "  {} instances a step, {}: {:.1f} steps and {:.1f} traces a second\n"
      "  a trace of one query is {:.1f} steps, one of eight {:.1f} traces; {} of memory\n",
      parts.settings.schedule.batch, parts.game->dtype() == at::kFloat ? "float32" : "float64", 1 / step,
      1 / trace, trace / step, eight / trace, human_bytes(1024.0 * static_cast<double>(use.ru_maxrss)));
}

}  // namespace

OptionTable check_options() {
  OptionTable table("check");
  table.required("model", "file of a model made by whence.export")
      .required("data", "data that it is for, as for whence train")
      .add<std::string>("pixels", "zero-to-one", "as for whence train")
      .add<std::string>("dtype", "float32", "float32 or float64, to time it in; it is checked in float64")
      .add<std::int64_t>("batch", 16, "instances a step")
      .add<std::int64_t>("seed", 0, "of the choice of instances, noise and directions");
  return add_execution_options(table);
}

void run_check(const Options& options, const Communicator& world) {
  const Log log = begin_job(options, world);
  const std::string model = options.text("model");
  std::unique_ptr<RunParts> timed;
  std::vector<GameCheck> checks;
  std::string text;
  world.on_every_rank([&] {
    const RunParts exact = parts_of(options, "float64");
    timed = std::make_unique<RunParts>(parts_of(options, options.text("dtype")));
    text = about(exact, model);
    if (options.flag("dry-run")) return;
    checks = check_game(*exact.game, *exact.engine, exact.game->initial_parameters(exact.settings.seed),
                        batch_of(exact), exact.settings.seed);
  });
  if (options.flag("dry-run")) return print(world, text + "  would be checked\n");
  std::vector<std::string> broken;
  for (const GameCheck& check : checks) {
    text += fmt::format("  {:<4} {:<50} {}\n", check.holds ? "yes" : "NO", check.claim, check.found);
    if (!check.holds) broken.push_back(check.claim);
  }
  if (broken.empty()) text += costs(*timed, world) + "this model can be used\n";
  if (!options.flag("quiet")) print(world, text);
  if (!broken.empty())
    world.on_every_rank([&] {
      fail("{}: this model cannot be used as it is; it does not hold that {}", model,
           fmt::join(broken, "; that "));
    });
}

}  // namespace whence
