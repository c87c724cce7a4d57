#include "whence/retrain/block_size.h"

#include <algorithm>
#include <functional>
#include <queue>

namespace whence {

std::int64_t longest_share(const std::vector<CounterfactualBlock>& blocks, std::int64_t steps,
                           std::int64_t ranks) {
  std::priority_queue<std::int64_t, std::vector<std::int64_t>, std::greater<>> free_at;
  for (std::int64_t rank = 0; rank < ranks; ++rank) free_at.push(0);
  std::int64_t longest = 0;
  for (const CounterfactualBlock& block : blocks) {
    const std::int64_t replicas = static_cast<std::int64_t>(block.removals.size()) + 1,
                       end = free_at.top() + replicas * (steps - block.first_step);
    free_at.pop();
    free_at.push(end);
    longest = std::max(longest, end);
  }
  return longest;
}

std::int64_t best_block_size(const RetrainingStarts& starts, std::int64_t largest, std::int64_t ranks) {
  const auto sets = static_cast<std::int64_t>(starts.start.front().size());
  std::int64_t best = 1, least = longest_share(plan_counterfactuals(starts, 1), starts.steps, ranks);
  for (std::int64_t size = 2; size <= std::min(largest, sets); ++size) {
    const std::int64_t share = longest_share(plan_counterfactuals(starts, size), starts.steps, ranks);
    if (share > least) continue;
    best = size;
    least = share;
  }
  return best;
}

}  // namespace whence
