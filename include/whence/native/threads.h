#pragma once
// Threads of native engines.

#include <cstdint>
#include <functional>

namespace whence::native {

/// Calls work(begin, end) for parts that make up 0 .. count-1, at the same time on up to
/// at::get_num_threads() threads; on this thread alone where one is all there is. An exception in one of them
/// comes out here.
void share_out(std::int64_t count, const std::function<void(std::int64_t begin, std::int64_t end)>& work);

}  // namespace whence::native
