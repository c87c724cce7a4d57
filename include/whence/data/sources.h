#pragma once
// The data sources, one function each. load_data (dataset.h) picks one by the name given to --data.

#include <optional>
#include <string>

#include "whence/data/dataset.h"

namespace whence {

/// Points of the plane, [N, 2], from N(mean, C) with mean = [1, 1] and C = [[1, 0.8], [0.8, 1]]: mean + L z
/// with the Cholesky factor L = [[1, 0], [0.8, 0.6]] of C and standard normal z. Training and held-out points
/// come from streams of their own, both with ids 0 .. N-1; point j depends on the seed and j alone, so a
/// smaller N gives a prefix of a larger one. No labels; options.source is not looked at.
DataSplit draw_normal2d(const DataOptions& options);

/// Rows of an IDX file of rank 2 or more, [N, d] with d the product of the sizes after the first; a byte p
/// becomes p / 127.5 - 1, in [-1, 1]. `labels`: an IDX file of rank 1 with one label a row. The rows are
/// taken in the order of the permutation that the seed draws of all rows: the first options.instances of them
/// train, the next options.held_out are held out; ids are row numbers in the file. So a smaller
/// options.instances gives a prefix of a larger one, but other held-out rows. options.source is not looked
/// at.
///
/// Throws UsageError where more rows are asked for than the file has; Error where a file cannot be read or
/// has another shape than this.
DataSplit load_idx(const std::string& images, const std::optional<std::string>& labels,
                   const DataOptions& options);

/// load_idx of train-images-idx3-ubyte and train-labels-idx1-ubyte in `folder`, each under that name or with
/// .gz after it. MNIST (60,000 digits of 28 x 28 pixels) and its relatives are published under these names.
DataSplit load_mnist(const std::string& folder, const DataOptions& options);

}  // namespace whence
