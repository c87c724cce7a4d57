#if defined(__x86_64__)
#define WHENCE_VARIANT avx512
#define WHENCE_VECTOR_BYTES 64
#define WHENCE_TILE_VECTORS 4
#define WHENCE_TILE_ROWS 6
#define WHENCE_GROUP 8
#include "kernels.inc"
#endif
