#include "whence/train/finite_watch.h"

#include <cstring>
#include <limits>
#include <utility>

#include <ATen/ops/eq.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/stack.h>

namespace whence {
namespace {

// In FiniteWatch::first_bad_: all steps were finite.
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

// A number is not finite when all bits of its exponent are set. Unlike isfinite on each element, this is a
// loop that compilers turn into vector code; `bad` is as wide as the numbers for that.
template <typename Float, typename Bits>
bool finite(const Float* values, std::int64_t count, Bits exponent) {
  Bits bad = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    Bits bits;
    std::memcpy(&bits, values + i, sizeof bits);
    bad |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return bad == 0;
}

}  // namespace

bool all_finite(const at::Tensor& values) {
  TORCH_CHECK(values.is_contiguous(), "all_finite needs a contiguous tensor");
  if (values.scalar_type() == at::kFloat)
    return finite<float, std::uint32_t>(values.data_ptr<float>(), values.numel(), 0x7f800000u);
  return finite<double, std::uint64_t>(values.data_ptr<double>(), values.numel(), 0x7ff0000000000000ull);
}

FiniteWatch::FiniteWatch(std::vector<Range> parts, Complaint complaint)
    : parts_(std::move(parts)), complaint_(std::move(complaint)) {}

void FiniteWatch::see_now(const at::Tensor& values, std::int64_t t) const {
  if (all_finite(values)) return;
  for (std::int64_t row = 0; row < values.size(0); ++row)
    for (std::size_t p = 0; p < parts_.size(); ++p)
      if (!all_finite(values[row].narrow(0, parts_[p].begin, parts_[p].size())))
        throw NotFinite(complaint_(t, row, static_cast<std::int64_t>(p)));
}

void FiniteWatch::see(const at::Tensor& values, std::int64_t t) {
  if (values.device().is_cpu()) return see_now(values, t);
  std::vector<at::Tensor> finite;
  for (const Range& part : parts_)
    finite.push_back(at::isfinite(values.narrow(1, part.begin, part.size())).all(1));
  if (!first_bad_.defined())
    first_bad_ = at::full({values.size(0), static_cast<std::int64_t>(parts_.size())}, never,
                          values.options().dtype(at::kLong));
  const at::Tensor newly_bad = at::eq(first_bad_, never).logical_and(at::stack(finite, 1).logical_not());
  first_bad_.masked_fill_(newly_bad, static_cast<std::int64_t>(unread_.size()));
  unread_.push_back(t);
  if (unread_.size() == patience) check();
}

void FiniteWatch::check() {
  const std::vector<std::int64_t> steps = std::exchange(unread_, {});
  if (steps.empty()) return;
  const at::Tensor found = first_bad_.cpu();
  const auto where = found.argmin().item<std::int64_t>(), first = found.min().item<std::int64_t>();
  if (first != never) throw NotFinite(complaint_(steps[first], where / found.size(1), where % found.size(1)));
}

FiniteWatch watch_players(const std::string& what, const ParameterLayout& layout,
                          const std::function<std::string(std::int64_t)>& name_of) {
  std::vector<Range> blocks;
  for (std::int64_t player = 0; player < layout.player_count(); ++player) {
    const auto [begin, end] = layout.block(player);
    blocks.push_back({begin, end});
  }
  return {blocks,
          [what, players = layout.players(), name_of](std::int64_t t, std::int64_t row, std::int64_t part) {
            return fmt::format("step {}: {} of the {} is not finite in {}; a smaller learning rate may help",
                               t, what, players[part], name_of(row));
          }};
}

}  // namespace whence
