#pragma once
// Training instances added to, and taken out of, those of a source.

#include "whence/data/dataset.h"

namespace whence {

/// Appends the foreign instances of options.plant to data.train. UsageError naming --plant or --plant-orient where the source
/// has too few or cannot be turned, Error where their shape is another than the data's or the file cannot be read.
void plant(DataSplit& data, const DataOptions& options);

/// Takes the instances listed in options.without out of data.train; UsageError naming --without for an id
/// that no training instance has, or that is there twice, or where none would be left.
void take_out(DataSplit& data, const DataOptions& options);

}  // namespace whence
