#include "whence/retrain/isolation_forest.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ops/isfinite.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {
namespace {

// Of points that are held at once.
constexpr std::int64_t numbers_at_once = std::int64_t{1} << 20;

// c(n): the mean depth of an unsuccessful search in a binary search tree of n points (eq. 1), with the exact
// harmonic number.
double mean_depth(std::int64_t n) {
  double harmonic = 0;
  for (std::int64_t i = 1; i < n; ++i) harmonic += 1.0 / static_cast<double>(i);
  return n < 2 ? 0 : 2 * harmonic - 2 * static_cast<double>(n - 1) / static_cast<double>(n);
}

struct Node {
  std::int64_t feature = -1;  // -1: a leaf
  double split = 0;           // left: value < split
  std::int64_t left = 0, right = 0;
  double depth = 0;  // of a leaf, with c(its points) added
};

at::Tensor finite(const at::Tensor& points) {
  const at::Tensor wide = points.to(at::kDouble).contiguous();
  if (!at::isfinite(wide).all().item<bool>()) fail("isolation forest: a point is not finite");
  return wide;
}

class Tree {
 public:
  Tree(const Instances& points, std::int64_t samples, const RandomStream& stream)
      : width_(points.width()), stream_(stream) {
    const std::int64_t total = points.size();
    std::vector<std::int64_t> rows(total);
    std::iota(rows.begin(), rows.end(), 0);
    for (std::int64_t i = 0; i < samples; ++i) std::swap(rows[i], rows[i + below(total - i)]);
    rows.resize(samples);
    const at::Tensor grown_from = finite(points.gather(at::tensor(rows, at::kLong)));
    values_ = grown_from.data_ptr<double>();
    std::iota(rows.begin(), rows.end(), 0);
    limit_ = static_cast<std::int64_t>(std::ceil(std::log2(static_cast<double>(samples))));
    grow(rows.begin(), rows.end(), 0);
    values_ = nullptr;
  }

  double depth(const double* point) const {
    const Node* node = &nodes_.front();
    while (node->feature >= 0) node = &nodes_[point[node->feature] < node->split ? node->left : node->right];
    return node->depth;
  }

 private:
  using Rows = std::vector<std::int64_t>::iterator;

  double uniform() { return stream_.uniform(draws_++); }
  std::int64_t below(std::int64_t n) { return std::min(static_cast<std::int64_t>(uniform() * n), n - 1); }

  // The range of a feature within the rows.
  std::pair<double, double> range(Rows begin, Rows end, std::int64_t feature) const {
    double least = values_[*begin * width_ + feature], most = least;
    for (Rows row = begin; row != end; ++row) {
      least = std::min(least, values_[*row * width_ + feature]);
      most = std::max(most, values_[*row * width_ + feature]);
    }
    return {least, most};
  }

  // A feature that varies within the rows, each equally likely; -1 when none does.
  std::int64_t varying_feature(Rows begin, Rows end) {
    std::vector<std::int64_t> features(width_);
    std::iota(features.begin(), features.end(), 0);
    for (std::int64_t left = width_; left > 0; --left) {
      const std::int64_t chosen = below(left);
      const auto [least, most] = range(begin, end, features[chosen]);
      if (least < most) return features[chosen];
      std::swap(features[chosen], features[left - 1]);
    }
    return -1;
  }

  std::int64_t grow(Rows begin, Rows end, std::int64_t level) {
    const auto here = static_cast<std::int64_t>(nodes_.size());
    nodes_.emplace_back();
    const std::int64_t count = end - begin;
    const std::int64_t feature = level >= limit_ || count < 2 ? -1 : varying_feature(begin, end);
    if (feature < 0) {
      nodes_[here].depth = static_cast<double>(level) + mean_depth(count);
      return here;
    }
    const auto [least, most] = range(begin, end, feature);
    // In (least, most], so that neither side is empty.
    const double split =
        std::min(most, std::max(most - uniform() * (most - least), std::nextafter(least, most)));
    const Rows middle =
        std::partition(begin, end, [&](std::int64_t row) { return values_[row * width_ + feature] < split; });
    const std::int64_t left = grow(begin, middle, level + 1), right = grow(middle, end, level + 1);
    nodes_[here].feature = feature;
    nodes_[here].split = split;
    nodes_[here].left = left;
    nodes_[here].right = right;
    return here;
  }

  const double* values_ = nullptr;  // [samples, width] while it grows
  std::int64_t width_;
  RandomStream stream_;
  std::uint64_t draws_ = 0;
  std::int64_t limit_ = 0;
  std::vector<Node> nodes_;
};

}  // namespace

at::Tensor isolation_scores(const Instances& points, const IsolationForestOptions& options) {
  const std::int64_t total = points.size(), width = points.width(),
                     samples = std::min(options.samples, total);
  if (total < 2) fail("isolation forest: needs at least two points, not {}", total);
  at::Tensor scores = at::zeros({total}, at::kDouble);
  double* depth = scores.data_ptr<double>();
  std::vector<Tree> trees;
  for (std::int64_t i = 0; i < options.trees; ++i)
    trees.emplace_back(points, samples,
                       RandomStream(options.seed, Purpose::isolation_forest, static_cast<std::uint32_t>(i)));
  const std::int64_t at_once = std::max<std::int64_t>(1, numbers_at_once / width);
  for (std::int64_t begin = 0; begin < total; begin += at_once) {
    const std::int64_t count = std::min(at_once, total - begin);
    const at::Tensor some = finite(points.rows(begin, count));
    for (std::int64_t j = 0; j < count; ++j)
      for (const Tree& tree : trees) depth[begin + j] += tree.depth(some.data_ptr<double>() + j * width);
  }
  const double scale = 1.0 / (static_cast<double>(options.trees) * mean_depth(samples));
  for (std::int64_t j = 0; j < total; ++j) depth[j] = std::exp2(-depth[j] * scale);
  return scores;
}

}  // namespace whence
