#pragma once
// Data cleansing: the last epochs again without the n_h most harmful instances of several selections, judged
// by metrics on test instances (Terashita et al., section 5.2).

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/artifact.h"
#include "whence/retrain/counterfactual.h"
#include "whence/train/run.h"

namespace whence {

inline const Schema cleansing_schema{"whence.cleansing", 1};
inline const Schema cleansing_blocks_schema{"whence.cleansing_blocks", 2};

/// What was removed, and what became of the test metrics.
///
/// cleansing.h5 (S selections, H numbers of removed instances, M metrics, N instances, G samples of width d,
/// E extremes): remove [H], value [S,H,M] and baseline [M] (of the model cleansed, and taken again without
/// removal), harm [S,N] (larger: removed earlier), instance_id [N], shape (of an instance); the pictures of a
/// report: generated [S,H,G,d] and generated_before [G,d] from the same test latents, extreme_instance
/// [S,2,E,d] and extreme_position [S,2,E] (most harmful, most helpful), instances [N,d] where d <= 3; all
/// pictures float32. Attributes selections and metrics (names, comma between), larger_is_better (yes or no
/// for each metric), and those that tie it to its run.
struct Cleansing {
  std::vector<std::string> selections, metrics;
  std::vector<bool> larger_is_better;
  std::vector<std::int64_t> remove, instance_ids, shape;
  at::Tensor value, baseline, harm;        ///< float64
  at::Tensor generated, generated_before;  ///< undefined for games without a generator
  at::Tensor extreme_instance, extreme_position;
  at::Tensor instances;  ///< undefined where d > 3
};

/// The removal sets of all selections and numbers, in that order: the first `remove` positions of each order.
std::vector<std::vector<std::int64_t>> removal_sets(const std::vector<std::vector<std::int64_t>>& orders,
                                                    const std::vector<std::int64_t>& remove);

/// A finished block of removal sets of `game`, judged, as a row of a BlockStore: baseline [M], samples of the
/// model without removal [G d], then for each set its metrics [M] and samples [G d].
at::Tensor cleansed_row(const Retraining& block, const Game& game,
                        const std::vector<std::shared_ptr<const Metric>>& metrics,
                        const at::Tensor& sample_latents, std::int64_t width);

/// Numbers in such a row for blocks of at most `replicas` sets.
std::int64_t cleansed_row_width(std::int64_t replicas, std::int64_t metrics, std::int64_t sample_numbers);

/// How many generated samples of each model to keep, from --samples: a number of at most the run's test
/// latents, or "auto": 10,000 of up to 3 numbers each, else 64. 0 for games without a generator. UsageError
/// naming --samples.
std::int64_t samples_to_keep(const std::string& text, const RunParts& parts);

/// Fills value, baseline and the generated samples (`samples` of them, each `width` numbers) from all blocks'
/// rows; selections, metrics and remove are set.
void assemble(Cleansing& cleansing, const std::vector<CounterfactualBlock>& blocks, const at::Tensor& rows,
              std::int64_t samples, std::int64_t width);

/// Fills harm and the pictures of instances from each selection's harm [N] and order.
void describe_instances(Cleansing& cleansing, const std::vector<at::Tensor>& harm,
                        const std::vector<std::vector<std::int64_t>>& orders, const Dataset& data);

void write_cleansing(const std::string& path, const Cleansing& cleansing, const Attributes& attributes);

/// Error in one sentence when the file is missing, damaged or belongs to another run than the trajectory's.
/// Checks all of it, and leaves out the pictures.
Cleansing read_cleansing(const std::string& path, const Trajectory& trajectory);

}  // namespace whence
