#pragma once
// Instances of large files, which stay there.

#include "whence/data/file_rows.h"
#include "whence/data/rows.h"

namespace whence {

/// Whether so many numbers are more than options.access holds in memory.
bool is_large(double numbers, const DataOptions& options);

/// The same of those rows, each of `shape`, that are chosen; never where a row takes no more than what would
/// be kept of it otherwise.
bool is_large(const RowChoice& chosen, const std::vector<std::int64_t>& shape, const DataOptions& options);

/// The rows of `raw` that choose_labelled_rows (rows.h) chooses by `labels` ([N] int64, or undefined). They
/// stay in their files, in their final form; where those chosen are few enough to be held they are read now,
/// and only scaled.
DataSplit split_in_files(RawRows raw, const at::Tensor& labels, const DataOptions& options);

}  // namespace whence
