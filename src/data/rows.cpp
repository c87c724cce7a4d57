#include "whence/data/rows.h"

#include <numeric>

#include "whence/core/error.h"
#include "whence/core/random.h"

namespace whence {

RowChoice choose_rows(std::int64_t rows, const std::string& path, const DataOptions& options) {
  const bool every = options.instances == every_instance;
  const std::string and_test = options.test == 0 ? "" : fmt::format(" and --test {}", options.test);
  // Differences, not sums, which could overflow.
  if (every && (options.held_out >= rows || options.test >= rows - options.held_out))
    refuse("--held-out {}{} leaves none of the {} rows of {} to train on", options.held_out, and_test, rows,
           path);
  if (!every && (options.instances > rows || options.held_out > rows - options.instances ||
                 options.test > rows - options.instances - options.held_out))
    refuse("--instances {} and --held-out {}{} together ask for more than the {} rows of {}",
           options.instances, options.held_out, and_test, rows, path);
  if (every && options.held_out == 0 && options.test == 0) {
    RowChoice all{std::vector<std::int64_t>(rows), {}, {}};
    std::iota(all.train.begin(), all.train.end(), 0);
    return all;
  }
  const std::vector<std::int64_t> order = RandomStream(options.seed, Purpose::split).permutation(rows);
  const auto middle = order.begin() + (every ? rows - options.held_out - options.test : options.instances);
  const auto end = middle + options.held_out;
  return {{order.begin(), middle}, {middle, end}, {end, end + options.test}};
}

RowChoice choose_labelled_rows(std::int64_t rows, const at::Tensor& labels, const std::string& path,
                               const DataOptions& options) {
  if (options.class_filter == every_class) return choose_rows(rows, path, options);
  if (!labels.defined()) refuse("--class-filter: {} has no labels", path);
  std::vector<std::int64_t> candidates;
  const auto* label = labels.data_ptr<std::int64_t>();
  for (std::int64_t row = 0; row < rows; ++row)
    if (label[row] == options.class_filter) candidates.push_back(row);
  if (candidates.empty()) refuse("--class-filter: no row of {} has the label {}", path, options.class_filter);
  RowChoice chosen = choose_rows(static_cast<std::int64_t>(candidates.size()), path, options);
  for (auto* list : {&chosen.train, &chosen.held_out, &chosen.test})
    for (std::int64_t& row : *list) row = candidates[row];
  return chosen;
}

std::int64_t classes_of(const at::Tensor& labels, const DataOptions& options) {
  if (!labels.defined()) return 0;
  if (options.class_filter != every_class) return options.class_filter + 1;
  return labels.max().item<std::int64_t>() + 1;
}

}  // namespace whence
