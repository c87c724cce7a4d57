#pragma once
// Influence of every training instance, estimated by carrying queries back through the recorded run.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/comm/partition.h"
#include "whence/trace/crossings.h"
#include "whence/train/finite_watch.h"
#include "whence/train/recorded_steps.h"

namespace whence {

/// How ranks share a trace-back: `query_groups` groups of ranks, from 1 to the lesser of ranks and queries,
/// take a part of the queries each; the ranks of a group share the mini-batch. Groups differ by at most one
/// rank and one query, and the first are the larger in both.
struct Grid {
  std::int64_t query_groups;
};

/// The group of this rank of `ranks`.
std::int64_t group_of(std::int64_t rank, std::int64_t ranks, const Grid& grid);

/// The grid of the least time a step, which is that of its slowest group: (rows of the mini-batch a rank, and
/// `traffic_rows` more where the group has several ranks) times the group's queries. Groups need no traffic
/// between them, while sharing a mini-batch costs an all-reduce of the group's [q, P]; it takes about as long
/// as that many rows. Of grids that take the same, the one with the most groups.
Grid automatic_grid(std::int64_t ranks, std::int64_t queries, std::int64_t batch);
inline constexpr std::int64_t traffic_rows = 4;

struct TraceBackOptions {
  std::vector<std::int64_t> epochs_back;  ///< k, ascending; the sweep goes back by the largest
  std::vector<double> kink_widths;        ///< h; see Engine::trace
  Grid grid{1};
  /// The k of `epochs_back` for which kinks are counted (crossings.h) in the estimates of kink widths over 0.
  std::vector<std::int64_t> counted = {};
  /// How far frozen moves that they count with are doubted, see Crossings.
  MoveDoubt doubt = {};
  /// Those of `counted` whose moves are carried forward (see Crossings) and not frozen.
  std::vector<std::int64_t> carried = {};

  bool is_carried(std::int64_t k) const {
    return std::find(carried.begin(), carried.end(), k) != carried.end();
  }
};

/// The kink width h' beside the counted crossings of an estimate of kink width h > 0, so many passes over the
/// data back. What is counted is what a removal's own move does; the width lets the query see the curvature
/// that the move itself meets on its way, which is worth it once there is time for it: 0 up to one pass, else
/// h / 10.
double width_beside_crossings(double kink_width, double passes_back);

/// What one rank has of the influences: of some queries and some instances.
struct InfluencePart {
  Range queries, instances;
  at::Tensor values;  ///< [widths, queries, epochs_back, instances] float64 on the CPU
};

/// What a rank carries from step to step, on the CPU.
struct TraceState {
  at::Tensor queries;  ///< [n] of the game's dtype: the same numbers on all ranks of a group
  at::Tensor sums;     ///< [m] float64: this rank's own
};

/// One trace-back (see trace_back below), step by step, for callers that may have to leave it and come back.
///
/// Of the queries' influences on N instances each rank of a group adds up those on its own part of the
/// instances, and no rank holds more of them at any time; only what counted crossings add is held for all
/// instances until a k is done.
class TraceBack {
 public:
  /// Stands before its first step back. Collective.
  TraceBack(const RecordedSteps& run, const at::Tensor& queries, const TraceBackOptions& options,
            const Communicator& ranks);

  std::int64_t taken() const { return taken_; }
  bool done() const { return taken_ == steps_; }
  const Grid& grid() const { return options_.grid; }
  /// The ranks that share this rank's queries.
  const Communicator& group() const { return group_; }
  /// Bytes that this rank puts into sums over its group at each step; 0 where it is alone.
  double traffic() const;

  /// What counted crossings need to know of the run before the first step, which step() does otherwise: see
  /// Crossings::look_back. Collective.
  bool look_back(const std::function<bool(double)>& going_on);
  /// The next step back. Collective. Error naming step and query when a number is not finite.
  void step();

  /// Whether it may be left here: crossings are counted some steps together. The same on every rank.
  bool settled() const { return !crossings_ || crossings_->settled(); }
  /// What this rank carries once settled(), which may be shared with it and change with the next step. Error
  /// when a number is not finite.
  TraceState state();
  std::int64_t steps() const { return steps_; }
  /// How many numbers of each kind that is.
  std::int64_t query_numbers() const { return u_.numel(); }
  std::int64_t sum_numbers() const;
  /// Goes on after `taken` steps with the same rank's state() there: to the same bits, on as many ranks.
  void restore(std::int64_t taken, const TraceState& state);

  /// The influences, once done: this rank's part of them. The parts of all ranks are the whole.
  InfluencePart part();
  /// The whole, on every rank's CPU: [widths, queries, epochs_back, N]. Collective.
  at::Tensor result();
  /// How many crossings were counted for an instance on average, for each of TraceBackOptions::counted, on
  /// every rank; empty where none are. Collective.
  std::vector<double> crossings_each();
  /// How much of the queries' growth came from parameters whose second moment is near zero
  /// (Optimiser::near_zero): sum |n^T J|^2 / sum |q^T J|^2 over every `near_zero_stride`-th step, n being the
  /// part of q that belongs to them: [widths, queries] float64 on every rank's CPU (more than 1 where it
  /// cancels with the rest); undefined for optimisers without second moments. Collective.
  at::Tensor near_zero_shares();
  static constexpr std::int64_t near_zero_stride = 32;
  /// |u| of each estimate's queries, over theta (and its average, where the optimiser keeps one), at
  /// noted_steps(): [widths, queries, L] float64 on every rank's CPU; where crossings are counted at the
  /// largest k, of the queries beside them. Collective.
  at::Tensor adjoint_norms();

 private:
  // One kink width's queries on their way back, with what they have collected so far.
  struct Sweep {
    double kink_width;
    at::Tensor u;          // [q, S], rows of `u_`: this group's queries
    at::Tensor influence;  // [q, n] float64
    FiniteWatch watch;
    std::int64_t last;  // k beyond which nothing needs it
  };
  // The estimates with counted crossings of the sweep whose width they have beside them.
  struct Counted {
    std::size_t sweep;
    at::Tensor frozen;     // [q, S], rows of `u_`: see count_crossings(); undefined for the width 0
    at::Tensor influence;  // [q, n] float64
  };
  // What a step sums over the group.
  struct StepSums {
    std::vector<at::Tensor> jacobians;  // q^T J of each sweep, then of others
    std::vector<at::Tensor> shares;     // [q, |S|] of each sweep, then of counted ones: what instances get
  };
  // Which rows of a mini-batch are of this rank's instances, and which of these they are.
  struct OwnRows {
    at::Tensor rows, places;
  };
  FiniteWatch watch_queries(double kink_width, std::int64_t numbers) const;
  at::Tensor in_whole_batch(const at::Tensor& own_rows) const;
  OwnRows own_rows_of(const at::Tensor& positions) const;
  void add_shares(const at::Tensor& influence, const at::Tensor& share, const OwnRows& own) const;
  at::Tensor pulled_back(std::int64_t t, const at::Tensor& before, const Batch& batch);
  void trace_near_zero(const at::Tensor& q, const at::Tensor& theta, const Batch& batch,
                       std::vector<at::Tensor>& jacobians);
  void note_near_zero(const std::vector<at::Tensor>& jacobians);
  void plan_sweeps(const at::Tensor& queries);
  bool is_counted(double kink_width, std::int64_t epochs_back) const;
  double beside(double kink_width, std::int64_t epochs_back) const;
  at::Tensor rows_of_query(const at::Tensor& all, std::size_t w) const;
  bool needed(std::int64_t last) const { return taken_ < last * run_.steps_per_epoch; }
  void count_crossings(std::int64_t t, const at::Tensor& all, const at::Tensor& theta, const Batch& batch,
                       StepSums& sums);
  void take_out_curvature(const std::vector<at::Tensor>& jacobians);
  void note_horizon();
  std::size_t sweep_of_estimate(std::size_t w) const;
  void note_norms();
  std::vector<at::Tensor> sums() const;

  RecordedSteps run_;
  TraceBackOptions options_;
  Communicator ranks_, group_;
  Range queries_, rows_, instances_;
  std::int64_t all_queries_, batch_;
  std::int64_t steps_, taken_ = 0, horizon_ = 0;
  at::Tensor u_;               // [widths q, S]
  at::Tensor after_;           // the state after the step to take back; undefined until it is asked for
  std::vector<Sweep> sweeps_;  // of the kink widths asked for, then of others beside counted crossings
  std::vector<Counted> counted_;
  std::unique_ptr<Crossings> crossings_;  // null where none are counted
  // [counted k, counted_ q, N], [counted k] float64: what this rank has found, of any instance
  at::Tensor jumps_, crossed_;
  at::Tensor near_;       // [P], see Optimiser::near_zero; undefined where a step does not look at it
  at::Tensor near_zero_;  // [widths q, 2] float64: the two sums of near_zero_shares()
  at::Tensor norms_;      // [widths q, L] float64: see adjoint_norms()
  std::vector<std::size_t> estimating_;  // sweep_of_estimate() of each width
  at::Tensor result_;                    // [widths, q, epochs_back, n] float64
};

/// Linear influence (Terashita et al., eq. 8, algorithm 2) of every training instance on each query, for
/// every k and kink width, in one sweep: [widths, queries, epochs_back, N] float64. At each step, with u [S]
/// the query carried back so far and q = B u (plain steps; other optimisers: Optimiser::pull_back),
///   influence_j += <q_p, grad f(x_j)> / |S|  for j in the batch,     u_theta -= q^T J,
/// one Engine::trace for all instances and all queries. `queries` [Q, P] are gradients of metrics by the
/// model at the end of the run. Collective; every rank gets the whole result. Error naming step and query
/// when a number is not finite.
at::Tensor trace_back(const RecordedSteps& run, const at::Tensor& queries, const TraceBackOptions& options,
                      const Communicator& ranks, const std::function<void(std::int64_t)>& progress);

}  // namespace whence
