#define WHENCE_VARIANT portable
#define WHENCE_VECTOR_BYTES 16
#define WHENCE_TILE_VECTORS 3
#define WHENCE_TILE_ROWS 4
#define WHENCE_GROUP 4
#include "kernels.inc"
