#include <algorithm>
#include <fnmatch.h>
#include <functional>
#include <map>
#include <numeric>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/tracin/tracin.h"

namespace whence {
namespace {

using Positions = std::shared_ptr<const std::vector<std::int64_t>>;

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

// What queries and instances of one way need, in numbers.
struct Needs {
  WorkingNumbers gradients;                                              // in the making
  std::function<std::int64_t(std::int64_t q)> queries;                   // q queries that are kept
  std::function<std::int64_t(std::int64_t n, std::int64_t q)> products;  // n instances and q kept queries
  std::int64_t largest_block = 256;  // larger ones gain nothing, and more is lost when a job is killed
};

// Where a decoder takes long for an instance, as of images, a block is of so many samples: some tenths of a
// second, since stops and shares wait for its end.
Needs fast_needs(const Autoencoder& vae, const TracinOptions& options, at::Device device) {
  constexpr std::int64_t samples_of_block = 512;
  const auto layers = gradient_extents(vae, options.gradient);
  WorkingNumbers working = working_numbers(vae, options.gradient, device);
  working.each += 2 * options.gradient.samples * vae.decoder().input().values();
  Needs needs{working, [layers](std::int64_t q) { return q * query_numbers(layers, q); },
              [layers, working](std::int64_t n, std::int64_t q) {
                return working.of(n) + product_numbers(layers, q, n) + 2 * n * std::max<std::int64_t>(1, q);
              }};
  if (working.group > 0)
    needs.largest_block =
        std::clamp<std::int64_t>(samples_of_block / options.gradient.samples, 1, needs.largest_block);
  return needs;
}

// By an engine: u and its trace for each query, and the graph of every sample's losses for each as well.
Needs engine_needs(const Run& run, const TracinOptions& options) {
  const Game& game = *run.parts().game;
  const std::int64_t p = game.layout().size(), m = options.gradient.samples,
                     graph = m * game.graph_numbers(run.parts().data.train.width()) / 8;
  return {{2 * p + graph, 0, 0},
          [p](std::int64_t q) { return 4 * q * p; },
          [p, graph](std::int64_t n, std::int64_t q) {
            return 4 * p + n * graph * std::max<std::int64_t>(1, q);
          }};
}

// Half of the memory is for queries, half for instances and what their products need. Every chunk of queries
// takes all instances' gradients again, so of the queries' half most is for gradients that are kept, and as
// little as an eighth of it for taking them.
void set_sizes(TracinPlan& plan, const Needs& needs, std::int64_t largest, at::ScalarType dtype,
               std::int64_t queries, const TracinOptions& options, std::int64_t most_instances) {
  const std::int64_t number = dtype == at::kFloat ? 4 : 8;
  const std::int64_t half = options.memory / 2 / number;
  const WorkingNumbers& gradients = needs.gradients;
  const std::int64_t rest = half / 8 - gradients.group * gradients.in_group;
  const std::int64_t fit =
      rest > 0 ? rest / gradients.each : half / 8 / (gradients.each + gradients.in_group);
  plan.query_piece = std::clamp<std::int64_t>(fit, 1, std::max<std::int64_t>(1, largest));
  const auto queries_need = [&](std::int64_t q) {
    return needs.queries(q) + gradients.of(std::min(q, plan.query_piece));
  };
  const auto instances_need = [&](std::int64_t n) { return needs.products(n, plan.query_chunk); };
  plan.query_chunk = queries;
  while (plan.query_chunk > 1 &&
         (queries_need(plan.query_chunk) > half || needs.products(1, plan.query_chunk) > half))
    plan.query_chunk = (plan.query_chunk + 1) / 2;
  plan.block = std::max<std::int64_t>(1, std::min(needs.largest_block, most_instances));
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

std::vector<bool> choose_tensors(const std::string& layers, const ParameterLayout& layout) {
  if (layers == "all" || layers.rfind("last:", 0) == 0) return {};
  std::vector<bool> chosen(layout.specs().size(), false);
  for (const std::string& pattern : split_list("layers", layers)) {
    bool fits = false;
    for (std::size_t i = 0; i < chosen.size(); ++i)
      if (fnmatch(pattern.c_str(), layout.specs()[i].name.c_str(), 0) == 0) chosen[i] = fits = true;
    if (fits) continue;
    std::vector<std::string> names;
    for (const ParameterSpec& spec : layout.specs()) names.push_back(spec.name);
    refuse("--layers: '{}' is not all, last:NUMBER or the pattern of a name; there are {}", pattern,
           fmt::join(names, ", "));
  }
  return chosen;
}

const Autoencoder* fast_way(const Run& run, const TracinQueries& queries, const TracinOptions& options) {
  const Autoencoder* vae = run.parts().game->autoencoder();
  const GradientOptions& gradient = options.gradient;
  bool whole_layers = true;
  if (vae != nullptr && !gradient.tensors.empty())
    for (const Network* network : {&vae->encoder(), &vae->decoder()})
      for (const Stage& stage : network->stages())
        whole_layers = whole_layers && gradient.tensors[stage.first] == gradient.tensors[stage.first + 1];
  if (vae != nullptr && queries.metrics.empty() && !queries.sum_of && whole_layers) return vae;
  const std::string why = vae == nullptr             ? run.folder() + " is a " + run.parts().game->name()
                          : !queries.metrics.empty() ? "the queries are metrics"
                          : queries.sum_of           ? "the query is a sum"
                                                     : "--layers takes parts of layers";
  if (gradient.loss == TracinLoss::scoring) refuse("--loss: scoring is for VAEs' own queries, and {}", why);
  if (gradient.latent == LatentGradient::score_function)
    refuse("--estimator: score-function is for VAEs' own queries, and {}", why);
  if (gradient.last_layers != 0)
    refuse("--layers: last:NUMBER is for VAEs' own queries, and {}; patterns of names are for all", why);
  return nullptr;
}

TracinPlan plan_tracin(const Run& run, const TracinQueries& queries, const TracinOptions& options,
                       std::vector<std::int64_t> steps) {
  const Autoencoder* vae = fast_way(run, queries, options);
  const bool visits = options.weights == CheckpointWeights::visits;
  if (options.training_noise && !visits)
    refuse("--instance-noise: training had noise at each visit of an instance, so it needs --weights visits");
  if (options.training_noise && options.gradient.samples != 1)
    refuse("--samples is {}, but with --instance-noise training it is 1, as in training",
           options.gradient.samples);
  if (!options.instances && queries.self)
    refuse("--instances: none leaves nothing to compute for --queries self");
  if (queries.self && (options.normalise || options.norms))
    refuse("--{}: of self-influence every cosine is 1", options.norms ? "with-cosines" : "normalise");
  if (options.normalise && options.norms)
    refuse("--normalise has cosines alone, and --with-cosines both: one of them is enough");
  TracinPlan plan;
  plan.norms = options.norms;
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
  const std::int64_t points = queries.sum_of ? queries.sum_of->points.size(0) : queries.size();
  set_sizes(plan, vae == nullptr ? engine_needs(run, options) : fast_needs(*vae, options, run.parts().device),
            points, run.parts().game->dtype(), queries.size(), options, most);
  set_blocks(plan, queries.size());
  return plan;
}

}  // namespace whence
