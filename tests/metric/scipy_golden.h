#pragma once
// Made by tests/metric/scipy_values.py with SciPy 1.10.1.
#include <cstdint>

namespace whence::test {

struct KernelCase {
  std::int64_t points, centres, width;
  double scale, shift, first, mean;
};

inline constexpr KernelCase kernel_cases[] = {
    {5, 7, 2, 4.0, 0.0, -2.7957464734538195, -2.9959382704766107},
    {300, 200, 2, 4.0, 1.0, -3.1568811420091274, -3.242572021723279},
    {3, 1, 2, 40.0, 0.0, -8.419735635740837, -50.53111561486201},
    {20, 30, 784, 2.0, 0.0, -964.8229281885125, -965.7462764572201},
    {20, 30, 3, 3.0, 1000.0, -4.069465699162386, -4.317074597944034},
};

}  // namespace whence::test
