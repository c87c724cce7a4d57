#include "whence/data/places.h"

#include <filesystem>
#include <functional>

#include "whence/core/error.h"
#include "whence/core/options.h"
#include "whence/data/row_file.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

using PathChange = std::function<std::string(const std::string&)>;

bool there(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at is not there
  return fs::exists(path, ignored);
}

// hdf5:FILE[:X[,LABELS]]; as it is where the new path would be read as another file and array.
std::string changed_hdf5(const std::string& source, const std::string& place, const PathChange& change) {
  const std::string file = hdf5_place(place).file;
  if (file.empty()) return source;
  const std::string moved = change(file), text = moved + place.substr(file.size());
  return hdf5_place(text).file == moved ? "hdf5:" + text : source;
}

// A source with its paths changed: all parts between commas, of csv:FILE,COLUMN the first.
std::string changed(const std::string& source, const PathChange& change) {
  const std::size_t colon = source.find(':');
  if (colon == std::string::npos || colon + 1 == source.size()) return source;
  const std::string kind = source.substr(0, colon), place = source.substr(colon + 1);
  if (kind == "mnist") return kind + ":" + change(place);
  if (kind == "hdf5") return changed_hdf5(source, place, change);
  std::string text;
  for (std::size_t begin = 0;;) {
    const std::size_t comma = place.find(',', begin);
    const std::string part = place.substr(begin, comma - begin);
    const bool path = !part.empty() && (kind != "csv" || begin == 0);
    text += (begin == 0 ? "" : ",") + (path ? change(part) : part);
    if (comma == std::string::npos) return kind + ":" + text;
    begin = comma + 1;
  }
}

// SOURCE:NUMBER
std::string changed_plant(const std::string& plant, const PathChange& change) {
  const std::size_t last = plant.rfind(':');
  if (plant.find(':') == last) return plant;
  return changed(plant.substr(0, last), change) + plant.substr(last);
}

void change_all(DataOptions& options, const PathChange& change) {
  options.source = changed(options.source, change);
  if (!options.plant.empty()) options.plant = changed_plant(options.plant, change);
  if (!options.without.empty()) options.without = change(options.without);
  if (!options.train_ids.empty()) options.train_ids = change(options.train_ids);
}

std::string found(const std::string& path, const fs::path& beside) {
  if (there(path)) return path;
  const fs::path relative = fs::path(path).relative_path();
  // The longest end of the path first: the most of it that is still the same.
  for (auto begin = relative.begin(); begin != relative.end(); ++begin) {
    fs::path end;
    for (auto part = begin; part != relative.end(); ++part) end /= *part;
    for (fs::path folder = beside; !folder.empty(); folder = folder.parent_path()) {
      if (there(folder / end)) return (folder / end).string();
      if (folder == folder.root_path()) break;
    }
  }
  return path;
}

}  // namespace

std::string absolute_file(const std::string& path) {
  if (path.empty()) return path;
  std::error_code code;
  const std::string absolute = fs::absolute(path, code).string();
  const bool readable =
      path.find_first_of(",#") != std::string::npos || absolute.find_first_of(",#\n\r") == std::string::npos;
  return code || !readable ? path : absolute;
}

std::string absolute_source(const std::string& source) { return changed(source, absolute_file); }

std::string absolute_plant(const std::string& plant) { return changed_plant(plant, absolute_file); }

void find_places(DataOptions& options, const std::string& beside) {
  const fs::path folder = fs::weakly_canonical(beside);
  change_all(options, [&](const std::string& path) { return found(path, folder); });
}

std::string find_file(const std::string& path, const std::string& beside) {
  return path.empty() ? path : found(path, fs::weakly_canonical(beside));
}

std::vector<std::string> missing_places(const DataOptions& options) {
  std::vector<std::string> missing;
  DataOptions unchanged = options;
  change_all(unchanged, [&](const std::string& path) {
    if (!there(path)) missing.push_back(fs::absolute(path).string());
    return path;
  });
  return missing;
}

}  // namespace whence
