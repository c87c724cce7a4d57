#include <iterator>

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/data/sources.h"

namespace whence {
namespace {

// Kong and Chaudhuri, appendix B.1: sizes (here by 5) and standard deviations; the centres are ours, any two
// at least 10 apart, so that a cluster's points are nearer to each other than to any other cluster's.
struct Cluster {
  std::int64_t twentieths;
  double deviation, x, y;
};
constexpr Cluster clusters[] = {{5, 0.5, 0, 0},  {3, 0.5, 10, 0},  {4, 0.4, 20, 0},
                                {5, 0.4, 0, 10}, {2, 0.5, 10, 10}, {1, 1.0, 20, 10}};
constexpr std::int64_t published_size = 100, smallest_size = 20;

// Point j of N belongs to the cluster that its share of the points, in the clusters' order, falls into.
std::int64_t cluster_of(std::int64_t j, std::int64_t size) {
  std::int64_t cluster = 0, end = clusters[0].twentieths;
  while (j * smallest_size >= end * size) end += clusters[++cluster].twentieths;
  return cluster;
}

Dataset draw(const DataOptions& options, Purpose purpose, std::int64_t count, std::int64_t size) {
  Dataset data;
  const at::Tensor points = at::empty({count, 2}, at::kDouble);
  double* values = points.data_ptr<double>();
  RandomStream(options.seed, purpose).normal(0, values, static_cast<std::size_t>(2 * count));
  data.labels = at::empty({count}, at::kLong);
  std::int64_t* labels = data.labels.data_ptr<std::int64_t>();
  for (std::int64_t j = 0; j < count; ++j) {
    labels[j] = cluster_of(j % size, size);
    const Cluster& cluster = clusters[labels[j]];
    values[2 * j] = cluster.x + cluster.deviation * values[2 * j];
    values[2 * j + 1] = cluster.y + cluster.deviation * values[2 * j + 1];
    data.ids.push_back(j);
  }
  data.instances = points.to(options.dtype);
  data.shape = {2};
  return data;
}

}  // namespace

DataSplit draw_six_clusters(const DataOptions& options) {
  const std::int64_t size = options.instances == every_instance ? published_size : options.instances;
  if (size % smallest_size != 0)
    refuse("--instances is {}, but six-clusters come in multiples of {} (the paper's are {})", size,
           smallest_size, published_size);
  DataSplit split{draw(options, Purpose::training_data, size, size),
                  draw(options, Purpose::held_out_data, options.held_out, size)};
  if (options.test > 0) split.test = draw(options, Purpose::test_data, options.test, size);
  split.classes = std::size(clusters);
  return split;
}

}  // namespace whence
