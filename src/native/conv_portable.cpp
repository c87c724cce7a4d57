#define WHENCE_VARIANT portable
#define WHENCE_VECTOR_BYTES 16
#define WHENCE_CONV_CHANNELS 4
#include "conv_kernels.inc"
