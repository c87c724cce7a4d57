#include "whence/train/history.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/text.h"
#include "whence/io/checksum.h"
#include "whence/train/result_file.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

const ArrayRules history_arrays{{"step", {at::kLong}, {"R"}, Numbers::ascending},
                                {"value", {at::kDouble}, {"R", "C"}},
                                {"sample_step", {at::kLong}, {"S"}, Numbers::ascending, "", 0, false},
                                {"sample", {at::kFloat}, {"S", "G", "d"}, Numbers::any, "", 0, false},
                                {"shape", {at::kLong}, {"n"}, Numbers::positive, "", 0, false}};

std::string crc_of_state(const at::Tensor& state) {
  return fmt::format("{:08x}", crc32_of(state.cpu().contiguous()));
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields{""};
  for (const char c : line) {
    if (c == ',')
      fields.emplace_back();
    else
      fields.back() += c;
  }
  return fields;
}

std::int64_t product(const std::vector<std::int64_t>& shape) {
  std::int64_t numbers = 1;
  for (const std::int64_t size : shape) numbers *= size;
  return numbers;
}

std::string header_of(const HistoryPlan& plan) {
  return fmt::format("step,epoch,{}\n", fmt::join(plan.columns, ","));
}

}  // namespace

void History::check(const std::string& folder, const HistoryPlan& plan) {
  const std::string path = folder + "/history.csv";
  if (!fs::exists(path) || !fs::exists(folder + "/trajectory.h5.part")) return;
  const std::string text = read_text(path), names = text.substr(0, text.find('\n')) + "\n";
  if (names != header_of(plan))
    refuse(
        "--watch: {} was begun with other metrics ({}); the same options go on with it, and without that "
        "file "
        "the history begins here",
        path, visible(names.substr(0, names.size() - 1)));
}

History::History(std::string folder, HistoryPlan plan, std::int64_t first)
    : folder_(std::move(folder)), plan_(std::move(plan)) {
  const std::string csv = folder_ + "/history.csv", part = folder_ + "/history.samples.part";
  read_rows(first);
  read_samples(first);
  lacks_beginning_ = first > 0 && (rows_.empty() || rows_.front().step > 0);
  std::string text = header_of(plan_);
  for (const HistoryRow& row : rows_) text += csv_line(row);
  write_text(csv, text);
  csv_ = ::open(csv.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (csv_ < 0) fail("{}: cannot open it ({})", csv, std::strerror(errno));
  if (plan_.samples == 0) return;
  part_ = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
  if (part_ < 0) fail("{}: cannot open it ({})", part, std::strerror(errno));
  for (const auto& [t, samples] : std::exchange(samples_, {})) add_samples(t, samples);
}

History::~History() {
  for (const int descriptor : {csv_, part_})
    if (descriptor >= 0) ::close(descriptor);
}

std::string History::csv_line(const HistoryRow& row) const {
  std::string line = fmt::format("{},{}", row.step,
                                 static_cast<double>(row.step) / static_cast<double>(plan_.steps_per_epoch));
  for (const double value : row.values) line += fmt::format(",{}", value);
  return line + "\n";
}

// Rows before `first`; one that was cut off in the middle of writing is of a later step.
void History::read_rows(std::int64_t first) {
  const std::string path = folder_ + "/history.csv";
  if (first == 0 || !fs::exists(path)) return;
  check(folder_, plan_);
  const std::string text = read_text(path);
  std::size_t begin = text.find('\n');
  if (begin == std::string::npos) return;
  for (++begin; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    const auto fields = fields_of(text.substr(begin, end - begin));
    begin = end + 1;
    HistoryRow row{whole_number(fields.front()).value_or(-1), {}};
    for (std::size_t i = 2; i < fields.size(); ++i)
      row.values.push_back(real_number(fields[i]).value_or(NAN));
    if (row.step < 0 || row.values.size() != plan_.columns.size() ||
        (!rows_.empty() && row.step <= rows_.back().step))
      fail("{}: its line '{}' is not a row of its columns; the file is damaged, remove it", path,
           visible(text.substr(begin, 60)));
    if (row.step < first) rows_.push_back(std::move(row));
  }
}

void History::read_samples(std::int64_t first) {
  const std::string path = folder_ + "/history.samples.part";
  const std::int64_t numbers = plan_.samples * product(plan_.shape);
  const std::size_t length = 8 + 4 * static_cast<std::size_t>(numbers);
  if (first == 0 || plan_.samples == 0 || !fs::exists(path)) return;
  const std::string bytes = read_text(path);
  for (std::size_t begin = 0; begin + length <= bytes.size(); begin += length) {
    std::int64_t t = 0;
    std::memcpy(&t, bytes.data() + begin, 8);
    if (t >= first) return;
    const at::Tensor samples = at::empty({plan_.samples, product(plan_.shape)}, at::kFloat);
    std::memcpy(samples.data_ptr(), bytes.data() + begin + 8, length - 8);
    samples_.emplace_back(t, samples);
  }
}

void History::append(int descriptor, const std::string& bytes, const std::string& path) const {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("{}: cannot write it ({})", path, std::strerror(errno));
    done += static_cast<std::size_t>(count);
  }
}

void History::sync() const {
  for (const int descriptor : {csv_, part_})
    if (descriptor >= 0) ::fdatasync(descriptor);
}

void History::add(HistoryRow row) {
  append(csv_, csv_line(row), folder_ + "/history.csv");
  rows_.push_back(std::move(row));
}

void History::add_samples(std::int64_t t, const at::Tensor& given) {
  const at::Tensor samples = given.to(at::kCPU, at::kFloat).contiguous();
  std::string bytes(8 + samples.nbytes(), '\0');
  std::memcpy(bytes.data(), &t, 8);
  std::memcpy(bytes.data() + 8, samples.data_ptr(), samples.nbytes());
  append(part_, bytes, folder_ + "/history.samples.part");
  samples_.emplace_back(t, samples);
}

void History::finish(const at::Tensor& state, Attributes attributes) {
  attributes["columns"] = join_list(plan_.columns);
  attributes["steps_per_epoch"] = std::to_string(plan_.steps_per_epoch);
  attributes["end"] = crc_of_state(state);
  std::vector<std::int64_t> steps, sample_steps;
  std::vector<double> values;
  std::vector<at::Tensor> samples;
  for (const HistoryRow& row : rows_) {
    steps.push_back(row.step);
    values.insert(values.end(), row.values.begin(), row.values.end());
  }
  for (const auto& [t, of_step] : samples_) {
    sample_steps.push_back(t);
    samples.push_back(of_step);
  }
  const auto rows = static_cast<std::int64_t>(rows_.size()),
             columns = static_cast<std::int64_t>(plan_.columns.size());
  write_artifact(folder_ + "/history.h5", history_schema, attributes, [&](const H5File& file) {
    file.put("step", at::tensor(steps, at::kLong));
    file.put("value", at::tensor(values, at::kDouble).view({rows, columns}));
    if (samples.empty()) return;
    file.put("sample_step", at::tensor(sample_steps, at::kLong));
    file.put("sample", at::stack(samples));
    file.put("shape", at::tensor(plan_.shape, at::kLong));
  });
  fs::remove(folder_ + "/history.samples.part");
}

void verify_history(const std::string& path, const Trajectory& trajectory) {
  const H5File file = open_artifact(path, history_schema);
  const auto columns = names_in(file, "columns");
  if (file.attribute("settings") != trajectory.attribute("settings") ||
      file.attribute("data") != trajectory.attribute("data") ||
      file.attribute("end") != crc_of_state(trajectory.params(trajectory.steps())))
    fail("{}: is of another run than the trajectory beside it", path);
  check_contents(file, history_arrays, check_shapes(file, history_arrays, {{"C", columns.size()}}));
}

std::vector<std::int64_t> moments_of(std::int64_t steps, std::int64_t count) {
  std::vector<std::int64_t> moments;
  for (std::int64_t i = 0; i < count; ++i)
    moments.push_back(i * steps / std::max<std::int64_t>(1, count - 1));
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  return moments;
}

std::string divergence_in_words(const std::vector<std::string>& players, const std::vector<double>& at_first,
                                const std::vector<double>& now) {
  constexpr double far_off = 100;
  for (std::size_t p = 0; p < players.size(); ++p)
    if (!std::isfinite(now[p]) || std::abs(now[p]) > far_off * (1 + std::abs(at_first[p])))
      return fmt::format(
          "the training has probably diverged: the loss of {} went from {:.3g} to {:.3g}; smaller learning "
          "rates may help",
          players[p], at_first[p], now[p]);
  return "";
}

}  // namespace whence
