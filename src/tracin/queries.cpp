#include "whence/tracin/queries.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/random.h"
#include "whence/io/checksum.h"
#include "whence/retrain/targets.h"

namespace whence {
namespace {

std::int64_t count_of(const std::string& text, std::int64_t available, const std::string& what) {
  const auto list = integer_list("queries", text);
  if (list.size() != 1) refuse("--queries: '{}' is not one number", text);
  if (list.front() > available)
    refuse("--queries: {} are more than the {} {} instances", list.front(), available, what);
  return list.front();
}

TracinQueries training(const Dataset& data, std::vector<std::int64_t> positions) {
  TracinQueries queries;
  const at::Tensor rows = at::tensor(positions, at::kLong);
  queries.points = data.instances.gather(rows);
  if (data.labels.defined()) queries.labels = at::index_select(data.labels, 0, rows);
  for (const std::int64_t position : positions) queries.ids.push_back(data.ids[position]);
  queries.positions = std::move(positions);
  return queries;
}

TracinQueries held_out(const Dataset& data, std::int64_t count) {
  TracinQueries queries;
  queries.held_out = true;
  queries.points = data.instances.rows(0, count);
  if (data.labels.defined()) queries.labels = data.labels.narrow(0, 0, count);
  queries.ids.assign(data.ids.begin(), data.ids.begin() + count);
  queries.positions.assign(count, -1);
  return queries;
}

// Another source, read by the run's options but for those that choose among its own instances.
TracinQueries from_source(const std::string& place, const DataSplit& data, const DataOptions& of_run) {
  const std::string kind = place.substr(0, place.find(':'));
  const bool named = kind == "hdf5" || kind == "npy" || kind == "idx" || kind == "cifar10" || kind == "csv";
  const Dataset read = load_data(all_of(named ? place : "hdf5:" + place, of_run)).train;
  if (read.shape != data.train.shape && read.width() != data.train.width())
    refuse("--queries: {} has instances of the shape [{}], but the run's have [{}]", place,
           fmt::join(read.shape, ", "), fmt::join(data.train.shape, ", "));
  TracinQueries queries;
  queries.points = read.instances.all();
  queries.labels = read.labels;
  queries.ids = read.ids;
  queries.positions.assign(read.ids.size(), -1);
  return queries;
}

TracinQueries sum_of(TracinQueries members) {
  TracinQueries queries;
  queries.ids = {0};
  queries.positions = {-1};
  queries.sum_of = std::make_shared<const TracinQueries>(std::move(members));
  return queries;
}

TracinQueries mixtures(const Dataset& data, std::uint64_t seed) {
  if (!data.labels.defined()) refuse("--queries: mixtures need labels, which the data have not got");
  std::map<std::int64_t, std::vector<std::int64_t>> classes;
  const auto* label = data.labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < data.size(); ++i)
    if (label[i] >= 0) classes[label[i]].push_back(i);
  if (classes.size() < 2) refuse("--queries: mixtures need instances of two labels or more");

  const RandomStream stream(seed, Purpose::mixtures);
  std::uint64_t draw = 0;
  const auto any = [&](const std::vector<std::int64_t>& positions) {
    return positions[static_cast<std::size_t>(stream.uniform(draw++) *
                                              static_cast<double>(positions.size()))];
  };
  TracinQueries queries;
  std::vector<at::Tensor> points;
  for (const auto& [major_label, of_major] : classes)
    for (const auto& [minor_label, of_minor] : classes) {
      if (major_label == minor_label) continue;
      queries.major.push_back(any(of_major));
      queries.minor.push_back(any(of_minor));
      points.push_back(data.instances.rows(queries.major.back(), 1)[0] * major_share +
                       data.instances.rows(queries.minor.back(), 1)[0] * (1 - major_share));
      queries.ids.push_back(static_cast<std::int64_t>(queries.ids.size()));
    }
  queries.points = at::stack(points);
  queries.positions.assign(queries.ids.size(), -1);
  return queries;
}

}  // namespace

TracinQueries choose_tracin_queries(const std::string& text, const DataSplit& data,
                                    const DataOptions& options) {
  if (text.rfind("sum:", 0) == 0 && text != "sum:self" && text.rfind("sum:sum:", 0) != 0)
    return sum_of(choose_tracin_queries(text.substr(4), data, options));
  if (text == "self") {
    TracinQueries queries;
    queries.self = true;
    return queries;
  }
  if (text == "mixtures") return mixtures(data.train, options.seed);
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon),
                    rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (rest.empty() || (kind != "test" && kind != "train" && kind != "ids" && kind != "file"))
    refuse(
        "--queries: '{}' is not self, test:NUMBER, train:NUMBER, ids:FILE, file:SOURCE, metric:NAME,NAME or "
        "mixtures, or one of them after sum:",
        text);
  if (kind == "file") return from_source(rest, data, options);
  if (kind == "test") return held_out(data.held_out, count_of(rest, data.held_out.size(), "held-out"));
  if (kind == "ids") return training(data.train, positions_in_file("queries", rest, data.train));
  std::vector<std::int64_t> first(count_of(rest, data.train.size(), "training"));
  std::iota(first.begin(), first.end(), 0);
  return training(data.train, std::move(first));
}

TracinQueries metric_queries(std::vector<std::shared_ptr<const Metric>> metrics) {
  TracinQueries queries;
  queries.metrics = std::move(metrics);
  queries.ids.resize(queries.metrics.size());
  std::iota(queries.ids.begin(), queries.ids.end(), 0);
  queries.positions.assign(queries.ids.size(), -1);
  return queries;
}

std::string fingerprint(const TracinQueries& queries) {
  if (queries.self) return "self";
  if (queries.sum_of) return "the sum of " + fingerprint(*queries.sum_of);
  if (!queries.metrics.empty()) {
    std::string names;
    for (const auto& metric : queries.metrics) names += (names.empty() ? "" : ", ") + metric->name();
    return "metrics " + names;
  }
  return fmt::format("{} queries, crc32 {:08x}", queries.size(), crc32_of(queries.points.contiguous()));
}

}  // namespace whence
