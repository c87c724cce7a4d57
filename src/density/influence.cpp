#include "whence/density/influence.h"

#include <algorithm>
#include <set>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/density/kde.h"
#include "whence/density/knn.h"
#include "whence/density/mixture.h"

namespace whence::density {
namespace {

// Queries whose distances to all instances are held at once.
constexpr std::int64_t query_block = 16;

double largest_distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

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

// Rows of `tables`, from 0 on, are those of queries `rows`.
void knn_rows(const KnnDensity& knn, const Neighbours& near, Range rows, const at::Tensor& density,
              at::Tensor closed, at::Tensor exact) {
  for (std::int64_t q = rows.begin; q < rows.end; ++q) {
    const std::int64_t row = q - rows.begin;
    density.data_ptr<double>()[row] = knn.log_density(near, q, "query");
    closed[row].fill_(knn.closed_elsewhere());
    exact[row].fill_(knn.exact_elsewhere(near, q));
    double* closed_row = closed.data_ptr<double>() + row * closed.size(1);
    double* exact_row = exact.data_ptr<double>() + row * exact.size(1);
    for (std::int64_t n = 0; n <= knn.k(); ++n) {
      const std::int64_t i = near.index(q, n);
      closed_row[i] = knn.closed(near, q, i);
      exact_row[i] = knn.exact(near, q, i);
    }
  }
}

// No value that is not finite leaves this room; which one it is names the cause. Values of an estimator each,
// of queries or instances from `first` on.
void check_finite(const at::Tensor& values, const std::string& what, const EstimatorOptions& options,
                  std::int64_t first) {
  if (!values.defined() || values.isfinite().all().item<bool>()) return;
  const at::Tensor place = values.isfinite().logical_not().nonzero()[0];
  std::string indices;
  for (std::int64_t d = 1; d < place.numel(); ++d)
    indices += fmt::format("{}{}", d > 1 ? ", " : "", place[d].item<std::int64_t>() + (d == 1 ? first : 0));
  fail("the {} of {} is not finite at [{}]", what, options.estimators[place[0].item<std::int64_t>()],
       indices);
}

// The tables of blocks of queries, one after another.
class TableWork {
 public:
  TableWork(const Estimators& fitted, const PointSet& queries, const PointSet& instances,
            const EstimatorOptions& options)
      : fitted_(fitted),
        queries_(queries),
        instances_(instances),
        options_(options),
        near_(queries.size(), fitted.neighbours()),
        differences(at::zeros({fitted.rows}, at::kDouble)) {}

  const DensityTables& fill(Range rows) {
    make_room(rows.size());
    const PointBlock block = queries_.block(rows);
    const at::Tensor squared = distances_of(block);
    tables_.distance.copy_(squared).sqrt_();
    if (fitted_.knn) {
      const std::int64_t e = fitted_.knn_row;
      knn_rows(*fitted_.knn, near_, rows, tables_.log_likelihood[e], tables_.closed[e], tables_.exact[e]);
    }
    if (fitted_.kde) {
      const KernelInfluence kde = fitted_.kde->influence(squared);
      put(fitted_.kde_row, kde.log_density, kde.closed, kde.exact);
    }
    if (fitted_.gmm) {
      const MixtureInfluence gmm = fitted_.gmm->influence(block, squared, near_);
      put(fitted_.gmm_row, gmm.log_density, gmm.closed, gmm.exact);
      tables_.corrected.copy_(gmm.corrected);
      not_separated += fitted_.gmm->not_separated(near_, rows);
    }
    check_finite(tables_.closed, "influence by formula", options_, rows.begin);
    check_finite(tables_.exact, "influence", options_, rows.begin);
    check_finite(tables_.log_likelihood, "log-likelihood of queries", options_, rows.begin);
    note_differences();
    return tables_;
  }

 private:
  // Squared distances [q, N] of some queries to all instances, whose neighbours are found on the way.
  at::Tensor distances_of(const PointBlock& block) {
    at::Tensor all;
    for (const Range range : instances_.stretches()) {
      const PointBlock some = instances_.block(range);
      const at::Tensor squared = squared_distances(block, some);
      if (fitted_.neighbours() > 0) near_.visit(block, some, squared);
      if (some.size() == instances_.size()) return squared;
      if (!all.defined()) all = at::empty({block.size(), instances_.size()}, at::kDouble);
      all.narrow(1, range.begin, range.size()).copy_(squared);
    }
    return all;
  }
  void make_room(std::int64_t q) {
    const std::int64_t n = instances_.size(), e = fitted_.rows;
    if (tables_.distance.defined() && tables_.distance.size(0) == q) return;
    tables_ = {at::zeros({e, q}, at::kDouble),
               at::zeros({e, q, n}, at::kDouble),
               at::zeros({e, q, n}, at::kDouble),
               {},
               at::zeros({q, n}, at::kDouble)};
    if (fitted_.gmm) tables_.corrected = at::zeros({q, n}, at::kDouble);
  }
  void put(std::int64_t e, const at::Tensor& density, const at::Tensor& closed, const at::Tensor& exact) {
    tables_.log_likelihood[e].copy_(density);
    tables_.closed[e].copy_(closed);
    tables_.exact[e].copy_(exact);
  }
  void note_differences() {
    for (std::int64_t e = 0; e < fitted_.rows; ++e)
      differences[e].clamp_(largest_distance(tables_.closed[e], tables_.exact[e]));
    if (fitted_.gmm)
      corrected_difference =
          std::max(corrected_difference, largest_distance(tables_.corrected, tables_.exact[fitted_.gmm_row]));
  }

  const Estimators& fitted_;
  const PointSet &queries_, &instances_;
  const EstimatorOptions& options_;
  Neighbours near_;
  DensityTables tables_;

 public:
  at::Tensor differences;  // [E], of what was filled so far; as are the next two
  double corrected_difference = 0;
  std::int64_t not_separated = 0;
};

void fill_tables(TableWork& work, std::int64_t rows, std::int64_t queries, const Communicator& ranks,
                 const std::function<void()>& done, const TakeTables& take, DensityInfluence& result) {
  result.query_log_likelihood = at::zeros({rows, queries}, at::kDouble);
  ranks.on_every_rank([&] {
    for (std::int64_t b = ranks.rank(); b * query_block < queries; b += ranks.size()) {
      const Range block{b * query_block, std::min(queries, (b + 1) * query_block)};
      const DensityTables& tables = work.fill(block);
      result.query_log_likelihood.narrow(1, block.begin, block.size()).copy_(tables.log_likelihood);
      take(block, tables);
      done();
    }
  });
  ranks.sum(result.query_log_likelihood);
  result.not_separated += ranks.sum(work.not_separated);
  result.largest_difference = work.differences.clone();
  for (std::int64_t e = 0; e < rows; ++e)
    result.largest_difference[e].fill_(ranks.max(work.differences[e].item<double>()));
  result.corrected_difference = ranks.max(work.corrected_difference);
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
      : near(instances.size(), fitted.neighbours()) {
    if (fitted.kde) sums.emplace(*fitted.kde, instances.size(), pair_groups(instances.size()));
  }
  void visit(const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
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
        instances, pair_groups(n), ranks,
        [&pairs](const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
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
    MixtureInfluence gmm;
    ranks.on_every_rank([&] { gmm = fitted.gmm->self_influence(near); });
    result.log_likelihood[fitted.gmm_row].copy_(gmm.log_density);
    result.self_closed[fitted.gmm_row].copy_(gmm.closed);
    result.self_exact[fitted.gmm_row].copy_(gmm.exact);
    result.self_corrected = gmm.corrected;
    result.not_separated += fitted.gmm->not_separated(near, {0, n});
  }
}

void note_self_differences(const Estimators& fitted, DensityInfluence& result) {
  for (std::int64_t e = 0; e < fitted.rows; ++e)
    result.largest_difference[e].clamp_(largest_distance(result.self_closed[e], result.self_exact[e]));
  if (fitted.gmm)
    result.corrected_difference =
        std::max(result.corrected_difference,
                 largest_distance(result.self_corrected, result.self_exact[fitted.gmm_row]));
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
                                   const std::function<void(std::int64_t, std::int64_t)>& progress,
                                   const TakeTables& take) {
  std::optional<PointSet> instances, points;
  std::optional<Estimators> fitted;
  ranks.on_every_rank([&] {
    check_options(options, train);
    instances.emplace(train.instances, options.memory);
    points.emplace(queries.points, *instances);
    fitted.emplace(options, train, *instances);
  });
  const std::int64_t blocks = (queries.points.size(0) + query_block - 1) / query_block;
  const std::int64_t parts =
      part_of(blocks, ranks.size(), ranks.rank()).size() +
      (options.self_influence ? pair_blocks(train.size(), pair_groups(train.size()), ranks) : 0);
  std::int64_t count = 0;
  const auto done = [&] { progress(++count, parts); };
  DensityInfluence result;
  TableWork tables(*fitted, *points, *instances, options);
  fill_tables(tables, fitted->rows, points->size(), ranks, done, take, result);
  if (!options.self_influence) return result;
  fill_self(*fitted, *instances, ranks, done, result);
  ranks.on_every_rank([&] {
    check_finite(result.self_closed, "self-influence by formula", options, 0);
    check_finite(result.self_exact, "self-influence", options, 0);
    check_finite(result.log_likelihood, "log-likelihood", options, 0);
  });
  note_self_differences(*fitted, result);
  return result;
}

struct PairTrial::Parts {
  Parts(const Dataset& train, const EstimatorOptions& options)
      : instances(train.instances, options.memory),
        fitted(options, train, instances),
        pairs(fitted, instances) {}
  PointSet instances;
  Estimators fitted;
  PairSums pairs;
};

PairTrial::PairTrial(const Dataset& train, const EstimatorOptions& options)
    : parts_(std::make_unique<Parts>(train, options)) {}

PairTrial::~PairTrial() = default;

void PairTrial::visit() {
  const std::int64_t next = parts_->instances.size() > pair_block ? pair_block : 0;
  visit_pairs(parts_->instances, 0, next,
              [this](const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
                parts_->pairs.visit(rows, columns, squared);
              });
}

double PairTrial::pairs() const {
  const std::int64_t n = parts_->instances.size();
  if (n <= pair_block) return static_cast<double>(n * n) / 2;
  return static_cast<double>(pair_block * std::min(pair_block, n - pair_block));
}

}  // namespace whence::density
