// Which kernels of OpenBLAS are chosen, on processors and libraries that are made up, and on this one.
#include "whence/core/matrix_kernels.h"

#include <cmath>
#include <cstdlib>
#include <functional>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

#include "whence/core/error.h"

namespace whence {
namespace {

using Names = std::vector<std::string>;

testing::AssertionResult has(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "'" << text << "' has no '" << part << "'";
}

const Processor intel_avx512{true, true, true, true}, intel_avx2{true, true, true, false},
    old_intel{true, true, false, false}, amd_avx512{true, false, true, true},
    amd_avx2{true, false, true, false}, arm{};

TEST(KernelsToTry, AreBetterOnesWhereOpenBlasTookLessThanTheProcessorHas) {
  EXPECT_EQ(kernels_to_try("Prescott", intel_avx512), Names({"SkylakeX", "Haswell", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Prescott", intel_avx2), Names({"Haswell", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Sandybridge", intel_avx2), Names({"Haswell", "Sandybridge", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Haswell", intel_avx512), Names({"SkylakeX", "Haswell", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Prescott", amd_avx512), Names({"SkylakeX", "Zen", "Haswell", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Prescott", amd_avx2), Names({"Zen", "Haswell", "Prescott"}));
}

TEST(KernelsToTry, BeginWithOpenBlassOwnWhereTheyAreRight) {
  for (const char* own : {"SkylakeX", "Cooperlake", "SapphireRapids"})
    EXPECT_EQ(kernels_to_try(own, intel_avx512), Names({own, "Haswell", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Haswell", intel_avx2), Names({"Haswell", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Zen", amd_avx2), Names({"Zen", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Zen", amd_avx512), Names({"Zen", "Prescott"}));
  EXPECT_EQ(kernels_to_try("Prescott", old_intel), Names({"Prescott"}));
  EXPECT_EQ(kernels_to_try("NEOVERSEN1", arm), Names({"NEOVERSEN1"}));
}

/// Plain loops, wrong in one number of a product with the kernels that are said to be.
class MadeUpLibrary : public MatrixLibrary {
 public:
  MadeUpLibrary(std::string own, std::set<std::string> others, std::set<std::string> wrong)
      : own_(std::move(own)), others_(std::move(others)), wrong_(std::move(wrong)), now_(own_) {}
  std::string name() const override { return "OpenBLAS 9"; }
  std::string kernels() const override { return now_; }
  bool use(const std::string& kernels) override {
    if (others_.empty()) return false;
    now_ = kernels.empty() ? own_ : others_.count(kernels) > 0 ? kernels : "some others";
    return kernels.empty() || now_ == kernels;
  }
  void multiply(const MatrixProduct<float>& product) override { compute(product); }
  void multiply(const MatrixProduct<double>& product) override { compute(product); }

  /// Which of a product's numbers is wrong.
  std::function<bool(int i, int j, int m, int n, int k, bool ta, bool tb, bool wide, bool added)> where =
      [](int i, int j, int m, int n, int, bool, bool, bool, bool) { return i == m - 1 && j == n - 1; };

 private:
  template <typename T>
  void compute(const MatrixProduct<T>& p) const {
    for (int j = 0; j < p.n; ++j)
      for (int i = 0; i < p.m; ++i) {
        T sum = 0;
        for (int l = 0; l < p.k; ++l)
          sum += (p.transpose_a ? p.a[i * p.lda + l] : p.a[l * p.lda + i]) *
                 (p.transpose_b ? p.b[l * p.ldb + j] : p.b[j * p.ldb + l]);
        T& c = p.c[j * p.ldc + i];
        c = p.alpha * sum + (p.beta == 0 ? 0 : p.beta * c);
        const bool wide = sizeof(T) == 8;
        if (wrong_.count(now_) > 0 &&
            where(i, j, p.m, p.n, p.k, p.transpose_a, p.transpose_b, wide, p.beta != 0))
          c = std::nextafter(c, T(1e30));
      }
  }

  std::string own_;
  std::set<std::string> others_, wrong_;
  std::string now_;
};

TEST(Choice, TakesTheBestThatComputesRight) {
  MadeUpLibrary library("Prescott", {"SkylakeX", "Haswell"}, {});
  const MatrixKernels choice = choose_matrix_kernels(library, intel_avx512, nullptr, true);
  EXPECT_EQ(library.kernels(), "SkylakeX");
  EXPECT_EQ(choice.used, "SkylakeX");
  EXPECT_EQ(choice.taken, "Prescott");
  EXPECT_EQ(choice.better, "");
  EXPECT_GT(choice.taken_gflops, 0);
  EXPECT_GT(choice.used_gflops, 0);
  EXPECT_TRUE(has(in_words(choice), "OpenBLAS 9 took the kernels Prescott ("));
  EXPECT_TRUE(has(in_words(choice), " GFLOP/s), and SkylakeX ("));
}

TEST(Choice, PassesOverKernelsThatComputeWrong) {
  MadeUpLibrary library("Prescott", {"SkylakeX", "Haswell"}, {"SkylakeX"});
  const MatrixKernels choice = choose_matrix_kernels(library, intel_avx512, nullptr, false);
  EXPECT_EQ(library.kernels(), "Haswell");
  EXPECT_EQ(in_words(choice),
            "matrix products: OpenBLAS 9 computes wrong here with SkylakeX (float32, A [7, 3] by B [3, 5]); "
            "took the kernels Prescott, and Haswell are used");
  MadeUpLibrary both("Prescott", {"SkylakeX", "Haswell"}, {"SkylakeX", "Haswell"});
  const MatrixKernels own = choose_matrix_kernels(both, intel_avx512, nullptr, false);
  EXPECT_EQ(both.kernels(), "Prescott");
  EXPECT_EQ(own.wrong.size(), 2u);
  EXPECT_TRUE(has(in_words(own), "); Prescott are used"));
}

TEST(Choice, GoesBelowTheLibrarysOwnWhereThoseComputeWrong) {
  MadeUpLibrary library("SkylakeX", {"Haswell", "Prescott"}, {"SkylakeX"});
  EXPECT_EQ(choose_matrix_kernels(library, intel_avx512, nullptr, false).used, "Haswell");
  EXPECT_EQ(library.kernels(), "Haswell");
  MadeUpLibrary none("SkylakeX", {"Haswell", "Prescott"}, {"SkylakeX", "Haswell", "Prescott"});
  try {
    choose_matrix_kernels(none, intel_avx512, nullptr, false);
    FAIL() << "kernels that compute wrong were taken";
  } catch (const Error& error) {
    EXPECT_TRUE(has(error.what(), "with all of its kernels: SkylakeX ("));
  }
}

TEST(Choice, LeavesWhatIsRightAndSaysNothing) {
  MadeUpLibrary library("Zen", {"SkylakeX", "Haswell"}, {});
  EXPECT_EQ(in_words(choose_matrix_kernels(library, amd_avx512, nullptr, true)), "");
  EXPECT_EQ(library.kernels(), "Zen");
}

TEST(Choice, GoesBackToTheLibrarysOwnWhereItLacksBetterOnes) {
  for (const std::set<std::string>& others : {std::set<std::string>{"Nehalem"}, std::set<std::string>{}}) {
    MadeUpLibrary library("Prescott", others, {});
    const MatrixKernels choice = choose_matrix_kernels(library, intel_avx512, nullptr, false);
    EXPECT_EQ(library.kernels(), "Prescott");
    EXPECT_EQ(choice.better, "SkylakeX");
    EXPECT_TRUE(has(in_words(choice), "set OPENBLAS_CORETYPE=SkylakeX, or install a newer one"));
  }
}

TEST(Choice, OfTheUserStays) {
  MadeUpLibrary library("Prescott", {"SkylakeX", "Haswell"}, {"Haswell"});
  EXPECT_EQ(
      in_words(choose_matrix_kernels(library, intel_avx512, "Prescott", false)),
      "matrix products: OpenBLAS 9 with the kernels Prescott of OPENBLAS_CORETYPE, left alone; SkylakeX "
      "would suit this processor better");
  EXPECT_EQ(library.kernels(), "Prescott");
  MadeUpLibrary wrong("Haswell", {"SkylakeX"}, {"Haswell"});
  try {
    choose_matrix_kernels(wrong, intel_avx512, "haswell", false);
    FAIL() << "kernels that compute wrong were left";
  } catch (const UsageError& error) {
    EXPECT_TRUE(has(error.what(), "OPENBLAS_CORETYPE=haswell: OpenBLAS 9's kernels Haswell compute wrong"));
  }
  EXPECT_EQ(wrong.kernels(), "Haswell");
}

TEST(Check, SeesOneWrongBitInAnyKindOfProduct) {
  MadeUpLibrary library("Prescott", {}, {"Prescott"});
  const auto expect_seen = [&](const auto& where, const std::string& words) {
    library.where = where;
    EXPECT_TRUE(has(first_wrong_product(library), words));
  };
  expect_seen(
      [](int i, int j, int, int, int, bool, bool, bool wide, bool) { return wide && i == 0 && j == 0; },
      "float64, A [7, 3] by B [3, 5]");
  expect_seen(
      [](int i, int j, int m, int, int, bool ta, bool, bool, bool) { return ta && i == m - 1 && j == 1; },
      "float32, A^T [7, 3] by B [3, 5]");
  expect_seen([](int i, int j, int, int, int, bool, bool tb, bool, bool) { return tb && i == 0 && j == 0; },
              "float32, A [7, 3] by B^T [3, 5]");
  expect_seen(
      [](int i, int j, int, int, int, bool, bool, bool, bool added) { return added && i == 3 && j == 0; },
      "float32, A [7, 3] by B [3, 5]");
  // Vectors, and products too large for kernels of small ones.
  expect_seen([](int i, int, int, int n, int, bool, bool, bool, bool) { return n == 1 && i == 96; },
              "float32, A [97, 131] by B [131, 1]");
  expect_seen([](int i, int j, int m, int n, int k, bool, bool, bool,
                 bool) { return m * n * k > 1000000 && i == 128 && j == 96; },
              "float32, A [131, 113] by B [113, 97]");
  library.where = [](int, int, int, int, int, bool, bool, bool, bool) { return false; };
  EXPECT_EQ(first_wrong_product(library), "");
}

TEST(ThisProgram, UsesKernelsThatComputeRightAndSuitTheProcessor) {
  const auto library = matrix_library_of_libtorch();
  if (library == nullptr) GTEST_SKIP() << "this LibTorch's products are not OpenBLAS's";
  EXPECT_TRUE(has(library->name(), "OpenBLAS"));
  EXPECT_EQ(first_wrong_product(*library), "");
  EXPECT_EQ(matrix_kernels_in_use(), library->name() + ", " + library->kernels());
  // tests/support/main.cpp has chosen.
  if (std::getenv("OPENBLAS_CORETYPE") == nullptr) {
    EXPECT_EQ(kernels_to_try(library->kernels(), this_processor()).front(), library->kernels());
  }
}

TEST(ThisProgram, ChangesKernelsWhileItRunsAndLeavesTheEnvironment) {
  const auto library = matrix_library_of_libtorch();
  if (library == nullptr || std::getenv("OPENBLAS_CORETYPE") != nullptr || !library->use(""))
    GTEST_SKIP() << "nothing to choose among";
  const Processor processor = this_processor();
  for (const char* name : {"Prescott", "Haswell", "SkylakeX"}) {
    if ((name[0] == 'H' && !processor.avx2) || (name[0] == 'S' && !processor.avx512) || !library->use(name))
      continue;
    EXPECT_EQ(library->kernels(), name);
    EXPECT_EQ(first_wrong_product(*library), "") << name;
    EXPECT_EQ(std::getenv("OPENBLAS_CORETYPE"), nullptr);
  }
  choose_matrix_kernels(false);
}

}  // namespace
}  // namespace whence
