#include "whence/train/recording.h"

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

}  // namespace

std::vector<std::int64_t> recorded_steps(const std::string& record, std::int64_t steps,
                                         std::int64_t steps_per_epoch) {
  std::int64_t first = 0, stride = 1;
  if (record.rfind("last:", 0) == 0)
    first = std::max<std::int64_t>(0, steps - number_after(record, 4) * steps_per_epoch);
  else if (record.rfind("every:", 0) == 0)
    stride = number_after(record, 5);
  else if (record != "all")
    refuse("--record: '{}' is not all, last:EPOCHS or every:STEPS", record);
  std::vector<std::int64_t> kept;
  for (std::int64_t t = first; t < steps; t += stride) kept.push_back(t);
  kept.push_back(steps);
  return kept;
}

}  // namespace whence
