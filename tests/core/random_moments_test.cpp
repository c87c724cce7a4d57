// A million draws have the distribution that they claim.
#include <algorithm>
#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <vector>

#include "whence/core/random.h"

namespace whence {
namespace {

constexpr std::size_t count = 1000000;

double mean_of(const std::vector<double>& values, const std::function<double(double)>& f) {
  double sum = 0;
  for (const double value : values) sum += f(value);
  return sum / static_cast<double>(values.size());
}

// E f = `mean`, Var f = `variance`: within five standard errors.
void expect_moment(const std::vector<double>& values, const std::function<double(double)>& f, double mean,
                   double variance) {
  EXPECT_NEAR(mean_of(values, f), mean, 5 * std::sqrt(variance / static_cast<double>(values.size())));
}

// sqrt(n) times the Kolmogorov-Smirnov distance to the distribution function `cdf`. By chance it exceeds 2.69
// once in a million (2 exp(-2 x^2)).
double kolmogorov_smirnov(std::vector<double> values, const std::function<double(double)>& cdf) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double distance = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double at = cdf(values[i]);
    distance = std::max({distance, at - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - at});
  }
  return distance * std::sqrt(n);
}
constexpr double once_in_a_million = 2.69;

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

std::vector<double> normals(const RandomStream& stream) {
  std::vector<double> values(count);
  stream.normal(0, values.data(), count);
  return values;
}

std::vector<double> uniforms(const RandomStream& stream) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = stream.uniform(i);
  return values;
}

double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum / std::sqrt(static_cast<double>(a.size()));
}

TEST(NormalDraws, HaveTheMomentsOfTheNormalDistribution) {
  const std::vector<double> values = normals({1, Purpose::training_latents, 3});
  expect_moment(
      values, [](double x) { return x; }, 0, 1);
  expect_moment(
      values, [](double x) { return x * x; }, 1, 2);
  expect_moment(
      values, [](double x) { return x * x * x; }, 0, 15);
  expect_moment(
      values, [](double x) { return x * x * x * x; }, 3, 96);
}

TEST(NormalDraws, HaveTheNormalDistribution) {
  EXPECT_LT(kolmogorov_smirnov(normals({2, Purpose::validation_latents}), normal_cdf), once_in_a_million);
}

TEST(NormalDraws, OfOneCounterAreIndependent) {
  const std::vector<double> values = normals({3, Purpose::training_latents});
  std::vector<double> even, odd, even_square, odd_square;
  for (std::size_t i = 0; i < count; i += 2) {
    even.push_back(values[i]);
    odd.push_back(values[i + 1]);
    even_square.push_back((values[i] * values[i] - 1) / std::sqrt(2.0));
    odd_square.push_back((values[i + 1] * values[i + 1] - 1) / std::sqrt(2.0));
  }
  EXPECT_LT(std::abs(correlation(even, odd)), 5);
  EXPECT_LT(std::abs(correlation(even_square, odd_square)), 5);
}

TEST(NormalDraws, OfTwoStreamsAreIndependent) {
  const std::vector<double> here = normals({1, Purpose::training_latents, 3});
  EXPECT_LT(std::abs(correlation(here, normals({1, Purpose::training_latents, 4}))), 5);
  EXPECT_LT(std::abs(correlation(here, normals({1, Purpose::validation_latents, 3}))), 5);
  EXPECT_LT(std::abs(correlation(here, normals({2, Purpose::training_latents, 3}))), 5);
}

TEST(UniformDraws, LieInZeroToOneWithoutOne) {
  const std::vector<double> values = uniforms({1, Purpose::targets});
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  EXPECT_GE(*least, 0.0);
  EXPECT_LT(*least, 2e-5);
  EXPECT_LT(*most, 1.0);
  EXPECT_GT(*most, 1 - 2e-5);
}

TEST(UniformDraws, HaveTheMomentsOfTheUniformDistribution) {
  const std::vector<double> values = uniforms({1, Purpose::training_data, 7});
  expect_moment(
      values, [](double u) { return u; }, 1.0 / 2, 1.0 / 12);
  expect_moment(
      values, [](double u) { return u * u; }, 1.0 / 3, 4.0 / 45);
}

TEST(UniformDraws, HaveTheUniformDistribution) {
  const auto cdf = [](double u) { return u; };
  EXPECT_LT(kolmogorov_smirnov(uniforms({4, Purpose::split}), cdf), once_in_a_million);
}

}  // namespace
}  // namespace whence
