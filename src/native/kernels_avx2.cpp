#if defined(__x86_64__)
#define WHENCE_VARIANT avx2
#define WHENCE_VECTOR_BYTES 32
#define WHENCE_TILE_VECTORS 3
#define WHENCE_TILE_ROWS 4
#define WHENCE_GROUP 4
#include "kernels.inc"
#endif
