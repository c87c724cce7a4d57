#pragma once
// The native CPU engine: games of perceptrons, without LibTorch's dispatch and memory traffic.

#include <memory>
#include <string>
#include <vector>

#include "whence/game/engine.h"

namespace whence {

/// gradient: replica after replica, each within a processor's own caches; replicas are shared out over
/// at::get_num_threads() threads. trace: one tangent pass forward and backward a query; values and adjoints
/// are computed once for all queries, which are shared out over the threads.
///
/// Works for fcgan and mlp-vae of any depth, widths and activations, and for dcgan (there a trace's queries
/// follow each other on one thread, and share the values), in float32 and float64. Uses the widest vectors
/// that the processor has (AVX-512, AVX2, or what every processor of the architecture has). Results are the
/// same bits on any number of threads and for any number of replicas or queries; between kinds of processors
/// they differ by rounding. Agrees with AutogradEngine to 1e-12 relative (float64, 1e-11 with h = 1e-3;
/// float32: 1e-5).
class NativeEngine : public Engine {
 public:
  /// `variant`: one of variants() or, for dcgan, conv_variants(), or "" for the fastest. UsageError when
  /// the game has no engine of CPU kernels, or for a variant that this processor has not got.
  explicit NativeEngine(std::shared_ptr<const Game> game, const std::string& variant = "");
  ~NativeEngine() override;

  /// Of the compiled kernels those that this processor can run, the fastest first: avx512, avx2, portable.
  static std::vector<std::string> variants();
  /// The same for dcgan; avx512_narrow besides, vectors half as wide, which only traces take by themselves.
  static std::vector<std::string> conv_variants();

  std::string name() const override { return "native"; }
  at::Tensor gradient(const at::Tensor& params, const Batch& batch, const at::Tensor& weights) const override;
  TracedStep trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                   double kink_width) const override;

 private:
  std::shared_ptr<const Game> game_;
  std::unique_ptr<const Engine> engine_;  // the game's own
};

}  // namespace whence
