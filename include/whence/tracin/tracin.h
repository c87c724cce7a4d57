#pragma once
// TracIn (Pruthi et al., NeurIPS 2020; for VAEs Kong and Chaudhuri, NeurIPS 2021, eq. 10): scores of training
// instances without their gradients. Networks of VAEs have a fast way (vae_gradients.h); any other game,
// metrics and sums of queries go through its engine (game_gradients.h).

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/comm/partition.h"
#include "whence/tracin/game_gradients.h"
#include "whence/tracin/gradient_products.h"
#include "whence/tracin/queries.h"
#include "whence/tracin/vae_gradients.h"
#include "whence/train/run.h"

namespace whence {

/// w_c(i), the weight of checkpoint c in the score of instance i. `none`: 1, as eq. (10). `rate`: the
/// learning rate. `published`: rate |S| (steps since the checkpoint before) / N. `visits`: rate / |S| for
/// every time that i was in a mini-batch from this checkpoint to the next: then the sum over instances is the
/// predicted decrease of the query's loss up to the next checkpoint (Pruthi et al., 2020, appendix G).
enum class CheckpointWeights { none, rate, published, visits };

struct TracinOptions {
  GradientOptions gradient;
  CheckpointWeights weights = CheckpointWeights::none;
  bool instances = true;        ///< false: the queries' losses alone
  bool training_noise = false;  ///< instances have the noise of the step that visited them (visits, m = 1)
  bool fixed_noise = false;  ///< queries have the same noise at all checkpoints; see TracinPlan::query_noise
  /// A checkpoint's scores are cosines of the angles between gradients: products over both norms, 0 where one
  /// is 0. Norms of all instances' gradients are needed: in the fast way hardly more work, by an engine a
  /// gradient each.
  bool normalise = false;
  /// Blocks keep the norms of all gradients beside products, so that cosines can be written of them as well.
  bool norms = false;
  std::int64_t memory = 0;  ///< bytes a rank
};

/// Which of the layout's tensors --layers chooses: all or last:NUMBER leave the list empty; else patterns of
/// names, with commas between, as 'decoder.*'. UsageError naming --layers for one that fits no name.
std::vector<bool> choose_tensors(const std::string& layers, const ParameterLayout& layout);

/// When an instance was trained on: step t, and its row of the mini-batch.
struct Visit {
  std::int64_t step, row;
};

/// One piece of work: some queries and some instances at one checkpoint.
struct TracinBlock {
  std::int64_t checkpoint;
  Range queries;    ///< of the queries; empty for self-influence
  Range instances;  ///< of the checkpoint's instances
};

/// All of a job's work, cut into blocks. Depends on run, queries and options alone, never on ranks.
struct TracinPlan {
  std::vector<std::int64_t> steps;  ///< [C], the checkpoints
  std::vector<double> weights;      ///< [C]; for visits the weight of one visit
  /// Positions of the instances that count at each checkpoint, and how often each does; shared where all do.
  std::vector<std::shared_ptr<const std::vector<std::int64_t>>> positions, visits;
  /// With the noise of training every visit counts by itself, and these are theirs; else none.
  std::vector<std::shared_ptr<const std::vector<Visit>>> visit;
  std::int64_t query_chunk, block;  ///< largest sizes of a block
  std::int64_t query_piece;         ///< of a chunk's queries so many gradients are taken at once
  bool norms = false;               ///< TracinOptions::norms
  std::vector<TracinBlock> blocks;

  /// A block's results: scores [queries * instances], losses of the instances, losses of the queries, and
  /// with `norms` those of both; each at a fixed place in a row of this many numbers.
  std::int64_t row_width() const { return query_norms_at() + (norms ? query_chunk : 0); }
  std::int64_t losses_at() const { return (query_chunk == 0 ? 1 : query_chunk) * block; }
  std::int64_t query_losses_at() const { return losses_at() + block; }
  std::int64_t norms_at() const { return query_losses_at() + query_chunk; }
  std::int64_t query_norms_at() const { return norms_at() + (norms ? block : 0); }
};

/// Steps from `--checkpoints`: all (recorded steps but the first, 0), last, last:NUMBER, or STEP,STEP,...;
/// UsageError naming the option otherwise, or for a step that is not recorded. `with_start`: all includes
/// step 0.
std::vector<std::int64_t> choose_checkpoints(const std::string& text, const Trajectory& trajectory,
                                             bool with_start);

/// UsageError naming --memory when it is too small for one query and one instance, --weights when visits are
/// asked for of a run whose batches are not known, --checkpoints when no step follows any of those, --samples
/// when the noise of training, one sample, is to be several; and see fast_way().
TracinPlan plan_tracin(const Run& run, const TracinQueries& queries, const TracinOptions& options,
                       std::vector<std::int64_t> steps);

/// The run's autoencoder whose fast way these queries can take; null where they go through the game's engine.
/// UsageError naming the option for what only the fast way has (--loss scoring, --estimator score-function,
/// --layers last:NUMBER).
const Autoencoder* fast_way(const Run& run, const TracinQueries& queries, const TracinOptions& options);

/// eps [n, m, dz] of instances at a checkpoint, from a stream keyed by step and instance id.
at::Tensor instance_noise(const Run& run, std::int64_t step, const std::vector<std::int64_t>& positions,
                          std::int64_t samples);
/// eps [n, m, dz] of queries: keyed by step and query id; with `fixed` the same at all steps, and sample 0 of
/// held- out instance k is row k of the run's validation latents, the noise that metrics have.
at::Tensor query_noise(const Run& run, std::int64_t step, const TracinQueries& queries, Range range,
                       std::int64_t samples, bool fixed);

/// Cosines [Q, n] of the angles between gradients: their products [Q, n] over the norms [Q] and [n] of both;
/// what has no direction scores 0.
at::Tensor cosines(const at::Tensor& products, const at::Tensor& query_norms, const at::Tensor& norms);

/// Computes blocks, one after another; what neighbouring blocks share is kept.
class TracinWorker {
 public:
  /// `between_layers` is called many times within a block, for what must not wait until it is done.
  TracinWorker(
      const Run& run, const TracinQueries& queries, const TracinOptions& options, const TracinPlan& plan,
      std::function<void()> between_layers = [] {});

  /// The block's row [row_width] float64, unweighted: the same bits whatever was computed before. Error
  /// naming checkpoint and instance or query when a number is not finite.
  at::Tensor row(const TracinBlock& block);

 private:
  void enter_checkpoint(std::int64_t checkpoint);
  void enter_queries(std::int64_t checkpoint, Range queries);
  // By the fast way: the queries' gradients are kept, returns their losses.
  at::Tensor enter_fast(Range queries);
  // By the engine: their directions u are.
  at::Tensor enter_by_engine(Range queries);
  at::Tensor enter_points(const TracinQueries& queries, Range range, std::int64_t first, bool summed);
  // Of n instances, float64; norms where they are needed.
  struct Scored {
    at::Tensor scores;  // [queries, n], of self-influence [n]
    at::Tensor losses, norms;
  };
  Scored fast_scores(const InstanceRows& rows);
  Scored engine_scores(const InstanceRows& rows);
  at::Tensor engine_squared_norms(const InstanceRows& rows);
  bool needs_norms() const { return options_.normalise || options_.norms; }

  const Run& run_;
  const Autoencoder* vae_;  // null: by the engine
  const TracinQueries& queries_;
  const TracinOptions& options_;
  const TracinPlan& plan_;
  std::function<void()> between_layers_;
  std::vector<LayerExtent> layers_;
  std::int64_t checkpoint_ = -1, query_checkpoint_ = -1;
  Range query_range_;
  std::vector<at::Tensor> tensors_;
  std::unique_ptr<QueryGradients> query_gradients_;
  at::Tensor query_losses_;  // [queries] float64
  GameGradients by_engine_;
  at::Tensor theta_;        // [P]
  at::Tensor directions_;   // [queries, P]
  at::Tensor query_norms_;  // [queries] float64
};

}  // namespace whence
