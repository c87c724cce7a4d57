#include "whence/train/trajectory/recording.h"

#include <algorithm>

#include "whence/core/error.h"
#include "whence/core/options.h"

namespace whence {
namespace {

std::int64_t number_after(const std::string& record, std::size_t colon) {
  const auto list = integer_list("record", record.substr(colon + 1));
  if (list.size() != 1) refuse("--record: '{}' has more than one number", record);
  return list.front();
}

std::vector<std::int64_t> spread(std::int64_t count, std::int64_t steps) {
  if (count > steps) refuse("--checkpoints: {} are more than the {} steps", count, steps);
  std::vector<std::int64_t> kept;
  for (std::int64_t c = 0; c <= count; ++c) kept.push_back(c * (steps / count) + c * (steps % count) / count);
  return kept;
}

std::vector<std::int64_t> listed(const std::string& text, std::int64_t steps) {
  std::vector<std::int64_t> kept = integer_list("record", text);
  if (kept.back() > steps) refuse("--record: step {} is after the end of the run at {}", kept.back(), steps);
  if (kept.back() < steps) kept.push_back(steps);
  return kept;
}

}  // namespace

std::vector<std::int64_t> recorded_steps(const std::string& record, std::int64_t steps,
                                         std::int64_t steps_per_epoch) {
  if (record.rfind("checkpoints:", 0) == 0) return spread(number_after(record, 11), steps);
  if (record.rfind("steps:", 0) == 0) return listed(record.substr(6), steps);
  std::int64_t first = 0, stride = 1;
  if (record.rfind("last:", 0) == 0)
    first = std::max<std::int64_t>(0, steps - number_after(record, 4) * steps_per_epoch);
  else if (record.rfind("every:", 0) == 0)
    stride = number_after(record, 5);
  else if (record != "all")
    refuse(
        "--record: '{}' is not auto, all, last:EPOCHS, every:STEPS, checkpoints:NUMBER or "
        "steps:STEP,STEP,...",
        record);
  std::vector<std::int64_t> kept;
  for (std::int64_t t = first; t < steps; t += stride) kept.push_back(t);
  kept.push_back(steps);
  return kept;
}

}  // namespace whence
