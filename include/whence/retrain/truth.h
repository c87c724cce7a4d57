#pragma once
// counterfactual.h5: true influences as a file, and estimates beside them.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/artifact.h"
#include "whence/trace/estimates.h"

namespace whence {

inline const Schema counterfactual_schema{"whence.counterfactual", 1};
inline const Schema counterfactual_blocks_schema{"whence.counterfactual_blocks", 1};

/// True influence of chosen instances.
///
/// counterfactual.h5 (M metrics, K horizons, n targets): influence [M,K,n], baseline [M,K,n] (V of the
/// no-removal replica it is compared with), distance [K] (largest |theta| difference of no-removal replicas
/// to the recorded end), epochs_back [K], target_id [n], target_position [n]; the same attributes.
struct CounterfactualTruth {
  std::vector<std::string> metrics;
  std::vector<std::int64_t> epochs_back;
  std::vector<std::int64_t> target_ids, target_positions;
  at::Tensor influence, baseline;  ///< [M, K, n] float64
  at::Tensor distance;             ///< [K] float64
  std::string classifier = "none";
};

void write_counterfactual(const std::string& path, const CounterfactualTruth& truth,
                          const Attributes& attributes);
/// Error when missing, damaged, of another schema version, or made from another run than the trajectory's.
CounterfactualTruth read_counterfactual(const std::string& path, const Trajectory& trajectory);

/// One estimate beside its truth.
struct Pair {
  std::string metric;
  std::int64_t epochs_back;
  double kink_width;
  std::vector<double> truth, estimate;  ///< by target
};

/// All (metric, horizon, kink width) that both files hold, over the truth's targets. Error when they judge
/// images by different classifiers.
std::vector<Pair> paired(const InfluenceEstimates& estimates, const CounterfactualTruth& truth);

}  // namespace whence
