#pragma once
// Numbers that are not finite, found at the step that makes them.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/net/layout.h"

namespace whence {

/// That a number which a step computed is not finite.
class NotFinite : public Error {
 public:
  using Error::Error;
};

/// Whether all elements of a contiguous float32 or float64 tensor are finite.
bool all_finite(const at::Tensor& values);

/// Looks out for numbers that are not finite in what successive steps compute, [rows, columns] each. On the
/// CPU see() throws at once. A device would have to be waited for at every step: there the first bad step of
/// each row is kept on the device, and asked for after every `patience` steps and by check().
class FiniteWatch {
 public:
  static constexpr std::int64_t patience = 64;
  /// What to say of step t, a row, and which of the parts of the columns it was found in.
  using Complaint = std::function<std::string(std::int64_t t, std::int64_t row, std::int64_t part)>;

  FiniteWatch(std::vector<Range> parts, Complaint complaint);

  /// NotFinite, of the complaint, when a number of step t is not finite, or was not in a step before.
  void see(const at::Tensor& values, std::int64_t t);
  /// The same for all steps seen so far; waits for the device.
  void check();

 private:
  void see_now(const at::Tensor& values, std::int64_t t) const;

  std::vector<Range> parts_;
  Complaint complaint_;
  std::vector<std::int64_t> unread_;  // steps whose outcome has not been asked for
  at::Tensor first_bad_;              // [rows, parts] on the device: which of those was the first not finite
};

/// A watch over [R, P] values called `what` ("the gradient"), whose error names step, player and replica
/// (through `name_of`, e.g. "the training run").
FiniteWatch watch_players(const std::string& what, const ParameterLayout& layout,
                          const std::function<std::string(std::int64_t)>& name_of);

}  // namespace whence
