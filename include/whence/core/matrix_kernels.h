#pragma once
// Which kernels compute products of matrices, and whether they compute them right.
//
// OpenBLAS takes its kernels by a list of processors. On one that is newer than its list, versions before
// 0.3.25 fall back to kernels without AVX (Prescott), which are several times slower.

#include <memory>
#include <string>
#include <vector>

namespace whence {

/// What of a processor says which kernels it can run, and which suit it.
struct Processor {
  bool x86 = false;
  bool intel = false;
  bool avx2 = false;    ///< with FMA
  bool avx512 = false;  ///< F, DQ, BW and VL
};
Processor this_processor();

/// C [m, n] = alpha op(A) [m, k] op(B) [k, n] + beta C, all stored column by column; `lda`, `ldb`, `ldc` are
/// the distances of their columns. With beta = 0 what C held does not matter.
template <typename T>
struct MatrixProduct {
  bool transpose_a, transpose_b;
  int m, n, k;
  T alpha, beta;
  const T* a;
  int lda;
  const T* b;
  int ldb;
  T* c;
  int ldc;
};

/// A library that computes products, with kernels to choose among.
class MatrixLibrary {
 public:
  virtual ~MatrixLibrary() = default;
  /// "OpenBLAS 0.3.21".
  virtual std::string name() const = 0;
  /// Those in use, by the library's name for them.
  virtual std::string kernels() const = 0;
  /// From now on uses the kernels of that name; "": those it takes by itself. False where it cannot: what it
  /// uses then is not said. To be called while nothing is computed.
  virtual bool use(const std::string& kernels) = 0;
  /// A product with n = 1 and B not transposed is computed as a matrix's with a vector.
  virtual void multiply(const MatrixProduct<float>& product) = 0;
  virtual void multiply(const MatrixProduct<double>& product) = 0;
};

/// The library that LibTorch's products on the CPU come from; null where it is none whose kernels could be
/// chosen from outside (a LibTorch with MKL).
std::unique_ptr<MatrixLibrary> matrix_library_of_libtorch();

/// That library's threads, where they are not LibTorch's own (at::set_num_threads).
void use_matrix_threads(int threads);

/// Names of kernels in the order in which to try them: those that suit the processor better than `taken`,
/// which OpenBLAS took by itself, then `taken`, then lower ones.
std::vector<std::string> kernels_to_try(const std::string& taken, const Processor& processor);

/// The first of a few products of odd sizes, in both precisions, that the library computes other than plain
/// loops, in words; "" where it computes all of them right. Numbers are integers that leave no rounding.
std::string first_wrong_product(MatrixLibrary& library);

/// Speed of float32 products of 256 x 256 matrices, in 1e9 additions and multiplications a second.
double measured_gflops(MatrixLibrary& library);

/// Which kernels were chosen, and why.
struct MatrixKernels {
  std::string library;             ///< "OpenBLAS 0.3.21"
  std::string taken, used;         ///< by the library itself or OPENBLAS_CORETYPE; from now on
  std::string better;              ///< what would suit the processor better than `used`; "": nothing
  std::vector<std::string> wrong;  ///< what was tried and computed a product wrong, in words
  bool by_user = false;            ///< OPENBLAS_CORETYPE is set
  double taken_gflops = 0, used_gflops = 0;  ///< 0: not measured
};

/// Makes the library use the first of kernels_to_try() that it has and that compute right, or leaves it at
/// what the user set (`users`: OPENBLAS_CORETYPE or null). Speeds are measured if `measure` and there is
/// something to say. UsageError naming OPENBLAS_CORETYPE when the user's kernels compute wrong; Error when
/// all do.
MatrixKernels choose_matrix_kernels(MatrixLibrary& library, const Processor& processor, const char* users,
                                    bool measure);

/// The same for LibTorch's products in this process. To be called before the first of them.
MatrixKernels choose_matrix_kernels(bool measure);

/// What is to be said about a choice; "" where the library's own was right.
std::string in_words(const MatrixKernels& kernels);

/// What computes LibTorch's products on the CPU at present: "OpenBLAS 0.3.21, SkylakeX", or "MKL".
std::string matrix_kernels_in_use();

}  // namespace whence
