#pragma once
// What TracIn scores are scores of.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/data/dataset.h"
#include "whence/metric/metric.h"

namespace whence {

/// Q queries z of VAE-TracIn(x, z), or `self`: every training instance by itself, and no list of queries.
struct TracinQueries {
  bool self = false;
  bool held_out = false;                ///< the queries are the first held-out instances
  at::Tensor points;                    ///< [Q, d]
  std::vector<std::int64_t> ids;        ///< in the data source; of mixtures their number
  std::vector<std::int64_t> positions;  ///< in the training set, -1 for others
  at::Tensor labels;                    ///< [Q] int64, or undefined
  /// Of mixtures: positions of the training instances they are made of.
  std::vector<std::int64_t> major, minor;
  /// The queries are these metrics, and there are no points.
  std::vector<std::shared_ptr<const Metric>> metrics = {};
  /// The one query is the sum of the losses of these, and has no points of its own.
  std::shared_ptr<const TracinQueries> sum_of = nullptr;

  std::int64_t size() const { return static_cast<std::int64_t>(ids.size()); }
};

/// The share of the major instance in a mixture (Kong and Chaudhuri, appendix B.3).
inline constexpr double major_share = 0.75;

/// `self`; `test:N`, the first N held-out instances; `train:N`, the first N training instances; `ids:FILE`,
/// training instances, one id a line; `mixtures`, 0.75 x + 0.25 x' for each ordered pair of different labels,
/// x and x' a random choice from each class by the seed (needs labels); `file:SOURCE`, all instances of
/// another source (hdf5:... or a path of an HDF5 file, npy:..., idx:..., ...), brought to the form of the
/// run's by its own options, ids being their rows; `sum:` before any of these but self, the sum over all of
/// them as one query. UsageError naming --queries otherwise, for an empty set, an id that no instance has,
/// more than there are, or instances of another shape than the run's.
///
/// `options`: those of the run's data.
TracinQueries choose_tracin_queries(const std::string& text, const DataSplit& data,
                                    const DataOptions& options);

/// Metrics as queries: u = grad V, so that a score is the sum over checkpoints of <grad V, grad f(x_j)>.
TracinQueries metric_queries(std::vector<std::shared_ptr<const Metric>> metrics);

/// One line that changes with any of the queries.
std::string fingerprint(const TracinQueries& queries);

}  // namespace whence
