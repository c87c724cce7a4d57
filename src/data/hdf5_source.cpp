#include <ATen/ops/tensor.h>

#include "whence/core/error.h"
#include "whence/data/row_file.h"
#include "whence/data/sources.h"
#include "whence/io/foreign_array.h"

#include "labels.h"

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
  DataSplit split = load_rows(instances, labels, options);
  split.note = fmt::format("{}: {} rows{}", instances.name(), instances.rows(),
                           place.labels.empty() ? ", without labels" : ", labels in " + place.labels);
  return split;
}

}  // namespace whence
