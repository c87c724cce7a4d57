#pragma once
// Memory of native engines' arrays (see kernels.h for their layout).

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "whence/native/kernels.h"

namespace whence::native {

/// Arrays [rows][stride] for a given number of samples, all zero at first.
template <typename T>
class Arrays {
 public:
  Arrays(std::size_t samples, std::size_t lanes)
      : samples_(samples),
        columns_((samples + lanes - 1) / lanes * lanes),
        // An odd number of vectors, so that equal columns of successive rows fall into different cache sets.
        stride_((columns_ / lanes | 1) * lanes) {}

  std::size_t samples() const { return samples_; }
  std::size_t columns() const { return columns_; }
  std::ptrdiff_t stride() const { return static_cast<std::ptrdiff_t>(stride_); }

  T* rows(std::size_t count) { return numbers((count + row_block) / row_block * row_block * stride_); }
  /// Memory in no particular form.
  T* numbers(std::size_t count) {
    // Arrays begin at different offsets within a page: loads and stores whose addresses differ by whole pages
    // hinder each other.
    const std::size_t offset = blocks_.size() % 11 * 5 * line, bytes = count * sizeof(T) + offset;
    void* memory = std::aligned_alloc(line, (bytes + line - 1) / line * line);
    if (memory == nullptr) throw std::bad_alloc();
    std::memset(memory, 0, bytes);
    blocks_.emplace_back(static_cast<std::byte*>(memory));
    return reinterpret_cast<T*>(blocks_.back().get() + offset);
  }

 private:
  static constexpr std::size_t line = 64;
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  std::size_t samples_, columns_, stride_;
  std::vector<std::unique_ptr<std::byte, Free>> blocks_;
};

}  // namespace whence::native
