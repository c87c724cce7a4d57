#include "whence/io/parts.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "whence/core/error.h"
#include "whence/core/progress.h"
#include "whence/io/checksum.h"
#include "whence/io/shared_folder.h"

namespace whence {
namespace {

// Of the sizes from an axis on.
std::int64_t product(const Shape& sizes, std::size_t axis) {
  std::int64_t numbers = 1;
  for (; axis < sizes.size(); ++axis) numbers *= sizes[axis];
  return numbers;
}

}  // namespace

ArrayInParts::ArrayInParts(const H5File& file, const std::string& name, at::ScalarType dtype,
                           const Shape& shape, const Communicator& ranks)
    : array_(file.create_array(name, dtype, shape, Fill::sparse)), ranks_(ranks) {}

void ArrayInParts::write(const at::Tensor& values, const Shape& offset) {
  if (values.numel() == 0) return;
  array_.write(values, offset);
  const Shape &shape = array_.shape(), part = values.sizes().vec();
  // Axes from `whole` on are covered from end to end; a run is of what the axis before them has of the part.
  std::size_t whole = shape.size();
  while (whole > 0 && part[whole - 1] == shape[whole - 1]) --whole;
  const std::size_t first = std::max<std::size_t>(whole, 1) - 1;
  const auto bytes = static_cast<std::size_t>(product(part, first)) * values.element_size();
  const auto* content = static_cast<const char*>(values.data_ptr());
  const std::int64_t runs = values.numel() / product(part, first);
  for (std::int64_t run = 0; run < runs; ++run, content += bytes) {
    std::int64_t rest = run, begin = 0;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      const std::int64_t index = axis < first ? rest % part[axis] : 0;
      if (axis < first) rest /= part[axis];
      begin += (offset[axis] + index) * product(shape, axis + 1);
    }
    runs_.push_back(
        {static_cast<std::uint64_t>(begin) * values.element_size(), bytes, crc32_of(content, bytes)});
  }
}

void ArrayInParts::seal() {
  std::vector<std::uint64_t> own;
  for (const Run& run : runs_) own.insert(own.end(), {run.begin, run.bytes, run.crc});
  const auto all = ranks_.gather(own);
  std::uint32_t crc = 0;
  ranks_.on_root([&] {
    std::vector<Run> runs;
    for (const auto& rank : all)
      for (std::size_t i = 0; i + 2 < rank.size(); i += 3)
        runs.push_back({rank[i], rank[i + 1], rank[i + 2]});
    std::sort(runs.begin(), runs.end(), [](const Run& a, const Run& b) { return a.begin < b.begin; });
    std::uint64_t end = 0;
    std::size_t next = 0;
    for (; next < runs.size() && runs[next].begin == end; ++next) {
      crc = crc32_joined(crc, static_cast<std::uint32_t>(runs[next].crc), runs[next].bytes);
      end += runs[next].bytes;
    }
    const auto whole =
        static_cast<std::uint64_t>(product(array_.shape(), 0)) * c10::elementSize(array_.dtype());
    if (end != whole || next < runs.size())
      fail("{}: the parts of {} that ranks have written are not the whole of it", array_.path(),
           array_.name());
  });
  array_.seal_as(static_cast<std::uint32_t>(ranks_.broadcast(static_cast<std::int64_t>(crc))));
}

void put_together(const H5File& file, const std::string& name, const at::Tensor& given,
                  const Communicator& ranks) {
  const at::Tensor values = given.contiguous();
  const H5Array array = file.create_array(name, values.scalar_type(), values.sizes().vec(), Fill::sparse);
  ranks.on_root([&] { array.write(values, Shape(values.dim(), 0)); });
  // What was written is rank 0's: others may differ from it in the last bit, on processors of other makes.
  array.seal_as(static_cast<std::uint32_t>(ranks.broadcast(static_cast<std::int64_t>(crc32_of(values)))));
}

void write_artifact_together(const std::string& path, const Schema& schema, const Attributes& attributes,
                             double bytes, const Communicator& ranks,
                             const std::function<void(const H5File&)>& fill) {
  const std::string temporary = path + ".new",
                    folder = std::filesystem::absolute(path).parent_path().string();
  check_shared_folder(folder, ranks);
  // MPI's library would tell of a full disk in its own words, once for each piece.
  constexpr double beside = 1 << 16;  // headers, names, settings
  ranks.on_root([&] {
    if (free_disk(folder) < bytes + beside)
      fail("{}: the disk has no room for its {} ({} are free)", path, human_bytes(bytes),
           human_bytes(free_disk(folder)));
  });
  std::unique_ptr<H5File> file;
  const auto leave = [&](bool all_ranks) {
    // Closing a file of several ranks is collective, and the others may not be coming.
    if (ranks.size() > 1 && !all_ranks) (void)file.release();
    file.reset();
    if (ranks.is_root()) std::remove(temporary.c_str());
  };
  try {
    file = std::make_unique<H5File>(H5File::create(temporary, ranks));
    describe(*file, schema, attributes);
    fill(*file);
    file->flush();
    file.reset();
  } catch (const SharedUsageError&) {
    leave(true);
    throw;
  } catch (const SharedError&) {
    leave(true);
    throw;
  } catch (...) {
    leave(false);
    throw;
  }
  ranks.on_root([&] {
    flush_to_disk(temporary);
    rename_durably(temporary, path);
    remove_mpi_locks(temporary);
  });
}

}  // namespace whence
