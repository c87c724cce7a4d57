#pragma once
// The checksums of large data, taken once and by all ranks together.

#include "whence/comm/communicator.h"
#include "whence/data/dataset.h"

namespace whence {

/// Before load_data(options): where the data stay in their files and nobody has kept the marks of their rows
/// (RowMarks), each rank takes those of its part, and options.access knows them from then on. Ranks whose
/// files are not the same ones (each node has its own copy) do so in groups that read the same. Where
/// the data may be large, the first rank of each node loads them before the others, and its error is thrown
/// on all (SharedUsageError, SharedError); what else is wrong with options or files, load_data says.
/// Collective.
void mark_together(const DataOptions& options, const Communicator& ranks);

}  // namespace whence
