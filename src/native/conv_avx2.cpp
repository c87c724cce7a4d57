#if defined(__x86_64__)
#define WHENCE_VARIANT avx2
#define WHENCE_VECTOR_BYTES 32
#define WHENCE_CONV_CHANNELS 4
#include "conv_kernels.inc"
#endif
