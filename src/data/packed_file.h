#pragma once
// A file read through zlib, which unpacks gzip and passes everything else on as it is.

#include <cstdint>
#include <memory>
#include <string>
#include <zlib.h>

namespace whence {

class PackedFile {
 public:
  /// Error naming the file when it cannot be opened. `path` outlives this object.
  explicit PackedFile(const std::string& path);

  /// The next `count` bytes, or as many as are left; returns how many. Error when it cannot be unpacked.
  std::size_t read(std::uint8_t* out, std::size_t count);

  /// Whether what is read is unpacked, and not as it lies in the file.
  bool packed() const;

 private:
  void check() const;

  const std::string& path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

}  // namespace whence
