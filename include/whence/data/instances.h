#pragma once
// The numbers of instances, wherever they lie: in memory, on a device, or in files that are read as they are
// needed.

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/data/row_source.h"

namespace whence {

/// N instances of d numbers, float32 or float64. Copies share what they hold.
class Instances {
 public:
  Instances() = default;
  /// Held as they are: [N, d].
  Instances(at::Tensor held);  // NOLINT: a tensor of rows is what most instances are
  /// Rows of a source, read when they are asked for; instance i is rows[i].
  Instances(std::shared_ptr<const RowSource> source, std::vector<std::int64_t> rows);

  bool defined() const { return held_.defined() || source_ != nullptr; }
  /// Whether they are in memory, and gathering reads no file.
  bool held() const { return held_.defined(); }
  std::int64_t size() const;
  std::int64_t width() const;
  at::ScalarType dtype() const;
  /// Where gathered instances are.
  at::Device device() const;
  /// Bytes of all of them as numbers.
  double bytes() const;

  /// [n, d]: the instances at `positions` [n], int64 on the CPU, or, where they are held, on their device. On
  /// a GPU it may return before they are there, for what comes later on the same stream.
  at::Tensor gather(const at::Tensor& positions) const;
  /// [count, d]: instances from `begin` on; a view where they are held.
  at::Tensor rows(std::int64_t begin, std::int64_t count) const;
  /// [N, d]. Takes the memory of all of them where they are not held.
  at::Tensor all() const { return rows(0, size()); }
  /// Those at `positions`, in that order.
  Instances chosen(const std::vector<std::int64_t>& positions) const;
  /// These, and those after them.
  Instances followed_by(const at::Tensor& others) const;

  /// The same for work on `device`: kept there where they take at most `memory` bytes, else sent there as
  /// they are gathered, through page-locked memory, while the device is at work.
  Instances on(at::Device device, std::int64_t memory) const;

  /// CRC-32 of all numbers as they would lie in memory, continuing from `crc`.
  std::uint32_t crc32(std::uint32_t crc) const;
  /// The least and the largest number.
  std::pair<double, double> range() const;
  /// The files that they are read from.
  std::vector<const FileRows*> files() const;

 private:
  class Sender;

  at::Tensor held_;
  std::shared_ptr<const RowSource> source_;
  std::vector<std::int64_t> rows_;
  std::shared_ptr<Sender> sender_;  ///< where they are gathered for a device
};

}  // namespace whence
