#pragma once
// How a run went: numbers and generated samples at some of its steps, kept beside the trajectory. They are
// functions of theta alone, so that a run that was killed and went on ends with the same bytes.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/io/artifact.h"
#include "whence/train/trajectory/reader.h"

namespace whence {

inline const Schema history_schema{"whence.history", 1};

/// What is kept of a run besides its steps.
struct HistoryPlan {
  std::vector<std::string> columns;  ///< names of the numbers, e.g. "loss.generator"
  std::int64_t steps_per_epoch;
  std::int64_t samples = 0;              ///< G, generated at each moment; 0: none
  std::vector<std::int64_t> shape = {};  ///< of a sample
};

/// The numbers of one step.
struct HistoryRow {
  std::int64_t step;
  std::vector<double> values;  ///< NaN and infinity are kept as such
};

/// Writes FOLDER/history.csv row by row (step, epoch, the columns) and FOLDER/history.h5 at the end. By one
/// rank. What was added outlives the process; it outlives the machine once sync() returns, which has to be
/// before the trajectory commits the steps up to there.
///
/// history.h5 (R rows, C columns, S moments, G samples of d numbers): step [R], value [R,C] float64; where
/// the game generates images, sample_step [S], sample [S,G,d] float32 and shape. Attributes columns (names,
/// comma between), steps_per_epoch, end (CRC-32 of the state at the end of the run, which ties it to its
/// trajectory), and those of the trajectory.
class History {
 public:
  /// UsageError naming --watch when the folder holds an unfinished run whose rows have other columns.
  static void check(const std::string& folder, const HistoryPlan& plan);
  /// Begins at step `first`: rows of earlier steps are those that the folder holds, later ones are forgotten.
  /// UsageError naming --watch when they have other columns.
  History(std::string folder, HistoryPlan plan, std::int64_t first);
  History(const History&) = delete;
  History& operator=(const History&) = delete;
  ~History();

  const HistoryPlan& plan() const { return plan_; }
  const std::vector<HistoryRow>& rows() const { return rows_; }
  /// Steps that an earlier start watched no more are missing: whether there are any rows before `first`.
  bool lacks_beginning() const { return lacks_beginning_; }

  void add(HistoryRow row);
  /// Samples [G, d] of step t.
  void add_samples(std::int64_t t, const at::Tensor& samples);
  void sync() const;
  /// Writes history.h5 of a run that ends with `state`.
  void finish(const at::Tensor& state, Attributes attributes);

 private:
  std::string csv_line(const HistoryRow& row) const;
  void read_rows(std::int64_t first);
  void read_samples(std::int64_t first);
  void append(int descriptor, const std::string& bytes, const std::string& path) const;

  std::string folder_;
  HistoryPlan plan_;
  std::vector<HistoryRow> rows_;
  std::vector<std::pair<std::int64_t, at::Tensor>> samples_;
  bool lacks_beginning_ = false;
  int csv_ = -1, part_ = -1;
};

/// Checks all of a history.h5; Error naming the file when it is damaged or of another run than the
/// trajectory's.
void verify_history(const std::string& path, const Trajectory& trajectory);

/// Up to `count` different steps evenly spread from 0 to `steps`, both among them.
std::vector<std::int64_t> moments_of(std::int64_t steps, std::int64_t count);

/// What a training looks like that went wrong, as one sentence that names the player, from the losses of its
/// first step and those of `now` ([players] each, in the order of the names): a loss that is not finite, or
/// over 100 times as large as at first; "" where nothing speaks for it.
std::string divergence_in_words(const std::vector<std::string>& players, const std::vector<double>& at_first,
                                const std::vector<double>& now);

}  // namespace whence
