#!/usr/bin/env python3
"""Golden values of the Gaussian kernel log density for metric_test.cpp, by SciPy. Prints scipy_golden.h:
    python3 tests/metric/scipy_values.py > tests/metric/scipy_golden.h"""
import numpy as np
import scipy
from scipy.special import logsumexp
from scipy.stats import multivariate_normal


def congruential(rows, columns, state, scale):
    values = np.empty(rows * columns)
    for i in range(values.size):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = scale * (state / 4294967296.0 - 0.5)
    return values.reshape(rows, columns)


def density(points, centres):
    one = multivariate_normal(np.zeros(points.shape[1]), np.eye(points.shape[1]))
    return np.array([logsumexp(one.logpdf(x - centres)) for x in points]) - np.log(len(centres))


if __name__ == "__main__":
    print(f"""#pragma once
// Made by tests/metric/scipy_values.py with SciPy {scipy.__version__}.
#include <cstdint>

namespace whence::test {{

struct KernelCase {{
  std::int64_t points, centres, width;
  double scale, shift, first, mean;
}};

inline constexpr KernelCase kernel_cases[] = {{""")
    for points, centres, width, scale, shift in [(5, 7, 2, 4.0, 0.0), (300, 200, 2, 4.0, 1.0), (3, 1, 2, 40.0, 0.0),
                                                 (20, 30, 784, 2.0, 0.0), (20, 30, 3, 3.0, 1000.0)]:
        values = density(congruential(points, width, 1, scale) + shift, congruential(centres, width, 2, scale) + shift)
        print(f"    {{{points}, {centres}, {width}, {scale}, {shift}, {values[0]!r}, {values.mean()!r}}},")
    print("""};

}  // namespace whence::test""")
