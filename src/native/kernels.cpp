// The choice among the compiled variants of kernels.inc.
#include "whence/native/kernels.h"

namespace whence::native {

namespace portable {
const Kernels<double>& float64_kernels();
const Kernels<float>& float32_kernels();
}  // namespace portable
#if defined(__x86_64__)
namespace avx2 {
const Kernels<double>& float64_kernels();
const Kernels<float>& float32_kernels();
}  // namespace avx2
namespace avx512 {
const Kernels<double>& float64_kernels();
const Kernels<float>& float32_kernels();
}  // namespace avx512
#endif

namespace {

bool has_avx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

}  // namespace

template <>
std::vector<const Kernels<double>*> available_kernels<double>() {
  std::vector<const Kernels<double>*> available;
#if defined(__x86_64__)
  if (has_avx512()) available.push_back(&avx512::float64_kernels());
  if (has_avx2()) available.push_back(&avx2::float64_kernels());
#endif
  available.push_back(&portable::float64_kernels());
  return available;
}

template <>
std::vector<const Kernels<float>*> available_kernels<float>() {
  std::vector<const Kernels<float>*> available;
#if defined(__x86_64__)
  if (has_avx512()) available.push_back(&avx512::float32_kernels());
  if (has_avx2()) available.push_back(&avx2::float32_kernels());
#endif
  available.push_back(&portable::float32_kernels());
  return available;
}

}  // namespace whence::native
