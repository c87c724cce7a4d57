#pragma once
// Instances a model is trained on, or judged against, with ids that mean the same in every job.

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/core/pixel_range.h"
#include "whence/data/data_access.h"
#include "whence/data/instances.h"

namespace whence {

/// N instances of one source.
struct Dataset {
  Instances instances;
  /// [N] int64 class labels, or undefined where the source has none.
  at::Tensor labels;
  /// [N]: the instance's number in its source (row of an IDX file), so that a choice of rows keeps its names.
  std::vector<std::int64_t> ids;
  /// Shape of one instance, e.g. {28, 28} for an image, {3, 64, 64} for a coloured one; its product is d.
  std::vector<std::int64_t> shape;
  /// How many instances, the last ones, are foreign (DataOptions::plant). Their label is -1.
  std::int64_t planted = 0;

  std::int64_t size() const { return instances.size(); }
  std::int64_t width() const { return instances.width(); }
};

/// What a run sees of its data source, three sets without a common instance: to train on; to judge by when
/// influence is estimated; to test what was decided by those estimates (Terashita et al., figures 5 to 7).
struct DataSplit {
  Dataset train;
  Dataset held_out;
  Dataset test = {};  ///< without `instances` where none are asked for
  /// Labels are 0 .. classes - 1: those of all rows that could have been chosen, so that a label which only
  /// some seeds train on is one for all of them; 0 where there are no labels.
  std::int64_t classes = 0;
  /// What was read, where a file leaves that to be found out, e.g. "a.csv: 4 points of 2 numbers, without a
  /// header"; else "".
  std::string note = {};
};

/// In DataOptions::instances: all that the source has and that are not held out.
inline constexpr std::int64_t every_instance = -1;

/// In DataOptions::class_filter: instances of any label.
inline constexpr std::int64_t every_class = -1;

/// How instances lie in their file: as they are wanted; as images with rows and columns exchanged (EMNIST);
/// as images with their channels last, [h, w, c], which become [c, h, w].
enum class Orientation { as_is, transpose, channels_first };

/// Which data a run uses.
struct DataOptions {
  /// One of source_forms().
  std::string source;
  std::int64_t instances;  ///< N, how many to train on, or every_instance
  std::int64_t held_out;   ///< N', how many to judge by; may be 0
  std::uint64_t seed;      ///< of the drawn points, or of the choice of rows
  at::ScalarType dtype;    ///< float32 or float64
  PixelRange pixels = PixelRange::minus_one_to_one;
  std::int64_t class_filter = every_class;  ///< only instances with this label
  std::int64_t image_size = 0;              ///< side in pixels that images are resized to; 0: as they are
  /// SOURCE:NUMBER with a source of files, foreign instances that also train; may be empty.
  std::string plant = {};
  std::string without = {};  ///< file of instance ids, one a line, that do not train; may be empty
  std::int64_t test = 0;     ///< N_test, how many to test by; may be 0
  bool swapped = false;      ///< train on the held-out set, and hold out the training set
  /// Which rows of the source train, where the seed does not choose: a file of ids, one a line, or FIRST:END;
  /// may be empty, and one of them is. Held-out and test instances come from the others.
  std::string train_ids = {}, train_rows = {};
  bool round_resized = false;                          ///< resizing keeps whole bytes, as Pillow does
  Orientation orientation = Orientation::as_is;        ///< of the source's instances
  Orientation plant_orientation = Orientation::as_is;  ///< of the planted ones
  DataAccess access = {};                              ///< no part of which data they are
};

/// What --data takes: "normal2d, ... or csv:FILE[,COLUMN]".
std::string source_forms();

/// All that another source has, in its order, as a run with these options would see it: the same dtype, range
/// of pixels, size and turn of images; what chooses among the run's own instances (rows, labels, counts,
/// planted and removed ones) does not concern it.
DataOptions all_of(const std::string& source, const DataOptions& of_run);

/// NUMBER of DataOptions::plant, 0 where it is empty; UsageError naming --plant when it is not of that form.
std::int64_t planted_count(const std::string& plant);

/// Foreign instances are numbered from here on: id = first_planted_id + row in their file.
inline constexpr std::int64_t first_planted_id = 1'000'000'000;

/// Loads or draws the data (sources.h says what each source gives). Instances of files that would take more
/// than options.access.memory as numbers stay in their files (file_rows.h), all others are held. Files: a
/// seeded random permutation of the rows gives the training instances first, then the held-out ones, then
/// those to test by (rows.h); pixels that are bytes are scaled to options.pixels, images turned by
/// options.orientation, then resized to options.image_size (resize_bilinear). Planted instances, a random
/// choice by the seed, follow the training instances, shaped as these are but turned by
/// options.plant_orientation; those listed in options.without are then taken out. Throws UsageError for an
/// unknown source, no training instance, a negative number of held-out or test ones or more rows than it has,
/// Error for a file that cannot be read or is not what it claims to be.
DataSplit load_data(const DataOptions& options);

/// What was read, e.g. "data: 40 instances to train on and 10 held out, each [28, 28], numbers from -1 to 1,
/// 10 different labels from 0 to 9".
std::string in_words(const DataSplit& data);

/// One line that identifies the data, e.g. "normal2d N=10000 N'=1000 dtype=float64 crc32=1a2b3c4d": kind of
/// source (not its place: moved files keep their fingerprint), sizes, and the CRC-32 of the training ids
/// (int64), the training instances and the held-out instances, as they lie in memory; then those of the test
/// instances, where there are any ("... test=500 crc32=..."); then, where there are labels, the CRC-32 of
/// those of all three ("... labels=..."). Compare two with same_data() (core/settings_text.h).
std::string fingerprint(const DataOptions& options, const DataSplit& data);

}  // namespace whence
