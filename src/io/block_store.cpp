#include "whence/io/block_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <unistd.h>

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"
#include "whence/io/checksum.h"
#include "whence/io/shared_folder.h"

namespace fs = std::filesystem;

namespace whence {
namespace {

// What stands in the crc array for a finished row: its CRC-32 plus one, since 0 means not finished.
std::int64_t seal_of(const at::Tensor& row) { return static_cast<std::int64_t>(crc32_of(row)) + 1; }

const ArrayRules block_store_arrays{{"rows", {at::kDouble}, {"rows", "width"}},
                                    {"seal", {at::kLong}, {"rows"}}};

bool is_intact(const H5Array& rows, const at::Tensor& seals, std::int64_t row) {
  const auto expected = seals[row].item<std::int64_t>();
  if (expected == 0) return false;
  const at::Tensor values = rows.read({row, 0}, {1, rows.shape()[1]});
  return expected == seal_of(values) && values.isfinite().all().item<bool>();
}

}  // namespace

BlockStore::BlockStore(const std::string& path, const Schema& schema, const Attributes& attributes,
                       std::int64_t rows, std::int64_t width, const Communicator& ranks,
                       Unfinished unfinished)
    : part_(path + ".part"), ranks_(ranks) {
  check_shared_folder(fs::path(part_).parent_path().string(), ranks_);
  ranks_.on_root([&] {
    if (goes_on(part_, schema, attributes, unfinished)) {
      const Sizes there = check_shapes(open_artifact(part_, schema), block_store_arrays);
      if (there.at("rows") != rows || there.at("width") != width)
        fail(
            "{}: it was begun in {} blocks of {} numbers, and now there are {} of {}, as with another "
            "version "
            "of the program; --overwrite starts again",
            part_, there.at("rows"), there.at("width"), rows, width);
      return;
    }
    remove_with_prefix(part_);
    create(schema, attributes, rows, width);
  });
  finished_ = intact_rows(rows);
  ranks_.on_every_rank([&] {
    descriptor_ = ::open(part_.c_str(), O_RDWR | O_CLOEXEC);
    if (descriptor_ < 0) fail("{}: cannot open it ({})", part_, std::strerror(errno));
  });
  file_ = std::make_unique<H5File>(H5File::open_to_write(part_, ranks_));
  for (const char* name : {"rows", "seal"}) arrays_.push_back(file_->array(name));
}

std::string BlockStore::verify(const H5File& file) {
  const Sizes sizes = check_shapes(file, block_store_arrays);
  const H5Array values = file.array("rows");
  const at::Tensor seals = file.array("seal").read();
  std::int64_t finished = 0;
  for (std::int64_t row = 0; row < sizes.at("rows"); ++row) finished += is_intact(values, seals, row);
  return fmt::format("{} of {} blocks are finished", finished, sizes.at("rows"));
}

BlockStore::~BlockStore() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (file_ != nullptr) {
    // An error is on its way up; closing is collective, and the other ranks may not be coming.
    (void)file_.release();
    new std::vector<H5Array>(std::move(arrays_));
  }
}

void BlockStore::create(const Schema& schema, const Attributes& attributes, std::int64_t rows,
                        std::int64_t width) const {
  write_artifact(part_, schema, attributes, [&](const H5File& file) {
    file.create_array("rows", at::kDouble, {rows, width}, Fill::sparse);
    file.create_array("seal", at::kLong, {rows}, Fill::zeros);
  });
}

std::vector<bool> BlockStore::intact_rows(std::int64_t rows) const {
  at::Tensor intact = at::zeros({rows}, at::kLong);
  ranks_.on_every_rank([&] {
    const H5File file = H5File::open_to_read(part_);
    const H5Array values = file.array("rows");
    const at::Tensor seals = file.array("seal").read();
    const Range own = part_of(rows, ranks_.size(), ranks_.rank());
    for (std::int64_t row = own.begin; row < own.end; ++row) intact[row] = is_intact(values, seals, row);
  });
  ranks_.sum(intact);
  const std::int64_t* flag = intact.data_ptr<std::int64_t>();
  return std::vector<bool>(flag, flag + rows);
}

std::int64_t BlockStore::finished_count() const {
  return std::count(finished_.begin(), finished_.end(), true);
}

void BlockStore::write(std::int64_t row, const at::Tensor& values) {
  const auto flush = [this] {
    if (::fdatasync(descriptor_) != 0) fail("{}: cannot flush it to disk ({})", part_, std::strerror(errno));
  };
  arrays_[0].write(values.unsqueeze(0), {row, 0});
  flush();
  arrays_[1].write(at::tensor({seal_of(values)}, at::kLong), {row});
  flush();
}

void BlockStore::close() {
  arrays_.clear();
  file_.reset();
}

void BlockStore::close_and_check() {
  close();
  const auto intact = intact_rows(static_cast<std::int64_t>(finished_.size()));
  ranks_.on_every_rank([&] {
    const auto bad = std::find(intact.begin(), intact.end(), false);
    if (bad != intact.end()) fail("{}: block {} is missing or damaged", part_, bad - intact.begin());
    closed_ = std::make_unique<H5Array>(H5File::open_to_read(part_).array("rows"));
  });
}

at::Tensor BlockStore::close_and_read() {
  close_and_check();
  at::Tensor values;
  ranks_.on_every_rank([&] {
    values = at::zeros(closed_->shape(), at::kDouble);
    const Range own = part_of(values.size(0), ranks_.size(), ranks_.rank());
    values.narrow(0, own.begin, own.size())
        .copy_(closed_->read({own.begin, 0}, {own.size(), values.size(1)}));
  });
  // As integers, since a sum of floating-point numbers turns -0 into 0.
  at::Tensor bits = values.view(at::kLong);
  ranks_.sum(bits);
  return values;
}

at::Tensor BlockStore::read(std::int64_t row, std::int64_t begin, std::int64_t count) const {
  return closed_->read({row, begin}, {1, count})[0];
}

void BlockStore::remove() {
  closed_.reset();
  ranks_.on_root([&] {
    fs::remove(part_);
    remove_mpi_locks(part_);
  });
}

}  // namespace whence
