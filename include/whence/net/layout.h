#pragma once
// Which part of the flat parameter vector theta is what.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// One tensor of a network inside theta.
struct ParameterSpec {
  std::string name;  ///< e.g. "generator.0.weight"
  std::int64_t player;
  std::int64_t offset;
  std::vector<std::int64_t> shape;
  std::int64_t fan_in, fan_out;
  bool is_kernel;  ///< subject to L2; biases are not

  std::int64_t size() const;
};

/// The tensors of all players in order; each player owns one contiguous block of theta [P].
class ParameterLayout {
 public:
  explicit ParameterLayout(std::vector<std::string> players) : players_(std::move(players)) {}

  /// Appends a tensor; players in order of their number.
  void add(std::int64_t player, const std::string& name, std::vector<std::int64_t> shape, std::int64_t fan_in,
           std::int64_t fan_out, bool is_kernel);

  const std::vector<ParameterSpec>& specs() const { return specs_; }
  const std::vector<std::string>& players() const { return players_; }
  std::int64_t player_count() const { return static_cast<std::int64_t>(players_.size()); }
  /// P.
  std::int64_t size() const;
  /// Begin and end of a player's block of theta.
  std::pair<std::int64_t, std::int64_t> block(std::int64_t player) const;

  /// Views of params [R,P] as the layout's tensors, each [R, shape...].
  std::vector<at::Tensor> views(const at::Tensor& params) const;
  /// One value a player ([players] float64) spread over theta: [P] of the
  /// options' dtype and device, without waiting for the device. The matrix B of eq. (3).
  at::Tensor spread(const at::Tensor& by_player, const at::TensorOptions& options) const;

  /// JSON list of {name, player, offset, shape}: the `layout` attribute of files.
  std::string json() const;

 private:
  std::vector<std::string> players_;
  std::vector<ParameterSpec> specs_;
};

/// theta [P] at the start of training: kernels uniform on +-sqrt(6 / (fan in + fan out)) (Glorot and Bengio,
/// 2010), biases 0, drawn from the stream of `seed`.
at::Tensor glorot_uniform(const ParameterLayout& layout, std::uint64_t seed, at::ScalarType dtype);

}  // namespace whence
