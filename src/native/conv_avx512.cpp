#if defined(__x86_64__)
#define WHENCE_VARIANT avx512
#define WHENCE_VECTOR_BYTES 64
#define WHENCE_CONV_CHANNELS 8
#include "conv_kernels.inc"
#endif
