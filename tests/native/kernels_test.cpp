// The kernels' exp, log1p, softplus, sigmoid and tanh against long double, for every compiled variant.
#include "whence/native/kernels.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

namespace whence::native {
namespace {

// Distance in units in the last place of the expected value; below the normal range, of the smallest number.
template <typename T>
double ulps(T actual, long double expected) {
  const T rounded = static_cast<T>(expected);
  if (std::isnan(rounded) || std::isinf(rounded) || std::isinf(actual))
    return (std::isnan(actual) && std::isnan(rounded)) || actual == rounded
               ? 0
               : std::numeric_limits<double>::infinity();
  int exponent = 0;
  std::frexp(std::abs(rounded), &exponent);
  const int lowest = std::numeric_limits<T>::min_exponent;
  const int digits = std::numeric_limits<T>::digits;
  const long double unit = std::ldexp(1.0L, std::max(exponent, lowest) - digits);
  return static_cast<double>(std::abs(static_cast<long double>(actual) - expected) / unit);
}

template <typename T>
using Function = void (*)(std::size_t, const T*, T*);

// The largest distance over many numbers from -range to range and of every magnitude, and the extremes.
template <typename T>
double worst(Function<T> function, long double (*reference)(long double), double lowest, double highest) {
  constexpr T infinity = std::numeric_limits<T>::infinity();
  std::vector<T> x{0,
                   -T(0),
                   std::numeric_limits<T>::denorm_min(),
                   -std::numeric_limits<T>::denorm_min(),
                   std::numeric_limits<T>::min(),
                   std::numeric_limits<T>::epsilon(),
                   800,
                   -800,
                   std::numeric_limits<T>::max(),
                   -std::numeric_limits<T>::max(),
                   infinity,
                   -infinity,
                   std::numeric_limits<T>::quiet_NaN(),
                   -1};
  std::mt19937_64 bits(1);
  std::uniform_real_distribution<double> uniform(lowest, highest), exponent(-40, 3);
  for (int i = 0; i < 200001; ++i) {
    x.push_back(static_cast<T>(uniform(bits)));
    x.push_back(static_cast<T>(std::max(lowest, (i % 2 == 0 ? 1 : -1) * std::pow(10.0, exponent(bits)))));
  }
  std::vector<T> y(x.size());
  function(x.size(), x.data(), y.data());
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double distance = ulps(y[i], reference(x[i]));
    EXPECT_LT(distance, 8) << "at " << x[i] << ": " << y[i] << " instead of " << reference(x[i]);
    if (distance >= 8) break;
    largest = std::max(largest, distance);
  }
  return largest;
}

long double softplus(long double x) { return std::max(x, 0.0L) + std::log1p(std::exp(-std::abs(x))); }
long double sigmoid(long double x) { return 1 / (1 + std::exp(-x)); }

template <typename T>
class VectorFunctions : public ::testing::Test {};
using Types = ::testing::Types<double, float>;
TYPED_TEST_SUITE(VectorFunctions, Types);

TYPED_TEST(VectorFunctions, AreWithinAFewUnitsInTheLastPlaceEverywhere) {
  using T = TypeParam;
  const double edge = std::is_same_v<T, double> ? 760 : 110;
  for (const Kernels<T>* kernels : available_kernels<T>()) {
    SCOPED_TRACE(kernels->name);
    EXPECT_LT(worst<T>(
                  kernels->exp, [](long double x) { return std::exp(x); }, -edge, edge),
              1.5);
    EXPECT_LT(worst<T>(
                  kernels->log1p, [](long double x) { return std::log1p(x); }, -1, 4),
              1.5);
    EXPECT_LT(worst<T>(kernels->softplus, softplus, -edge, edge), 3);
    EXPECT_LT(worst<T>(kernels->sigmoid, sigmoid, -edge, edge), 3);
    EXPECT_LT(worst<T>(
                  kernels->tanh, [](long double x) { return std::tanh(x); }, -30, 30),
              4);
  }
}

// log2 of sum_i 2^x[i] for one column, in long double.
template <typename T>
long double log2_of_sum(const std::vector<T>& x) {
  const long double largest = *std::max_element(x.begin(), x.end());
  long double sum = 0;
  for (const T one : x) sum += std::exp2(static_cast<long double>(one) - largest);
  return largest + std::log2(sum);
}

// Columns that rise by thousands a row, fall, stay near one value; one row and several rows at once.
TYPED_TEST(VectorFunctions, PowersOfTwoAddUpWithoutOverflowOrUnderflow) {
  using T = TypeParam;
  const std::size_t rows = 13;
  std::mt19937_64 bits(2);
  std::uniform_real_distribution<double> uniform(-3, 3);
  for (const Kernels<T>* kernels : available_kernels<T>()) {
    SCOPED_TRACE(kernels->name);
    const std::size_t columns = 3 * kernels->lanes, stride = 4 * kernels->lanes;
    std::vector<T> x(rows * stride), largest(columns, -T(1e30)), sum(columns, 0);
    const double slopes[] = {0, 2500, -2500, 20, -20};
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t b = 0; b < columns; ++b)
        x[i * stride + b] = static_cast<T>(uniform(bits) + slopes[b % 5] * static_cast<double>(i));
    for (std::size_t row = 0, count = 1; row < rows;
         row += count, count = std::min<std::size_t>(5, rows - row))
      kernels->add_powers(count, columns, static_cast<std::ptrdiff_t>(stride), x.data() + row * stride,
                          largest.data(), sum.data());
    for (std::size_t b = 0; b < columns; ++b) {
      std::vector<T> column;
      for (std::size_t i = 0; i < rows; ++i) column.push_back(x[i * stride + b]);
      EXPECT_EQ(largest[b], *std::max_element(column.begin(), column.end()));
      const long double actual = largest[b] + std::log2(static_cast<long double>(sum[b]));
      EXPECT_NEAR(static_cast<double>(actual - log2_of_sum(column)), 0,
                  10 * std::numeric_limits<T>::epsilon());
    }
  }
}

}  // namespace
}  // namespace whence::native
