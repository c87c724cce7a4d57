#pragma once
// Images turned and resized after they were read.

#include "whence/data/dataset.h"

namespace whence {

/// Turns all instances of `data` by options.orientation and resizes them to options.image_size. UsageError
/// naming --orient or --image-size where they are no images.
void shape_images(DataSplit& data, const DataOptions& options);

}  // namespace whence
