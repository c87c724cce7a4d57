#include <algorithm>

#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/data/row_file.h"
#include "whence/data/sources.h"
#include "whence/io/foreign_array.h"

#include "cache_folder.h"
#include "labels.h"
#include "rows_in_files.h"

namespace whence {
namespace {

class Hdf5Rows : public RowFile {
 public:
  Hdf5Rows(const std::string& path, const std::string& name) : array_(path, name) {
    if (array_.shape().size() < 2) fail("{}: {} has one axis, but instances need a second one", path, name);
    if (array_.numbers() == ForeignArray::Numbers::integers)
      fail("{}: {} holds integers that are not unsigned bytes; instances are bytes (pixels) or floats", path,
           name);
  }

  std::string name() const override { return array_.path() + ": " + array_.name(); }
  std::int64_t rows() const override { return array_.rows(); }
  std::vector<std::int64_t> shape() const override {
    return {array_.shape().begin() + 1, array_.shape().end()};
  }
  std::int64_t rows_at_once() const override { return array_.rows_at_once(); }
  at::Tensor read(std::int64_t first, std::int64_t count) const override { return array_.read(first, count); }
  const ForeignArray& array() const { return array_; }

 private:
  ForeignArray array_;
};

at::Tensor read_labels(const std::string& path, const std::string& name, const RowFile& instances) {
  const ForeignArray array(path, name);
  if (array.numbers() == ForeignArray::Numbers::reals)
    fail("{}: {} holds floats, but labels are integers", path, name);
  if (array.width() != 1) fail("{}: {} has {} numbers a row, but labels have one", path, name, array.width());
  if (array.rows() != instances.rows())
    fail("{}: {} has {} labels for the {} rows of {}", path, name, array.rows(), instances.rows(),
         instances.name());
  return checked_labels(array.read(0, array.rows()).view({-1}).to(at::kLong), path + ": " + name);
}

// Numbers in the type that they have in the file; those of 16 bits as 32.
at::ScalarType type_unpacked(const ForeignArray& array) {
  return array.type_in_file() == at::kHalf ? at::kFloat : array.type_in_file();
}

RawRows unpacked(const ForeignArray& array, RawRows raw, const DataAccess& access) {
  raw.type = type_unpacked(array);
  raw.swapped = false;
  raw.stride = array.width() * static_cast<std::int64_t>(c10::elementSize(raw.type));
  raw.origins = {array.path()};
  const Unpacked what{array.path(), fmt::format("{} as {}", array.name(), c10::toString(raw.type)),
                      array.rows() * raw.stride};
  const CachedFile file = cached(what, access, [&](const Sink& take) {
    for (std::int64_t first = 0; first < array.rows(); first += array.rows_at_once()) {
      const std::int64_t count = std::min(array.rows_at_once(), array.rows() - first);
      const at::Tensor rows = array.read(first, count).to(raw.type);
      take(rows.data_ptr(), rows.nbytes());
    }
  });
  raw.parts = {{file.path, file.begin, array.rows()}};
  return raw;
}

// Where the numbers lie: in the file itself, or unpacked in the cache folder.
RawRows rows_of(const ForeignArray& array, const DataAccess& access) {
  RawRows raw;
  raw.name = array.path() + ": " + array.name();
  raw.array = array.name();
  raw.shape.assign(array.shape().begin() + 1, array.shape().end());
  const auto begin = array.begin_in_file();
  if (!begin) return unpacked(array, std::move(raw), access);
  raw.type = array.type_in_file();
  raw.swapped = array.swapped();
  raw.stride = array.width() * static_cast<std::int64_t>(c10::elementSize(raw.type));
  raw.parts = {{array.path(), *begin, array.rows()}};
  return raw;
}

// Nothing is unpacked for few rows of a large array.
bool stay_in_file(const Hdf5Rows& instances, const at::Tensor& labels, const DataOptions& options) {
  const ForeignArray& array = instances.array();
  if (!is_large(static_cast<double>(array.rows()) * static_cast<double>(array.width()), options))
    return false;
  return array.begin_in_file() ||
         is_large(choose_labelled_rows(array.rows(), labels, instances.name(), options), instances.shape(),
                  options);
}

// The one array that could be instances.
std::string only_array_of_rows(const std::string& path) {
  const std::vector<std::string> names = arrays_in(path);
  std::vector<std::string> found;
  for (const std::string& name : names) try {
      const ForeignArray array(path, name);
      if (array.shape().size() >= 2 && array.numbers() != ForeignArray::Numbers::integers)
        found.push_back(name);
    } catch (const Error&) {
      // What cannot be read cannot be meant either.
    }
  if (found.size() == 1) return found.front();
  fail("{}: has no data set X, so name the one to use, hdf5:FILE:NAME; there {}", path,
       names.empty() ? "is none" : fmt::format("are: {}", fmt::join(names, ", ")));
}

// What hdf5:FILE alone means: X, or else the only array of two or more axes; and labels, where they are
// there.
Hdf5Place with_usual_names(Hdf5Place place) {
  if (!place.instances.empty()) return place;
  if (has_array(place.file, "X"))
    place.instances = "X";
  else
    place.instances = only_array_of_rows(place.file);
  if (place.instances != "labels" && has_array(place.file, "labels")) place.labels = "labels";
  return place;
}

bool ends_in(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

Hdf5Place hdf5_place(const std::string& place) {
  const std::size_t colon = place.rfind(':');
  if (colon == std::string::npos || ends_in(place, ".h5") || ends_in(place, ".hdf5") ||
      ends_in(place, ".hdf"))
    return {place, "", ""};
  const std::string names = place.substr(colon + 1);
  const std::size_t comma = names.find(',');
  return {place.substr(0, colon), names.substr(0, comma),
          comma == std::string::npos ? "" : names.substr(comma + 1)};
}

DataSplit load_hdf5(const std::string& given, const DataOptions& options) {
  const Hdf5Place place = with_usual_names(hdf5_place(given));
  const Hdf5Rows instances(place.file, place.instances);
  const at::Tensor labels =
      place.labels.empty() ? at::Tensor() : read_labels(place.file, place.labels, instances);
  const ForeignArray& array = instances.array();
  DataSplit split = stay_in_file(instances, labels, options)
                        ? split_in_files(rows_of(array, options.access), labels, options)
                        : load_rows(instances, labels, options);
  split.note = fmt::format("{}: {} rows{}", instances.name(), instances.rows(),
                           place.labels.empty() ? ", without labels" : ", labels in " + place.labels);
  return split;
}

}  // namespace whence
