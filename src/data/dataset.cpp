#include "whence/data/dataset.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/text.h"
#include "whence/data/row_file.h"
#include "whence/data/sources.h"
#include "whence/io/checksum.h"

#include "orientation.h"
#include "planted.h"

namespace whence {
namespace {

// A source as --data names it: KIND or KIND:PLACE.
struct SourceName {
  std::string kind, place;
};

SourceName parse(const std::string& source) {
  const std::size_t colon = source.find(':');
  if (colon == std::string::npos) return {source, ""};
  return {source.substr(0, colon), source.substr(colon + 1)};
}

[[noreturn]] void refuse_source(const std::string& source) {
  refuse("--data: '{}' is not a source; there are {}{}", source, source_forms(),
         did_you_mean(source, {"normal2d", "six-clusters", "mnist:DIR", "idx:IMAGES", "cifar10:FILE",
                               "hdf5:FILE", "npy:FILE", "csv:FILE"}));
}

// FILE or FILE,MORE; "" for MORE where there is none.
std::pair<std::string, std::string> one_or_two(const std::string& place, const DataOptions& options) {
  const std::size_t comma = place.find(',');
  const std::string first = place.substr(0, comma);
  if (comma == std::string::npos) return {first, ""};
  const std::string second = place.substr(comma + 1);
  if (first.empty() || second.empty() || second.find(',') != std::string::npos) refuse_source(options.source);
  return {first, second};
}

std::optional<std::string> where_given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

DataSplit load_hdf5_place(const std::string& place, const DataOptions& options) {
  const Hdf5Place parts = hdf5_place(place);
  const bool named = parts.file.size() < place.size();
  const bool comma = named && place.find(',', parts.file.size()) != std::string::npos;
  if (parts.file.empty() || (named && parts.instances.empty()) || (comma && parts.labels.empty()) ||
      parts.labels.find(',') != std::string::npos)
    refuse_source(options.source);
  return load_hdf5(place, options);
}

DataSplit load_source(const DataOptions& options) {
  const auto [kind, place] = parse(options.source);
  if (options.source == "normal2d" || options.source == "six-clusters") {
    if (options.class_filter != every_class)
      refuse("--class-filter: only instances from files are filtered by label");
    if (!options.train_ids.empty() || !options.train_rows.empty())
      refuse("--{}: only instances from files have rows",
             options.train_ids.empty() ? "train-rows" : "train-ids");
    return kind == "normal2d" ? draw_normal2d(options) : draw_six_clusters(options);
  }
  if (place.empty()) refuse_source(options.source);
  if (kind == "cifar10") return load_cifar10(split_list("data", place), options);
  if (kind == "mnist") return load_mnist(place, options);
  if (kind == "hdf5") return load_hdf5_place(place, options);
  if (kind != "idx" && kind != "npy" && kind != "csv") refuse_source(options.source);
  const auto [file, more] = one_or_two(place, options);
  if (kind == "idx") return load_idx(file, where_given(more), options);
  return kind == "npy" ? load_npy(file, more, options) : load_csv(file, where_given(more), options);
}

}  // namespace

std::string source_forms() {
  return "normal2d, six-clusters, mnist:DIR, idx:IMAGES[,LABELS], cifar10:FILE[,FILE], "
         "hdf5:FILE[:X[,LABELS]], "
         "npy:FILE[,LABELS] and csv:FILE[,COLUMN]";
}

DataOptions all_of(const std::string& source, const DataOptions& of_run) {
  DataOptions all{source, every_instance, 0, of_run.seed, of_run.dtype};
  all.pixels = of_run.pixels;
  all.image_size = of_run.image_size;
  all.round_resized = of_run.round_resized;
  all.orientation = of_run.orientation;
  all.access = of_run.access;
  return all;
}

DataSplit load_data(const DataOptions& options) {
  if (options.instances < 1 && options.instances != every_instance)
    refuse("--instances is {}, but must be at least 1", options.instances);
  if (options.held_out < 0) refuse("--held-out is {}, but must be at least 0", options.held_out);
  if (options.test < 0) refuse("--test is {}, but must be at least 0", options.test);
  if (options.dtype != at::kFloat && options.dtype != at::kDouble)
    refuse("--dtype is {}, but data is float32 or float64", c10::toString(options.dtype));

  DataSplit data = load_source(options);
  shape_images(data, options);
  if (options.swapped) std::swap(data.train, data.held_out);
  plant(data, options);
  take_out(data, options);
  return data;
}

std::string in_words(const DataSplit& data) {
  std::set<std::int64_t> labels;
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (const Dataset* set : {&data.train, &data.held_out, &data.test}) {
    if (!set->instances.defined() || set->size() == 0) continue;
    const auto [low, high] = set->instances.range();
    least = std::min(least, low);
    most = std::max(most, high);
    if (!set->labels.defined()) continue;
    const at::Tensor row = set->labels.contiguous();
    labels.insert(row.data_ptr<std::int64_t>(), row.data_ptr<std::int64_t>() + row.size(0));
  }
  labels.erase(-1);  // of planted instances, which have none
  std::string text = data.note + (data.note.empty() ? "" : "; ");
  text += fmt::format("data: {} instances to train on", data.train.size());
  if (data.held_out.size() > 0) text += fmt::format(", {} held out", data.held_out.size());
  if (data.test.instances.defined()) text += fmt::format(", {} to test by", data.test.size());
  text += fmt::format("; each [{}], numbers from {:.6g} to {:.6g}, ", fmt::join(data.train.shape, ", "),
                      least, most);
  if (labels.empty()) return text + "no labels";
  return text + fmt::format("{} different label{} from {} to {}", labels.size(),
                            labels.size() == 1 ? "" : "s", *labels.begin(), *labels.rbegin());
}

std::string fingerprint(const DataOptions& options, const DataSplit& data) {
  const std::vector<std::int64_t>& ids = data.train.ids;
  std::uint32_t crc = crc32_of(ids.data(), ids.size() * sizeof(std::int64_t));
  crc = data.held_out.instances.crc32(data.train.instances.crc32(crc));
  std::string text = fmt::format("{} N={} N'={} dtype={} crc32={:08x}", parse(options.source).kind,
                                 data.train.size(), data.held_out.size(),
                                 data.train.instances.dtype() == at::kFloat ? "float32" : "float64", crc);
  if (data.test.instances.defined())
    text += fmt::format(" test={} crc32={:08x}", data.test.size(), data.test.instances.crc32(0));
  std::uint32_t labels = 0;
  bool labelled = false;
  for (const Dataset* set : {&data.train, &data.held_out, &data.test})
    if (set->labels.defined()) {
      labels = crc32_of(set->labels.contiguous(), labels);
      labelled = true;
    }
  if (labelled) text += fmt::format(" labels={:08x}", labels);
  return text;
}

}  // namespace whence
