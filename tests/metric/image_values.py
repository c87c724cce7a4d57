#!/usr/bin/env python3
"""Golden values of FID and log IS for image_metrics_test.cpp, by NumPy and SciPy. Prints image_golden.h:
    python3 tests/metric/image_values.py > tests/metric/image_golden.h"""
import numpy as np
import scipy
from scipy.linalg import sqrtm
from scipy.special import softmax

from scipy_values import congruential


def fid(real, generated):
    """Heusel et al. as commonly computed: means and covariances by NumPy, the product's root by SciPy."""
    a, b = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    shift = real.mean(0) - generated.mean(0)
    return shift @ shift + np.trace(a) + np.trace(b) - 2 * np.trace(sqrtm(a @ b)).real


def log_is(logits):
    p = softmax(logits, 1)
    return (p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean()


if __name__ == "__main__":
    print(f"""#pragma once
// Made by tests/metric/image_values.py with NumPy {np.__version__} and SciPy {scipy.__version__}.
#include <cstdint>

namespace whence::test {{

struct ImageCase {{
  std::int64_t samples, width;
  double scale, fid, log_is;
}};

inline constexpr ImageCase image_cases[] = {{""")
    for samples, width, scale in [(40, 5, 1.0), (300, 16, 0.2), (500, 128, 1.0), (64, 10, 12.0)]:
        real, generated = congruential(samples, width, 1, scale), 0.7 * congruential(samples, width, 2, scale) + 0.1
        print(f"    {{{samples}, {width}, {scale}, {fid(real, generated)!r}, {log_is(generated)!r}}},")
    print("""};

}  // namespace whence::test""")
