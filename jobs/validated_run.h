#pragma once
// What `whence validate` reads of one run: agreement with the truth, LDS, and what a second truth says.

#include <string>
#include <vector>

#include "whence/retrain/truth.h"

#include "job.h"
#include "lds.h"
#include "validation_table.h"

namespace whence {

/// Two truths of the same targets, of different weights.
struct Ceiling {
  std::string folder, metric, file;
  std::int64_t epochs_back;
  double weight, tau;  ///< of the other truth; Kendall's
};

/// The truth of another file in place of the estimates that it has, held against this truth.
struct Merged {
  std::string folder, metric, file;
  std::int64_t epochs_back;
  double kink_width;
  std::size_t retrained, targets;   ///< so many of these targets are in the other file
  double estimate_tau;              ///< of the estimates alone
  double tau, pearson, random_tau;  ///< merged; and Kendall's with as many at random, mean of 100 draws
};

/// Of a run without counterfactual.h5 or without groups.h5 the parts that need it are empty.
struct ReadRun {
  ValidatedRun agreement;
  std::vector<LdsValue> lds;
  std::string caution;  ///< what the reader of its table has to know, or ""
  std::vector<Ceiling> ceilings;
  std::vector<Merged> merged;  ///< with --merged
};

/// counterfactual.h5, or counterfactual-NAME.h5 as --truth says.
std::string truth_file(const Options& options);

/// The files of a folder whose names begin so and end in .h5, sorted.
std::vector<std::string> files_like(const std::string& folder, const std::string& front);

/// Reads them; `extremes`: how many values are critical at each end. Error naming the file that is missing or
/// damaged.
ReadRun read_run(const Options& options, const std::string& folder, std::size_t extremes);

/// Which files of a run the table is of, by their content: a replaced one is known by it, whatever its time
/// says.
nlohmann::json made_of(const Options& options, const std::string& folder);

/// Every other counterfactual-NAME.h5 of whole removals of the folder, merged. Error where there is none that
/// shares targets with this truth.
std::vector<Merged> merged_with(const std::string& folder, const std::string& truth_path,
                                const CounterfactualTruth& truth, const std::vector<Pair>& pairs,
                                const Trajectory& trajectory);
nlohmann::json merged_as_json(const std::vector<ReadRun>& runs);
/// "" where there are none.
std::string merged_table(const nlohmann::json& merged);

nlohmann::json ceilings_as_json(const std::vector<ReadRun>& runs);
/// In sentences; "" where there are none.
std::string ceilings_table(const nlohmann::json& ceilings);

}  // namespace whence
