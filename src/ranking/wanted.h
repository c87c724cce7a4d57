#pragma once
// What a choice asks for.

#include <algorithm>
#include <vector>

namespace whence {

/// Whether `value` is in the list; an empty one stands for everything.
template <typename T>
bool wanted(const std::vector<T>& list, const T& value) {
  return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace whence
