#include "whence/train/trajectory/reader.h"

#include <algorithm>
#include <filesystem>

#include <ATen/ops/empty.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/io/checksum.h"

namespace whence {
namespace {

H5File open_finished(const std::string& path) {
  const std::string part = path + ".part";
  if (!std::filesystem::exists(path) && std::filesystem::exists(part)) {
    const H5File file = open_artifact(part, trajectory_schema);
    check_shapes(file, trajectory_arrays);
    fail("{}: the training run is not finished ({} of {} steps); start the same train command again to go on",
         part, file.array("committed").read()[0].item<std::int64_t>(), file.array("batch").shape()[0]);
  }
  return open_artifact(path, trajectory_schema);
}

}  // namespace

Trajectory::Trajectory(const std::string& path)
    : file_(open_finished(path)),
      sizes_(check_shapes(file_, trajectory_arrays)),
      params_(file_.array("params")),
      params_crc_(file_.array("params_crc")),
      batch_(file_.array("batch")),
      rate_(file_.array("rate")),
      batch_crc_(file_.array("batch_crc")),
      steps_(sizes_.at("T")),
      params_crcs_(params_crc_.read()),
      batch_crcs_(batch_crc_.read()) {
  const at::Tensor steps = file_.array("steps").read();
  check_numbers(steps, rule_named(trajectory_arrays, "steps"), sizes_, path);
  recorded_.assign(steps.data_ptr<std::int64_t>(), steps.data_ptr<std::int64_t>() + steps.numel());
  if (file_.array("committed").read()[0].item<std::int64_t>() != steps_ || recorded_.empty() ||
      recorded_.front() < 0 || recorded_.back() != steps_)
    fail("{}: its numbers of steps contradict each other; the file is damaged", path);
}

std::string Trajectory::fingerprint() const {
  std::uint32_t crc = crc32_of(params_crcs_, crc32_of(batch_crcs_));
  for (const char* name : {"settings", "data"}) {
    const std::string text = file_.attribute(name);
    crc = crc32_of(text.data(), text.size(), crc);
  }
  return fmt::format("{:08x}", crc);
}

std::vector<std::int64_t> Trajectory::instance_ids() const {
  const at::Tensor ids = file_.array("instance_id").read();
  return {ids.data_ptr<std::int64_t>(), ids.data_ptr<std::int64_t>() + ids.numel()};
}

std::int64_t Trajectory::row_of(std::int64_t t) const {
  const auto found = std::lower_bound(recorded_.begin(), recorded_.end(), t);
  if (found == recorded_.end() || *found != t) fail("{}: step {} is not recorded", path(), t);
  return found - recorded_.begin();
}

at::Tensor Trajectory::checked_params(at::Tensor theta, std::int64_t row) const {
  if (crc32_of(theta) != static_cast<std::uint32_t>(params_crcs_[row].item<std::int32_t>()))
    fail("{}: the parameters of step {} do not match their checksum; the file is damaged", path(),
         recorded_[row]);
  return theta;
}

at::Tensor Trajectory::params(std::int64_t t) const {
  const std::int64_t row = row_of(t);
  return checked_params(params_.read({row, 0}, {1, parameters()})[0], row);
}

// Whether ranks read a row together.
bool Trajectory::is_shared(std::int64_t least) const {
  return parameters() * static_cast<std::int64_t>(c10::elementSize(dtype())) >= least;
}

at::Tensor Trajectory::params(std::int64_t t, const Communicator& ranks, std::int64_t least) const {
  if (ranks.size() == 1 || !is_shared(least)) return params(t);
  const std::int64_t row = row_of(t);
  const Range part = part_of(parameters(), ranks.size(), ranks.rank());
  at::Tensor theta;
  ranks.on_every_rank([&] {
    theta = at::empty({parameters()}, dtype());
    theta.narrow(0, part.begin, part.size()).copy_(params_.read({row, part.begin}, {1, part.size()})[0]);
  });
  ranks.gather_parts(theta);
  return checked_params(theta, row);
}

void Trajectory::prefetch(std::int64_t t, const Communicator& ranks) const {
  if (!is_shared(least_shared)) return;
  const Range part = part_of(parameters(), ranks.size(), ranks.rank());
  params_.prefetch({row_of(t), part.begin}, {1, part.size()});
}

at::Tensor Trajectory::batch(std::int64_t t) const {
  const at::Tensor positions = batch_.read({t, 0}, {1, batch_.shape()[1]})[0];
  check_step(t, positions, rate_.read({t, 0}, {1, rate_.shape()[1]})[0]);
  return positions;
}

at::Tensor Trajectory::rates(std::int64_t t) const {
  const at::Tensor rates = rate_.read({t, 0}, {1, rate_.shape()[1]})[0];
  check_step(t, batch_.read({t, 0}, {1, batch_.shape()[1]})[0], rates);
  return rates;
}

void Trajectory::check_step(std::int64_t t, const at::Tensor& batch, const at::Tensor& rates) const {
  if (crc32_of(rates, crc32_of(batch)) != static_cast<std::uint32_t>(batch_crcs_[t].item<std::int32_t>()))
    fail("{}: batch and rates of step {} do not match their checksum; the file is damaged", path(), t);
  check_numbers(batch, rule_named(trajectory_arrays, "batch"), sizes_, path());
  check_numbers(rates, rule_named(trajectory_arrays, "rate"), sizes_, path());
}

void Trajectory::verify() const {
  for (const std::int64_t t : recorded_)
    check_numbers(params(t), rule_named(trajectory_arrays, "params"), sizes_, path());
  for (std::int64_t t = 0; t < steps_; ++t) batch(t);
}

}  // namespace whence
