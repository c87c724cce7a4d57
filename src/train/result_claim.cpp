#include "whence/train/result_claim.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "whence/comm/agreement.h"
#include "whence/train/result_file.h"

namespace fs = std::filesystem;

namespace whence {

ResultClaim::ResultClaim(const std::string& result, const Schema& schema, const Attributes& attributes,
                         const ClaimOptions& options, const Communicator& ranks) {
  std::vector<std::pair<std::string, std::string>> values;
  for (const auto& [name, value] : attributes) values.emplace_back("the result's attribute " + name, value);
  check_alike(values, ranks);
  const fs::path path(result);
  ranks.on_root([&] {
    // First without the lock: in a folder that can only be read, what is there is all that is wanted.
    const auto there = [&] { return !options.overwrite && already_there(result, schema, attributes); };
    done_ = there();
    if (done_ || options.look_only) return;
    lock_ = std::make_unique<RunLock>(path.parent_path().string(), path.stem().string());
    if (!lock_->caution().empty() && options.say) options.say(lock_->caution());
    done_ = there();
    if (done_) lock_.reset();
  });
  done_ = ranks.broadcast(static_cast<std::int64_t>(done_)) != 0;
}

}  // namespace whence
