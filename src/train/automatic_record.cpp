#include "whence/train/automatic_record.h"

#include <cmath>
#include <filesystem>

#include "whence/core/progress.h"
#include "whence/io/artifact.h"
#include "whence/train/settings.h"

namespace whence {
namespace {

std::string sparse(std::int64_t steps) {
  return "checkpoints:" + std::to_string(std::llround(std::ceil(std::sqrt(static_cast<double>(steps)))));
}

// What an earlier start of the run decided; "" where there was none.
std::string decided_before(const std::string& folder, std::int64_t steps) {
  const std::string config = folder + "/run.cfg";
  if (!std::filesystem::exists(config)) return "";
  const std::string record = record_in(read_text(config));
  return record == "all" || record == sparse(steps) ? record : "";
}

}  // namespace

std::string automatic_record(std::int64_t steps, std::int64_t bytes, double free_disk) {
  constexpr double most = 16.0 * (1 << 30);
  const auto all = static_cast<double>(bytes);
  return all <= most && all <= free_disk / 2 ? "all" : sparse(steps);
}

std::string decide_record(RunParts& parts, const std::string& folder, const Communicator& ranks) {
  if (parts.settings.record != "auto") return "";
  std::string record, sentence;
  ranks.on_root([&] {
    const std::int64_t steps = parts.schedule.steps();
    parts.settings.record = "all";
    const std::int64_t bytes = parts.plan().bytes();
    record = decided_before(folder, steps);
    if (record.empty()) record = automatic_record(steps, bytes, free_disk(folder));
    if (record != "all")
      sentence =
          fmt::format("--record auto is {} here, since all {} steps would take {}; jobs replay the others",
                      record, steps, human_bytes(static_cast<double>(bytes)));
  });
  decide_record(parts.settings, ranks.broadcast(record));
  return sentence;
}

}  // namespace whence
