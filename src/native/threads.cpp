// Compiled with OpenMP, without which at::parallel_for is a plain loop.
#include "whence/native/threads.h"

#include <ATen/Parallel.h>

#ifndef _OPENMP
#error "this file needs OpenMP"
#endif

namespace whence::native {

void share_out(std::int64_t count, const std::function<void(std::int64_t begin, std::int64_t end)>& work) {
  at::parallel_for(0, count, 1, work);
}

}  // namespace whence::native
