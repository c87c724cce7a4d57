#pragma once
// Images turned and resized after they were read.

#include "whence/data/file_rows.h"

namespace whence {

RowForm form_of(const DataOptions& options);

/// The shape that rows of `shape` have when they are turned and resized. UsageError naming --orient or
/// --image-size where they are no images.
std::vector<std::int64_t> formed_shape(std::vector<std::int64_t> shape, const RowForm& form);

/// Rows [n, d] of `shape`, turned and resized.
at::Tensor formed(const at::Tensor& rows, std::vector<std::int64_t> shape, const RowForm& form);

/// Turns all instances of `data` that are held by options.orientation and resizes them to options.image_size;
/// UsageError as above.
void shape_images(DataSplit& data, const DataOptions& options);

}  // namespace whence
