#pragma once
// Which instances are retrained without.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/data/dataset.h"
#include "whence/trace/estimates.h"

namespace whence {

/// Positions in the training set from `--targets` (or another option that says it so): a number n (a random
/// choice from the stream of `seed`), or a file of instance ids, one a line. UsageError naming the option
/// when there are more than instances, when an id is repeated or no instance's, or when the file cannot be
/// read.
std::vector<std::int64_t> choose_targets(const std::string& targets, const Dataset& data, std::uint64_t seed,
                                         const std::string& option = "targets");

/// What makes an estimate worth a retraining: its size, either way; its spread over paths (path_traces.h); or
/// the first of the one order and of the other in turns.
enum class WorthBy { size, spread, both };

/// Positions of the `count` instances whose estimated influence on the metric at k = `epochs_back` is most
/// worth a retraining, by the file's first kink width, in that order; only of those `among` (none: all).
/// UsageError naming --targets where influence.h5 (`estimates`) has no such metric and k, or no spread where
/// one is needed, or there are fewer instances.
std::vector<std::int64_t> worth_retraining(WorthBy by, std::int64_t count,
                                           const InfluenceEstimates& estimates, const std::string& metric,
                                           std::int64_t epochs_back, const std::vector<std::int64_t>& among);

/// `count` of these positions (none: of all), at random in the order of the stream that choose_targets() has.
/// UsageError naming --targets where there are fewer.
std::vector<std::int64_t> random_targets(std::int64_t count, const Dataset& data, std::uint64_t seed,
                                         const std::vector<std::int64_t>& among);

/// Positions in the training set of the instance ids in a file, one a line, in that order. UsageError naming
/// `option` when the file cannot be read or holds no ids, or an id is repeated or no instance's.
std::vector<std::int64_t> positions_in_file(const std::string& option, const std::string& path,
                                            const Dataset& data);

/// One line that changes with any of the ids: a file of targets may change under the same name.
std::string targets_fingerprint(const std::vector<std::int64_t>& ids);

}  // namespace whence
