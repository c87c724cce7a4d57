#pragma once
// A number of the game's own as a metric.

#include <memory>
#include <string>

#include "whence/metric/metric.h"

namespace whence {

/// V = the game's OwnMetrics::metric of that name on all held-out instances and validation latents at once;
/// its gradient is by all of theta. Null where the game has no such metric.
std::shared_ptr<const Metric> own_metric(const std::string& name, const std::shared_ptr<const Game>& game,
                                         const Validation& validation);

}  // namespace whence
