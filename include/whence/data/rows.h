#pragma once
// Which rows of a file a run uses: one rule for all file formats.

#include <cstdint>
#include <string>
#include <vector>

#include "whence/data/dataset.h"

namespace whence {

/// Row numbers, in the order in which the instances stand.
struct RowChoice {
  std::vector<std::int64_t> train, held_out, test;
};

/// The rows in the order of the permutation that the seed draws of all `rows`: the first options.instances of
/// them train (with every_instance all that are left), the next options.held_out are held out, the next
/// options.test are for testing. So a smaller options.instances gives a prefix of a larger one, but other
/// held-out rows. Where every row trains there is nothing to choose, and they keep the order of the file.
/// Where options.train_ids or options.train_rows list what trains, those do, in that order, and of the others
/// in the order of the permutation come the held-out rows and those for testing; UsageError naming the option
/// where a row does not exist, or options.instances is another number. Throws UsageError, naming `path`,
/// where more rows are asked for than there are, or none is left to train on.
RowChoice choose_rows(std::int64_t rows, const std::string& path, const DataOptions& options);

/// The rows that options.train_rows names; UsageError naming --train-rows where it is not FIRST:END.
std::vector<std::int64_t> listed_rows(const std::string& train_rows);

/// choose_rows among the rows whose label is options.class_filter (`labels`: one a row; undefined: none are
/// known, and only every_class will do). UsageError naming --class-filter where no row has that label.
RowChoice choose_labelled_rows(std::int64_t rows, const at::Tensor& labels, const std::string& path,
                               const DataOptions& options);

/// Labels of the rows that options.class_filter leaves are 0 .. this - 1; 0 without labels.
std::int64_t classes_of(const at::Tensor& labels, const DataOptions& options);

}  // namespace whence
