#pragma once
// Where an interrupted trace-back stands, on disk.

#include <string>

#include "whence/comm/communicator.h"
#include "whence/io/artifact.h"
#include "whence/trace/trace_back.h"

namespace whence {

inline const Schema trace_checkpoint_schema{"whence.trace_checkpoint", 3};

/// RESULT.part of a trace-back that works towards RESULT: steps taken, each group's TraceState::queries, of
/// which each of its ranks writes a slice, each rank's TraceState::sums, and the CRC-32 of each slice and of
/// each rank's sums. Whole or absent: it is written beside and then takes the place of the one before.
class TraceCheckpoint {
 public:
  /// How often to save: a trace-back that is killed without warning loses at most this much.
  static constexpr double seconds_between = 300;

  /// Checks shapes, checksums and numbers of such a file; Error naming it.
  static void verify(const H5File& file);

  /// SharedUsageError when ranks do not share the folder. Collective.
  TraceCheckpoint(const std::string& result, Attributes attributes, Unfinished unfinished,
                  const Communicator& ranks);

  /// Goes on from the file, if there is one; returns whether there was. One that was made with other
  /// attributes, on another number of ranks or of query groups: Error naming --overwrite, or as if there were
  /// none where `unfinished` is to be replaced. Error naming the file when it is damaged. Collective.
  bool load(TraceBack& sweep) const;
  /// Collective.
  void save(TraceBack& sweep) const;
  /// Deletes the file, once the result has its name. Collective.
  void remove() const;

 private:
  Attributes with_grid(const TraceBack& sweep) const;

  std::string part_;
  Attributes attributes_;
  Unfinished unfinished_;
  Communicator ranks_;
};

}  // namespace whence
