#pragma once
// Finished blocks of counterfactuals or scores on disk, each written by whichever rank computed it.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/io/artifact.h"

namespace whence {

/// Rows of float64, one a block, in NAME.part while a job works towards NAME. A row counts once its CRC-32 is
/// in the file, which is written after the row has reached the disk: a job killed at any moment keeps its
/// finished rows, and the same job started again computes only the others.
class BlockStore {
 public:
  /// Creates `path`.part for `rows` rows of `width` numbers, or goes on with the one that is there; when that
  /// one was made with other attributes, Error naming --overwrite, or `unfinished` replaces it; Error when it
  /// has other sizes. A new file begins without the begun blocks (`path`.part.NUMBER) of an earlier one.
  /// SharedUsageError when ranks do not share the folder. Collective; ranks share the reading.
  BlockStore(const std::string& path, const Schema& schema, const Attributes& attributes, std::int64_t rows,
             std::int64_t width, const Communicator& ranks, Unfinished unfinished = Unfinished::keep);
  ~BlockStore();

  /// Checks shapes of such a file, and says how many of its rows are finished: "2 of 3 blocks are finished".
  /// Error naming it.
  static std::string verify(const H5File& file);

  /// Whether the row was already finished when the store was opened. The same on every rank.
  bool finished(std::int64_t row) const { return finished_[row]; }
  std::int64_t finished_count() const;

  /// Writes a row [width] float64. By one rank, in any order.
  void write(std::int64_t row, const at::Tensor& values);

  /// Leaves off: closes the file, for the next BlockStore to go on from. Collective.
  void close();
  /// All rows [rows, width], once every rank has written its own. Error naming the file when one is missing
  /// or damaged, or holds a number that is not finite. Collective, ranks share the reading; the file is
  /// closed.
  at::Tensor close_and_read();
  /// The same without reading: closes the file and checks every row. Collective.
  void close_and_check();
  /// Part of a row of a store that was closed so.
  at::Tensor read(std::int64_t row, std::int64_t begin, std::int64_t count) const;
  /// Deletes the file, by rank 0, once its content has gone into the result file. Collective.
  void remove();

 private:
  /// Which rows are whole. Each rank reads a part of them. Collective.
  std::vector<bool> intact_rows(std::int64_t rows) const;
  void create(const Schema& schema, const Attributes& attributes, std::int64_t rows,
              std::int64_t width) const;

  std::string part_;
  Communicator ranks_;
  std::unique_ptr<H5File> file_;
  std::vector<H5Array> arrays_;      // rows, crc
  std::unique_ptr<H5Array> closed_;  // rows, once closed
  std::vector<bool> finished_;
  int descriptor_ = -1;
};

}  // namespace whence
