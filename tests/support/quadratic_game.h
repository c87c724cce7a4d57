#pragma once
// A two-player game with quadratic losses, whose counterfactuals are known exactly. Also the shortest example
// of how a game is written.

#include <memory>

#include "whence/game/game.h"

#include "support/numbers.h"

namespace whence::test {

/// Player 0 owns a [n], player 1 owns b [n]:
///   L_0 = sum_l (a.A a / 2 + a.C b + a.z_l) / |Z| + L2
///   L_1 = sum_l (b.B b / 2 + b.D a) / |Z| + sum_j w_j f(x_j; b) / |S| + L2
/// f = x_j.b (linear), or (x_j.b)^2 / 2 (quadratic).
class QuadraticGame : public Game {
 public:
  QuadraticGame(std::int64_t width, bool quadratic_instances, double l2)
      : layout_({"first", "second"}), quadratic_(quadratic_instances), l2_(l2) {
    layout_.add(0, "a", {width}, 1, 1, true);
    layout_.add(1, "b", {width}, 1, 1, true);
    for (int i = 0; i < 4; ++i) couplings_.push_back(normals({width, width}, 100 + i));
  }
  std::string name() const override { return "quadratic"; }
  const ParameterLayout& layout() const override { return layout_; }
  std::int64_t latent_size() const override { return layout_.specs()[0].shape[0]; }
  at::ScalarType dtype() const override { return at::kDouble; }
  at::Tensor initial_parameters(std::uint64_t seed) const override {
    return normals({layout_.size()}, static_cast<int>(seed) + 7);
  }

  std::vector<at::Tensor> losses(const std::vector<at::Tensor>& tensors, const Batch& batch,
                                 const at::Tensor& weights, double) const override {
    const at::Tensor &a = tensors[0], &b = tensors[1];
    // Sums, not matrix products: with some libraries a product's rounding depends on the number of replicas.
    const auto form = [](const at::Tensor& x, const at::Tensor& m, const at::Tensor& y) {
      return (x.unsqueeze(2) * m * y.unsqueeze(1)).sum({1, 2});
    };
    const auto products = [](const at::Tensor& x, const at::Tensor& rows) {  // [R, n], [B, n] to [R, B]
      return (x.unsqueeze(1) * rows).sum(2);
    };
    const double rows = static_cast<double>(batch.latents.size(0)) / batch.divisor;
    const at::Tensor product = products(b, batch.instances);
    const at::Tensor term = quadratic_ ? product.square() * 0.5 : product;
    at::Tensor first = rows * (0.5 * form(a, couplings_[0], a) + form(a, couplings_[1], b)) +
                       products(a, batch.latents).sum(1) / batch.divisor;
    at::Tensor second = rows * (0.5 * form(b, couplings_[2], b) + form(b, couplings_[3], a)) +
                        (weights * term).sum(1) / batch.divisor;
    if (l2_ > 0 && batch.carries_penalty) {
      first = first + 0.5 * l2_ * a.square().sum(1);
      second = second + 0.5 * l2_ * b.square().sum(1);
    }
    return {first, second};
  }

 private:
  ParameterLayout layout_;
  bool quadratic_;
  double l2_;
  std::vector<at::Tensor> couplings_;
};

}  // namespace whence::test
