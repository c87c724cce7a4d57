#pragma once
// How data are got at: no part of what a run is.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "whence/data/row_source.h"

namespace whence {

/// Marks of files' rows that this process knows already, by what they are the marks of.
using KnownMarks = std::map<std::string, std::shared_ptr<const RowMarks>>;

struct DataAccess {
  /// Bytes: instances that take at most so many as numbers are held in memory by every rank; others are read
  /// from their files as they are needed.
  std::int64_t memory = std::int64_t{256} << 20;
  /// The same on a GPU: others are sent there as they are needed.
  std::int64_t device_memory = std::int64_t{8} << 30;
  /// For what is unpacked, and for checksums where the data's own folder cannot be written into; "": the
  /// user's cache folder (cache_folder).
  std::string cache = {};
  /// Hears in a sentence what takes long, and where it is kept; may be null.
  std::function<void(const std::string&)> say = nullptr;
  std::shared_ptr<KnownMarks> known = std::make_shared<KnownMarks>();

  void announce(const std::string& text) const {
    if (say) say(text);
  }
};

}  // namespace whence
