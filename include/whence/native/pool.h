#pragma once
// Workspaces of native engines, kept between calls.

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace whence::native {

/// Working memory that outlives a call: allocating it anew would cost more than a small step.
template <typename Workspace>
class Pool {
 public:
  template <typename Fits, typename Make>
  std::unique_ptr<Workspace> take(const Fits& fits, const Make& make) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found =
          std::find_if(idle_.begin(), idle_.end(), [&](const auto& item) { return fits(*item); });
      if (found != idle_.end()) {
        std::unique_ptr<Workspace> taken = std::move(*found);
        idle_.erase(found);
        return taken;
      }
    }
    return make();
  }
  void give_back(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.push_back(std::move(workspace));
    if (idle_.size() > most_kept) idle_.erase(idle_.begin());
  }

 private:
  static constexpr std::size_t most_kept = 64;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace whence::native
