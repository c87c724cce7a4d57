#include "whence/data/row_source.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>

#include "whence/io/checksum.h"

namespace whence {
namespace {

template <typename T>
void mark_all(const at::Tensor& rows, RowMarks& marks) {
  for (std::int64_t r = 0; r < rows.size(0); ++r)
    marks.mark(r, rows.data_ptr<T>() + r * rows.size(1), rows.size(1));
}

}  // namespace

template <typename T>
void RowMarks::mark(std::int64_t row, const T* values, std::int64_t width) {
  crc[row] = crc32_of(values, width * sizeof(T));
  const auto [low, high] = std::minmax_element(values, values + width);
  least[row] = *low;
  most[row] = *high;
}

template void RowMarks::mark<float>(std::int64_t, const float*, std::int64_t);
template void RowMarks::mark<double>(std::int64_t, const double*, std::int64_t);

HeldRows::HeldRows(at::Tensor rows) : rows_(rows.contiguous()) {}

const RowMarks& HeldRows::marks() const {
  if (marks_.crc.empty()) {
    marks_ = RowMarks(size());
    rows_.scalar_type() == at::kFloat ? mark_all<float>(rows_, marks_) : mark_all<double>(rows_, marks_);
  }
  return marks_;
}

at::Tensor HeldRows::gather(const std::int64_t* rows, std::int64_t count) const {
  return at::index_select(rows_, 0, at::from_blob(const_cast<std::int64_t*>(rows), {count}, at::kLong));
}

}  // namespace whence
