#pragma once
// The data sources, one function each. load_data (dataset.h) picks one by the name given to --data.

#include <optional>
#include <string>
#include <vector>

#include "whence/data/dataset.h"

namespace whence {

/// Points of the plane, [N, 2], from N(mean, C) with mean = [1, 1] and C = [[1, 0.8], [0.8, 1]]: mean + L z
/// with the Cholesky factor L = [[1, 0], [0.8, 0.6]] of C and standard normal z. Training and held-out points
/// (and test points) come from streams of their own, each set with ids from 0 on; point j depends on the seed
/// and j alone, so a smaller N gives a prefix of a larger one. No labels; there is no every_instance
/// (UsageError); options.source is not looked at.
DataSplit draw_normal2d(const DataOptions& options);

/// Rows of an IDX file of rank 2 or more, [N, d] with d the product of the sizes after the first; bytes
/// are scaled to options.pixels. `labels`: an IDX file of rank 1 with one label a row. rows.h says which
/// rows are taken; ids are row numbers in the file. options.source is not looked at.
///
/// Throws UsageError where more rows are asked for than the file has; Error where a file cannot be read or
/// has another shape than this.
DataSplit load_idx(const std::string& images, const std::optional<std::string>& labels,
                   const DataOptions& options);

/// load_idx of train-images-idx3-ubyte and train-labels-idx1-ubyte in `folder`, each under that name or with
/// .gz after it. MNIST (60,000 digits of 28 x 28 pixels) and its relatives are published under these names.
/// Test instances come from the published test files beside them (t10k-images-idx3-ubyte and its labels),
/// chosen by the same rule; their ids go on after those of the training files.
DataSplit load_mnist(const std::string& folder, const DataOptions& options);

/// Images of 3 x 32 x 32 pixels from files of CIFAR-10 binary records, plain or gzip (A. Krizhevsky,
/// https://www.cs.toronto.edu/~kriz/cifar.html, "binary version": a label byte, then 1,024 bytes each of red,
/// green and blue, row by row), [N, d] with planes in that order, scaled to options.pixels. Ids number the
/// records through all files. rows.h says which are taken, after options.class_filter.
///
/// Throws UsageError where more rows are asked for than there are; Error naming the file that cannot be read,
/// or is not whole records.
DataSplit load_cifar10(const std::vector<std::string>& files, const DataOptions& options);

/// Rows of a file of numbers (csv.h has its format), [N, d] with d the number of columns beside that of the
/// clusters, unscaled; the labels are the clusters, where `cluster_column` names a column. rows.h says which
/// rows are taken; ids are row numbers, from 0, header and blank lines not counted. Throws UsageError where
/// more rows are asked for than the file has; Error where it cannot be read.
DataSplit load_csv(const std::string& path, const std::optional<std::string>& cluster_column,
                   const DataOptions& options);

/// Rows of an array in an HDF5 file, [N, d] with d the product of the sizes after the first: unsigned bytes,
/// which are scaled to options.pixels, or floats of 16 to 64 bits, which stay as they are. `place` is
/// FILE[:X[,LABELS]] (hdf5_place, row_file.h): FILE alone means the array X, or the only one that instances
/// can be, with `labels` where there is such an array. Labels are integers from 0 on, one a row. Read in
/// slices. rows.h says which rows are taken; ids are row numbers.
///
/// Throws UsageError where more rows are asked for than there are; Error, naming file and array, where one
/// cannot be read, is not what it has to be (ForeignArray has more), or a number that is taken is not finite.
DataSplit load_hdf5(const std::string& place, const DataOptions& options);

/// The same of a NumPy file (npy.h), labels in another one.
DataSplit load_npy(const std::string& instances, const std::string& labels, const DataOptions& options);

/// Points of the plane in six spherical Gaussian clusters, [N, 2], the labels 0 to 5 telling which (Kong and
/// Chaudhuri, "Understanding Instance-based Interpretability of Variational Auto-Encoders", NeurIPS 2021,
/// appendix B.1): sizes 25, 15, 20, 25, 10 and 5 of N = 100 (every_instance), standard deviations 0.5, 0.5,
/// 0.4, 0.4, 0.5 and 1. The paper does not give the centres; here they are (0, 0), (10, 0), (20, 0), (0, 10),
/// (10, 10) and (20, 10). Another N keeps the sizes' proportions and has to be a multiple of 20 (UsageError).
/// Instances stand in the order of the clusters; held-out point j is drawn from the cluster of instance
/// j mod N, test point j likewise. Each set has ids from 0 on.
DataSplit draw_six_clusters(const DataOptions& options);

}  // namespace whence
