#pragma once
// density.h5: influences in density estimators as a file.

#include <cstdint>
#include <string>

#include "whence/density/influence.h"
#include "whence/io/artifact.h"

namespace whence::density {

inline const Schema density_schema{"whence.density", 1};

/// Points of up to so many numbers are in the file, to be drawn.
inline constexpr std::int64_t drawable_width = 3;

/// Computes density_influence() and writes it as density.h5 (E estimators, N instances, Q queries, d numbers
/// a point; float64 but for the int64 ids, positions and clusters; nats; the sign is that of influence.h):
///
///   influence_exact, influence_closed [E,Q,N]   by fitting without the instance; by formulas (1), (2), (4)
///   self_influence_exact, self_influence_closed [E,N]   of each instance on itself; closed: (1), (2), (5)
///   log_likelihood [E,N], query_log_likelihood [E,Q]    log p(x_i; X), log p(z; X)
///   influence_corrected [Q,N], self_influence_corrected [N]   the mixture's (4), (5) as derived (mixture.h)
///   largest_difference [E]   of closed and exact, over queries and self-influences
///   corrected_difference [1]   of corrected and exact
///   distance [Q,N]   |z - x_i|
///   instance_id [N], query_id [Q], query_position [Q] (-1: a held-out point)
///   cluster [N]   where the data has clusters or labels
///   points [N,d], query_points [Q,d]   where d is at most 3, to be drawn
///
/// The arrays of self-influences are left out where they were not asked for, the corrected ones without a
/// mixture. Attributes: `attributes`, and estimators (names, comma between, in the order of the axis E).
/// Collective: each rank writes the tables that it computes.
DensityInfluence write_density(const std::string& path, const Dataset& train, const Queries& queries,
                               const EstimatorOptions& options, Attributes attributes,
                               const Communicator& ranks,
                               const std::function<void(std::int64_t, std::int64_t)>& progress);

/// Checks every checksum of a density.h5; Error naming the array otherwise, and as open_artifact says.
void verify_density(const std::string& path);

}  // namespace whence::density
