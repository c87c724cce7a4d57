#include "whence/tracin/score_files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <unordered_map>

#include <ATen/core/Tensor.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/text.h"
#include "whence/data/csv_cells.h"
#include "whence/io/foreign_array.h"
#include "whence/trace/estimates.h"
#include "whence/tracin/file.h"
#include "whence/train/result_file.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using Ids = std::vector<std::int64_t>;

std::vector<double> reals(const at::Tensor& values) {
  const at::Tensor flat = values.to(at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

std::vector<Scores> influence_scores(const std::string& path, const Trajectory& trajectory) {
  const InfluenceEstimates estimates = read_influence(path, trajectory);
  std::vector<Scores> all;
  for (std::size_t h = 0; h < estimates.kink_widths.size(); ++h) {
    Scores one{fmt::format("influence, kink {:g}", estimates.kink_widths[h]), {}};
    for (std::size_t m = 0; m < estimates.metrics.size(); ++m)
      for (std::size_t k = 0; k < estimates.epochs_back.size(); ++k)
        one.by_metric[{estimates.metrics[m], estimates.epochs_back[k]}] = reals(estimates.influence[h][m][k]);
    all.push_back(one);
  }
  return all;
}

// The value of --queries in a file's settings.
std::string queries_of(const H5File& file) {
  std::istringstream lines(file.attribute("settings"));
  const std::string front = "queries = ";
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(front, 0) == 0) return line.substr(front.size());
  return "";
}

Scores tracin_scores(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_result(path, tracin_schema, trajectory);
  const std::string queries = queries_of(file);
  Scores found{fs::path(path).stem().string(), {}};
  const bool of_tests = queries.rfind("test:", 0) == 0, of_metrics = queries.rfind("metric:", 0) == 0;
  if ((!of_tests && !of_metrics) || !file.has("score")) return found;
  const at::Tensor scores = file.verified("score");
  std::vector<std::string> names;
  if (of_metrics) names = split_list("queries", queries.substr(7));
  for (std::int64_t q = 0; q < scores.size(0); ++q) {
    if (of_metrics && q >= static_cast<std::int64_t>(names.size())) break;
    found.by_metric[{of_metrics ? names[q] : fmt::format("loss:{}", q), 0}] = reals(scores[q]);
  }
  return found;
}

// Rows of a foreign file in the order of the training set.
class RowsById {
 public:
  RowsById(const std::string& path, const Ids& training, const Ids& named) : order_(training.size()) {
    std::unordered_map<std::int64_t, std::int64_t> row;
    for (std::size_t i = 0; i < named.size(); ++i)
      if (!row.emplace(named[i], i).second) fail("{}: the id {} is there twice", path, named[i]);
    for (std::size_t i = 0; i < training.size(); ++i) {
      const auto found = row.find(training[i]);
      if (found == row.end()) fail("{}: has no score of the training instance {}", path, training[i]);
      order_[i] = found->second;
    }
  }
  std::vector<double> operator()(const std::vector<double>& values) const {
    std::vector<double> ordered;
    for (const std::int64_t row : order_) ordered.push_back(values[row]);
    return ordered;
  }

 private:
  Ids order_;
};

// The cells of a line that ends in \n or \r\n; none where a quote is not closed.
std::vector<std::string> cells_in(std::string_view line) {
  return cells_of(take_line(line), ',').value_or(std::vector<std::string>{""});
}

Scores csv_scores(const std::string& path, const Ids& training) {
  std::ifstream in(path);
  std::string line;
  if (!in || !std::getline(in, line)) fail("{}: cannot be read as a table of scores", path);
  const std::vector<std::string> names = cells_in(line);
  if (names.size() < 2 || names[0] != "id")
    fail("{}: its first line is to be id,METRIC,..., and it begins with '{}'", path, visible(names[0], 40));
  Ids ids;
  std::vector<std::vector<double>> columns(names.size() - 1);
  for (std::int64_t number = 2; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \r") == std::string::npos) continue;
    const std::vector<std::string> cells = cells_in(line);
    const auto id = whole_number(cells[0]);
    bool right = cells.size() == names.size() && id.has_value();
    for (std::size_t c = 1; right && c < cells.size(); ++c) {
      const auto value = real_number(cells[c]);
      right = value && std::isfinite(*value);
      if (right) columns[c - 1].push_back(*value);
    }
    if (!right) fail("{}: line {} is not an id and {} finite numbers", path, number, names.size() - 1);
    ids.push_back(*id);
  }
  const RowsById ordered(path, training, ids);
  Scores found{path, {}};
  for (std::size_t c = 0; c < columns.size(); ++c) found.by_metric[{names[c + 1], 0}] = ordered(columns[c]);
  return found;
}

std::vector<double> finite_row(const std::string& path, const std::string& name, const at::Tensor& row) {
  std::vector<double> values = reals(row);
  if (!std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); }))
    fail("{}: {} holds numbers that are not finite", path, name);
  return values;
}

// [N] arrays by the names of metrics, or score [Q, N] of loss:0, loss:1, ...; in the order of instance_id [N]
// or id [N], else of the training set.
Scores hdf5_scores(const std::string& path, const Ids& training) {
  const auto instances = static_cast<std::int64_t>(training.size());
  Ids ids = training;
  for (const char* name : {"id", "instance_id"})
    if (has_array(path, name)) {
      const ForeignArray array(path, name);
      if (array.numbers() == ForeignArray::Numbers::reals || array.width() != 1)
        fail("{}: {} is no list of ids", path, name);
      const at::Tensor values = array.read(0, array.rows()).to(at::kLong).contiguous();
      ids.assign(values.data_ptr<std::int64_t>(), values.data_ptr<std::int64_t>() + values.numel());
    }
  const RowsById ordered(path, training, ids);
  Scores found{path, {}};
  const auto rows = static_cast<std::int64_t>(ids.size());
  for (const std::string& name : arrays_in(path)) {
    const ForeignArray array(path, name);
    if (array.numbers() != ForeignArray::Numbers::reals) continue;
    const at::Tensor values = array.read(0, array.rows());
    if (name == "score" && array.width() == rows && array.shape().size() == 2)
      for (std::int64_t q = 0; q < array.rows(); ++q)
        found.by_metric[{fmt::format("loss:{}", q), 0}] = ordered(finite_row(path, name, values[q]));
    else if (array.width() == 1 && array.rows() == rows)
      found.by_metric[{name, 0}] = ordered(finite_row(path, name, values.view({-1})));
  }
  if (found.by_metric.empty())
    fail("{}: holds no scores: arrays [{}] by the names of metrics, or score [queries, {}]", path, rows,
         instances);
  return found;
}

}  // namespace

std::vector<Scores> scores_of(const std::string& folder, const std::vector<std::string>& files,
                              const Trajectory& trajectory) {
  std::vector<Scores> all;
  if (fs::exists(folder + "/influence.h5")) all = influence_scores(folder + "/influence.h5", trajectory);
  std::vector<std::string> own;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().rfind("tracin", 0) == 0 && entry.path().extension() == ".h5")
      own.push_back(entry.path().string());
  std::sort(own.begin(), own.end());
  for (const std::string& path : own) all.push_back(tracin_scores(path, trajectory));
  for (const std::string& path : files) {
    if (!fs::is_regular_file(path)) refuse("--scores: {}: there is no such file", path);
    const std::string end = fs::path(path).extension().string();
    all.push_back(end == ".h5" || end == ".hdf5" ? hdf5_scores(path, trajectory.instance_ids())
                                                 : csv_scores(path, trajectory.instance_ids()));
  }
  return all;
}

}  // namespace whence
