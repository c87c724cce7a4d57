#include "whence/data/dataset.h"

#include <utility>
#include <zlib.h>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/core/text.h"
#include "whence/data/sources.h"

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
  refuse(
      "--data: '{}' is not a source; there are normal2d, six-clusters, mnist:DIR, idx:IMAGES[,LABELS], "
      "cifar10:FILE[,FILE] and csv:FILE[,COLUMN]{}",
      source, did_you_mean(source, {"normal2d", "six-clusters", "mnist:DIR", "cifar10:FILE", "csv:FILE"}));
}

DataSplit load_idx_place(const std::string& place, const DataOptions& options) {
  const std::size_t comma = place.find(',');
  const std::string images = place.substr(0, comma);
  if (comma == std::string::npos) return load_idx(images, std::nullopt, options);
  const std::string labels = place.substr(comma + 1);
  if (images.empty() || labels.empty() || labels.find(',') != std::string::npos)
    refuse_source(options.source);
  return load_idx(images, labels, options);
}

DataSplit load_csv_place(const std::string& place, const DataOptions& options) {
  const std::size_t comma = place.find(',');
  const std::string file = place.substr(0, comma);
  if (comma == std::string::npos) return load_csv(file, std::nullopt, options);
  const std::string column = place.substr(comma + 1);
  if (file.empty() || column.empty() || column.find(',') != std::string::npos) refuse_source(options.source);
  return load_csv(file, column, options);
}

DataSplit load_source(const DataOptions& options) {
  const auto [kind, place] = parse(options.source);
  if (kind == "cifar10" && !place.empty()) return load_cifar10(split_list("data", place), options);
  if (kind == "mnist" && !place.empty()) return load_mnist(place, options);
  if (kind == "idx" && !place.empty()) return load_idx_place(place, options);
  if (options.class_filter != every_class)
    refuse("--class-filter: only mnist, idx and cifar10 are filtered by label");
  if (options.source == "normal2d") return draw_normal2d(options);
  if (options.source == "six-clusters") return draw_six_clusters(options);
  if (kind == "csv" && !place.empty()) return load_csv_place(place, options);
  refuse_source(options.source);
}

uLong crc_of(const at::Tensor& tensor, uLong crc) {
  const at::Tensor whole = tensor.contiguous();
  if (whole.nbytes() == 0) return crc;  // zlib would take the null pointer as a wish to start afresh
  return crc32_z(crc, static_cast<const Bytef*>(whole.data_ptr()), whole.nbytes());
}

}  // namespace

DataSplit load_data(const DataOptions& options) {
  if (options.instances < 1 && options.instances != every_instance)
    refuse("--instances is {}, but must be at least 1", options.instances);
  if (options.held_out < 0) refuse("--held-out is {}, but must be at least 0", options.held_out);
  if (options.test < 0) refuse("--test is {}, but must be at least 0", options.test);
  if (options.dtype != at::kFloat && options.dtype != at::kDouble)
    refuse("--dtype is {}, but data is float32 or float64", c10::toString(options.dtype));

  DataSplit data = load_source(options);
  const auto& shape = data.train.shape;
  if (const std::int64_t side = options.image_size;
      side != 0 && (shape.size() < 2 || shape.back() != side || shape[shape.size() - 2] != side))
    refuse("--image-size: only images of cifar10 are resized, and these have the shape [{}]",
           fmt::join(shape, ", "));
  if (options.swapped) std::swap(data.train, data.held_out);
  plant(data, options);
  take_out(data, options);
  return data;
}

std::string fingerprint(const DataOptions& options, const DataSplit& data) {
  const std::vector<std::int64_t>& ids = data.train.ids;
  uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(ids.data()), ids.size() * sizeof(std::int64_t));
  crc = crc_of(data.train.instances, crc);
  crc = crc_of(data.held_out.instances, crc);
  std::string text = fmt::format(
      "{} N={} N'={} dtype={} crc32={:08x}", parse(options.source).kind, data.train.size(),
      data.held_out.size(), data.train.instances.scalar_type() == at::kFloat ? "float32" : "float64", crc);
  if (data.test.instances.defined())
    text += fmt::format(" test={} crc32={:08x}", data.test.size(), crc_of(data.test.instances, 0));
  uLong labels = 0;
  bool labelled = false;
  for (const Dataset* set : {&data.train, &data.held_out, &data.test})
    if (set->labels.defined()) {
      labels = crc_of(set->labels, labels);
      labelled = true;
    }
  if (labelled) text += fmt::format(" labels={:08x}", labels);
  return text;
}

}  // namespace whence
