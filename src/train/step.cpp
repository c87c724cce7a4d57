#include "whence/train/step.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include "whence/core/random.h"

namespace whence {
namespace {

// A copy of host memory that does not make the host wait for what the device is doing.
at::Tensor without_waiting(const at::Tensor& values, at::Device device) {
  return values.to(device, values.scalar_type(), /*non_blocking=*/true);
}

at::Tensor normals(const RandomStream& stream, Range rows, std::int64_t width, at::ScalarType dtype) {
  at::Tensor values = at::empty({rows.size(), width}, at::kDouble);
  stream.normal(static_cast<std::uint64_t>(rows.begin * width), values.data_ptr<double>(), values.numel());
  return values.to(dtype);
}

}  // namespace

at::Tensor training_latents(std::uint64_t seed, std::int64_t t, Range rows, std::int64_t width,
                            at::ScalarType dtype) {
  return normals(RandomStream(seed, Purpose::training_latents, static_cast<std::uint32_t>(t)), rows, width,
                 dtype);
}

at::Tensor validation_latents(std::uint64_t seed, std::int64_t count, std::int64_t width,
                              at::ScalarType dtype, std::int64_t draw) {
  return normals(RandomStream(seed, Purpose::validation_latents, static_cast<std::uint32_t>(draw)),
                 {0, count}, width, dtype);
}

at::Tensor test_latents(std::uint64_t seed, std::int64_t count, std::int64_t width, at::ScalarType dtype) {
  return normals(RandomStream(seed, Purpose::test_latents), {0, count}, width, dtype);
}

Batch make_batch(const Dataset& data, const at::Tensor& positions, std::uint64_t seed, std::int64_t t,
                 Range rows, const Game& game) {
  const at::Device device = data.instances.device();
  const at::Tensor own = positions.narrow(0, rows.begin, rows.size());
  const bool held = data.instances.held();
  const at::Tensor there = held || data.labels.defined() ? without_waiting(own, device) : own;
  return {data.instances.gather(held ? there : own),
          without_waiting(training_latents(seed, t, rows, game.latent_size(), game.dtype()), device),
          positions.size(0), rows.begin == 0,
          data.labels.defined() ? at::index_select(data.labels, 0, there) : at::Tensor()};
}

}  // namespace whence
