#pragma once
// Who does which part of a range.

#include <cstdint>

namespace whence {

/// Half-open range of indices.
struct Range {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
  bool operator==(const Range& other) const { return begin == other.begin && end == other.end; }
};

/// Part `index` of `parts` of 0 .. total-1: contiguous, in order, sizes differing by at most one (the first
/// parts are the larger). Empty when there are more parts than elements.
inline Range part_of(std::int64_t total, std::int64_t parts, std::int64_t index) {
  const std::int64_t base = total / parts, extra = total % parts;
  const std::int64_t begin = index * base + (index < extra ? index : extra);
  return {begin, begin + base + (index < extra ? 1 : 0)};
}

}  // namespace whence
