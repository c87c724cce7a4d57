#include "whence/density/influence.h"

#include <algorithm>
#include <set>

#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/density/kde.h"
#include "whence/density/knn.h"
#include "whence/density/mixture.h"

namespace whence::density {
namespace {

// Queries whose distances to all instances are held at once.
constexpr std::int64_t query_block = 16;

// The estimators that are asked for, fitted, and where their results go.
struct Estimators {
  Estimators(const EstimatorOptions& options, const Dataset& train, const PointSet& instances)
      : rows(static_cast<std::int64_t>(options.estimators.size())) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::string& name = options.estimators[row];
      if (name == "knn") {
        knn.emplace(train.size(), train.width(), options.k);
        knn_row = row;
      } else if (name == "kde") {
        kde.emplace(train.size(), train.width(), options.sigma);
        kde_row = row;
      } else {
        gmm.emplace(instances, train.labels);
        gmm_row = row;
      }
    }
  }
  // The mixture needs the nearest instance of a point, and the next one.
  std::int64_t neighbours() const { return std::max<std::int64_t>(knn ? knn->k() + 1 : 0, gmm ? 2 : 0); }

  std::int64_t rows, knn_row = 0, kde_row = 0, gmm_row = 0;
  std::optional<KnnDensity> knn;
  std::optional<KernelDensity> kde;
  std::optional<SphericalMixture> gmm;
};

// MPI counts in int: large tables are summed in parts.
void sum_table(at::Tensor& table, const Communicator& ranks) {
  constexpr std::int64_t at_once = std::int64_t{1} << 28;
  at::Tensor flat = table.view({-1});
  for (std::int64_t begin = 0; begin < flat.numel(); begin += at_once) {
    at::Tensor part = flat.narrow(0, begin, std::min(at_once, flat.numel() - begin));
    ranks.sum(part);
  }
}

void knn_rows(const KnnDensity& knn, const Neighbours& near, Range rows, const at::Tensor& density,
              at::Tensor closed, at::Tensor exact) {
  for (std::int64_t q = rows.begin; q < rows.end; ++q) {
    density.data_ptr<double>()[q] = knn.log_density(near, q, "query");
    closed[q].fill_(knn.closed_elsewhere());
    exact[q].fill_(knn.exact_elsewhere(near, q));
    double* closed_row = closed.data_ptr<double>() + q * closed.size(1);
    double* exact_row = exact.data_ptr<double>() + q * exact.size(1);
    for (std::int64_t n = 0; n <= knn.k(); ++n) {
      const std::int64_t i = near.index(q, n);
      closed_row[i] = knn.closed(near, q, i);
      exact_row[i] = knn.exact(near, q, i);
    }
  }
}

// The rows of all tables that belong to one block of queries.
void fill_rows(const Estimators& fitted, const PointSet& queries, const PointSet& instances, Range rows,
               Neighbours& near, DensityInfluence& result) {
  const at::Tensor squared = squared_distances(queries, rows, instances, {0, instances.size()});
  const auto part = [rows](const at::Tensor& table) { return table.narrow(0, rows.begin, rows.size()); };
  part(result.distance).copy_(squared.sqrt());
  if (fitted.neighbours() > 0) near.visit(rows, {0, instances.size()}, squared);
  if (fitted.knn) {
    const std::int64_t e = fitted.knn_row;
    knn_rows(*fitted.knn, near, rows, result.query_log_likelihood[e], result.closed[e], result.exact[e]);
  }
  if (fitted.kde) {
    const std::int64_t e = fitted.kde_row;
    const KernelInfluence kde = fitted.kde->influence(squared);
    part(result.query_log_likelihood[e]).copy_(kde.log_density);
    part(result.closed[e]).copy_(kde.closed);
    part(result.exact[e]).copy_(kde.exact);
  }
  if (fitted.gmm) {
    const std::int64_t e = fitted.gmm_row;
    const MixtureInfluence gmm = fitted.gmm->influence(queries, rows, squared, near);
    part(result.query_log_likelihood[e]).copy_(gmm.log_density);
    part(result.closed[e]).copy_(gmm.closed);
    part(result.exact[e]).copy_(gmm.exact);
    part(result.corrected).copy_(gmm.corrected);
  }
}

void fill_tables(const Estimators& fitted, const PointSet& queries, const PointSet& instances,
                 const Communicator& ranks, const std::function<void()>& done, DensityInfluence& result) {
  const std::int64_t count = fitted.rows, q = queries.size(), n = instances.size();
  result.query_log_likelihood = at::zeros({count, q}, at::kDouble);
  result.closed = at::zeros({count, q, n}, at::kDouble);
  result.exact = at::zeros({count, q, n}, at::kDouble);
  result.distance = at::zeros({q, n}, at::kDouble);
  if (fitted.gmm) result.corrected = at::zeros({q, n}, at::kDouble);
  Neighbours near(queries, instances, fitted.neighbours());
  std::int64_t not_separated = 0;
  ranks.on_every_rank([&] {
    for (std::int64_t b = ranks.rank(); b * query_block < q; b += ranks.size()) {
      const Range rows{b * query_block, std::min(q, (b + 1) * query_block)};
      fill_rows(fitted, queries, instances, rows, near, result);
      if (fitted.gmm) not_separated += fitted.gmm->not_separated(near, rows);
      done();
    }
  });
  result.not_separated += ranks.sum(not_separated);
  for (at::Tensor* table : {&result.query_log_likelihood, &result.closed, &result.exact, &result.distance})
    sum_table(*table, ranks);
  if (fitted.gmm) sum_table(result.corrected, ranks);
}

void knn_self(const KnnDensity& knn, const Neighbours& near, at::Tensor density, at::Tensor closed,
              at::Tensor exact) {
  for (std::int64_t i = 0; i < density.numel(); ++i) {
    density.data_ptr<double>()[i] = knn.log_density(near, i, "instance");
    closed.data_ptr<double>()[i] = knn.closed(near, i, i);
    exact.data_ptr<double>()[i] = knn.exact(near, i, i);
  }
}

// What the self-influences gather from blocks of pairs.
struct PairSums {
  PairSums(const Estimators& fitted, const PointSet& instances)
      : near(instances, instances, fitted.neighbours()) {
    if (fitted.kde) sums.emplace(*fitted.kde, instances.size());
  }
  void visit(Range rows, Range columns, const at::Tensor& squared) {
    if (near.count() > 0) near.visit(rows, columns, squared);
    if (sums) sums->visit(rows, columns, squared);
  }

  Neighbours near;
  std::optional<KernelSums> sums;
};

void fill_self(const Estimators& fitted, const PointSet& instances, const Communicator& ranks,
               const std::function<void()>& done, DensityInfluence& result) {
  const std::int64_t n = instances.size();
  PairSums pairs(fitted, instances);
  ranks.on_every_rank([&] {
    sweep_pairs(
        instances, ranks,
        [&pairs](Range rows, Range columns, const at::Tensor& squared) {
          pairs.visit(rows, columns, squared);
        },
        done);
  });
  Neighbours& near = pairs.near;
  near.merge(ranks);
  for (at::Tensor* values : {&result.log_likelihood, &result.self_closed, &result.self_exact})
    *values = at::zeros({fitted.rows, n}, at::kDouble);
  if (fitted.knn) {
    const std::int64_t e = fitted.knn_row;
    ranks.on_every_rank([&] {
      knn_self(*fitted.knn, near, result.log_likelihood[e], result.self_closed[e], result.self_exact[e]);
    });
  }
  if (fitted.kde) {
    const KernelInfluence kde = fitted.kde->self_influence(pairs.sums->merge(ranks));
    result.log_likelihood[fitted.kde_row].copy_(kde.log_density);
    result.self_closed[fitted.kde_row].copy_(kde.closed);
    result.self_exact[fitted.kde_row].copy_(kde.exact);
  }
  if (fitted.gmm) {
    const MixtureInfluence gmm = fitted.gmm->self_influence(near);
    result.log_likelihood[fitted.gmm_row].copy_(gmm.log_density);
    result.self_closed[fitted.gmm_row].copy_(gmm.closed);
    result.self_exact[fitted.gmm_row].copy_(gmm.exact);
    result.self_corrected = gmm.corrected;
    result.not_separated += fitted.gmm->not_separated(near, {0, n});
  }
}

// No value that is not finite leaves this room; which one it is names the cause.
void check_finite(const at::Tensor& values, const std::string& what, const EstimatorOptions& options) {
  if (!values.defined() || values.isfinite().all().item<bool>()) return;
  const at::Tensor place = values.isfinite().logical_not().nonzero()[0];
  std::string indices;
  for (std::int64_t d = 1; d < place.numel(); ++d)
    indices += fmt::format("{}{}", d > 1 ? ", " : "", place[d].item<std::int64_t>());
  fail("the {} of {} is not finite at [{}]", what, options.estimators[place[0].item<std::int64_t>()],
       indices);
}

}  // namespace

void check_options(const EstimatorOptions& options, const Dataset& train) {
  std::set<std::string> seen;
  for (const std::string& name : options.estimators) {
    if (!seen.insert(name).second) refuse("--estimator: '{}' is there twice", name);
    if (name == "knn") {
      KnnDensity(train.size(), train.width(), options.k);
    } else if (name == "kde") {
      KernelDensity(train.size(), train.width(), options.sigma);
    } else if (name == "gmm") {
      if (!train.labels.defined())
        refuse("--estimator gmm needs clusters, and this data has none (csv:FILE,COLUMN names their column)");
      cluster_members(train.labels);
    } else {
      refuse("--estimator: '{}' is not knn, kde or gmm", name);
    }
  }
}

DensityInfluence density_influence(const Dataset& train, const Queries& queries,
                                   const EstimatorOptions& options, const Communicator& ranks,
                                   const std::function<void(std::int64_t, std::int64_t)>& progress) {
  std::optional<PointSet> instances, points;
  std::optional<Estimators> fitted;
  ranks.on_every_rank([&] {
    check_options(options, train);
    instances.emplace(train.instances.all());
    points.emplace(queries.points, *instances);
    fitted.emplace(options, train, *instances);
  });
  const std::int64_t blocks = (queries.points.size(0) + query_block - 1) / query_block;
  const std::int64_t parts = part_of(blocks, ranks.size(), ranks.rank()).size() +
                             (options.self_influence ? pair_blocks(train.size(), ranks) : 0);
  std::int64_t count = 0;
  const auto done = [&] { progress(++count, parts); };
  DensityInfluence result;
  fill_tables(*fitted, *points, *instances, ranks, done, result);
  if (options.self_influence) fill_self(*fitted, *instances, ranks, done, result);
  ranks.on_every_rank([&] {
    check_finite(result.closed, "influence by formula", options);
    check_finite(result.exact, "influence", options);
    check_finite(result.self_closed, "self-influence by formula", options);
    check_finite(result.self_exact, "self-influence", options);
    check_finite(result.log_likelihood, "log-likelihood", options);
    check_finite(result.query_log_likelihood, "log-likelihood of queries", options);
  });
  return result;
}

struct PairTrial::Parts {
  Parts(const Dataset& train, const EstimatorOptions& options)
      : instances(train.instances.all()), fitted(options, train, instances), pairs(fitted, instances) {}
  PointSet instances;
  Estimators fitted;
  PairSums pairs;
};

PairTrial::PairTrial(const Dataset& train, const EstimatorOptions& options)
    : parts_(std::make_unique<Parts>(train, options)) {}

PairTrial::~PairTrial() = default;

void PairTrial::visit() {
  const std::int64_t next = parts_->instances.size() > pair_block ? pair_block : 0;
  visit_pairs(parts_->instances, 0, next, [this](Range rows, Range columns, const at::Tensor& squared) {
    parts_->pairs.visit(rows, columns, squared);
  });
}

double PairTrial::pairs() const {
  const std::int64_t n = parts_->instances.size();
  if (n <= pair_block) return static_cast<double>(n * n) / 2;
  return static_cast<double>(pair_block * std::min(pair_block, n - pair_block));
}

}  // namespace whence::density
