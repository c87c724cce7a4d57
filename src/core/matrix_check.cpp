// Products by plain loops, to judge a library's by, and its speed.
#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <limits>

#include "whence/core/matrix_kernels.h"

namespace whence {
namespace {

// Integers in -largest .. largest, of a linear congruential generator.
template <typename T>
std::vector<T> integers(std::size_t count, std::int64_t largest, std::uint64_t seed) {
  std::vector<T> values(count);
  for (T& value : values) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<T>(static_cast<std::int64_t>((seed >> 33) % (2 * largest + 1)) - largest);
  }
  return values;
}

// A matrix stored column by column, its columns one number further apart than they have to be.
template <typename T>
struct Matrix {
  int rows, columns;
  std::vector<T> values;
  int distance() const { return rows + 1; }
  T& at(int i, int j) { return values[static_cast<std::size_t>(j) * distance() + i]; }
  const T& at(int i, int j) const { return values[static_cast<std::size_t>(j) * distance() + i]; }
};

template <typename T>
Matrix<T> matrix(int rows, int columns, std::int64_t largest, std::uint64_t seed) {
  return {rows, columns, integers<T>(static_cast<std::size_t>(rows + 1) * columns, largest, seed)};
}

template <typename T>
Matrix<T> transposed(const Matrix<T>& m) {
  Matrix<T> t = matrix<T>(m.columns, m.rows, 1, 0);
  for (int i = 0; i < m.rows; ++i)
    for (int j = 0; j < m.columns; ++j) t.at(j, i) = m.at(i, j);
  return t;
}

// Adds the product of A and B to C.
template <typename T>
void add_product(const Matrix<T>& a, const Matrix<T>& b, Matrix<T>& c) {
  for (int j = 0; j < c.columns; ++j)
    for (int p = 0; p < a.columns; ++p)
      for (int i = 0; i < c.rows; ++i) c.at(i, j) += a.at(i, p) * b.at(p, j);
}

template <typename T>
bool same(const Matrix<T>& c, const Matrix<T>& expected) {
  for (int j = 0; j < c.columns; ++j)
    for (int i = 0; i < c.rows; ++i)
      if (!(c.at(i, j) == expected.at(i, j))) return false;
  return true;
}

// Every partial sum of the products, at most 131 largest^2, is an integer that T holds exactly.
template <typename T>
constexpr std::int64_t largest = sizeof(T) == 4 ? 300 : 1 << 20;

// The first layout whose product is wrong, as "A transposed, B not".
template <typename T>
std::string wrong_layout(MatrixLibrary& library, int m, int n, int k) {
  const Matrix<T> a = matrix<T>(m, k, largest<T>, 1), b = matrix<T>(k, n, largest<T>, 2);
  const Matrix<T> start = matrix<T>(m, n, largest<T>, 3), at = transposed(a), bt = transposed(b);
  Matrix<T> product = start;
  std::fill(product.values.begin(), product.values.end(), T(0));
  add_product(a, b, product);
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const T beta : {T(0), T(1)}) {
        Matrix<T> c = start, expected = product;
        if (beta == 0) std::fill(c.values.begin(), c.values.end(), std::numeric_limits<T>::quiet_NaN());
        for (std::size_t i = 0; beta == 1 && i < c.values.size(); ++i)
          expected.values[i] = start.values[i] - product.values[i];
        const Matrix<T>&left = ta ? at : a, &right = tb ? bt : b;
        library.multiply(MatrixProduct<T>{ta, tb, m, n, k, beta == 0 ? T(1) : T(-1), beta, left.values.data(),
                                          left.distance(), right.values.data(), right.distance(),
                                          c.values.data(), c.distance()});
        if (!same(c, expected))
          return fmt::format("A{} [{}, {}] by B{} [{}, {}]", ta ? "^T" : "", m, k, tb ? "^T" : "", k, n);
      }
  return "";
}

}  // namespace

// The last has more than 10^6 terms: below that some of OpenBLAS's kernels have a way of their own.
std::string first_wrong_product(MatrixLibrary& library) {
  constexpr int sizes[][3] = {{7, 5, 3}, {33, 17, 65}, {97, 1, 131}, {1, 29, 131}, {131, 97, 113}};
  for (const auto& [m, n, k] : sizes) {
    if (const std::string wrong = wrong_layout<float>(library, m, n, k); !wrong.empty())
      return "float32, " + wrong;
    if (const std::string wrong = wrong_layout<double>(library, m, n, k); !wrong.empty())
      return "float64, " + wrong;
  }
  return "";
}

double measured_gflops(MatrixLibrary& library) {
  using Clock = std::chrono::steady_clock;
  constexpr int n = 256;
  const auto a = integers<float>(n * n, 300, 1), b = integers<float>(n * n, 300, 2);
  std::vector<float> c(n * n);
  double least = std::numeric_limits<double>::infinity();
  for (int turn = 0; turn < 4; ++turn) {
    const auto start = Clock::now();
    library.multiply(
        MatrixProduct<float>{false, false, n, n, n, 1, 0, a.data(), n, b.data(), n, c.data(), n});
    least = std::min(least, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return 2.0 * n * n * n / least * 1e-9;
}

}  // namespace whence
