#pragma once
// What TracIn scores are scores of.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/data/dataset.h"

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

  std::int64_t size() const { return self ? 0 : points.size(0); }
};

/// The share of the major instance in a mixture (Kong and Chaudhuri, appendix B.3).
inline constexpr double major_share = 0.75;

/// `self`; `test:N`, the first N held-out instances; `train:N`, the first N training instances; `ids:FILE`,
/// training instances, one id a line; `mixtures`, 0.75 x + 0.25 x' for each ordered pair of different labels,
/// x and x' a random choice from each class by the seed (needs labels). UsageError naming --queries
/// otherwise, for an empty set, an id that no instance has, or more than there are.
TracinQueries choose_tracin_queries(const std::string& text, const DataSplit& data, std::uint64_t seed);

/// One line that changes with any of the queries.
std::string fingerprint(const TracinQueries& queries);

}  // namespace whence
