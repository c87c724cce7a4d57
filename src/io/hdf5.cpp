#include "whence/io/hdf5.h"

#include <algorithm>
#include <utility>

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/io/checksum.h"

namespace whence {
namespace {

herr_t keep_deepest(unsigned, const H5E_error2_t* error, void* text) {
  if (error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

// The innermost description on HDF5's error stack, which is the one that says what happened.
std::string hdf5_cause() {
  std::string cause = "unknown HDF5 error";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_deepest, &cause);
  H5Eclear2(H5E_DEFAULT);
  // Failed reads and writes carry times and addresses; what the system said is what helps.
  const std::string mark = "error message = '";
  if (const auto begin = cause.find(mark); begin != std::string::npos)
    return cause.substr(begin + mark.size(), cause.find('\'', begin + mark.size()) - begin - mark.size());
  return cause.substr(0, cause.find(": time ="));
}

template <typename Result>
Result checked(Result result, const std::string& path, const std::string& action) {
  if (result < 0) fail("{}: cannot {} ({})", path, action, hdf5_cause());
  return result;
}

// Whence reports HDF5's errors itself; the library's own printout would come once a rank.
void silence_hdf5() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

hid_t file_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return H5T_IEEE_F32LE;
    case at::kDouble:
      return H5T_IEEE_F64LE;
    case at::kLong:
      return H5T_STD_I64LE;
    case at::kInt:
      return H5T_STD_I32LE;
    default:
      fail("HDF5: arrays of {} are not supported", at::toString(dtype));
  }
}

hid_t memory_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return H5T_NATIVE_FLOAT;
    case at::kDouble:
      return H5T_NATIVE_DOUBLE;
    case at::kLong:
      return H5T_NATIVE_INT64;
    default:
      return H5T_NATIVE_INT32;
  }
}

template <typename T>
std::vector<T> list_of(const at::Tensor& values, const std::string& path, const std::string& name) {
  if (values.scalar_type() != c10::CppTypeToScalarType<T>::value)
    fail("{}: {} has an unexpected element type", path, name);
  const T* begin = values.data_ptr<T>();
  return {begin, begin + values.numel()};
}

std::vector<hsize_t> sizes(const Shape& shape) { return {shape.begin(), shape.end()}; }

// MPI-IO for a group; no HDF5 lock for a single rank, since network file systems often cannot lock (Whence
// has a lock of its own for writers). Version 1.8 formats: object headers with checksums.
H5Handle access_list(const std::string& path, const std::optional<Communicator>& ranks) {
  silence_hdf5();
  H5Handle list(checked(H5Pcreate(H5P_FILE_ACCESS), path, "make an access list"), H5Pclose);
  checked(H5Pset_libver_bounds(list.get(), H5F_LIBVER_V18, H5F_LIBVER_V18), path, "set the format version");
  if (ranks)
    checked(H5Pset_fapl_mpio(list.get(), ranks->handle(), MPI_INFO_NULL), path, "use MPI-IO");
  else
    checked(H5Pset_file_locking(list.get(), false, true), path, "leave locking to Whence");
  return list;
}

}  // namespace

H5Handle::H5Handle(H5Handle&& other) noexcept
    : id_(std::exchange(other.id_, -1)), close_(std::exchange(other.close_, nullptr)) {}

H5Handle& H5Handle::operator=(H5Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

H5Handle::~H5Handle() {
  if (id_ >= 0) close_(id_);
}

H5Array::H5Array(H5Handle id, std::string name, std::string path)
    : id_(std::move(id)), name_(std::move(name)), path_(std::move(path)) {
  const H5Handle space(checked(H5Dget_space(id_.get()), path_, "read the shape of " + name_), H5Sclose);
  std::vector<hsize_t> dims(checked(H5Sget_simple_extent_ndims(space.get()), path_, "read a rank"));
  checked(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr), path_, "read the shape of " + name_);
  shape_.assign(dims.begin(), dims.end());
  const H5Handle type(checked(H5Dget_type(id_.get()), path_, "read the type of " + name_), H5Tclose);
  for (const at::ScalarType candidate : {at::kFloat, at::kDouble, at::kLong, at::kInt})
    if (H5Tequal(type.get(), file_type(candidate)) > 0) {
      dtype_ = candidate;
      return;
    }
  fail("{}: {} has an unexpected element type", path_, name_);
}

H5Handle H5Array::slab(const Shape& offset, const Shape& count, H5Handle& memory) const {
  H5Handle space(checked(H5Dget_space(id_.get()), path_, "select in " + name_), H5Sclose);
  const auto begin = sizes(offset), size = sizes(count);
  for (std::size_t axis = 0; axis < shape_.size(); ++axis)
    if (offset.size() != shape_.size() || count.size() != shape_.size() || offset[axis] < 0 ||
        offset[axis] + count[axis] > shape_[axis])
      fail("{}: a slab outside of {}", path_, name_);
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

void H5Array::write(const at::Tensor& values, const Shape& offset) const {
  TORCH_CHECK(values.is_contiguous() && values.scalar_type() == dtype_, path_, ": wrong values for ", name_);
  H5Handle memory;
  const H5Handle space = slab(offset, values.sizes().vec(), memory);
  checked(H5Dwrite(id_.get(), memory_type(dtype_), memory.get(), space.get(), H5P_DEFAULT, values.data_ptr()),
          path_, "write " + name_);
}

at::Tensor H5Array::read(const Shape& offset, const Shape& count) const {
  at::Tensor values = at::empty(count, dtype_);
  H5Handle memory;
  const H5Handle space = slab(offset, count, memory);
  checked(H5Dread(id_.get(), memory_type(dtype_), memory.get(), space.get(), H5P_DEFAULT, values.data_ptr()),
          path_, "read " + name_);
  return values;
}

at::Tensor H5Array::read() const { return read(Shape(shape_.size(), 0), shape_); }

std::uint32_t H5Array::content_crc() const {
  if (shape_.empty()) return crc32_of(read());
  std::int64_t row = 1;
  for (std::size_t axis = 1; axis < shape_.size(); ++axis) row *= shape_[axis];
  const std::int64_t stretch =
      std::max<std::int64_t>(1, (std::int64_t{1} << 22) / std::max<std::int64_t>(1, row));
  std::uint32_t crc = 0;
  Shape offset(shape_.size(), 0), count = shape_;
  for (; offset[0] < shape_[0]; offset[0] += count[0]) {
    count[0] = std::min(stretch, shape_[0] - offset[0]);
    crc = crc32_of(read(offset, count), crc);
  }
  return crc;
}

void H5Array::seal() const {
  const std::uint32_t crc = content_crc();
  const H5Handle space(checked(H5Screate(H5S_SCALAR), path_, "describe a checksum"), H5Sclose);
  const H5Handle attribute(
      checked(H5Acreate2(id_.get(), "crc32", H5T_STD_U32LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), path_,
              "create the checksum of " + name_),
      H5Aclose);
  checked(H5Awrite(attribute.get(), H5T_NATIVE_UINT32, &crc), path_, "write the checksum of " + name_);
}

void H5Array::verify() const {
  const H5Handle attribute(
      checked(H5Aopen(id_.get(), "crc32", H5P_DEFAULT), path_, "find a checksum of " + name_), H5Aclose);
  std::uint32_t expected = 0;
  checked(H5Aread(attribute.get(), H5T_NATIVE_UINT32, &expected), path_, "read the checksum of " + name_);
  if (content_crc() != expected)
    fail("{}: {} does not match its checksum; the file is damaged", path_, name_);
}

H5File H5File::create(const std::string& path, const std::optional<Communicator>& ranks) {
  const H5Handle access = access_list(path, ranks);
  // Files of two equal runs are equal byte for byte: no times in them, neither here nor in the arrays.
  const H5Handle creation(checked(H5Pcreate(H5P_FILE_CREATE), path, "make a creation list"), H5Pclose);
  checked(H5Pset_obj_track_times(creation.get(), false), path, "leave times out");
  return {H5Handle(checked(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), path,
                           "create it"),
                   H5Fclose),
          path};
}

H5File H5File::open_to_read(const std::string& path) {
  const H5Handle access = access_list(path, std::nullopt);
  return {H5Handle(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), path, "open it"), H5Fclose),
          path};
}

H5File H5File::open_to_write(const std::string& path, const std::optional<Communicator>& ranks) {
  const H5Handle access = access_list(path, ranks);
  return {H5Handle(checked(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), path, "open it"), H5Fclose),
          path};
}

void H5File::flush() const { checked(H5Fflush(id_.get(), H5F_SCOPE_GLOBAL), path_, "write it"); }

H5Array H5File::create_array(const std::string& name, at::ScalarType dtype, const Shape& shape,
                             Fill fill) const {
  const auto dims = sizes(shape);
  const H5Handle space(checked(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), path_,
                               "describe " + name),
                       H5Sclose);
  const H5Handle list(checked(H5Pcreate(H5P_DATASET_CREATE), path_, "describe " + name), H5Pclose);
  checked(H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY), path_, "preallocate " + name);
  checked(H5Pset_fill_time(list.get(), fill == Fill::zeros ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER),
          path_, "preallocate " + name);
  checked(H5Pset_obj_track_times(list.get(), false), path_, "leave times out of " + name);
  H5Handle id(checked(H5Dcreate2(id_.get(), name.c_str(), file_type(dtype), space.get(), H5P_DEFAULT,
                                 list.get(), H5P_DEFAULT),
                      path_, "create " + name),
              H5Dclose);
  return {std::move(id), name, path_};
}

void H5File::put(const std::string& name, const at::Tensor& values) const {
  const H5Array array = create_array(name, values.scalar_type(), values.sizes().vec(), Fill::sparse);
  array.write(values.contiguous(), Shape(values.dim(), 0));
  array.seal();
}

H5Array H5File::array(const std::string& name) const {
  H5Handle id(checked(H5Dopen2(id_.get(), name.c_str(), H5P_DEFAULT), path_, "find the array " + name),
              H5Dclose);
  return {std::move(id), name, path_};
}

at::Tensor H5File::verified(const std::string& name) const {
  const H5Array found = array(name);
  found.verify();
  return found.read();
}

std::vector<std::int64_t> H5File::verified_integers(const std::string& name) const {
  return list_of<std::int64_t>(verified(name), path_, name);
}

std::vector<double> H5File::verified_reals(const std::string& name) const {
  return list_of<double>(verified(name), path_, name);
}

bool H5File::has(const std::string& name) const {
  return H5Lexists(id_.get(), name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> H5File::arrays() const {
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->push_back(name);
    return 0;
  };
  checked(H5Literate(id_.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), path_,
          "list its arrays");
  return names;
}

void H5File::set_attribute(const std::string& name, const std::string& value) const {
  const H5Handle type(checked(H5Tcopy(H5T_C_S1), path_, "describe " + name), H5Tclose);
  checked(H5Tset_size(type.get(), std::max<std::size_t>(1, value.size())), path_, "describe " + name);
  checked(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), path_, "describe " + name);
  checked(H5Tset_cset(type.get(), H5T_CSET_UTF8), path_, "describe " + name);
  const H5Handle space(checked(H5Screate(H5S_SCALAR), path_, "describe " + name), H5Sclose);
  const H5Handle attribute(
      checked(H5Acreate2(id_.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), path_,
              "create the attribute " + name),
      H5Aclose);
  checked(H5Awrite(attribute.get(), type.get(), value.empty() ? "\0" : value.data()), path_,
          "write the attribute " + name);
}

std::string H5File::attribute(const std::string& name) const {
  const H5Handle attribute(
      checked(H5Aopen(id_.get(), name.c_str(), H5P_DEFAULT), path_, "find the attribute " + name), H5Aclose);
  const H5Handle type(checked(H5Aget_type(attribute.get()), path_, "read the attribute " + name), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0)
    fail("{}: the attribute {} is not a text of fixed length", path_, name);
  std::string value(H5Tget_size(type.get()), '\0');
  checked(H5Aread(attribute.get(), type.get(), value.data()), path_, "read the attribute " + name);
  value.erase(std::find(value.begin(), value.end(), '\0'), value.end());
  return value;
}

std::vector<std::string> H5File::attributes() const {
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->push_back(name);
    return 0;
  };
  checked(H5Aiterate2(id_.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names), path_,
          "list its attributes");
  return names;
}

}  // namespace whence
