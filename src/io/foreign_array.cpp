#include "whence/io/foreign_array.h"

#include <algorithm>
#include <array>
#include <limits>

#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/core/progress.h"

#include "hdf5_checked.h"

namespace whence {
namespace {

constexpr std::int64_t slice_bytes = std::int64_t{1} << 25, largest_slice = std::int64_t{1} << 28;
// Deflate packs at most 1,032 bytes into one (RFC 1951: 258 bytes in two bits), so a file that holds less
// than this part of an array lacks some of it.
constexpr std::int64_t most_packed = 1100;

H5Handle open_file(const std::string& path) {
  silence_hdf5();
  expect_file(path);
  const H5Handle access(checked(H5Pcreate(H5P_FILE_ACCESS), path, "make an access list"), H5Pclose);
  // Network file systems often cannot lock, and reading needs none.
  checked(H5Pset_file_locking(access.get(), false, true), path, "leave its lock alone");
  return {checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), path, "open it as HDF5"), H5Fclose};
}

// Links may lead into other files, or to what would wait without end; so none is followed.
void expect_no_links(hid_t file, const std::string& path, const std::string& name) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = name.find('/', end + 1);
    const std::string part = name.substr(0, end);
    H5L_info_t link;
    if (H5Lget_info(file, part.c_str(), &link, H5P_DEFAULT) < 0) {
      H5Eclear2(H5E_DEFAULT);
      const std::vector<std::string> there = arrays_in(path);
      fail("{}: has no data set {}; there {}", path, name,
           there.empty() ? "is none" : fmt::format("are: {}", fmt::join(there, ", ")));
    }
    if (link.type != H5L_TYPE_HARD) fail("{}: {} is a link to elsewhere, not an array", path, part);
  }
}

Shape shape_of(hid_t id, const std::string& path, const std::string& name) {
  const H5Handle space(checked(H5Dget_space(id), path, "read the shape of " + name), H5Sclose);
  if (H5Sget_simple_extent_type(space.get()) != H5S_SIMPLE)
    fail("{}: {} has no axis that counts instances", path, name);
  std::vector<hsize_t> dims(
      checked(H5Sget_simple_extent_ndims(space.get()), path, "read the number of axes of " + name));
  checked(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), path, "read the shape of " + name);
  hsize_t left = std::numeric_limits<std::int64_t>::max() / 8;
  for (const hsize_t size : dims) {
    if (size == 0) fail("{}: {} is empty, its shape is [{}]", path, name, fmt::join(dims, ", "));
    if (size > left) fail("{}: {} has a size that no memory could hold", path, name);
    left /= size;
  }
  return {dims.begin(), dims.end()};
}

// IEEE 754's, of 16, 32 and 64 bits: what HDF5 makes of others no other reader might.
bool usual_float(hid_t type, std::size_t size) {
  std::size_t sign = 0, exponent_at = 0, exponent = 0, mantissa_at = 0, mantissa = 0;
  if (H5Tget_fields(type, &sign, &exponent_at, &exponent, &mantissa_at, &mantissa) < 0) return false;
  const std::size_t bias = H5Tget_ebias(type);
  if (mantissa_at != 0 || exponent_at != mantissa || sign != mantissa + exponent) return false;
  return (size == 2 && exponent == 5 && mantissa == 10 && bias == 15) ||
         (size == 4 && exponent == 8 && mantissa == 23 && bias == 127) ||
         (size == 8 && exponent == 11 && mantissa == 52 && bias == 1023);
}

bool usual_integer(hid_t type, std::size_t size) {
  return size <= sizeof(std::int64_t) && H5Tget_precision(type) == 8 * size && H5Tget_offset(type) == 0;
}

ForeignArray::Numbers numbers_of(hid_t type, const std::string& path, const std::string& name) {
  const H5T_class_t kind = H5Tget_class(type);
  const std::size_t size = H5Tget_size(type);
  if (kind == H5T_FLOAT && usual_float(type, size)) return ForeignArray::Numbers::reals;
  if (kind == H5T_INTEGER && usual_integer(type, size))
    return size == 1 && H5Tget_sign(type) == H5T_SGN_NONE ? ForeignArray::Numbers::bytes
                                                          : ForeignArray::Numbers::integers;
  const char* what = kind == H5T_COMPOUND  ? "a compound type (complex numbers are one)"
                     : kind == H5T_STRING  ? "texts"
                     : kind == H5T_ENUM    ? "an enumeration (booleans are one)"
                     : kind == H5T_FLOAT   ? "floats of another format"
                     : kind == H5T_INTEGER ? "integers of another format"
                                           : "another type";
  fail("{}: {} holds {}, not integers or floats of at most 64 bits", path, name, what);
}

hid_t memory_type_of(ForeignArray::Numbers numbers) {
  if (numbers == ForeignArray::Numbers::bytes) return H5T_NATIVE_UINT8;
  return numbers == ForeignArray::Numbers::integers ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
}

at::ScalarType tensor_type_of(ForeignArray::Numbers numbers) {
  if (numbers == ForeignArray::Numbers::bytes) return at::kByte;
  return numbers == ForeignArray::Numbers::integers ? at::kLong : at::kDouble;
}

// Numbers that lie in other files would be read from there, unseen; returns the rows of a chunk.
std::int64_t expect_in_this_file(const H5Handle& list, const std::string& path, const std::string& name) {
  const H5D_layout_t layout = H5Pget_layout(list.get());
  if (layout == H5D_VIRTUAL)
    fail("{}: {} is virtual, its numbers lie in other data sets; copy them into one", path, name);
  if (checked(H5Pget_external_count(list.get()), path, "read the layout of " + name) != 0)
    fail("{}: {} is external, its numbers lie in other files; copy them into this one", path, name);
  if (layout != H5D_CHUNKED) return 1;
  std::vector<hsize_t> chunk(H5S_MAX_RANK);
  checked(H5Pget_chunk(list.get(), H5S_MAX_RANK, chunk.data()), path, "read the chunks of " + name);
  return static_cast<std::int64_t>(chunk.front());
}

// HDF5 would look for a plugin, and say that there is no folder of them.
void expect_known_filters(const H5Handle& list, const std::string& path, const std::string& name) {
  if (H5Pget_layout(list.get()) != H5D_CHUNKED) return;
  const int filters = checked(H5Pget_nfilters(list.get()), path, "read the filters of " + name);
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, settings = 0;
    std::size_t values = 0;
    std::array<char, 64> text{};
    const H5Z_filter_t filter = H5Pget_filter2(list.get(), static_cast<unsigned>(i), &flags, &values, nullptr,
                                               text.size(), text.data(), &settings);
    if (filter < 0 || H5Zfilter_avail(filter) <= 0) {
      H5Eclear2(H5E_DEFAULT);
      fail("{}: {} is packed by the filter {} '{}', which this HDF5 has not; pack it with gzip", path, name,
           static_cast<int>(filter), text.data());
    }
  }
}

void expect_all_chunks(hid_t id, const H5Handle& list, const std::string& path, const std::string& name) {
  const H5Handle space(checked(H5Dget_space(id), path, "read the shape of " + name), H5Sclose);
  std::array<hsize_t, H5S_MAX_RANK> size{}, chunk{};
  const int axes = checked(H5Sget_simple_extent_dims(space.get(), size.data(), nullptr), path,
                           "read the shape of " + name);
  checked(H5Pget_chunk(list.get(), H5S_MAX_RANK, chunk.data()), path, "read the chunks of " + name);
  hsize_t all = 1, there = 0;
  for (int axis = 0; axis < axes; ++axis) all *= (size[axis] + chunk[axis] - 1) / chunk[axis];
  checked(H5Dget_num_chunks(id, space.get(), &there), path, "count the chunks of " + name);
  if (there != all)
    fail("{}: {} has {} of its {} chunks; it was not written to its end", path, name, there, all);
  // An index that lists all chunks may still not lead to them; HDF5 would read such a one as anything.
  std::array<hsize_t, H5S_MAX_RANK> at{};
  for (hsize_t i = 0; i < all; ++i) {
    unsigned filters = 0;
    haddr_t address = HADDR_UNDEF;
    hsize_t bytes = 0;
    checked(H5Dget_chunk_info_by_coord(id, at.data(), &filters, &address, &bytes), path,
            "find the chunks of " + name);
    if (address == HADDR_UNDEF) fail("{}: {} lacks a chunk; the file is damaged", path, name);
    for (int axis = axes; axis-- > 0; at[axis] = 0)
      if ((at[axis] += chunk[axis]) < size[axis]) break;
  }
}

// A chunk that was never written reads as zeros, and a shape promises what it likes.
void expect_written(hid_t id, const H5Handle& list, std::int64_t bytes, const std::string& path,
                    const std::string& name) {
  if (H5Pget_layout(list.get()) == H5D_CHUNKED) expect_all_chunks(id, list, path, name);
  const auto there = static_cast<std::int64_t>(H5Dget_storage_size(id));
  const bool packed = H5Pget_layout(list.get()) == H5D_CHUNKED && H5Pget_nfilters(list.get()) > 0;
  if (there < (packed ? std::max<std::int64_t>(1, bytes / most_packed) : bytes))
    fail("{}: {} promises {}, but the file holds only {} of it; it was not written to its end", path, name,
         human_bytes(static_cast<double>(bytes)), human_bytes(static_cast<double>(there)));
}

}  // namespace

ForeignArray::ForeignArray(const std::string& path, const std::string& name)
    : file_(open_file(path)), path_(path), name_(name) {
  expect_no_links(file_.get(), path, name);
  id_ = H5Handle(checked(H5Oopen(file_.get(), name.c_str(), H5P_DEFAULT), path, "open " + name), H5Oclose);
  if (H5Iget_type(id_.get()) != H5I_DATASET) fail("{}: {} is not a data set", path, name);
  const H5Handle type(checked(H5Dget_type(id_.get()), path, "read the type of " + name), H5Tclose);
  numbers_ = numbers_of(type.get(), path, name);
  if (numbers_ == Numbers::reals)
    type_in_file_ = H5Tget_size(type.get()) == 2   ? at::kHalf
                    : H5Tget_size(type.get()) == 4 ? at::kFloat
                                                   : at::kDouble;
  swapped_ = H5Tget_size(type.get()) > 1 && H5Tget_order(type.get()) != H5Tget_order(H5T_NATIVE_DOUBLE);
  shape_ = shape_of(id_.get(), path, name);
  const H5Handle list(checked(H5Dget_create_plist(id_.get()), path, "read the layout of " + name), H5Pclose);
  chunk_rows_ = expect_in_this_file(list, path, name);
  expect_known_filters(list, path, name);
  expect_written(id_.get(), list, rows() * width() * static_cast<std::int64_t>(H5Tget_size(type.get())), path,
                 name);
}

std::optional<std::int64_t> ForeignArray::begin_in_file() const {
  const H5Handle list(checked(H5Dget_create_plist(id_.get()), path_, "read the layout of " + name_),
                      H5Pclose);
  if (H5Pget_layout(list.get()) != H5D_CONTIGUOUS) return std::nullopt;
  const haddr_t begin = H5Dget_offset(id_.get());
  if (begin == HADDR_UNDEF) return std::nullopt;
  return static_cast<std::int64_t>(begin);
}

std::int64_t ForeignArray::width() const {
  std::int64_t numbers = 1;
  for (std::size_t axis = 1; axis < shape_.size(); ++axis) numbers *= shape_[axis];
  return numbers;
}

std::int64_t ForeignArray::rows_at_once() const {
  const std::int64_t row = width() * static_cast<std::int64_t>(c10::elementSize(tensor_type_of(numbers_)));
  const std::int64_t some = std::max<std::int64_t>(1, slice_bytes / row);
  if (chunk_rows_ <= some) return some - some % chunk_rows_;
  return chunk_rows_ <= largest_slice / row ? chunk_rows_ : some;
}

at::Tensor ForeignArray::read(std::int64_t first, std::int64_t count) const {
  const std::string action = fmt::format("read rows {} to {} of {}", first, first + count - 1, name_);
  at::Tensor values = at::zeros({count, width()}, tensor_type_of(numbers_));
  const H5Handle space(checked(H5Dget_space(id_.get()), path_, action), H5Sclose);
  std::vector<hsize_t> begin(shape_.size(), 0), size(shape_.begin(), shape_.end());
  begin[0] = static_cast<hsize_t>(first);
  size[0] = static_cast<hsize_t>(count);
  checked(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, begin.data(), nullptr, size.data(), nullptr),
          path_, action);
  const H5Handle memory(
      checked(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), path_, action),
      H5Sclose);
  checked(
      H5Dread(id_.get(), memory_type_of(numbers_), memory.get(), space.get(), H5P_DEFAULT, values.data_ptr()),
      path_, action);
  return values;
}

bool has_array(const std::string& path, const std::string& name) {
  const H5Handle file = open_file(path);
  return H5Lexists(file.get(), name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> arrays_in(const std::string& path) {
  const H5Handle file = open_file(path);
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5O_info_t* info, void* out) -> herr_t {
    if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(out)->push_back(name);
    return 0;
  };
#if H5_VERSION_GE(1, 12, 0)
  const herr_t result = H5Ovisit(file.get(), H5_INDEX_NAME, H5_ITER_INC, collect, &names, H5O_INFO_BASIC);
#else
  const herr_t result = H5Ovisit(file.get(), H5_INDEX_NAME, H5_ITER_INC, collect, &names);
#endif
  checked(result, path, "list its data sets");
  return names;
}

}  // namespace whence
