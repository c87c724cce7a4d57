#include "whence/optimise/optimiser.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

#include "whence/core/options.h"
#include "whence/optimise/adam.h"
#include "whence/optimise/averaged.h"
#include "whence/optimise/clipped.h"
#include "whence/optimise/momentum.h"
#include "whence/optimise/rmsprop.h"
#include "whence/optimise/sgd.h"

namespace whence {
namespace {

std::shared_ptr<const Optimiser> bare_optimiser(const OptimiserOptions& options) {
  const AdamOptions adam{options.beta1,        options.beta2,        options.epsilon,
                         options.epsilon_root, options.weight_decay, options.name == "adamw"};
  if (options.name == "sgd") return std::make_shared<Sgd>(options.weight_decay);
  if (options.name == "momentum")
    return std::make_shared<Momentum>(options.momentum, options.nesterov, options.weight_decay);
  if (options.name == "adam" || options.name == "adamw") return std::make_shared<Adam>(adam);
  if (options.name == "rmsprop")
    return std::make_shared<Rmsprop>(RmspropOptions{options.beta2, options.epsilon, options.epsilon_root,
                                                    options.momentum, options.weight_decay});
  refuse_value("optimiser", options.name, optimiser_names());
}

}  // namespace

at::Tensor Optimiser::initial_state(const at::Tensor& params) const {
  std::vector<at::Tensor> values(parts().size(), at::zeros_like(params));
  values.front() = params;
  return at::cat(values, 1);
}

at::Tensor Optimiser::near_zero(const at::Tensor&, const Moves&) const { return {}; }

at::Tensor Optimiser::part(const at::Tensor& state, std::int64_t index) const {
  const std::int64_t parameters = state.size(-1) / static_cast<std::int64_t>(parts().size());
  return state.narrow(-1, index * parameters, parameters);
}

const std::vector<std::string>& optimiser_names() {
  static const std::vector<std::string> names{"sgd", "momentum", "adam", "adamw", "rmsprop"};
  return names;
}

std::shared_ptr<const Optimiser> make_optimiser(const OptimiserOptions& options) {
  std::shared_ptr<const Optimiser> optimiser = bare_optimiser(options);
  if (options.clip_norm > 0) optimiser = std::make_shared<Clipped>(optimiser, options.clip_norm);
  if (options.average > 0) optimiser = std::make_shared<Averaged>(optimiser, options.average);
  return optimiser;
}

}  // namespace whence
