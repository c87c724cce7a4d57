#include "whence/stats/jaccard.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace whence::stats {
namespace {

using Doubles = std::vector<double>;

TEST(JaccardCritical, ByHand) {
  const Doubles truth{0, 1, 2, 3, 4, 5};
  EXPECT_EQ(jaccard_critical(truth, {-9, 7, 3, 2, 8, 9}, 1), 1.0);
  // Smallest 0, largest 4: {0, 5} and {0, 4} share one of three.
  EXPECT_EQ(jaccard_critical(truth, {-9, 7, 3, 2, 9, 8}, 1), 1.0 / 3);
  EXPECT_EQ(jaccard_critical(truth, {4, 0, 3, 2, 9, 5}, 1), 0.0);
  // {0, 1, 4, 5} and {1, 2, 3, 5} share two of six.
  EXPECT_EQ(jaccard_critical(truth, {3, 0, 1, 9, 4, 8}, 2), 2.0 / 6);
  EXPECT_EQ(jaccard_critical(truth, {3, 0, 1, 9, 4, 8}, 3), 1.0);
}

// Both ends form one set: an instance may move from one to the other.
TEST(JaccardCritical, IgnoresWhichEnd) {
  EXPECT_EQ(jaccard_critical({0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, 2), 1.0);
}

using Set = std::set<std::size_t>;

// Every critical set that breaking ties can give, each as often as every other: all orders of the indices,
// sorted by value. Small lists only.
std::vector<Set> critical_sets(const Doubles& values, std::size_t extremes) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<Set> sets;
  do {
    std::vector<std::size_t> sorted = order;
    std::stable_sort(sorted.begin(), sorted.end(), [&](auto a, auto b) { return values[a] < values[b]; });
    Set set(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(extremes));
    set.insert(sorted.end() - static_cast<std::ptrdiff_t>(extremes), sorted.end());
    sets.push_back(set);
  } while (std::next_permutation(order.begin(), order.end()));
  return sets;
}

std::map<Set, double> shares(const std::vector<Set>& sets) {
  std::map<Set, double> share;
  for (const Set& set : sets) share[set] += 1.0 / static_cast<double>(sets.size());
  return share;
}

double by_enumeration(const Doubles& truth, const Doubles& estimate, std::size_t extremes) {
  double expected = 0;
  const auto answers = shares(critical_sets(estimate, extremes));
  for (const auto& [a, share_a] : shares(critical_sets(truth, extremes)))
    for (const auto& [b, share_b] : answers) {
      const auto shared =
          std::count_if(a.begin(), a.end(), [&b = b](std::size_t i) { return b.count(i) > 0; });
      expected += share_a * share_b * static_cast<double>(shared) /
                  static_cast<double>(4 * extremes - static_cast<std::size_t>(shared));
    }
  return expected;
}

// Mean over all ways to shuffle the estimates that are not 0 together with a truth of 0.
double uninformed_by_enumeration(const Doubles& truth, const Doubles& estimate, std::size_t extremes) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < truth.size(); ++i)
    if (truth[i] != 0 || estimate[i] != 0) places.push_back(i);
  std::vector<std::size_t> from = places;
  std::map<Doubles, double> ways;
  double total = 0;
  do {
    Doubles shuffled = estimate;
    for (std::size_t i = 0; i < places.size(); ++i) shuffled[places[i]] = estimate[from[i]];
    ++ways[shuffled];
    ++total;
  } while (std::next_permutation(from.begin(), from.end()));
  double expected = 0;
  for (const auto& [shuffled, count] : ways)
    expected += count / total * by_enumeration(truth, shuffled, extremes);
  return expected;
}

// Lists of so few values that ties meet every edge: low, high, one value at both, all equal.
void for_random_lists(std::size_t longest, void (*check)(const Doubles&, const Doubles&, std::size_t)) {
  std::mt19937 draws(1);
  for (int repeat = 0; repeat < 150; ++repeat) {
    const std::size_t n = 2 + draws() % (longest - 1), extremes = 1 + draws() % (n / 2),
                      levels = 1 + draws() % 4;
    Doubles truth, estimate;
    for (std::size_t i = 0; i < n; ++i) {
      truth.push_back(static_cast<double>(draws() % levels) - 1);
      estimate.push_back(static_cast<double>(draws() % levels) - 1);
    }
    SCOPED_TRACE(::testing::PrintToString(truth) + ::testing::PrintToString(estimate) +
                 std::to_string(extremes));
    check(truth, estimate, extremes);
  }
}

TEST(JaccardCritical, OfTiesIsTheMeanOfAllWaysToBreakThem) {
  for_random_lists(7, [](const Doubles& truth, const Doubles& estimate, std::size_t extremes) {
    EXPECT_NEAR(jaccard_critical(truth, estimate, extremes), by_enumeration(truth, estimate, extremes),
                1e-13);
  });
}

TEST(JaccardCritical, TiesByHand) {
  // One value at both edges: any pair of four, as a pair drawn at random.
  EXPECT_NEAR(jaccard_critical({1, 1, 1, 1}, {0, 1, 2, 3}, 1), 1.0 / 6 + 4.0 / 6 / 3, 1e-15);
  // {0, 1 or 2} against {0, 3}: always one of three.
  EXPECT_NEAR(jaccard_critical({0, 5, 5, 1}, {0, 1, 2, 3}, 1), 1.0 / 3, 1e-15);
  // One value that is told apart on each side, at different places: no agreement but by chance.
  const auto lone = [](std::size_t at) {
    Doubles values(20, 0.0);
    values[at] = 1;
    return values;
  };
  EXPECT_LT(jaccard_critical(lone(3), lone(11), 3), 0.3);
}

// Values tied inside the set, or outside it, leave nothing open.
TEST(JaccardCritical, TiesAwayFromTheEdgesChangeNothing) {
  EXPECT_EQ(jaccard_critical({3, 1, 1, 7, 7, 2}, {3, 1, 1, 7, 7, 2}, 2), 1.0);
  EXPECT_EQ(jaccard_critical({1, 5, 5, 5, 5, 9}, {1, 5, 5, 5, 5, 9}, 1), 1.0);
  EXPECT_EQ(tied_at_edges({3, 1, 1, 7, 7, 2}, {3, 1, 1, 7, 7, 2}, 2), 0u);
}

TEST(JaccardCritical, LargeSetsOfTies) {
  // Both lists say nothing: as two sets drawn at random.
  const Doubles equal(1000, 0.5);
  EXPECT_NEAR(jaccard_critical(equal, equal, 100), jaccard_by_chance(1000, 200), 1e-12);
}

TEST(TiedAtEdges, CountsTargetsThatEitherListLeavesOpen) {
  EXPECT_EQ(tied_at_edges({1, 1, 1, 1}, {0, 1, 2, 3}, 1), 4u);
  EXPECT_EQ(tied_at_edges({0, 5, 5, 1}, {0, 1, 2, 3}, 1), 2u);
  // Indices 1 and 2 tie for smallest in one list, 2 and 3 for largest in the other.
  EXPECT_EQ(tied_at_edges({3, 1, 1, 7, 2, 8}, {1, 2, 9, 9, 3, 4}, 1), 3u);
}

TEST(JaccardUninformed, IsTheMeanOverShuffles) {
  for_random_lists(6, [](const Doubles& truth, const Doubles& estimate, std::size_t extremes) {
    EXPECT_NEAR(jaccard_uninformed(truth, estimate, extremes),
                uninformed_by_enumeration(truth, estimate, extremes), 1e-13);
  });
}

TEST(JaccardUninformed, WithoutCommonZerosIsThatOfRandomSets) {
  EXPECT_EQ(jaccard_uninformed({1, 2, 2, 3, 0, 5}, {0, 2, 2, 2, 2, 1}, 2), jaccard_by_chance(6, 4));
}

TEST(JaccardByChance, ByHand) {
  EXPECT_NEAR(jaccard_by_chance(7, 7), 1.0, 1e-15);
  EXPECT_NEAR(jaccard_by_chance(4, 1), 0.25, 1e-15);
  // Two 2-subsets of 3 are the same with probability 1/3, otherwise they share one of three.
  EXPECT_NEAR(jaccard_by_chance(3, 2), 1.0 / 3 + 2.0 / 3 / 3, 1e-15);
  EXPECT_NEAR(jaccard_by_chance(200, 20), 0.0538, 5e-5);
}

TEST(JaccardByChance, LargeSetsNeitherOverflowNorUnderflow) {
  // The overlap concentrates at m * m / n: J = (n / 4) / (3 n / 4).
  EXPECT_NEAR(jaccard_by_chance(2000000, 1000000), 1.0 / 3, 1e-5);
}

}  // namespace
}  // namespace whence::stats
