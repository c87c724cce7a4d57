#pragma once
// Groups of instances that are removed together, and groups.h5: what their removal does.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/data/dataset.h"
#include "whence/retrain/truth.h"

namespace whence {

inline const Schema groups_schema{"whence.groups", 1};

/// Groups as positions in the training set, and the fraction of it that each was drawn as (of groups that
/// were listed: that they are).
struct Groups {
  std::vector<std::vector<std::int64_t>> members;
  std::vector<double> fraction;
};

/// `count` random groups for each fraction of the N instances, each round(fraction N) of them. Group g is the
/// beginning of the g-th permutation of a stream of its own, so it depends on the seed and N alone: its
/// larger fractions hold its smaller ones, and asking for more groups or other fractions changes none.
/// UsageError naming
/// --fraction where one is not in (0, 1) or a group would be empty or everything.
Groups random_groups(std::int64_t count, const std::vector<double>& fractions, std::int64_t instances,
                     std::uint64_t seed);

/// Groups from a file, one a line: instance ids with blanks or commas between; `class:LABEL`, all training
/// instances of it; or `planted`, the foreign ones. Blank lines are passed over. UsageError naming --groups,
/// file and line for anything else, an unknown or repeated id, a group that is empty or everything.
Groups groups_in_file(const std::string& path, const Dataset& data);

/// One line that changes with any member of any group.
std::string groups_fingerprint(const Groups& groups, const std::vector<std::int64_t>& ids);

/// True influence of removing each group.
///
/// groups.h5 (M metrics, K horizons, n groups, L members of all): influence, baseline, distance and
/// epochs_back as in counterfactual.h5; fraction [n]; member_end [n] (how many members groups 0 .. g have
/// together), member_position [L], member_id [L]; the same attributes, and weight where it is not 0.
struct GroupTruth : RetrainedValues {
  Groups groups;
};

void write_groups(const std::string& path, const GroupTruth& truth, const std::vector<std::int64_t>& ids,
                  const Attributes& attributes);
/// Error when missing, damaged, of another schema version, or made from another run than the trajectory's.
GroupTruth read_groups(const std::string& path, const Trajectory& trajectory);

}  // namespace whence
