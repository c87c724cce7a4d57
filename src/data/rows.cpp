#include "whence/data/rows.h"

#include <numeric>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/core/text.h"
#include "whence/data/ids.h"

namespace whence {
namespace {

bool lists_training(const DataOptions& options) {
  return !options.train_ids.empty() || !options.train_rows.empty();
}

RowChoice choose_others(std::int64_t rows, const std::string& path, const DataOptions& options) {
  const std::string option = options.train_ids.empty() ? "train-rows" : "train-ids";
  std::vector<std::int64_t> train =
      options.train_ids.empty() ? listed_rows(options.train_rows) : ids_in_file(option, options.train_ids);
  const auto count = static_cast<std::int64_t>(train.size());
  if (options.instances != every_instance && options.instances != count)
    refuse("--instances is {}, but --{} lists {}; give --instances {}", options.instances, option, count,
           count);
  std::vector<bool> trains(rows, false);
  for (const std::int64_t row : train) {
    if (row < 0 || row >= rows)
      refuse("--{}: {} has {} rows, and none of the number {}", option, path, rows, row);
    trains[row] = true;
  }
  if (options.held_out > rows - count || options.test > rows - count - options.held_out)
    refuse("--held-out {} and --test {} together ask for more than the {} rows of {} that do not train",
           options.held_out, options.test, rows - count, path);
  std::vector<std::int64_t> others;
  for (const std::int64_t row : RandomStream(options.seed, Purpose::split).permutation(rows))
    if (!trains[row]) others.push_back(row);
  const auto middle = others.begin() + options.held_out;
  return {std::move(train), {others.begin(), middle}, {middle, middle + options.test}};
}

}  // namespace

std::vector<std::int64_t> listed_rows(const std::string& train_rows) {
  const std::size_t colon = train_rows.find(':');
  const auto first = whole_number(train_rows.substr(0, colon));
  const auto end = whole_number(colon == std::string::npos ? "" : train_rows.substr(colon + 1));
  constexpr std::int64_t most = std::int64_t{1} << 40;
  if (!first || !end || *first < 0 || *end <= *first || *end > most)
    refuse("--train-rows: '{}' is not FIRST:END, as 0:5000", visible(train_rows));
  std::vector<std::int64_t> rows(*end - *first);
  std::iota(rows.begin(), rows.end(), *first);
  return rows;
}

RowChoice choose_rows(std::int64_t rows, const std::string& path, const DataOptions& options) {
  if (lists_training(options)) return choose_others(rows, path, options);
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
  if (lists_training(options))
    refuse("--class-filter: --train-ids and --train-rows say which instances train");
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
