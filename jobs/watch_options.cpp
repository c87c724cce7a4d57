// What is watched of a training: --watch and --watch-every.

#include <algorithm>
#include <fmt/format.h>

#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <torch/csrc/autograd/autograd.h>

#include "whence/core/error.h"
#include "whence/core/text.h"
#include "whence/train/step.h"

#include "metric_classifier.h"
#include "watch.h"

namespace whence {
namespace {

constexpr std::int64_t most_points = 500, at_once = 100, samples = 36;

}  // namespace

OptionTable& add_watch_options(OptionTable& table) {
  return table
      .add<std::string>(
          "watch", "none",
          "metrics to tell and keep besides the losses (history.csv, history.h5), comma between, as for "
          "whence influence; or none",
          Kind::execution)
      .add<std::string>("watch-every", "epoch", "how often: epoch, a number of steps, or never",
                        Kind::execution);
}

Watched read_watched(const Options& options, const RunParts& parts) {
  const std::string every = options.text("watch-every"), names = options.text("watch");
  Watched watched;
  watched.every = parts.schedule.steps_per_epoch();
  if (every == "never") {
    watched.every = 0;
  } else if (every != "epoch") {
    const auto steps = whole_number(every);
    if (!steps || *steps < 1)
      refuse("--watch-every: '{}' is not epoch, never or a number of steps", visible(every));
    watched.every = *steps;
  }
  if (names == "none") return watched;
  if (watched.every == 0) refuse("--watch: --watch-every never looks at nothing");
  try {
    const MetricClassifier classifier = read_metric_classifier(options, parts);
    watched.metrics = make_metrics(split_list("watch", names), parts.game, validation_of(parts, classifier));
  } catch (const UsageError& error) {
    std::string text = error.what();  // there it is called --metric
    if (text.rfind("--metric", 0) == 0) text.replace(0, 8, "--watch");
    refuse("{}", text);
  }
  return watched;
}

HistoryPlan history_plan(const RunParts& parts, const Watched& watched) {
  HistoryPlan plan{{}, parts.schedule.steps_per_epoch()};
  for (const std::string& player : parts.game->layout().players()) plan.columns.push_back("loss." + player);
  for (const auto& metric : watched.metrics) plan.columns.push_back(metric->name());
  const auto& shape = parts.data.train.shape;
  const bool images = shape.size() == 2 || (shape.size() == 3 && (shape[0] == 1 || shape[0] == 3));
  if (parts.game->generator() == nullptr || !images) return plan;
  plan.samples = samples;
  plan.shape = shape;
  return plan;
}

Batch watched_points(const RunParts& parts) {
  const Dataset& data = parts.data.held_out.size() > 0 ? parts.data.held_out : parts.data.train;
  const std::int64_t count = std::min(most_points, data.size());
  Batch batch{data.instances.rows(0, count).to(parts.device),
              validation_latents(parts.settings.seed, count, parts.game->latent_size(), parts.game->dtype())
                  .to(parts.device),
              count};
  if (data.labels.defined()) batch.labels = data.labels.narrow(0, 0, count).to(parts.device);
  return batch;
}

// Some points at a time: no more of the networks is held at once.
at::Tensor player_losses(const Game& game, const Batch& points, const at::Tensor& theta) {
  const at::NoGradGuard no_graph;
  const std::int64_t count = points.instances.size(0);
  const auto views = game.layout().views(theta.unsqueeze(0));
  at::Tensor sum;
  for (std::int64_t begin = 0; begin < count; begin += at_once) {
    const std::int64_t rows = std::min(at_once, count - begin);
    Batch part{points.instances.narrow(0, begin, rows), points.latents.narrow(0, begin, rows), count,
               begin == 0};
    if (points.labels.defined()) part.labels = points.labels.narrow(0, begin, rows);
    const at::Tensor by_player =
        at::stack(game.losses(views, part, at::ones({1, rows}, theta.options()), 0.0))
            .select(1, 0)
            .to(at::kDouble);
    sum = sum.defined() ? sum + by_player : by_player;
  }
  return sum;
}

}  // namespace whence
