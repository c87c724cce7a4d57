#pragma once
// Files that ranks write together: each writes the numbers it holds, and no rank needs those of others.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "whence/comm/communicator.h"
#include "whence/io/artifact.h"
#include "whence/io/hdf5.h"

namespace whence {

/// An array of which each rank writes parts. Sealed with the CRC-32 of the whole, which is joined from those
/// of the parts: the same as if one rank had written it.
class ArrayInParts {
 public:
  /// Creates it in a file that the same ranks have created. Collective.
  ArrayInParts(const H5File& file, const std::string& name, at::ScalarType dtype, const Shape& shape,
               const Communicator& ranks);

  /// A part of this rank, of the shape of `values` (contiguous, on the CPU, of the array's dtype) at
  /// `offset`. Independent of other ranks.
  void write(const at::Tensor& values, const Shape& offset);

  /// Once all have written. Collective. Error naming file and array where the parts of all ranks are not the
  /// whole array, each number once.
  void seal();

 private:
  // Numbers that lie one after another in the array.
  struct Run {
    std::uint64_t begin, bytes, crc;
  };
  H5Array array_;
  Communicator ranks_;
  std::vector<Run> runs_;
};

/// An array that all ranks hold, by one of them. Collective.
void put_together(const H5File& file, const std::string& name, const at::Tensor& values,
                  const Communicator& ranks);

/// write_artifact by several ranks, of about so many bytes: `fill` is collective, as the calls of H5File are.
/// What throws should throw on all ranks (Communicator::on_every_rank). Error where the disk has less room,
/// SharedUsageError where ranks do not share the folder.
void write_artifact_together(const std::string& path, const Schema& schema, const Attributes& attributes,
                             double bytes, const Communicator& ranks,
                             const std::function<void(const H5File&)>& fill);

}  // namespace whence
