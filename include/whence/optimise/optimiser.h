#pragma once
// How a gradient moves theta, and how a query goes back through that move.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// One step of one player: its block of theta, its learning rate B, and how many steps it has taken before
/// (t of the formulas). A rate of 0: it is not its turn, and its state stays as it is.
struct Move {
  std::int64_t begin, end;
  double rate;
  std::int64_t taken;
};
/// Those of all players, whose blocks follow each other and are all of theta.
using Moves = std::vector<Move>;

/// A step that was taken, as a trace-back sees it.
struct TakenStep {
  at::Tensor before, after;  ///< the state [S] around it
  at::Tensor gradient;  ///< g [P] of the whole mini-batch, if Optimiser::needs_gradient(); else undefined
};

/// The step of a run on its whole state: theta and what the optimiser remembers, parts of P numbers one after
/// another. A replica's bits do not depend on the others. Devices other than the CPU are not waited for.
class Optimiser {
 public:
  virtual ~Optimiser() = default;
  virtual std::string name() const = 0;
  /// Names of the state's parts; theta is the first.
  virtual std::vector<std::string> parts() const = 0;
  /// The part that is the model: what metrics, samples and queries look at.
  virtual std::int64_t model_part() const { return 0; }
  /// The state [R, S] at the start of training from theta [R, P].
  virtual at::Tensor initial_state(const at::Tensor& params) const;

  /// One step in place: state [R, S], gradient [R, P] at its theta.
  virtual void update(at::Tensor& state, const at::Tensor& gradient, const Moves& moves) const = 0;

  /// The transpose of the step's derivative. `u` [Q, S], the derivative of Q queries by the state after the
  /// step, becomes in place that by the state before it with g held fixed; returned is minus that by g, q =
  /// -dV/dg [Q, P]. With J the Jacobian of g by theta, what is left to do is u_theta -= q^T J, and the
  /// influence of instance j grows by <q, dg/dw_j> (Terashita et al., eq. 8, where q = B u).
  virtual at::Tensor pull_back(at::Tensor& u, const TakenStep& step, const Moves& moves) const = 0;
  /// Whether pull_back cannot tell g from the states and has to be given it.
  virtual bool needs_gradient() const { return false; }
  /// [P], 1 where epsilon makes up more than `epsilon_share` of the divisor of the step that led to `after`
  /// [S], else 0; undefined for optimisers without such a divisor. There a query can grow by up to B /
  /// epsilon in a step.
  virtual at::Tensor near_zero(const at::Tensor& after, const Moves& moves) const;
  static constexpr double epsilon_share = 0.01;

  /// How far `steps` steps of a player, the first of them with another gradient by dg, have moved theta, in
  /// units of -B dg, with the later gradients as they were (and without weight decay, and at one rate).
  /// Nothing where that is not one number for all parameters.
  virtual std::optional<double> move_of(std::int64_t /*steps*/) const { return std::nullopt; }

  /// Numbers in the state of P parameters.
  std::int64_t state_size(std::int64_t parameters) const {
    return parameters * static_cast<std::int64_t>(parts().size());
  }
  /// Views of that part of states [R, S] or [S].
  at::Tensor part(const at::Tensor& state, std::int64_t index) const;
  at::Tensor model(const at::Tensor& state) const { return part(state, model_part()); }
};

/// The values of the options of `whence train` that say what an optimiser does. Each optimiser reads its own.
struct OptimiserOptions {
  std::string name = "sgd";  ///< sgd, momentum, adam, adamw or rmsprop
  double momentum = 0;       ///< mu of momentum and rmsprop
  bool nesterov = false;     ///< of momentum
  double beta1 = 0.9;        ///< of adam and adamw
  double beta2 = 0.999;      ///< of adam and adamw; alpha of rmsprop
  double epsilon = 1e-8;     ///< of adam, adamw and rmsprop
  double epsilon_root = 0;   ///< the same, inside the root
  double weight_decay = 0;   ///< lambda
  double clip_norm = 0;      ///< largest norm of a player's gradient; 0: any
  double average = 0;        ///< decay of the average of theta; 0: there is none
};

/// The optimiser with these options; UsageError naming --optimiser for an unknown name.
std::shared_ptr<const Optimiser> make_optimiser(const OptimiserOptions& options);

const std::vector<std::string>& optimiser_names();

}  // namespace whence
