#pragma once
// The marks of files' rows, kept on disk: computed once, whatever rows of the file a run chooses.

#include <memory>
#include <vector>

#include "whence/data/file_rows.h"

namespace whence {

/// Marks and, by which they are checked, CRC-32s of the pieces of the file.
struct MarkedPieces {
  MarkedPieces() = default;
  /// Of all rows and pieces, still to be filled in.
  explicit MarkedPieces(const FileRows& rows) : marks(rows.size()), piece(rows.pieces()) {}
  RowMarks marks;
  std::vector<std::uint32_t> piece;
};

/// The marks kept beside the data, or in the cache folder, where they are those of files of this name, size
/// and time; some pieces, others each time, are looked at whether they still have their checksums. Null where
/// there are none, or none that fit; that a piece does not is announced.
std::shared_ptr<const RowMarks> kept_marks(const FileRows& rows);

/// Keeps them in a hidden file beside the data, or in the cache folder where that cannot be; announced where
/// neither can.
void keep_marks(const FileRows& rows, const MarkedPieces& marks);

}  // namespace whence
