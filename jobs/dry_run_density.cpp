// What density would need.

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>

#include "whence/density/files.h"
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
  std::optional<density::PairTrial> trial;
  world.on_every_rank([&] { trial.emplace(train, estimators); });
  const auto visit = [&](std::int64_t times) {
    world.on_every_rank([&] {
      for (; times > 0; --times) trial->visit();
    });
  };
  const Stopwatch watch;
  visit(1);
  const double first = world.max(watch.seconds());
  const double each = seconds_each(visit, world);
  const auto n = static_cast<double>(train.size()), k = static_cast<double>(estimators.k),
             side = static_cast<double>(density::pair_block);
  const auto entered = [k](double seen) { return 1 + std::log(std::max(1.0, seen / k)); };
  // The first visit filled the lists of two blocks of instances.
  const double filling = std::max(0.0, first - each) / 2 * n / side * entered(n) / entered(side);
  return (each * n * n / 2 / trial->pairs() + filling) / world.size();
}

}  // namespace

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
        world.on_every_rank([&] {
          for (; times > 0; --times)
            density::density_influence(
                train, first_queries(queries, piece), tables, alone, [](std::int64_t, std::int64_t) {},
                [](Range, const density::DensityTables&) {});
        });
      },
      world);
  Needs needs{"density", fmt::format("instances {}, queries {}, {} estimators", n, q, count)};
  const double each = block / static_cast<double>(piece);
  needs.seconds = each * static_cast<double>(q) / world.size();
  if (estimators.self_influence) needs.seconds += seconds_of_pairs(train, estimators, world);
  const double table = 8.0 * static_cast<double>(q) * static_cast<double>(n);
  const bool gmm = std::count(estimators.estimators.begin(), estimators.estimators.end(), "gmm") > 0;
  const double tables_kept = (2 * count + 1 + (gmm ? 1 : 0)) * table;
  // Tables of a few queries at a time were taken on the way here; then there are what all instances have, and
  // sums of kernels over groups of blocks of instances.
  const double groups = std::count(estimators.estimators.begin(), estimators.estimators.end(), "kde") > 0
                            ? static_cast<double>(density::pair_groups(n))
                            : 0;
  needs.memory = estimators.self_influence
                     ? 8.0 * static_cast<double>(n) * (3.0 * count + 4.0 * (estimators.k + 1) + groups)
                     : 0;
  const double of_instance =
      1 + (train.labels.defined() ? 1 : 0) + (estimators.self_influence ? 3 * count + (gmm ? 1 : 0) : 0);
  const std::int64_t drawn = train.width() <= density::drawable_width ? (n + q) * train.width() : 0;
  needs.disk = tables_kept + 8.0 * (of_instance * static_cast<double>(n) + static_cast<double>(drawn));
  needs.folder = folder;
  return needs;
}

}  // namespace whence
