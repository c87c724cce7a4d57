// The choice among the compiled variants of conv_kernels.inc: those of kernels.inc, by name.
#include <cstring>

#include "whence/core/error.h"
#include "whence/native/conv_kernels.h"
#include "whence/native/kernels.h"

namespace whence::native {

namespace portable {
const ConvKernels<double>& float64_conv_kernels();
const ConvKernels<float>& float32_conv_kernels();
}  // namespace portable
#if defined(__x86_64__)
namespace avx2 {
const ConvKernels<double>& float64_conv_kernels();
const ConvKernels<float>& float32_conv_kernels();
}  // namespace avx2
namespace avx512 {
const ConvKernels<double>& float64_conv_kernels();
const ConvKernels<float>& float32_conv_kernels();
}  // namespace avx512
namespace avx512_narrow {
const ConvKernels<double>& float64_conv_kernels();
const ConvKernels<float>& float32_conv_kernels();
}  // namespace avx512_narrow
#endif

namespace {

std::vector<const ConvKernels<double>*> compiled(double) {
  return {
#if defined(__x86_64__)
    &avx512::float64_conv_kernels(), &avx512_narrow::float64_conv_kernels(), &avx2::float64_conv_kernels(),
#endif
        &portable::float64_conv_kernels()
  };
}

std::vector<const ConvKernels<float>*> compiled(float) {
  return {
#if defined(__x86_64__)
    &avx512::float32_conv_kernels(), &avx512_narrow::float32_conv_kernels(), &avx2::float32_conv_kernels(),
#endif
        &portable::float32_conv_kernels()
  };
}

#if defined(__x86_64__)
const ConvKernels<double>& narrow(double) { return avx512_narrow::float64_conv_kernels(); }
const ConvKernels<float>& narrow(float) { return avx512_narrow::float32_conv_kernels(); }
#endif

// avx512_narrow is for the processor of avx512.
template <typename T>
bool of_one_processor(const ConvKernels<T>& convolutions, const Kernels<T>& functions) {
  return std::strncmp(convolutions.name, functions.name, std::strlen(functions.name)) == 0;
}

template <typename T>
std::vector<const ConvKernels<T>*> usable() {
  std::vector<const ConvKernels<T>*> found;
  for (const ConvKernels<T>* kernels : compiled(T{}))
    for (const Kernels<T>* runs_here : available_kernels<T>())
      if (of_one_processor(*kernels, *runs_here)) found.push_back(kernels);
  return found;
}

}  // namespace

template <>
std::vector<const ConvKernels<double>*> available_conv_kernels<double>() {
  return usable<double>();
}

template <>
std::vector<const ConvKernels<float>*> available_conv_kernels<float>() {
  return usable<float>();
}

template <typename T>
const Kernels<T>& functions_beside(const ConvKernels<T>& convolutions) {
  for (const Kernels<T>* functions : available_kernels<T>())
    if (of_one_processor(convolutions, *functions)) return *functions;
  fail("no functions are compiled for the processor of the convolutions '{}'", convolutions.name);
}

template const Kernels<double>& functions_beside<double>(const ConvKernels<double>&);
template const Kernels<float>& functions_beside<float>(const ConvKernels<float>&);

template <typename T>
const ConvKernels<T>& trace_conv_kernels(const ConvKernels<T>& usual) {
#if defined(__x86_64__)
  if (std::strcmp(usual.name, "avx512") == 0 && __builtin_cpu_is("amd")) return narrow(T{});
#endif
  return usual;
}

template const ConvKernels<double>& trace_conv_kernels(const ConvKernels<double>&);
template const ConvKernels<float>& trace_conv_kernels(const ConvKernels<float>&);

}  // namespace whence::native
