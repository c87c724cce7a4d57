#pragma once
// Every optimiser, with and without what can be added to it.

#include <string>
#include <vector>

#include "whence/optimise/optimiser.h"

namespace whence::test {

struct NamedOptimiser {
  std::string name;
  OptimiserOptions options;
};

inline OptimiserOptions optimiser_called(const std::string& name, double momentum = 0) {
  OptimiserOptions options;
  options.name = name;
  options.momentum = momentum;
  return options;
}

/// Their steps are linear in (state, gradient).
inline std::vector<NamedOptimiser> linear_optimisers() {
  std::vector<NamedOptimiser> all{{"Sgd", optimiser_called("sgd")},
                                  {"SgdDecay", optimiser_called("sgd")},
                                  {"Momentum", optimiser_called("momentum", 0.9)},
                                  {"NesterovDecay", optimiser_called("momentum", 0.8)},
                                  {"MomentumAverage", optimiser_called("momentum", 0.7)}};
  all[1].options.weight_decay = 0.3;
  all[3].options.weight_decay = 0.2;
  all[3].options.nesterov = true;
  all[4].options.average = 0.9;
  return all;
}

inline std::vector<NamedOptimiser> adaptive_optimisers() {
  std::vector<NamedOptimiser> all{{"Adam", optimiser_called("adam")},
                                  {"AdamDecayAverage", optimiser_called("adam")},
                                  {"Adamw", optimiser_called("adamw")},
                                  {"Rmsprop", optimiser_called("rmsprop")},
                                  {"RmspropMomentum", optimiser_called("rmsprop", 0.8)},
                                  {"AdamInsideRoot", optimiser_called("adam")},
                                  {"AdamClipped", optimiser_called("adam")},
                                  {"MomentumClipped", optimiser_called("momentum", 0.9)},
                                  {"RmspropClipped", optimiser_called("rmsprop")}};
  all[1].options.weight_decay = 0.1;
  all[1].options.average = 0.8;
  all[1].options.beta2 = 0.95;
  all[2].options.weight_decay = 0.4;
  all[3].options.beta2 = 0.99;
  all[4].options.beta2 = 0.9;
  all[4].options.weight_decay = 0.1;
  all[5].options.epsilon = 0;
  all[5].options.epsilon_root = 1e-4;
  all[6].options.clip_norm = 1;
  all[7].options.clip_norm = 1;
  all[8].options.clip_norm = 1;
  return all;
}

inline std::vector<NamedOptimiser> every_optimiser() {
  std::vector<NamedOptimiser> all = linear_optimisers();
  for (const NamedOptimiser& one : adaptive_optimisers()) all.push_back(one);
  return all;
}

}  // namespace whence::test
