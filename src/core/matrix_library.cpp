// OpenBLAS as a library whose kernels can be chosen while the program runs.
#include <cstdlib>
#include <sstream>

#include <ATen/Context.h>

#include "whence/core/matrix_kernels.h"

extern "C" {
char* openblas_get_corename();
char* openblas_get_config();
void openblas_set_num_threads(int threads);
// What OpenBLAS itself calls when it is loaded: finds the kernels by OPENBLAS_CORETYPE or the processor, and
// forgets them. Builds for one kind of processor have not got them.
void gotoblas_dynamic_init() __attribute__((weak));
void gotoblas_dynamic_quit() __attribute__((weak));

void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*, const float*,
            const int*, const float*, const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*, const double*,
            const int*, const double*, const int*, const double*, double*, const int*);
void sgemv_(const char*, const int*, const int*, const float*, const float*, const int*, const float*,
            const int*, const float*, float*, const int*);
void dgemv_(const char*, const int*, const int*, const double*, const double*, const int*, const double*,
            const int*, const double*, double*, const int*);
}

namespace whence {
namespace {

template <typename T, typename Gemm, typename Gemv>
void multiply_by(const MatrixProduct<T>& p, Gemm gemm, Gemv gemv) {
  const char *a = p.transpose_a ? "T" : "N", *b = p.transpose_b ? "T" : "N";
  if (p.n != 1 || p.transpose_b)
    return gemm(a, b, &p.m, &p.n, &p.k, &p.alpha, p.a, &p.lda, p.b, &p.ldb, &p.beta, p.c, &p.ldc);
  const int rows = p.transpose_a ? p.k : p.m, columns = p.transpose_a ? p.m : p.k, one = 1;
  gemv(a, &rows, &columns, &p.alpha, p.a, &p.lda, p.b, &one, &p.beta, p.c, &one);
}

class OpenBlas : public MatrixLibrary {
 public:
  // Its configuration begins "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ..."; old versions say no number.
  std::string name() const override {
    std::istringstream words(openblas_get_config());
    std::string library, version;
    words >> library >> version;
    return version.find('.') == std::string::npos ? "OpenBLAS" : library + " " + version;
  }
  std::string kernels() const override { return openblas_get_corename(); }

  bool use(const std::string& kernels) override {
    if (gotoblas_dynamic_init == nullptr || gotoblas_dynamic_quit == nullptr) return false;
    if (!kernels.empty()) setenv("OPENBLAS_CORETYPE", kernels.c_str(), 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv("OPENBLAS_CORETYPE");
    return kernels.empty() || this->kernels() == kernels;
  }

  void multiply(const MatrixProduct<float>& product) override { multiply_by(product, sgemm_, sgemv_); }
  void multiply(const MatrixProduct<double>& product) override { multiply_by(product, dgemm_, dgemv_); }
};

}  // namespace

void use_matrix_threads(int threads) { openblas_set_num_threads(threads); }

std::unique_ptr<MatrixLibrary> matrix_library_of_libtorch() {
  if (at::hasMKL()) return nullptr;
  return std::make_unique<OpenBlas>();
}

}  // namespace whence
