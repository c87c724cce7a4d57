#pragma once
// Instances a model is trained on, or judged against, with ids that mean the same in every job.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace whence {

/// N instances of one source.
struct Dataset {
  /// [N, d], float32 or float64 on the CPU: row j is instance j.
  at::Tensor instances;
  /// [N] int64 class labels, or undefined where the source has none.
  at::Tensor labels;
  /// [N]: the instance's number in its source (row of an IDX file), so that a choice of rows keeps its names.
  std::vector<std::int64_t> ids;
  /// Shape of one instance, e.g. {28, 28} for an image; its product is d.
  std::vector<std::int64_t> shape;

  std::int64_t size() const { return instances.size(0); }
  std::int64_t width() const { return instances.size(1); }
};

/// What a run sees of its data source, three sets without a common instance: to train on; to judge by when
/// influence is estimated; to test what was decided by those estimates (Terashita et al., figures 5 to 7).
struct DataSplit {
  Dataset train;
  Dataset held_out;
  Dataset test = {};  ///< without `instances` where none are asked for
};

/// In DataOptions::instances: all that the source has and that are not held out.
inline constexpr std::int64_t every_instance = -1;

/// Which data a run uses.
struct DataOptions {
  std::string source;      ///< normal2d, six-clusters, mnist:DIR, idx:IMAGES[,LABELS], csv:FILE[,COLUMN]
  std::int64_t instances;  ///< N, how many to train on, or every_instance
  std::int64_t held_out;   ///< N', how many to judge by; may be 0
  std::uint64_t seed;      ///< of the drawn points, or of the choice of rows
  at::ScalarType dtype;    ///< float32 or float64
  std::int64_t test = 0;   ///< N_test, how many to test by; may be 0
  bool swapped = false;    ///< train on the held-out set, and hold out the training set
};

/// Loads or draws the data (sources.h says what each source gives). Files: a seeded random permutation of the
/// rows gives the training instances first, then the held-out ones, then those to test by (rows.h); pixels
/// are scaled to [-1, 1]. Throws UsageError for an unknown source, no training instance, a negative number of
/// held-out or test ones or more rows than it has, Error for a file that cannot be read or is not what it
/// claims to be.
DataSplit load_data(const DataOptions& options);

/// One line that identifies the data, e.g. "normal2d N=10000 N'=1000 dtype=float64 crc32=1a2b3c4d": kind of
/// source (not its place: moved files keep their fingerprint), sizes, and the CRC-32 of the training ids
/// (int64), the training instances and the held-out instances, as they lie in memory; then those of the test
/// instances, where there are any ("... test=500 crc32=..."). Labels are not part of it.
std::string fingerprint(const DataOptions& options, const DataSplit& data);

}  // namespace whence
