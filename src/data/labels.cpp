#include "labels.h"

#include <cstdint>

#include "whence/core/error.h"

namespace whence {

at::Tensor checked_labels(const at::Tensor& labels, const std::string& place) {
  // A class is a row of a classifier's last layer: a larger number is an id or a time, not a label.
  constexpr std::int64_t most = 1'000'000;
  const auto* label = labels.data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < labels.size(0); ++row)
    if (label[row] < 0 || label[row] > most)
      fail("{}: row {} has the label {}, but labels are 0 to {}", place, row, label[row], most);
  return labels;
}

}  // namespace whence
