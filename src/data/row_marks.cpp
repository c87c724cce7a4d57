#include "row_marks.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <unistd.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "whence/core/error.h"
#include "whence/core/random.h"
#include "whence/io/artifact.h"
#include "whence/io/checksum.h"

#include "cache_folder.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

const Schema schema{"whence.row_marks", 1};
// Pieces of the file that are looked at before its marks are believed.
constexpr std::int64_t looked_at = 4;

// The same for the same files, whatever is in them: new marks take the place of old ones.
std::string name_of(const FileRows& rows, bool with_folder) {
  const fs::path first = fs::absolute(rows.raw().origins.front());
  std::string all = rows.form() + (with_folder ? first.parent_path().string() : "");
  for (const std::string& origin : rows.raw().origins) all += "\n" + fs::path(origin).filename().string();
  return fmt::format(".{}.whence-{:08x}", first.filename().string(), crc32_of(all.data(), all.size()));
}

std::array<std::string, 2> places_of(const FileRows& rows) {
  const fs::path folder = fs::absolute(rows.raw().origins.front()).parent_path();
  return {(folder / name_of(rows, false)).string(), cache_folder(rows.access()) + "/" + name_of(rows, true)};
}

template <typename T>
at::Tensor tensor_of(const std::vector<T>& values) {
  at::Tensor all = at::empty({static_cast<std::int64_t>(values.size())},
                             std::is_same_v<T, double> ? at::kDouble : at::kLong);
  if constexpr (std::is_same_v<T, double>)
    std::copy(values.begin(), values.end(), all.data_ptr<double>());
  else
    std::copy(values.begin(), values.end(), all.data_ptr<std::int64_t>());
  return all;
}

std::vector<std::uint32_t> crcs_in(const H5File& file, const std::string& name) {
  const std::vector<std::int64_t> values = file.verified_integers(name);
  return {values.begin(), values.end()};
}

// Null where the file is not there, or not of these rows.
std::unique_ptr<MarkedPieces> marks_in(const std::string& path, const FileRows& rows) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return nullptr;
  try {
    const H5File file = open_artifact(path, schema);
    if (file.attribute("rows") != rows.described()) return nullptr;
    auto found = std::make_unique<MarkedPieces>();
    found->marks.crc = crcs_in(file, "crc");
    found->marks.least = file.verified_reals("least");
    found->marks.most = file.verified_reals("most");
    found->piece = crcs_in(file, "piece");
    const auto all = static_cast<std::size_t>(rows.size());
    const bool whole = found->marks.crc.size() == all && found->marks.least.size() == all &&
                       found->marks.most.size() == all &&
                       found->piece.size() == static_cast<std::size_t>(rows.pieces());
    return whole ? std::move(found) : nullptr;
  } catch (const Error&) {
    return nullptr;  // damaged: they are computed again
  }
}

bool some_pieces_fit(const FileRows& rows, const MarkedPieces& kept) {
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  const RandomStream others(static_cast<std::uint64_t>(now) + static_cast<std::uint64_t>(::getpid()),
                            Purpose::targets);
  const std::int64_t pieces = rows.pieces();
  for (std::int64_t i = 0; i < std::min(looked_at, pieces); ++i) {
    const auto any = static_cast<std::int64_t>(others.uniform(i) * static_cast<double>(pieces));
    const std::int64_t piece = pieces <= looked_at ? i : std::min(any, pieces - 1);
    if (rows.look_at(piece, nullptr) != kept.piece[piece]) return false;
  }
  return true;
}

bool try_to_keep(const std::string& path, const FileRows& rows, const MarkedPieces& marks) {
  // Jobs that do the same at once must not write into each other's file.
  const std::string own = own_name(path);
  remove_left_over(path);
  try {
    write_artifact(own, schema, {{"rows", rows.described()}}, [&](const H5File& file) {
      file.put("crc", tensor_of(marks.marks.crc));
      file.put("least", tensor_of(marks.marks.least));
      file.put("most", tensor_of(marks.marks.most));
      file.put("piece", tensor_of(marks.piece));
    });
    rename_durably(own, path);
    return true;
  } catch (const Error&) {
    std::error_code ignored;
    for (const char* end : {"", ".new"}) fs::remove(own + end, ignored);
    return false;
  }
}

}  // namespace

std::shared_ptr<const RowMarks> kept_marks(const FileRows& rows) {
  for (const std::string& path : places_of(rows)) {
    std::unique_ptr<MarkedPieces> kept = marks_in(path, rows);
    if (kept == nullptr) continue;
    if (some_pieces_fit(rows, *kept)) return std::make_shared<RowMarks>(std::move(kept->marks));
    rows.access().announce(fmt::format(
        "{}: has other contents than when its checksums were taken, though neither its size nor its time has "
        "changed; they are taken again",
        rows.raw().name));
    return nullptr;
  }
  return nullptr;
}

void keep_marks(const FileRows& rows, const MarkedPieces& marks) {
  const auto places = places_of(rows);
  if (try_to_keep(places[0], rows, marks)) return;
  std::error_code ignored;
  fs::create_directories(fs::path(places[1]).parent_path(), ignored);
  if (try_to_keep(places[1], rows, marks)) return;
  rows.access().announce(
      fmt::format("{}: its checksums can be kept neither beside it nor in {}, so that every job takes them "
                  "again; --data-cache names another folder",
                  rows.raw().name, fs::path(places[1]).parent_path().string()));
}

}  // namespace whence
