#include "whence/density/kde.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ops/empty.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/logcumsumexp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/error.h"

namespace whence::density {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// For every column c of `logs` [B, N]: log of the sum of exp over the columns before c.
at::Tensor log_sum_before(const at::Tensor& logs) {
  at::Tensor before = at::full(logs.sizes(), -infinity, logs.options());
  const std::int64_t rest = logs.size(1) - 1;
  before.narrow(1, 1, rest).copy_(at::logcumsumexp(logs.narrow(1, 0, rest), 1));
  return before;
}

}  // namespace

KernelDensity::KernelDensity(std::int64_t instances, std::int64_t width, double sigma)
    : size_(static_cast<double>(instances)), width_(static_cast<double>(width)) {
  if (!std::isfinite(sigma) || sigma <= 0)
    refuse("--sigma is {}, but must be finite and greater than 0", sigma);
  if (instances < 2) refuse("--instances: a kernel density without one instance needs at least 2");
  constexpr double log_two_pi = 1.8378770664093454835606594728112;
  scale_ = -0.5 / (sigma * sigma);
  if (!std::isfinite(scale_) || scale_ == 0)
    refuse("--sigma is {}, whose square overflows or vanishes", sigma);
  log_kernel_factor_ = -width_ * (0.5 * log_two_pi + std::log(sigma));
}

at::Tensor KernelDensity::closed_form(const at::Tensor& kernel, const at::Tensor& all,
                                      const at::Tensor& others) const {
  // K_i / (p N - K_i) = share / (1 - share), and 1 + that = 1 / (1 - share).
  const at::Tensor share = at::exp(kernel - all);
  const at::Tensor summed = at::logaddexp(at::zeros_like(kernel), kernel - others);
  return at::where(share <= 0.5, -at::log1p(-share), summed) + std::log1p(-1 / size_);
}

KernelInfluence KernelDensity::influence(const at::Tensor& squared) const {
  const at::Tensor logs = squared * scale_;
  // Sums are taken of kernels relative to the row's largest: rounding errors of a log grow with its size.
  const at::Tensor largest = logs.amax(1, true), relative = logs - largest;
  const at::Tensor all = at::logsumexp(relative, 1, true);
  const at::Tensor behind = log_sum_before(relative.flip({1})).flip({1});
  const at::Tensor others = at::logaddexp(log_sum_before(relative), behind);
  const at::Tensor with = all - std::log(size_), without = others - std::log(size_ - 1);
  // Only the largest kernel of a row can hold more than half of the sum.
  const at::Tensor top = std::get<1>(relative.max(1, true));
  at::Tensor rest = relative.clone();
  rest.scatter_(1, top, -infinity);
  const at::Tensor not_top = at::logsumexp(rest, 1, true).expand_as(relative);
  return {(with + largest).squeeze(1) + log_kernel_factor_,
          closed_form(relative, all.expand_as(relative), not_top), with - without};
}

at::Tensor KernelDensity::log_kernel_sum(const at::Tensor& squared, bool skip_diagonal) const {
  at::Tensor logs = squared * scale_;
  if (skip_diagonal) logs.fill_diagonal_(-infinity);
  return at::logsumexp(logs, 1);
}

KernelInfluence KernelDensity::self_influence(const at::Tensor& log_others) const {
  const at::Tensor own = at::zeros_like(log_others), all = at::logaddexp(own, log_others);
  const at::Tensor with = all - std::log(size_), without = log_others - std::log(size_ - 1);
  return {with + log_kernel_factor_, closed_form(own, all, log_others), with - without};
}

KernelSums::KernelSums(const KernelDensity& density, std::int64_t instances, std::int64_t groups)
    : density_(density), partial_(at::zeros({instances, groups}, at::kDouble)) {
  const std::int64_t blocks = block_count(instances);
  begun_.assign(blocks * groups, false);
  for (std::int64_t g = 0; g < groups; ++g)
    group_of_.insert(group_of_.end(), static_cast<std::size_t>(part_of(blocks, groups, g).size()), g);
}

void KernelSums::visit(const PointBlock& rows, const PointBlock& columns, const at::Tensor& squared) {
  const Range range = rows.range;
  const std::int64_t group = group_of_[columns.range.begin / pair_block];
  at::Tensor sums = partial_.narrow(0, range.begin, range.size()).select(1, group);
  const at::Tensor more = density_.log_kernel_sum(squared, range == columns.range);
  std::vector<bool>::reference begun = begun_[range.begin / pair_block * partial_.size(1) + group];
  sums.copy_(begun ? at::logaddexp(sums, more) : more);
  begun = true;
}

at::Tensor KernelSums::merge(const Communicator& ranks) {
  ranks.sum(partial_);
  at::Tensor all = at::empty({partial_.size(0)}, at::kDouble);
  for (std::int64_t first = 0; first < all.size(0); first += pair_block) {
    const std::int64_t count = std::min(pair_block, all.size(0) - first);
    all.narrow(0, first, count).copy_(at::logsumexp(partial_.narrow(0, first, count), 1));
  }
  return all;
}

}  // namespace whence::density
