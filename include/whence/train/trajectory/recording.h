#pragma once
// Which steps of a run keep their parameters.

#include <cstdint>
#include <string>
#include <vector>

namespace whence {

/// Steps t (ascending, the end T always among them) whose theta is recorded: "all"; "last:K", the last K
/// epochs; "every:S", every S-th step from 0 on (the steps between are replayed); "checkpoints:C", step 0 and
/// C steps evenly spread up to T; "steps:S,S,...", these. UsageError naming --record, or --checkpoints,
/// otherwise.
std::vector<std::int64_t> recorded_steps(const std::string& record, std::int64_t steps,
                                         std::int64_t steps_per_epoch);

}  // namespace whence
