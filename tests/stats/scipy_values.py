#!/usr/bin/python3
"""Prints scipy_golden.h: what SciPy makes of inputs that scipy_golden_test.cpp generates for itself.

    /usr/bin/python3 tests/stats/scipy_values.py > tests/stats/scipy_golden.h

Inputs are integers from a linear congruential generator (Knuth's MMIX constants, the top 31 bits), so that
C++ and Python hold the same doubles and only the results are stored.
"""
import math

import numpy
import scipy
from scipy import stats

EXPECTED_MEAN = 0.45  # of the t-tests; close to the mean of the inputs with weight 0


class Generator:
    def __init__(self, seed):
        self.state = seed

    def draw(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 33


def inputs(seed, n, levels, weight):
    """x uniform, y = noise + weight * x; `levels` > 0 reduces both draws to so many values, to make ties."""
    generator = Generator(seed)
    x, y = [], []
    for _ in range(n):
        draw, noise = generator.draw(), generator.draw()
        if levels > 0:
            draw, noise = draw % levels, noise % levels
        x.append(float(draw))
        y.append(float(noise + weight * draw))
    return x, y


def row(*values):
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"golden values must be finite: {values}")
    print("    {" + ", ".join(str(v) if isinstance(v, int) else repr(float(v)) for v in values) + "},")


def correlations():
    seed = 0
    for n in (5, 20, 33, 34, 200, 1000):
        for levels in (0, 3, 10, n):
            for weight in (0, 1, -3):
                seed += 1
                x, y = inputs(seed, n, levels, weight)
                if levels == 0 and (len(set(x)) < n or len(set(y)) < n):
                    raise ValueError(f"seed {seed} was to have no ties")
                kendall = stats.kendalltau(x, y, method="auto")
                scale = 2.0**-31 if levels == 0 else 1.0 / levels
                values = numpy.array(y) * scale
                t_test = stats.ttest_1samp(values, EXPECTED_MEAN)
                row(seed, n, levels, weight, kendall.statistic, kendall.pvalue,
                    stats.spearmanr(x, y).statistic, stats.pearsonr(x, y).statistic,
                    values.mean(), values.std(ddof=1), t_test.pvalue)


def nearly_ordered():
    """0 .. n-1 against itself, its first `swaps` + 1 values rotated by one place: `swaps` discordant pairs."""
    for n in (2, 3, 4, 33, 34, 170, 171, 172):
        for swaps in (0, 1, 2):
            if swaps >= n:
                continue
            y = list(range(n))
            y[:swaps + 1] = [swaps] + list(range(swaps))
            for values in (y, [-v for v in y]):
                kendall = stats.kendalltau(range(n), values, method="auto")
                row(n, swaps, -1 if values is not y else 1, kendall.statistic, kendall.pvalue)


def chance_jaccard():
    for n, m in ((1, 1), (5, 2), (10, 8), (20, 20), (33, 10), (200, 20), (1000, 20), (1000, 700), (50000, 20)):
        overlap = numpy.arange(max(0, 2 * m - n), m + 1)
        jaccard = overlap / (2 * m - overlap)
        row(n, m, float(numpy.sum(jaccard * stats.hypergeom(n, m, m).pmf(overlap))))


def table(struct, fields, name, rows):
    print(f"\nstruct {struct} {{\n{fields}\n}};\n\nconstexpr {struct} {name}[] = {{")
    rows()
    print("};")


def main():
    print(f"// Made by tests/stats/scipy_values.py with SciPy {scipy.__version__}, "
          f"NumPy {numpy.__version__}; do not edit.")
    print("// clang-format off\n#pragma once\n\n#include <cstddef>\n#include <cstdint>\n")
    print("namespace whence::stats::golden {\n")
    print(f"constexpr double kExpectedMean = {EXPECTED_MEAN};")
    table("Sample", "  std::uint64_t seed;\n  std::size_t n;\n  std::int64_t levels;\n  std::int64_t weight;\n"
          "  double tau;\n  double tau_p;\n  double spearman;\n  double pearson;\n  double mean;\n  double std;\n"
          "  double t_test_p;", "kSamples", correlations)
    table("NearlyOrdered", "  std::size_t n;\n  std::size_t swaps;\n  int sign;\n  double tau;\n  double p;",
          "kNearlyOrdered", nearly_ordered)
    table("Chance", "  std::size_t n;\n  std::size_t m;\n  double jaccard;", "kChance", chance_jaccard)
    print("\n}  // namespace whence::stats::golden")


if __name__ == "__main__":
    main()
