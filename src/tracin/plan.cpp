#include <algorithm>
#include <map>
#include <numeric>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/tracin/tracin.h"

namespace whence {
namespace {

using Positions = std::shared_ptr<const std::vector<std::int64_t>>;

// Larger blocks gain nothing, and more is lost when a job is killed.
constexpr std::int64_t largest_block = 256;

double rate_at(const Run& run, std::int64_t step) {
  return run.trajectory().rates(std::min(step, run.steps() - 1))[0].item<double>();
}

void set_weights(TracinPlan& plan, const Run& run, CheckpointWeights weights) {
  const auto batch = static_cast<double>(run.parts().settings.schedule.batch);
  const auto instances = static_cast<double>(run.parts().data.train.size());
  for (std::size_t c = 0; c < plan.steps.size(); ++c) {
    const double rate = rate_at(run, plan.steps[c]);
    const auto since = static_cast<double>(plan.steps[c] - (c == 0 ? 0 : plan.steps[c - 1]));
    if (weights == CheckpointWeights::none)
      plan.weights.push_back(1);
    else if (weights == CheckpointWeights::published)
      plan.weights.push_back(rate * batch * since / instances);
    else
      plan.weights.push_back(weights == CheckpointWeights::visits ? rate / batch : rate);
  }
}

// Each visit by itself, in the order of steps and rows.
void set_single_visits(TracinPlan& plan, std::int64_t first, std::int64_t last, const Run& run) {
  std::vector<std::int64_t> positions;
  std::vector<Visit> visit;
  for (std::int64_t t = first; t < last; ++t) {
    const at::Tensor batch = run.trajectory().batch(t);
    for (std::int64_t i = 0; i < batch.numel(); ++i) {
      positions.push_back(batch.data_ptr<std::int64_t>()[i]);
      visit.push_back({t, i});
    }
  }
  plan.visits.push_back(
      std::make_shared<const std::vector<std::int64_t>>(std::vector<std::int64_t>(positions.size(), 1)));
  plan.positions.push_back(std::make_shared<const std::vector<std::int64_t>>(std::move(positions)));
  plan.visit.push_back(std::make_shared<const std::vector<Visit>>(std::move(visit)));
}

void set_visits(TracinPlan& plan, const Run& run, bool training_noise) {
  if (!run.trajectory().knows_batches())
    refuse("--weights: visits are not known, since the run's mini-batches are not (it was imported)");
  for (std::size_t c = 0; c < plan.steps.size(); ++c) {
    const std::int64_t end = c + 1 < plan.steps.size() ? plan.steps[c + 1] : run.steps();
    if (training_noise) {
      set_single_visits(plan, plan.steps[c], end, run);
      continue;
    }
    std::map<std::int64_t, std::int64_t> count;
    for (std::int64_t t = plan.steps[c]; t < end; ++t) {
      const at::Tensor batch = run.trajectory().batch(t);
      for (std::int64_t i = 0; i < batch.numel(); ++i) ++count[batch.data_ptr<std::int64_t>()[i]];
    }
    std::vector<std::int64_t> positions, visits;
    for (const auto& [position, times] : count) {
      positions.push_back(position);
      visits.push_back(times);
    }
    plan.positions.push_back(std::make_shared<const std::vector<std::int64_t>>(std::move(positions)));
    plan.visits.push_back(std::make_shared<const std::vector<std::int64_t>>(std::move(visits)));
  }
}

void set_all_positions(TracinPlan& plan, std::int64_t instances) {
  std::vector<std::int64_t> every(instances);
  std::iota(every.begin(), every.end(), 0);
  plan.positions.assign(plan.steps.size(),
                        std::make_shared<const std::vector<std::int64_t>>(std::move(every)));
  plan.visits.assign(plan.steps.size(), std::make_shared<const std::vector<std::int64_t>>(
                                            std::vector<std::int64_t>(instances, 1)));
}

std::int64_t largest_gradient(const std::vector<LayerExtent>& layers) {
  std::int64_t largest = 0;
  for (const LayerExtent& layer : layers) largest = std::max(largest, layer.left * layer.right);
  return largest;
}

// Half of the memory is for queries, half for instances and what their products need. Every chunk of queries
// takes all instances' gradients again, so of the queries' half most is for gradients that are kept, and as
// little as an eighth of it for taking them.
void set_sizes(TracinPlan& plan, const Autoencoder& vae, at::ScalarType dtype, std::int64_t queries,
               const TracinOptions& options, std::int64_t most_instances) {
  const std::int64_t number = dtype == at::kFloat ? 4 : 8;
  const auto layers = gradient_extents(vae, options.gradient);
  const std::int64_t half = options.memory / 2 / number;
  const std::int64_t instance =
      working_numbers(vae, options.gradient) + 2 * options.gradient.samples * vae.decoder().input().values();
  plan.query_piece = std::clamp<std::int64_t>(half / 8 / instance, 1, std::max<std::int64_t>(1, queries));
  const auto queries_need = [&](std::int64_t q) {
    return q * query_numbers(layers, q) +
           std::min(q, plan.query_piece) * (instance + largest_gradient(layers));
  };
  const auto instances_need = [&](std::int64_t n) {
    return n * instance + product_numbers(layers, plan.query_chunk, n) +
           2 * n * std::max<std::int64_t>(1, plan.query_chunk);
  };
  plan.query_chunk = queries;
  while (plan.query_chunk > 1 && queries_need(plan.query_chunk) > half)
    plan.query_chunk = (plan.query_chunk + 1) / 2;
  plan.block = std::max<std::int64_t>(1, std::min(largest_block, most_instances));
  while (plan.block > 1 && instances_need(plan.block) > half) plan.block = (plan.block + 1) / 2;
  const std::int64_t least =
      2 * number *
      std::max(plan.query_chunk == 0 ? 0 : queries_need(plan.query_chunk), instances_need(plan.block));
  if (least > options.memory)
    refuse("--memory: {} MiB are too little for one block, which needs {} MiB", options.memory >> 20,
           (least >> 20) + 1);
}

void set_blocks(TracinPlan& plan, std::int64_t queries) {
  const std::int64_t chunk = std::max<std::int64_t>(1, plan.query_chunk);
  for (std::int64_t c = 0; c < static_cast<std::int64_t>(plan.steps.size()); ++c) {
    const auto instances = static_cast<std::int64_t>(plan.positions[c]->size());
    for (std::int64_t q = 0; q < std::max<std::int64_t>(1, queries); q += chunk) {
      const Range part{q, std::min(queries, q + chunk)};
      // Where no instance counts there still are losses of queries.
      for (std::int64_t begin = 0; begin < std::max<std::int64_t>(1, instances); begin += plan.block)
        plan.blocks.push_back({c, part, {begin, std::min(instances, begin + plan.block)}});
    }
  }
}

}  // namespace

std::vector<std::int64_t> choose_checkpoints(const std::string& text, const Trajectory& trajectory,
                                             bool with_start) {
  std::vector<std::int64_t> all = trajectory.recorded();
  if (!with_start && all.size() > 1 && all.front() == 0) all.erase(all.begin());
  if (text == "all") return all;
  if (text == "last") return {all.back()};
  if (text.rfind("last:", 0) == 0) {
    const auto list = integer_list("checkpoints", text.substr(5));
    if (list.size() != 1 || list.front() > static_cast<std::int64_t>(all.size()))
      refuse("--checkpoints: '{}' is not one number up to the {} checkpoints", text, all.size());
    return {all.end() - list.front(), all.end()};
  }
  std::vector<std::int64_t> steps = integer_list("checkpoints", text);
  for (const std::int64_t step : steps)
    if (!std::binary_search(all.begin(), all.end(), step))
      refuse("--checkpoints: the parameters of step {} are not recorded", step);
  return steps;
}

const Autoencoder& autoencoder_of(const Run& run) {
  const Autoencoder* found = run.parts().game->autoencoder();
  if (found == nullptr)
    refuse("--run: tracin is for VAEs, and {} is a {}", run.folder(), run.parts().game->name());
  return *found;
}

TracinPlan plan_tracin(const Run& run, const TracinQueries& queries, const TracinOptions& options,
                       std::vector<std::int64_t> steps) {
  const Autoencoder& vae = autoencoder_of(run);
  const bool visits = options.weights == CheckpointWeights::visits;
  if (options.training_noise && !visits)
    refuse("--instance-noise: training had noise at each visit of an instance, so it needs --weights visits");
  if (options.training_noise && options.gradient.samples != 1)
    refuse("--samples is {}, but with --instance-noise training it is 1, as in training",
           options.gradient.samples);
  if (!options.instances && queries.self)
    refuse("--instances: none leaves nothing to compute for --queries self");
  TracinPlan plan;
  plan.steps = std::move(steps);
  set_weights(plan, run, options.weights);
  if (options.instances && visits)
    set_visits(plan, run, options.training_noise);
  else
    set_all_positions(plan, options.instances ? run.parts().data.train.size() : 0);
  std::int64_t most = 0;
  for (const Positions& positions : plan.positions)
    most = std::max(most, static_cast<std::int64_t>(positions->size()));
  if (options.instances && most == 0)
    refuse(
        "--checkpoints: --weights visits counts what was trained on after each, and no step follows step {}",
        plan.steps.front());
  set_sizes(plan, vae, run.parts().game->dtype(), queries.size(), options, most);
  set_blocks(plan, queries.size());
  return plan;
}

}  // namespace whence
