#pragma once
// What `whence counterfactual` removes: single targets, or groups.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/retrain/groups.h"
#include "whence/train/run.h"

#include "job.h"

namespace whence {

/// Removal sets as positions in the training set, and what they are.
struct Removals {
  bool grouped = false;
  Groups groups;  ///< where grouped
  std::vector<std::vector<std::int64_t>> sets;
  double weight = 0;                              ///< w_j that the removed keep
  std::string file;                               ///< counterfactual.h5, groups.h5, ...-NAME.h5
  std::pair<std::string, std::string> attribute;  ///< which sets they are, as an attribute of the file

  const Schema& schema() const { return grouped ? groups_schema : counterfactual_schema; }
};

/// Adds --targets, --groups, --fraction, --weight and --name.
OptionTable& add_removal_options(OptionTable& table);

/// The choice of these options; UsageError naming the option. `values` has metrics and horizons.
Removals choose_removals(const Options& options, const Run& run, const RetrainedValues& values);

/// Writes what retraining found, as the kind of file that these removals make.
void write_truth(const std::string& path, const Removals& removals, const RetrainedValues& values,
                 const Run& run, const Attributes& attributes);

}  // namespace whence
