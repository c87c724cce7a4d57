#include "whence/game/native_engine.h"

#include "whence/core/error.h"
#include "whence/native/conv_kernels.h"
#include "whence/native/kernels.h"

namespace whence {
namespace {

template <typename List>
std::vector<std::string> names_of(const List& kernels) {
  std::vector<std::string> names;
  for (const auto* kernel : kernels) names.emplace_back(kernel->name);
  return names;
}

}  // namespace

std::vector<std::string> NativeEngine::variants() { return names_of(native::available_kernels<double>()); }

std::vector<std::string> NativeEngine::conv_variants() {
  return names_of(native::available_conv_kernels<double>());
}

NativeEngine::NativeEngine(std::shared_ptr<const Game> game, const std::string& variant)
    : game_(std::move(game)), engine_(game_->native_engine(variant)) {
  if (engine_ == nullptr) refuse("--engine: native does not compute the game {} (torch does)", game_->name());
}

NativeEngine::~NativeEngine() = default;

at::Tensor NativeEngine::gradient(const at::Tensor& params, const Batch& batch,
                                  const at::Tensor& weights) const {
  return engine_->gradient(params, batch, weights);
}

TracedStep NativeEngine::trace(const at::Tensor& params, const Batch& batch, const at::Tensor& queries,
                               double kink_width) const {
  return engine_->trace(params, batch, queries, kink_width);
}

}  // namespace whence
