#include "shared_kinks.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

namespace whence {
namespace {

// As one row of numbers: sizes first, then what is in them.
at::Tensor packed(const KinksInReach& kinks) {
  std::vector<double> sizes{static_cast<double>(kinks.size()),
                            static_cast<double>(kinks.layer),
                            kinks.jump,
                            static_cast<double>(kinks.kappa.size(0)),
                            static_cast<double>(kinks.by_a.size()),
                            static_cast<double>(kinks.h.size())};
  std::vector<at::Tensor> all{
      at::Tensor(), kinks.a, kinks.kappa, kinks.unit, at::tensor(kinks.step, at::kLong),
      kinks.along,  kinks.id};
  for (const at::Tensor& one : kinks.by_a) {
    sizes.push_back(static_cast<double>(one.size(1)));
    all.push_back(one);
  }
  for (std::size_t l = 0; l < kinks.h.size(); ++l) {
    sizes.push_back(static_cast<double>(kinks.h[l].size(1)));
    sizes.push_back(kinks.biased[l] ? 1 : 0);
    all.push_back(kinks.h[l]);
  }
  all.front() = at::tensor(sizes, at::kDouble);
  for (at::Tensor& one : all) one = one.to(at::kDouble).flatten();
  return at::cat(all);
}

// Reads a row of numbers from the front.
class Unpacking {
 public:
  explicit Unpacking(at::Tensor numbers) : numbers_(std::move(numbers)) {}
  double number() { return numbers_[at_++].item<double>(); }
  std::int64_t integer() { return static_cast<std::int64_t>(number()); }
  at::Tensor array(const std::vector<std::int64_t>& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    at_ += count;
    return numbers_.narrow(0, at_ - count, count).view(shape).clone();
  }

 private:
  at::Tensor numbers_;
  std::int64_t at_ = 0;
};

KinksInReach unpacked(Unpacking& from) {
  KinksInReach kinks;
  const std::int64_t units = from.integer();
  kinks.layer = static_cast<std::size_t>(from.integer());
  kinks.jump = from.number();
  const std::int64_t directions = from.integer(), earlier = from.integer(), inputs = from.integer();
  std::vector<std::int64_t> by_a, h;
  for (std::int64_t l = 0; l < earlier; ++l) by_a.push_back(from.integer());
  for (std::int64_t l = 0; l < inputs; ++l) {
    h.push_back(from.integer());
    kinks.biased.push_back(from.integer() == 1);
  }
  kinks.a = from.array({units});
  kinks.kappa = from.array({directions, units});
  kinks.unit = from.array({units}).to(at::kLong);
  const at::Tensor steps = from.array({units}).to(at::kLong);
  kinks.step.assign(steps.data_ptr<std::int64_t>(), steps.data_ptr<std::int64_t>() + units);
  kinks.along = from.array({directions, units});
  kinks.id = from.array({units}).to(at::kLong);
  for (const std::int64_t width : by_a) kinks.by_a.push_back(from.array({units, width}));
  for (const std::int64_t width : h) kinks.h.push_back(from.array({units, width}));
  return kinks;
}

}  // namespace

at::Tensor of_all_ranks(const at::Tensor& own, const Communicator& ranks) {
  at::Tensor whole = at::zeros({ranks.size() * own.size(0)}, own.options());
  whole.narrow(0, ranks.rank() * own.size(0), own.size(0)).copy_(own);
  ranks.gather_parts(whole);
  return whole.view({ranks.size(), own.size(0)});
}

std::vector<KinksInReach> shared_kinks(const std::vector<KinksInReach>& own, const Communicator& ranks) {
  if (ranks.size() == 1) return own;
  std::vector<at::Tensor> rows{at::tensor({static_cast<double>(own.size())}, at::kDouble)};
  for (const KinksInReach& kinks : own) rows.push_back(packed(kinks));
  const at::Tensor row = at::cat(rows);
  const auto most = static_cast<std::int64_t>(ranks.max(static_cast<double>(row.size(0))));
  at::Tensor padded = at::zeros({most}, at::kDouble);
  padded.narrow(0, 0, row.size(0)).copy_(row);
  const at::Tensor whole = of_all_ranks(padded, ranks);
  std::vector<KinksInReach> all;
  for (int r = 0; r < ranks.size(); ++r) {
    Unpacking from(whole[r]);
    for (std::int64_t left = from.integer(); left > 0; --left) all.push_back(unpacked(from));
  }
  return all;
}

}  // namespace whence
