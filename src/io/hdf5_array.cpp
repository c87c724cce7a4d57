// Reading and writing arrays: which layouts are let in, and pieces that one HDF5 call can move.

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <utility>

#include <ATen/ops/empty.h>

#include "whence/core/error.h"
#include "whence/core/progress.h"
#include "whence/io/checksum.h"

#include "hdf5_checked.h"

namespace whence {
namespace {

// Bytes that are read at once to be looked through.
constexpr std::int64_t looked_at_once = std::int64_t{1} << 25;

std::int64_t product(const Shape& shape) {
  std::int64_t numbers = 1;
  for (const std::int64_t size : shape) numbers *= size;
  return numbers;
}

using TakeSlab = std::function<void(const Shape& offset, const Shape& count)>;

// Calls `take` with slabs of at most `most` numbers that make up a slab, in the order of its numbers.
void in_pieces(const Shape& offset, const Shape& count, std::int64_t most, const TakeSlab& take) {
  const std::int64_t numbers = product(count);
  if (numbers <= most) return take(offset, count);
  const auto axis = std::find_if(count.begin(), count.end(), [](auto n) { return n > 1; }) - count.begin();
  const std::int64_t step = std::max<std::int64_t>(1, most / (numbers / count[axis]));
  Shape at = offset, part = count;
  for (std::int64_t i = 0; i < count[axis]; i += step) {
    at[axis] = offset[axis] + i;
    part[axis] = std::min(step, count[axis] - i);
    in_pieces(at, part, most, take);
  }
}

std::int64_t numbers_in(std::int64_t piece_bytes, at::ScalarType dtype) {
  return std::max<std::int64_t>(1, piece_bytes / static_cast<std::int64_t>(c10::elementSize(dtype)));
}

// Memory for numbers that a file says it has.
at::Tensor room_for(const Shape& shape, at::ScalarType dtype, const std::string& path,
                    const std::string& name) {
  try {
    return at::empty(shape, dtype);
  } catch (const std::exception&) {
    fail("{}: there is no memory for the {} of {}", path,
         human_bytes(static_cast<double>(product(shape)) * static_cast<double>(c10::elementSize(dtype))),
         name);
  }
}

// The shape, where it is one that memory could hold.
Shape shape_of(const H5Handle& space, const std::string& path, const std::string& name) {
  if (H5Sget_simple_extent_type(space.get()) == H5S_NULL) fail("{}: {} has no content", path, name);
  std::vector<hsize_t> dims(
      checked(H5Sget_simple_extent_ndims(space.get()), path, "read the number of axes of " + name));
  checked(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), path, "read the shape of " + name);
  // Zeros do not save a shape from sizes that nothing could count.
  hsize_t left = std::numeric_limits<std::int64_t>::max() / 8;
  for (const hsize_t size : dims) {
    if (size > left) fail("{}: {} has a size that no memory could hold; the file is damaged", path, name);
    if (size > 0) left /= size;
  }
  return {dims.begin(), dims.end()};
}

}  // namespace

H5Array::H5Array(H5Handle id, std::string name, std::string path)
    : id_(std::move(id)), name_(std::move(name)), path_(std::move(path)) {
  const H5Handle space(checked(H5Dget_space(id_.get()), path_, "read the shape of " + name_), H5Sclose);
  shape_ = shape_of(space, path_, name_);
  const H5Handle type(checked(H5Dget_type(id_.get()), path_, "read the type of " + name_), H5Tclose);
  for (const at::ScalarType candidate : {at::kFloat, at::kDouble, at::kLong, at::kInt})
    if (H5Tequal(type.get(), file_type(candidate)) > 0) {
      dtype_ = candidate;
      expect_in_one_stretch();
      return;
    }
  fail("{}: {} has an unexpected element type", path_, name_);
}

// Compressed, chunked, external and virtual arrays would be read from elsewhere, or grow without a limit.
void H5Array::expect_in_one_stretch() const {
  const H5Handle list(checked(H5Dget_create_plist(id_.get()), path_, "read the layout of " + name_),
                      H5Pclose);
  const std::int64_t bytes = product(shape_) * static_cast<std::int64_t>(c10::elementSize(dtype_));
  if (H5Pget_layout(list.get()) != H5D_CONTIGUOUS || H5Pget_external_count(list.get()) != 0)
    fail("{}: {} is not stored in one stretch of the file, as Whence stores it", path_, name_);
  if (bytes > 0 && H5Dget_offset(id_.get()) == HADDR_UNDEF) {
    H5Eclear2(H5E_DEFAULT);
    fail("{}: {} has a size but no content; the file is damaged", path_, name_);
  }
}

H5Handle H5Array::slab(const Shape& offset, const Shape& count, H5Handle& memory) const {
  H5Handle space(checked(H5Dget_space(id_.get()), path_, "select in " + name_), H5Sclose);
  const auto begin = sizes_of(offset), size = sizes_of(count);
  if (shape_.empty()) {
    memory = H5Handle(checked(H5Screate(H5S_SCALAR), path_, "describe memory"), H5Sclose);
    return space;
  }
  const bool empty = std::find(count.begin(), count.end(), 0) != count.end();
  checked(empty
              ? H5Sselect_none(space.get())
              : H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr, size.data(), nullptr),
          path_, "select in " + name_);
  memory = H5Handle(checked(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), path_,
                            "describe memory"),
                    H5Sclose);
  if (empty) H5Sselect_none(memory.get());
  return space;
}

void H5Array::expect_inside(const Shape& offset, const Shape& count) const {
  bool inside = offset.size() == shape_.size() && count.size() == shape_.size();
  for (std::size_t axis = 0; inside && axis < shape_.size(); ++axis)
    inside = offset[axis] >= 0 && count[axis] >= 0 && offset[axis] <= shape_[axis] &&
             count[axis] <= shape_[axis] - offset[axis];
  if (!inside) fail("{}: a slab outside of {}", path_, name_);
}

void H5Array::write(const at::Tensor& values, const Shape& offset, std::int64_t piece) const {
  TORCH_CHECK(values.is_contiguous() && values.scalar_type() == dtype_, path_, ": wrong values for ", name_);
  expect_inside(offset, values.sizes().vec());
  const auto* from = static_cast<const char*>(values.data_ptr());
  in_pieces(offset, values.sizes().vec(), numbers_in(piece, dtype_),
            [&](const Shape& begin, const Shape& count) {
              H5Handle memory;
              const H5Handle space = slab(begin, count, memory);
              checked(H5Dwrite(id_.get(), memory_type(dtype_), memory.get(), space.get(), H5P_DEFAULT, from),
                      path_, "write " + name_);
              from += product(count) * static_cast<std::int64_t>(values.element_size());
            });
}

at::Tensor H5Array::read(const Shape& offset, const Shape& count, std::int64_t piece) const {
  expect_inside(offset, count);
  at::Tensor values = room_for(count, dtype_, path_, name_);
  auto* into = static_cast<char*>(values.data_ptr());
  in_pieces(offset, count, numbers_in(piece, dtype_), [&](const Shape& begin, const Shape& size) {
    H5Handle memory;
    const H5Handle space = slab(begin, size, memory);
    checked(H5Dread(id_.get(), memory_type(dtype_), memory.get(), space.get(), H5P_DEFAULT, into), path_,
            "read " + name_);
    into += product(size) * static_cast<std::int64_t>(values.element_size());
  });
  return values;
}

void H5Array::prefetch(const Shape& offset, const Shape& count) const {
  expect_inside(offset, count);
  const H5Handle file(checked(H5Iget_file_id(id_.get()), path_, "find the file of " + name_), H5Fclose);
  const H5Handle access(checked(H5Fget_access_plist(file.get()), path_, "ask how it is read"), H5Pclose);
  if (H5Pget_driver(access.get()) != H5FD_SEC2) return;
  void* descriptor = nullptr;
  checked(H5Fget_vfd_handle(file.get(), access.get(), &descriptor), path_, "ask how it is read");
  std::int64_t first = 0;
  for (std::size_t axis = 0; axis < shape_.size(); ++axis) first = first * shape_[axis] + offset[axis];
  const auto bytes_each = static_cast<std::int64_t>(c10::elementSize(dtype_));
  std::int64_t begin = static_cast<std::int64_t>(H5Dget_offset(id_.get())) + first * bytes_each;
  const std::int64_t end = begin + product(count) * bytes_each;
  // Linux fetches no more for one request than it reads ahead by itself, 128 KiB where nothing was set.
  constexpr std::int64_t request = std::int64_t{1} << 17;
  for (; begin < end; begin += request)
    posix_fadvise(*static_cast<int*>(descriptor), begin, std::min(request, end - begin), POSIX_FADV_WILLNEED);
}

at::Tensor H5Array::read() const { return read(Shape(shape_.size(), 0), shape_); }

void H5Array::look_through(const std::function<void(const at::Tensor&)>& look) const {
  in_pieces(Shape(shape_.size(), 0), shape_, numbers_in(looked_at_once, dtype_),
            [&](const Shape& offset, const Shape& count) { look(read(offset, count)); });
}

std::uint32_t H5Array::content_crc(const std::function<void(const at::Tensor&)>& look) const {
  std::uint32_t crc = 0;
  look_through([&](const at::Tensor& piece) {
    crc = crc32_of(piece, crc);
    if (look) look(piece);
  });
  return crc;
}

void H5Array::seal() const { seal_as(content_crc()); }

void H5Array::seal_as(std::uint32_t crc) const {
  const H5Handle space(checked(H5Screate(H5S_SCALAR), path_, "describe a checksum"), H5Sclose);
  const H5Handle attribute(
      checked(H5Acreate2(id_.get(), "crc32", H5T_STD_U32LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), path_,
              "create the checksum of " + name_),
      H5Aclose);
  checked(H5Awrite(attribute.get(), H5T_NATIVE_UINT32, &crc), path_, "write the checksum of " + name_);
}

std::uint32_t H5Array::sealed_crc() const {
  const H5Handle attribute(
      checked(H5Aopen(id_.get(), "crc32", H5P_DEFAULT), path_, "find a checksum of " + name_), H5Aclose);
  const H5Handle space(checked(H5Aget_space(attribute.get()), path_, "read the checksum of " + name_),
                       H5Sclose);
  const H5Handle type(checked(H5Aget_type(attribute.get()), path_, "read the checksum of " + name_),
                      H5Tclose);
  if (H5Sget_simple_extent_type(space.get()) != H5S_SCALAR || H5Tequal(type.get(), H5T_STD_U32LE) <= 0)
    fail("{}: the checksum of {} is not one number; the file is damaged", path_, name_);
  std::uint32_t expected = 0;
  checked(H5Aread(attribute.get(), H5T_NATIVE_UINT32, &expected), path_, "read the checksum of " + name_);
  return expected;
}

void H5Array::verify(const std::function<void(const at::Tensor&)>& look) const {
  const std::uint32_t expected = sealed_crc();
  if (content_crc(look) != expected)
    fail("{}: {} does not match its checksum; the file is damaged", path_, name_);
}

}  // namespace whence
