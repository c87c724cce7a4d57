// The room against SciPy: scipy_values.py wrote scipy_golden.h from the inputs generated here.
#include "stats/scipy_golden.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <vector>

#include "whence/stats/jaccard.h"
#include "whence/stats/rank_correlation.h"
#include "whence/stats/t_test.h"

namespace whence::stats {
namespace {

constexpr double kValue = 1e-12;
constexpr double kP = 1e-9;

// Below the smallest normal double both sides have lost digits, and SciPy's erfc is cut off to 0.
::testing::AssertionResult close(double actual, double expected, double relative) {
  const double tolerance = std::max(relative * std::abs(expected), std::numeric_limits<double>::min());
  if (std::abs(actual - expected) <= tolerance) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << ::testing::PrintToString(actual) << " is not SciPy's " << ::testing::PrintToString(expected)
         << "; relative error " << std::abs(actual / expected - 1.0);
}

struct Inputs {
  std::vector<double> x, y;
};

// The same generator is in scipy_values.py.
Inputs inputs(const golden::Sample& sample) {
  std::uint64_t state = sample.seed;
  const auto draw = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto bits = static_cast<std::int64_t>(state >> 33);
    return sample.levels > 0 ? bits % sample.levels : bits;
  };
  Inputs result;
  for (std::size_t i = 0; i < sample.n; ++i) {
    const std::int64_t x = draw();
    const std::int64_t noise = draw();
    result.x.push_back(static_cast<double>(x));
    result.y.push_back(static_cast<double>(noise + sample.weight * x));
  }
  return result;
}

TEST(SciPy, Correlations) {
  for (const golden::Sample& sample : golden::kSamples) {
    SCOPED_TRACE(::testing::Message() << "seed " << sample.seed << ", n " << sample.n << ", levels "
                                      << sample.levels << ", weight " << sample.weight);
    const Inputs given = inputs(sample);
    const Correlation kendall = kendall_tau(given.x, given.y);
    EXPECT_TRUE(close(kendall.value, sample.tau, kValue));
    EXPECT_TRUE(close(kendall.p, sample.tau_p, kP));
    EXPECT_TRUE(close(spearman(given.x, given.y), sample.spearman, kValue));
    EXPECT_TRUE(close(pearson(given.x, given.y), sample.pearson, kValue));
  }
}

TEST(SciPy, TTests) {
  for (const golden::Sample& sample : golden::kSamples) {
    SCOPED_TRACE(::testing::Message() << "seed " << sample.seed << ", n " << sample.n);
    std::vector<double> values = inputs(sample).y;
    const double scale = sample.levels == 0 ? std::ldexp(1.0, -31) : 1.0 / static_cast<double>(sample.levels);
    for (double& value : values) value *= scale;
    const Summary summary = one_sample_t_test(values, golden::kExpectedMean);
    EXPECT_TRUE(close(summary.mean, sample.mean, kValue));
    EXPECT_TRUE(close(summary.std, sample.std, kValue));
    EXPECT_TRUE(close(summary.p, sample.t_test_p, kP));
  }
}

// Where the exact distribution begins and ends, and where n! stops being a double.
TEST(SciPy, NearlyOrdered) {
  for (const golden::NearlyOrdered& expected : golden::kNearlyOrdered) {
    SCOPED_TRACE(::testing::Message()
                 << "n " << expected.n << ", swaps " << expected.swaps << ", sign " << expected.sign);
    std::vector<double> x(expected.n);
    std::iota(x.begin(), x.end(), 0.0);
    std::vector<double> y = x;
    const auto swaps = static_cast<std::ptrdiff_t>(expected.swaps);
    std::rotate(y.begin(), y.begin() + swaps, y.begin() + swaps + 1);
    for (double& value : y) value *= expected.sign;
    const Correlation kendall = kendall_tau(x, y);
    EXPECT_TRUE(close(kendall.value, expected.tau, kValue));
    EXPECT_TRUE(close(kendall.p, expected.p, kP));
  }
}

TEST(SciPy, JaccardByChance) {
  for (const golden::Chance& expected : golden::kChance) {
    SCOPED_TRACE(::testing::Message() << "n " << expected.n << ", m " << expected.m);
    EXPECT_TRUE(close(jaccard_by_chance(expected.n, expected.m), expected.jaccard, kValue));
  }
}

}  // namespace
}  // namespace whence::stats
