#pragma once
// Made by tests/metric/image_values.py with NumPy 1.24.2 and SciPy 1.10.1.
#include <cstdint>

namespace whence::test {

struct ImageCase {
  std::int64_t samples, width;
  double scale, fid, log_is;
};

inline constexpr ImageCase image_cases[] = {
    {40, 5, 1.0, 0.13122505497865367, 0.015380028160529458},
    {300, 16, 0.2, 0.1693668746025749, 0.000779405256203724},
    {500, 128, 1.0, 3.2293108705510534, 0.02003968904302599},
    {64, 10, 12.0, 18.554686936962952, 0.8900893048566598},
};

}  // namespace whence::test
