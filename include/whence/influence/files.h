#pragma once
// influence.h5 and counterfactual.h5: estimates and ground truth as files.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/artifact.h"
#include "whence/train/run.h"

namespace whence {

inline const Schema influence_schema{"whence.influence", 1};
inline const Schema counterfactual_schema{"whence.counterfactual", 1};
inline const Schema counterfactual_blocks_schema{"whence.counterfactual_blocks", 1};

/// Estimated influence of every training instance.
///
/// influence.h5 (H kink widths, M metrics, K horizons, N instances): influence [H,M,K,N], kink_width [H],
/// epochs_back [K], value [M] (V at the end of the run), instance_id [N]; attributes metrics (names, comma
/// between), run (fingerprint of the trajectory), settings, classifier (its fingerprint, or "none").
struct InfluenceEstimates {
  std::vector<std::string> metrics;
  std::vector<double> kink_widths;
  std::vector<std::int64_t> epochs_back;
  std::vector<std::int64_t> instance_ids;
  at::Tensor influence;             ///< [H, M, K, N] float64
  at::Tensor value;                 ///< [M] float64
  std::string classifier = "none";  ///< fingerprint of the one that metrics of images judge by
};

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

/// Attributes that tie a result to its run and to the options that made it.
Attributes result_attributes(const Run& run, const std::string& settings,
                             const std::vector<std::string>& metrics);

void write_influence(const std::string& path, const InfluenceEstimates& estimates,
                     const Attributes& attributes);
void write_counterfactual(const std::string& path, const CounterfactualTruth& truth,
                          const Attributes& attributes);
/// Error when missing, damaged, of another schema version, or made from another run than `run_fingerprint`.
InfluenceEstimates read_influence(const std::string& path, const std::string& run_fingerprint);
CounterfactualTruth read_counterfactual(const std::string& path, const std::string& run_fingerprint);

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

/// Whether `path` already holds the result these attributes ask for; Error when it holds another one.
bool already_there(const std::string& path, const Schema& schema, const Attributes& attributes);

}  // namespace whence
