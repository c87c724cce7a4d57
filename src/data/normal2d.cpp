#include <vector>

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/data/sources.h"

namespace whence {
namespace {

Dataset draw(const DataOptions& options, Purpose purpose, std::int64_t count) {
  Dataset data;
  const at::Tensor points = at::empty({count, 2}, at::kDouble);
  double* values = points.data_ptr<double>();
  RandomStream(options.seed, purpose).normal(0, values, static_cast<std::size_t>(2 * count));
  for (std::int64_t j = 0; j < count; ++j) {
    double* point = values + 2 * j;
    const double z0 = point[0], z1 = point[1];
    point[0] = 1.0 + z0;
    point[1] = 1.0 + 0.8 * z0 + 0.6 * z1;
    data.ids.push_back(j);
  }
  data.instances = points.to(options.dtype);
  data.shape = {2};
  return data;
}

}  // namespace

DataSplit draw_normal2d(const DataOptions& options) {
  if (options.instances == every_instance)
    refuse("--instances: normal2d has as many points as are asked for, so their number has to be given");
  DataSplit split{draw(options, Purpose::training_data, options.instances),
                  draw(options, Purpose::held_out_data, options.held_out)};
  if (options.test > 0) split.test = draw(options, Purpose::test_data, options.test);
  return split;
}

}  // namespace whence
