// The kernels' functions, products and outer products against long double, for every compiled variant.
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

template <typename T>
std::vector<T> normal_numbers(std::size_t count, unsigned seed) {
  std::mt19937_64 bits(seed);
  std::normal_distribution<double> normal;
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(normal(bits));
  return values;
}

// Sums of so many products of numbers around 1 round by no more than this.
template <typename T>
double rounding(std::size_t terms) {
  return 4 * std::numeric_limits<T>::epsilon() * static_cast<double>(terms);
}

// s = scale (A X + bias) + A' X', with matrices large enough to be read in parts: with and without room for
// that the same bits.
template <typename T>
void check_products(const Kernels<T>& kernels, std::size_t rows, bool down_columns) {
  const std::size_t depth = 1100, second_depth = 1000, columns = 3 * kernels.lanes,
                    stride = columns + 2 * kernels.lanes, width = down_columns ? rows : depth;
  const auto a = normal_numbers<T>(depth * rows, 1), b = normal_numbers<T>(depth * rows, 2),
             x = normal_numbers<T>(depth * stride, 3), z = normal_numbers<T>(depth * stride, 4),
             scale = normal_numbers<T>(columns, 5), bias = normal_numbers<T>(rows, 6);
  const auto row_step = static_cast<std::ptrdiff_t>(down_columns ? 1 : depth),
             depth_step = static_cast<std::ptrdiff_t>(down_columns ? rows : 1);
  std::vector<T> room(2 * packed_rows<T> * depth), plain((rows + row_block) * stride), in_parts = plain;
  Product<T> p;
  p.rows = rows;
  p.columns = columns;
  p.stride = static_cast<std::ptrdiff_t>(stride);
  p.first = {a.data(), row_step, depth_step, x.data(), depth};
  p.second = {b.data(), row_step, depth_step, z.data(), second_depth};
  p.bias = bias.data();
  p.scale = scale.data();
  p.y = plain.data();
  kernels.product(p);
  p.packed = room.data();
  p.y = in_parts.data();
  kernels.product(p);
  EXPECT_EQ(plain, in_parts);
  const auto element = [&](const std::vector<T>& matrix, std::size_t i, std::size_t k) {
    return static_cast<long double>(down_columns ? matrix[k * width + i] : matrix[i * width + k]);
  };
  for (std::size_t i = 0; i < rows; i += 5)
    for (std::size_t c = 0; c < columns; ++c) {
      long double sum = bias[i], other = 0;
      for (std::size_t k = 0; k < depth; ++k) sum += element(a, i, k) * x[k * stride + c];
      for (std::size_t k = 0; k < second_depth; ++k) other += element(b, i, k) * z[k * stride + c];
      ASSERT_NEAR(in_parts[i * stride + c], static_cast<double>(sum * scale[c] + other), rounding<T>(depth))
          << rows << " rows, " << i << ", " << c;
    }
}

TYPED_TEST(VectorFunctions, ProductsOfLargeMatricesAreTheSumsWrittenOut) {
  using T = TypeParam;
  for (const Kernels<T>* kernels : available_kernels<T>())
    for (const std::size_t rows : {121, 192, 193})
      for (const bool down_columns : {true, false}) {
        SCOPED_TRACE(kernels->name);
        ASSERT_GE(rows * 1100 * sizeof(T), 512 * 1024u);
        check_products(*kernels, rows, down_columns);
      }
}

// Both ways of outer products, with sizes that fill vectors and tiles and such that do not.
TYPED_TEST(VectorFunctions, OuterProductsAreTheSumsWrittenOut) {
  using T = TypeParam;
  for (const Kernels<T>* kernels : available_kernels<T>())
    for (const std::size_t rows : {1, 15, 16, 23, 48})
      for (const std::size_t others : {1, 16, 37, 80})
        for (const bool turned : {false, true}) {
          SCOPED_TRACE(kernels->name);
          const std::size_t columns = 3 * kernels->lanes, second = 2 * kernels->lanes,
                            stride = 5 * kernels->lanes;
          const auto left = normal_numbers<T>((rows + row_block) * stride, 1),
                     right = normal_numbers<T>((others + row_block) * stride, 2),
                     second_left = normal_numbers<T>((rows + row_block) * stride, 3),
                     second_right = normal_numbers<T>((others + row_block) * stride, 4),
                     scale = normal_numbers<T>(columns, 5);
          std::vector<T> room((columns + second) * (others + kernels->lanes)), c(rows * others + 1, T(77));
          Outer<T> o;
          o.rows = rows;
          o.others = others;
          o.columns = columns;
          o.second_columns = second;
          o.stride = static_cast<std::ptrdiff_t>(stride);
          o.left = left.data();
          o.right = right.data();
          o.scale = scale.data();
          o.second_left = second_left.data();
          o.second_right = second_right.data();
          o.c = c.data();
          o.turned = turned ? room.data() : nullptr;
          kernels->outer(o);
          for (std::size_t i = 0; i < rows; ++i)
            for (std::size_t k = 0; k < others; ++k) {
              long double sum = 0;
              for (std::size_t b = 0; b < columns; ++b)
                sum += static_cast<long double>(scale[b]) * left[i * stride + b] * right[k * stride + b];
              for (std::size_t b = 0; b < second; ++b)
                sum += static_cast<long double>(second_left[i * stride + b]) * second_right[k * stride + b];
              ASSERT_NEAR(c[i * others + k], static_cast<double>(sum), rounding<T>(columns))
                  << rows << " by " << others << ", " << i << ", " << k;
            }
          EXPECT_EQ(c.back(), T(77));
        }
}

// Derivatives of softplus(l) - x l and (sigmoid(l) - x)^2, from formulas that lose nothing in long double.
TYPED_TEST(VectorFunctions, LikelihoodsHaveTheirDerivatives) {
  using T = TypeParam;
  for (const Kernels<T>* kernels : available_kernels<T>()) {
    SCOPED_TRACE(kernels->name);
    const std::size_t rows = 9, columns = 2 * kernels->lanes, stride = 3 * kernels->lanes;
    auto logits = normal_numbers<T>(rows * stride, 1), x = normal_numbers<T>(rows * stride, 2),
         scale = normal_numbers<T>(columns, 3);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] *= static_cast<T>(i % 7);
    logits[0] = 200;
    logits[1] = -200;
    for (T& value : x) value = static_cast<T>(sigmoid(value));
    for (const Likelihood likelihood : {Likelihood::bernoulli, Likelihood::squared}) {
      std::vector<T> first(rows * stride), second = first, alone = first;
      LikelihoodTerms<T> terms{likelihood,    rows,     columns,      static_cast<std::ptrdiff_t>(stride),
                               logits.data(), x.data(), scale.data(), first.data(),
                               second.data()};
      kernels->likelihood(terms);
      terms.first = alone.data();
      terms.second = nullptr;
      kernels->likelihood(terms);
      EXPECT_EQ(first, alone);
      for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t b = 0; b < columns; ++b) {
          const std::size_t at = i * stride + b;
          const long double p = sigmoid(logits[at]), slope = p * sigmoid(-logits[at]), error = p - x[at];
          const bool squared = likelihood == Likelihood::squared;
          const long double one = squared ? 2 * error * slope : error,
                            two = squared ? 2 * slope * (slope + error * (1 - 2 * p)) : slope;
          const double within = 8 * std::numeric_limits<T>::epsilon() * std::abs(scale[b]);
          ASSERT_NEAR(first[at], static_cast<double>(one * scale[b]), within) << logits[at];
          ASSERT_NEAR(second[at], static_cast<double>(two * scale[b]), within) << logits[at];
        }
    }
  }
}

}  // namespace
}  // namespace whence::native
