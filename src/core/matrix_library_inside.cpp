// In place of matrix_library.cpp where LibTorch has the library of its products inside (Python's torch: MKL).
#include "whence/core/matrix_kernels.h"

namespace whence {

void use_matrix_threads(int) {}

std::unique_ptr<MatrixLibrary> matrix_library_of_libtorch() { return nullptr; }

}  // namespace whence
