// What tracin and density would need.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "whence/density/points.h"

#include "dry_run.h"

namespace whence {
namespace {

// Distances of so many queries to all instances are one piece of density's work.
constexpr std::int64_t query_piece = 16;

density::Queries first_queries(const density::Queries& all, std::int64_t count) {
  density::Queries first{all.points.narrow(0, 0, count), all.ids, all.positions};
  first.ids.resize(count);
  first.positions.resize(count);
  return first;
}

// Of a sweep over the pairs of all instances. A row of pairs that none was before it enters neighbours into
// its lists: k of the first k, and 1 / n of the n-th.
double seconds_of_pairs(const Dataset& train, const density::EstimatorOptions& estimators,
                        const Communicator& world) {
  density::PairTrial trial(train, estimators);
  const Stopwatch watch;
  trial.visit();
  const double first = world.max(watch.seconds());
  const double each = seconds_each(
      [&trial](std::int64_t times) {
        for (; times > 0; --times) trial.visit();
      },
      world);
  const auto n = static_cast<double>(train.size()), k = static_cast<double>(estimators.k),
             side = static_cast<double>(density::pair_block);
  const auto entered = [k](double seen) { return 1 + std::log(std::max(1.0, seen / k)); };
  // The first visit filled the lists of two blocks of instances.
  const double filling = std::max(0.0, first - each) / 2 * n / side * entered(n) / entered(side);
  return (each * n * n / 2 / trial.pairs() + filling) / world.size();
}

}  // namespace

Needs needs_of_tracin(const Run& run, const TracinQueries& queries, const TracinOptions& options,
                      const TracinPlan& plan, const Communicator& world) {
  const auto blocks = static_cast<double>(plan.blocks.size());
  TracinWorker worker(run, queries, options, plan);
  Stopwatch first;
  worker.row(plan.blocks.front());
  double with_queries = world.max(first.seconds());
  // The next block of the same checkpoint and queries, where there is one, finds the queries' gradients.
  const bool alike = plan.blocks.size() > 1 && plan.blocks[1].checkpoint == plan.blocks[0].checkpoint &&
                     plan.blocks[1].queries == plan.blocks[0].queries;
  double alone = with_queries;
  if (alike) {
    Stopwatch next;
    worker.row(plan.blocks[1]);
    alone = world.max(next.seconds());
  }
  double entries = 1;
  for (std::size_t b = 1; b < plan.blocks.size(); ++b)
    entries += plan.blocks[b].checkpoint != plan.blocks[b - 1].checkpoint ||
               !(plan.blocks[b].queries == plan.blocks[b - 1].queries);

  Needs needs{"tracin", fmt::format("{} checkpoints, {} queries, {} blocks of {} instances and {} queries",
                                    plan.steps.size(), queries.size(), plan.blocks.size(), plan.block,
                                    plan.query_chunk)};
  const auto ranks = static_cast<double>(world.size());
  const double entering = std::max(0.0, with_queries - alone);
  // Neighbouring blocks go to different ranks, so that each takes the gradients of most queries.
  needs.seconds = std::min(entries, std::ceil(blocks / ranks)) * entering + std::ceil(blocks / ranks) * alone;
  const double row = 8.0 * static_cast<double>(plan.row_width());
  const auto instances = static_cast<double>(run.parts().data.train.size());
  const double scores =
      options.instances ? 8 * instances * std::max<double>(1, queries.self ? 1 : queries.size()) : 0;
  // Rank 0 puts the result together: as many queries' scores at once as fit, sorted twice.
  const double together = options.instances ? std::min(4 * scores, static_cast<double>(options.memory)) : 0;
  needs.memory = world.is_root() ? together + row : row;
  // Beside scores and losses: means of latents, and some hundred pictures.
  const RunParts& parts = run.parts();
  const auto latent = static_cast<double>(parts.game->latent_size()),
             picture = 4.0 * static_cast<double>(parts.data.train.width());
  needs.disk = blocks * row + scores + 8 * instances * (static_cast<double>(plan.steps.size()) + latent) +
               picture * std::min(instances, 1024.0);
  needs.folder = run.folder();
  return needs;
}

Needs needs_of_density(const Dataset& train, const density::Queries& queries,
                       const density::EstimatorOptions& estimators, const std::string& folder,
                       const Communicator& world) {
  const std::int64_t n = train.size(), q = queries.points.size(0), piece = std::min(q, query_piece);
  density::EstimatorOptions tables = estimators;
  tables.self_influence = false;
  const Communicator alone(MPI_COMM_SELF);
  const auto count = static_cast<double>(estimators.estimators.size());
  const double block = seconds_each(
      [&](std::int64_t times) {
        for (; times > 0; --times)
          density::density_influence(train, first_queries(queries, piece), tables, alone,
                                     [](std::int64_t, std::int64_t) {});
      },
      world);
  Needs needs{"density", fmt::format("instances {}, queries {}, {} estimators", n, q, count)};
  const double each = block / static_cast<double>(piece);
  needs.seconds = each * static_cast<double>(q) / world.size();
  if (estimators.self_influence) needs.seconds += seconds_of_pairs(train, estimators, world);
  const double table = 8.0 * static_cast<double>(q) * static_cast<double>(n);
  const bool gmm = std::count(estimators.estimators.begin(), estimators.estimators.end(), "gmm") > 0;
  const double tables_kept = (2 * count + 1 + (gmm ? 1 : 0)) * table;
  // Looking for numbers that are not finite copies the largest table.
  needs.memory =
      tables_kept + count * table +
      (estimators.self_influence ? 8.0 * static_cast<double>(n) * (2.0 * count + 2.0 * (estimators.k + 1))
                                 : 0);
  needs.disk = tables_kept + 8.0 * static_cast<double>(n * train.width());
  needs.folder = folder;
  return needs;
}

}  // namespace whence
