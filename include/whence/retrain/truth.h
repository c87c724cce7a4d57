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
inline const Schema counterfactual_blocks_schema{"whence.counterfactual_blocks", 2};

/// What retraining found for n removal sets.
struct RetrainedValues {
  std::vector<std::string> metrics;
  std::vector<std::int64_t> epochs_back;
  at::Tensor influence, baseline;   ///< [M, K, n] float64
  at::Tensor distance;              ///< [K] float64
  double weight = 0;                ///< w_j that removed instances kept; 0: none
  std::string classifier = "none";  ///< fingerprint of the one that metrics of images judge by
  std::string file = {};            ///< name of the file that it was read from, without its folder
  std::string settings = {};        ///< of the job that made that: `name = value` lines
};

/// True influence of chosen instances.
///
/// counterfactual.h5 (M metrics, K horizons, n targets): influence [M,K,n], baseline [M,K,n] (V of the
/// no-removal replica it is compared with), distance [K] (largest |theta| difference of no-removal replicas
/// to the recorded end), epochs_back [K], target_id [n], target_position [n]; the same attributes, and weight
/// where it is not 0.
struct CounterfactualTruth : RetrainedValues {
  std::vector<std::int64_t> target_ids, target_positions;
};

void write_counterfactual(const std::string& path, const CounterfactualTruth& truth,
                          const Attributes& attributes);
/// Error when missing, damaged, of another schema version, or made from another run than the trajectory's.
CounterfactualTruth read_counterfactual(const std::string& path, const Trajectory& trajectory);

/// --noise-draws of retrained values: a metric over other draws is another quantity.
std::string noise_draws_of(const RetrainedValues& values);
/// The same of a file's settings.
std::string noise_draws_in(const std::string& settings);

/// A file's name and the fingerprint of the classifier that it judges images by.
struct JudgedBy {
  std::string file, classifier;
};
/// Error where a metric looks at images and the two differ.
void check_one_classifier(const std::string& metric, const JudgedBy& one, const JudgedBy& other);

/// One estimate beside its truth.
struct Pair {
  std::string metric;
  std::int64_t epochs_back;
  double kink_width;
  std::vector<double> truth, estimate;  ///< by target; both of the weight that the truth took away
};

/// All (metric, horizon, kink width) that both files hold, over the truth's targets. Error when they judge
/// images by different classifiers.
std::vector<Pair> paired(const InfluenceEstimates& estimates, const CounterfactualTruth& truth);

/// Two truths of the same targets, of different weights, beside each other: how far influence is linear in
/// w_j, and so the best that any linear estimate can reach. Each as if the whole instance had gone.
std::vector<Pair> paired(const CounterfactualTruth& one, const CounterfactualTruth& other);

/// The arrays that files of retraining have in common.
extern const ArrayRules retrained_arrays;
void put_values(const H5File& file, const RetrainedValues& values);
/// From a file that was checked.
RetrainedValues values_in(const H5File& file);
/// `attributes` with the weight, where it is not 0.
Attributes with_weight(Attributes attributes, double weight);

}  // namespace whence
