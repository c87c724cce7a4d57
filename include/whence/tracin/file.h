#pragma once
// tracin.h5: scores, lists, losses and latent means, put together from finished blocks.
//
// schema "whence.tracin" version 1 (Q queries, N training instances, C checkpoints, K listed, dz latent
// size):
//   score           [Q, N] float64   sum over checkpoints of weight times gradients' product; or, of `self`,
//   self_influence  [N]    float64
//   top, bottom     [Q, K] int64     positions of the largest scores, largest first, and the smallest,
//   smallest
//                                    first (of self: [1, K])
//   step, weight    [C]              the checkpoints
//   loss            [C, N] float64   each instance's, mean over the m samples (not with --weights visits)
//   query_loss      [C, Q] float64   each query's
//   predicted_change[C, Q] float64   with --weights visits: predicted decrease of the query's loss up to the
//   next
//                                    checkpoint
//   latent_mean     [N, dz], query_latent_mean [Q, dz]  mu at the last of the checkpoints (of VAEs; queries
//   that
//                                    are instances)
//   instance_id, label [N]; query_id, query_position, query_label [Q]; major, minor [Q]  (label, query_label
//   where
//                                    there are labels; major, minor of mixtures: positions)
//   picture_position [U], picture [U, d]; query_picture [V, d]  float32, for pages of images; attribute shape
// Attributes settings, run, seed, data, sign_convention as in every file, and queries.

#include <string>

#include "whence/io/block_store.h"
#include "whence/tracin/tracin.h"

namespace whence {

inline const Schema tracin_schema{"whence.tracin", 1};
inline const Schema tracin_blocks_schema{"whence.tracin_blocks", 1};

/// Writes the result from a closed store that holds row b of plan.blocks[b]. Collective: ranks share reading,
/// adding up, sorting and writing, and the file's bytes are the same on any number of them; memory stays
/// within options.memory. `listed`: K. Of a store with the plan's norms, options.normalise makes cosines.
void write_tracin(const std::string& path, const Run& run, const TracinQueries& queries,
                  const TracinOptions& options, const TracinPlan& plan, const BlockStore& store,
                  std::int64_t listed, const Attributes& attributes, const Communicator& ranks);

/// Checks all of it; Error naming the file when damaged, or made from another run than the trajectory's.
void verify_tracin(const std::string& path, const Trajectory& trajectory);

}  // namespace whence
