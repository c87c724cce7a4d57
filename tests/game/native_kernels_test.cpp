// The kernels' exp, log1p, softplus, sigmoid and tanh against long double, for every compiled variant.
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <vector>

#include "whence/game/native/kernels.h"

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

}  // namespace
}  // namespace whence::native
