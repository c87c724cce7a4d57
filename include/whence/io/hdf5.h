#pragma once
// HDF5 with every call checked once: handles that close themselves, errors that name the file.

#include <cstdint>
#include <functional>
#include <hdf5.h>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"

namespace whence {

using Shape = std::vector<std::int64_t>;

/// Owns one HDF5 identifier.
class H5Handle {
 public:
  H5Handle() = default;
  H5Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  H5Handle(H5Handle&& other) noexcept;
  H5Handle& operator=(H5Handle&& other) noexcept;
  ~H5Handle();
  hid_t get() const { return id_; }

 private:
  hid_t id_ = -1;
  herr_t (*close_)(hid_t) = nullptr;
};

/// What MPI-IO is to open: the path, but without colons in the names of its folders, as MPICH's takes what
/// stands before one for the kind of a file system. Such a folder is named by a descriptor, which is open for
/// as long as this is there.
class NameForMpi {
 public:
  NameForMpi() = default;
  /// Collective. Without ranks the path as it is. Error naming it where its folder cannot be opened.
  NameForMpi(const std::string& path, const std::optional<Communicator>& ranks);
  NameForMpi(NameForMpi&& other) noexcept;
  NameForMpi& operator=(NameForMpi&& other) noexcept;
  ~NameForMpi();
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  int folder_ = -1;
};

/// Bytes that one HDF5 call moves at most: MPI-IO counts them in an int.
inline constexpr std::int64_t largest_piece = std::int64_t{1} << 30;

/// A contiguous array in a file. Element types: float32, float64, int64, and int32 for CRC-32s (their bits).
class H5Array {
 public:
  /// Error naming file and array for other types, and for what is not stored in one stretch of the file
  /// (chunked, compressed, external, virtual, never written).
  H5Array(H5Handle id, std::string name, std::string path);

  const std::string& name() const { return name_; }
  const std::string& path() const { return path_; }

  const Shape& shape() const { return shape_; }
  at::ScalarType dtype() const { return dtype_; }

  /// Writes `values` (contiguous CPU tensor of the array's dtype) at `offset`; the slab has the tensor's
  /// shape. Independent of other ranks. At most `piece` bytes go in one call.
  void write(const at::Tensor& values, const Shape& offset, std::int64_t piece = largest_piece) const;
  /// The slab of shape `count` at `offset`, by calls of at most `piece` bytes. Error naming the file when
  /// there is no memory for it.
  at::Tensor read(const Shape& offset, const Shape& count, std::int64_t piece = largest_piece) const;
  at::Tensor read() const;
  /// Asks the system to fetch such a slab, which is one stretch of the file, from where the file lies, and
  /// does not wait for it: a read() that comes later waits less. Where that cannot be asked for, nothing.
  void prefetch(const Shape& offset, const Shape& count) const;
  /// Shows all of the content to `look`, piece by piece, in the order of its numbers.
  void look_through(const std::function<void(const at::Tensor&)>& look) const;

  /// CRC-32 of the whole content, kept as an attribute: written after the content, checked on reading.
  void seal() const;
  /// The same where the CRC-32 is known.
  void seal_as(std::uint32_t crc) const;
  /// That attribute; Error naming file and array where there is none.
  std::uint32_t sealed_crc() const;
  /// Error naming file and array when the content does not match its CRC-32. `look` sees the content, too.
  void verify(const std::function<void(const at::Tensor&)>& look = {}) const;

 private:
  void expect_in_one_stretch() const;
  void expect_inside(const Shape& offset, const Shape& count) const;
  std::uint32_t content_crc(const std::function<void(const at::Tensor&)>& look = {}) const;
  H5Handle slab(const Shape& offset, const Shape& count, H5Handle& memory) const;
  H5Handle id_;
  std::string name_, path_;
  Shape shape_;
  at::ScalarType dtype_;
};

/// How a new array's bytes come into being. `sparse`: allocated but never filled, so creation is instant (and
/// every element must be written before it counts); `zeros`: filled with zeros.
enum class Fill { sparse, zeros };

/// An HDF5 file. Opened by one rank alone, or by a group of ranks together (parallel HDF5, collective calls:
/// create, open, create_array, attributes, closing).
class H5File {
 public:
  /// Creates (truncating) `path`; `ranks`: together, through MPI-IO.
  static H5File create(const std::string& path, const std::optional<Communicator>& ranks = std::nullopt);
  /// Error naming the file when there is none, or when it is not HDF5.
  static H5File open_to_read(const std::string& path);
  static H5File open_to_write(const std::string& path,
                              const std::optional<Communicator>& ranks = std::nullopt);

  /// A contiguous, preallocated array.
  H5Array create_array(const std::string& name, at::ScalarType dtype, const Shape& shape, Fill fill) const;
  /// Creates, writes and seals a small array at once.
  void put(const std::string& name, const at::Tensor& values) const;
  H5Array array(const std::string& name) const;
  /// The whole content of a sealed array; Error naming file and array when it does not match its CRC-32.
  at::Tensor verified(const std::string& name) const;
  /// The same of an int64 or a float64 array, as a list.
  std::vector<std::int64_t> verified_integers(const std::string& name) const;
  std::vector<double> verified_reals(const std::string& name) const;
  bool has(const std::string& name) const;
  std::vector<std::string> arrays() const;

  /// Hands everything to the operating system, with its errors (a full disk), which closing would
  /// swallow.
  void flush() const;

  /// Text attributes of the file (UTF-8, at most 60 kB, in the checksummed object header).
  void set_attribute(const std::string& name, const std::string& value) const;
  std::string attribute(const std::string& name) const;
  std::vector<std::string> attributes() const;

  const std::string& path() const { return path_; }

 private:
  H5File(H5Handle id, std::string path, NameForMpi name)
      : name_(std::move(name)), id_(std::move(id)), path_(std::move(path)) {}
  NameForMpi name_;  // before id_: it has to last until the file is closed
  H5Handle id_;
  std::string path_;
};

}  // namespace whence
