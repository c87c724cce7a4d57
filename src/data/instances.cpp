#include "whence/data/instances.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "whence/device/devices.h"
#include "whence/io/checksum.h"

namespace whence {
namespace {

// Rows that are read at once where all are wanted, about so many bytes.
constexpr double at_once = 1 << 25;

// The rows of `first`, then those of `second`.
class JoinedRows : public RowSource {
 public:
  JoinedRows(std::shared_ptr<const RowSource> first, std::shared_ptr<const RowSource> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  std::int64_t size() const override { return first_->size() + second_->size(); }
  std::int64_t width() const override { return first_->width(); }
  at::ScalarType dtype() const override { return first_->dtype(); }

  at::Tensor gather(const std::int64_t* rows, std::int64_t count) const override {
    std::array<std::vector<std::int64_t>, 2> wanted, places;
    for (std::int64_t i = 0; i < count; ++i) {
      const bool later = rows[i] >= first_->size();
      wanted[later].push_back(later ? rows[i] - first_->size() : rows[i]);
      places[later].push_back(i);
    }
    if (wanted[1].empty()) return first_->gather(rows, count);
    at::Tensor all = at::empty({count, width()}, dtype());
    for (const bool later : {false, true}) {
      const RowSource& source = later ? *second_ : *first_;
      if (wanted[later].empty()) continue;
      const auto some = static_cast<std::int64_t>(wanted[later].size());
      all.index_copy_(0, at::tensor(places[later], at::kLong), source.gather(wanted[later].data(), some));
    }
    return all;
  }

  const RowMarks& marks() const override {
    if (marks_.crc.empty()) {
      marks_ = first_->marks();
      const RowMarks& others = second_->marks();
      marks_.crc.insert(marks_.crc.end(), others.crc.begin(), others.crc.end());
      marks_.least.insert(marks_.least.end(), others.least.begin(), others.least.end());
      marks_.most.insert(marks_.most.end(), others.most.begin(), others.most.end());
    }
    return marks_;
  }

  std::vector<const FileRows*> files() const override { return first_->files(); }

 private:
  std::shared_ptr<const RowSource> first_, second_;
  mutable RowMarks marks_;
};

// All rows of a file are marked, whether anybody wants them or not. Those wanted here have to be finite:
// reading one that is not throws.
void refuse_unfit(const RowSource& source, const RowMarks& marks, const std::vector<std::int64_t>& rows) {
  for (const std::int64_t row : rows)
    if (std::isnan(marks.least[row])) source.gather(&row, 1);
}

}  // namespace

// Buffers in turn, so that one is filled while others are on their way.
class Instances::Sender {
 public:
  explicit Sender(at::Device device) : device_(device) {
    for (Buffer& buffer : buffers_) buffer.sent = device_mark(device);
  }

  at::Device device() const { return device_; }

  at::Tensor send(const at::Tensor& rows) {
    Buffer& buffer = buffers_[next_];
    next_ = (next_ + 1) % buffers_.size();
    buffer.sent->wait();
    if (!buffer.memory.defined() || buffer.memory.numel() < rows.numel())
      buffer.memory = staging_buffer({rows.numel()}, rows.scalar_type(), device_);
    const at::Tensor staged = buffer.memory.narrow(0, 0, rows.numel()).view(rows.sizes());
    staged.copy_(rows);
    const at::Tensor there = staged.to(device_, rows.scalar_type(), /*non_blocking=*/true);
    buffer.sent->set();
    return there;
  }

 private:
  struct Buffer {
    at::Tensor memory;
    std::unique_ptr<DeviceMark> sent;
  };
  at::Device device_;
  std::array<Buffer, 4> buffers_;
  std::size_t next_ = 0;
};

Instances::Instances(at::Tensor held) : held_(std::move(held)) {}

Instances::Instances(std::shared_ptr<const RowSource> source, std::vector<std::int64_t> rows)
    : source_(std::move(source)), rows_(std::move(rows)) {}

std::int64_t Instances::size() const {
  return held() ? held_.size(0) : static_cast<std::int64_t>(rows_.size());
}

std::int64_t Instances::width() const { return held() ? held_.size(1) : source_->width(); }

at::ScalarType Instances::dtype() const { return held() ? held_.scalar_type() : source_->dtype(); }

at::Device Instances::device() const {
  if (held()) return held_.device();
  return sender_ ? sender_->device() : at::Device(at::kCPU);
}

double Instances::bytes() const {
  return static_cast<double>(size()) * static_cast<double>(width()) *
         static_cast<double>(c10::elementSize(dtype()));
}

at::Tensor Instances::gather(const at::Tensor& positions) const {
  if (held())
    return at::index_select(held_, 0, positions.to(held_.device(), at::kLong, /*non_blocking=*/true));
  const at::Tensor own = positions.contiguous();
  std::vector<std::int64_t> rows;
  rows.reserve(own.numel());
  for (std::int64_t i = 0; i < own.numel(); ++i) rows.push_back(rows_.at(own.data_ptr<std::int64_t>()[i]));
  const at::Tensor values = source_->gather(rows.data(), own.numel());
  return sender_ ? sender_->send(values) : values;
}

at::Tensor Instances::rows(std::int64_t begin, std::int64_t count) const {
  if (held()) return held_.narrow(0, begin, count);
  TORCH_CHECK(begin >= 0 && count >= 0 && begin + count <= size(), "no such instances");
  const auto each = static_cast<std::int64_t>(at_once / static_cast<double>(c10::elementSize(dtype())) /
                                              static_cast<double>(std::max<std::int64_t>(width(), 1))) +
                    1;
  if (count <= each) {
    const at::Tensor values = source_->gather(rows_.data() + begin, count);
    return sender_ ? sender_->send(values) : values;
  }
  at::Tensor all = at::empty({count, width()}, at::TensorOptions(dtype()).device(device()));
  for (std::int64_t i = 0; i < count; i += each) {
    const std::int64_t some = std::min(each, count - i);
    all.narrow(0, i, some).copy_(source_->gather(rows_.data() + begin + i, some));
  }
  return all;
}

Instances Instances::chosen(const std::vector<std::int64_t>& positions) const {
  if (held()) return gather(at::tensor(positions, at::kLong));
  std::vector<std::int64_t> rows;
  rows.reserve(positions.size());
  for (const std::int64_t position : positions) rows.push_back(rows_.at(position));
  Instances some(source_, std::move(rows));
  some.sender_ = sender_;
  return some;
}

Instances Instances::followed_by(const at::Tensor& others) const {
  if (held()) return at::cat({held_, others});
  std::vector<std::int64_t> rows = rows_;
  for (std::int64_t i = 0; i < others.size(0); ++i) rows.push_back(source_->size() + i);
  return {std::make_shared<JoinedRows>(source_, std::make_shared<HeldRows>(others)), std::move(rows)};
}

Instances Instances::on(at::Device device, std::int64_t memory) const {
  if (!defined() || device == this->device()) return *this;
  if (!held() && device.is_cpu()) return {source_, rows_};
  // What is held here anyway is small, unless the device has still less room.
  if (bytes() <= static_cast<double>(memory)) {
    if (held()) return held_.to(device);
    Instances there(source_, rows_);
    there.sender_ = std::make_shared<Sender>(device);
    return there.all();
  }
  std::vector<std::int64_t> rows = rows_;
  if (held())
    for (std::int64_t i = 0; i < size(); ++i) rows.push_back(i);
  Instances sent(held() ? std::make_shared<HeldRows>(held_) : source_, std::move(rows));
  sent.sender_ = std::make_shared<Sender>(device);
  return sent;
}

std::uint32_t Instances::crc32(std::uint32_t crc) const {
  if (!defined()) return crc;
  if (held()) return crc32_of(held_.cpu().contiguous(), crc);
  const RowMarks& marks = source_->marks();
  refuse_unfit(*source_, marks, rows_);
  const Crc32Join join(width() * c10::elementSize(dtype()));
  for (const std::int64_t row : rows_) crc = join(crc, marks.crc[row]);
  return crc;
}

std::pair<double, double> Instances::range() const {
  if (held()) return {held_.min().item<double>(), held_.max().item<double>()};
  const RowMarks& marks = source_->marks();
  refuse_unfit(*source_, marks, rows_);
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (const std::int64_t row : rows_) {
    least = std::min(least, marks.least[row]);
    most = std::max(most, marks.most[row]);
  }
  return {least, most};
}

std::vector<const FileRows*> Instances::files() const {
  return source_ ? source_->files() : std::vector<const FileRows*>();
}

}  // namespace whence
