#pragma once
// Which units change sides of their kink when an instance is removed, and what that does to a query.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/train/recorded_steps.h"

namespace whence {

/// Why crossings cannot be counted in a run, as the rest of a sentence ("its game has no units with a kink"),
/// or "" where they can: for games of perceptrons with relu, on the CPU, trained by plain steps or momentum.
std::string crossings_left_out(const RecordedSteps& run);

/// Whether the game has units with a kink: whether a trace of the run's last step depends on the kink width.
bool has_kinks(const RecordedSteps& run);

/// Whether moves can be carried forward in a run whose crossings can be counted: where theta is all that the
/// optimiser remembers.
bool moves_can_be_carried(const RecordedSteps& run);

/// Bytes a rank for carrying moves over `epochs_back` epochs on so many ranks.
double carrying_bytes(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t ranks);

/// Bytes a rank for counting over `epochs_back` epochs on so many ranks.
double crossing_bytes(const RecordedSteps& run, std::int64_t epochs_back, std::int64_t ranks);

/// How often so many steps of a run see all its data, as a rule: an epoch may be fewer steps than that.
double passes(const RecordedSteps& run, std::int64_t steps);

/// How far moves are doubted: not for so many passes over the data since the first step that is counted, then
/// by a share of themselves for each pass more.
struct MoveDoubt {
  double a_pass = 0.1;
  double trusted_passes = 2;
};

/// Counts crossings beside a trace-back. g(theta) is piecewise smooth; its trace knows the pieces' slopes,
/// and takes it that no unit leaves its piece. Removing instance j moves theta of the player that holds the
/// instances by
///   m_j = sum over j's uses s before t of B_s grad f(x_j; theta_s) / |S|        (momentum: times move_of)
/// taken as frozen from then on, and with it each pre-activation a_c of a unit c of that player on a sample
/// of step t by <m_j, grad a_c>. Where that takes a_c across 0, <q, g> jumps by kappa_c times the kink's, so
/// that
///   influence_j -= sum_c kappa_c (slope(a_c + <m_j, grad a_c>) - slope(a_c)),
///   kappa_c = sum over players of (tangent of a_c along q) dL/dh_c.
/// The gradient of a dense layer is a sum of outer products, one a sample, so m_j needs no more than their
/// factors, and <m_j, grad a_c> two products of vectors a layer. The other player's move, and what one
/// crossing does to later ones, are left out; but not where moves are carried forward (carried_moves.h).
///
/// As a frozen m_j does not stay what it was, where a unit stands is doubted by s = `doubt` times |<m_j, grad
/// a_c>|, with and without j alike: the difference of slopes is its mean over a normal displacement of that
/// deviation, the kink's jump times
///   Phi((a_c + <m_j, grad a_c>) / s) - Phi(a_c / s),
/// for units no farther from their kink than twice the move. Without doubt what crosses counts, and no more.
///
/// In float64 whatever the game's dtype. Instances are shared out over the ranks by their position.
class Crossings {
 public:
  /// For these k, ascending; `carried`: those of them whose moves are carried forward.
  Crossings(const RecordedSteps& run, std::vector<std::int64_t> epochs_back,
            const std::vector<std::int64_t>& carried, const MoveDoubt& doubt, const Communicator& ranks);
  ~Crossings();

  /// To be called before the first count(), `taken` steps from the end: what removal has moved. Asks for the
  /// states of all steps that are counted, backwards, once for those with frozen moves and once for each
  /// other k. `going_on` hears the share that is done and says whether to go on, the same on every rank;
  /// false where it said no. Collective.
  bool look_back(std::int64_t taken, const std::function<bool(double)>& going_on);
  bool looked_back() const;

  /// Step t, for theta [P] before it and queries q [Q, P] (see Optimiser::pull_back): adds the jumps to
  /// `influence` [K, Q, N] float64 (this rank's instances), and how many there were to `crossed` [K], those
  /// of some steps together: at the end of each epoch, and whenever settled(), all of them are there.
  void count(std::int64_t t, const at::Tensor& theta, const at::Tensor& q, const at::Tensor& influence,
             const at::Tensor& crossed) const;
  bool settled() const;  ///< the same on every rank

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace whence
