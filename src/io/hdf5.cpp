#include "whence/io/hdf5.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

#include "whence/core/error.h"

#include "hdf5_checked.h"

namespace whence {
namespace {

template <typename T>
std::vector<T> list_of(const at::Tensor& values, const std::string& path, const std::string& name) {
  if (values.scalar_type() != c10::CppTypeToScalarType<T>::value)
    fail("{}: {} has an unexpected element type", path, name);
  const T* begin = values.data_ptr<T>();
  return {begin, begin + values.numel()};
}

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

// The attribute's text is one of fixed length; no file of Whence has one of more than 60 kB.
constexpr std::size_t longest_text = std::size_t{1} << 20;

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

NameForMpi::NameForMpi(const std::string& path, const std::optional<Communicator>& ranks) : text_(path) {
  if (!ranks || path.find(':') == std::string::npos) return;
  const std::filesystem::path whole = std::filesystem::absolute(path);
  ranks->on_every_rank([&] {
    folder_ = ::open(whole.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder_ < 0) fail("{}: its folder cannot be opened: {}", path, std::strerror(errno));
  });
  text_ = fmt::format("/proc/self/fd/{}/{}", folder_, whole.filename().string());
}

NameForMpi::NameForMpi(NameForMpi&& other) noexcept
    : text_(std::move(other.text_)), folder_(std::exchange(other.folder_, -1)) {}

NameForMpi& NameForMpi::operator=(NameForMpi&& other) noexcept {
  std::swap(text_, other.text_);
  std::swap(folder_, other.folder_);
  return *this;
}

NameForMpi::~NameForMpi() {
  if (folder_ >= 0) ::close(folder_);
}

H5File H5File::create(const std::string& path, const std::optional<Communicator>& ranks) {
  const H5Handle access = access_list(path, ranks);
  // Files of two equal runs are equal byte for byte: no times in them, neither here nor in the arrays.
  const H5Handle creation(checked(H5Pcreate(H5P_FILE_CREATE), path, "make a creation list"), H5Pclose);
  checked(H5Pset_obj_track_times(creation.get(), false), path, "leave times out");
  // The list of arrays stays in the checksummed header of the root: HDF5 1.10 frees what is not its own when
  // it finds a longer list damaged.
  constexpr unsigned most_arrays = 200, least_elsewhere = 100;
  checked(H5Pset_link_phase_change(creation.get(), most_arrays, least_elsewhere), path,
          "keep its arrays in one list");
  NameForMpi name(path, ranks);
  H5Handle id(
      checked(H5Fcreate(name.text().c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), path, "create it"),
      H5Fclose);
  return {std::move(id), path, std::move(name)};
}

H5File H5File::open_to_read(const std::string& path) {
  expect_file(path);
  const H5Handle access = access_list(path, std::nullopt);
  return {H5Handle(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), path, "open it"), H5Fclose),
          path,
          {}};
}

H5File H5File::open_to_write(const std::string& path, const std::optional<Communicator>& ranks) {
  const H5Handle access = access_list(path, ranks);
  NameForMpi name(path, ranks);
  H5Handle id(checked(H5Fopen(name.text().c_str(), H5F_ACC_RDWR, access.get()), path, "open it"), H5Fclose);
  return {std::move(id), path, std::move(name)};
}

void H5File::flush() const { checked(H5Fflush(id_.get(), H5F_SCOPE_GLOBAL), path_, "write it"); }

H5Array H5File::create_array(const std::string& name, at::ScalarType dtype, const Shape& shape,
                             Fill fill) const {
  const auto dims = sizes_of(shape);
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
  H5L_info_t link;
  checked(H5Lget_info(id_.get(), name.c_str(), &link, H5P_DEFAULT), path_, "find the array " + name);
  if (link.type != H5L_TYPE_HARD) fail("{}: {} is a link to elsewhere, not an array", path_, name);
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
  const H5Handle space(checked(H5Aget_space(attribute.get()), path_, "read the attribute " + name), H5Sclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
      H5Sget_simple_extent_type(space.get()) != H5S_SCALAR || H5Tget_size(type.get()) > longest_text)
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
