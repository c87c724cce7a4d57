#pragma once
// Blocks of counterfactuals that were interrupted in the middle, on disk.

#include <cstdint>
#include <string>

#include "whence/io/artifact.h"
#include "whence/retrain/counterfactual.h"

namespace whence {

inline const Schema begun_block_schema{"whence.begun_block", 1};

/// RESULT.part.BLOCK for each block that was left between two steps: the step, and the states of its
/// replicas. Written by the rank that leaves the block, read by whichever rank draws it next time.
class BegunBlocks {
 public:
  BegunBlocks(const std::string& result, Attributes attributes);
  /// Checks shapes, checksums and numbers of such a file; Error naming it.
  static void verify(const H5File& file);

  /// Puts `block` where it was left; nothing happens when it has not been begun. Error naming the file when
  /// it was begun with other attributes, or is damaged.
  void load(std::int64_t number, Retraining& block) const;
  void save(std::int64_t number, const Retraining& block) const;
  /// Forgets a block that is finished.
  void remove(std::int64_t number) const;

 private:
  std::string path(std::int64_t number) const;

  std::string result_;
  Attributes attributes_;
};

}  // namespace whence
