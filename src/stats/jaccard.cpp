#include "whence/stats/jaccard.h"

#include <algorithm>
#include <boost/math/special_functions/legendre.hpp>
#include <cmath>

#include "whence/core/error.h"

#include "critical_set.h"
#include "overlap.h"

namespace whence::stats {
namespace {

using Table = std::vector<std::vector<double>>;

struct CriticalSets {
  CriticalSet truth, estimate;
};

CriticalSets checked_sets(const char* what, const std::vector<double>& truth,
                          const std::vector<double>& estimate, std::size_t extremes) {
  const std::size_t n = truth.size();
  if (estimate.size() != n) fail("{}: truth has {} values but estimate has {}", what, n, estimate.size());
  if (extremes == 0) fail("{}: needs at least 1 extreme value at each end", what);
  if (extremes > n / 2) fail("{}: {} values have no {} smallest and {} largest", what, n, extremes, extremes);
  for (std::size_t i = 0; i < n; ++i)
    if (!std::isfinite(truth[i])) fail("{}: truth[{}] is {}", what, i, truth[i]);
  for (std::size_t i = 0; i < n; ++i)
    if (!std::isfinite(estimate[i])) fail("{}: estimate[{}] is {}", what, i, estimate[i]);
  return {critical_set(truth, extremes), critical_set(estimate, extremes)};
}

// E[x^(a - k)] with k the overlap of an a-subset of n items with a random b-subset.
double expected_power(const Counts& k, std::size_t a, double x) {
  double sum = 0;
  for (std::size_t i = 0; i < k.probability.size(); ++i)
    sum += k.probability[i] * std::pow(x, static_cast<double>(a - k.least - i));
  return sum;
}

// The truth's random choice among one of its two groups of tied values: how many of those chosen fall on the
// estimate's tied_low (row) and tied_high (column), times E[x^(number of those that fall outside)].
class Choice {
 public:
  Choice(const std::array<std::size_t, 4>& cells, std::size_t room)
      : room_(room),
        low_(overlap(cells[0] + cells[1] + cells[2] + cells[3], cells[tied_low], room)),
        most_high_(std::min(room, cells[tied_high])) {
    const std::size_t rest = cells[outside] + cells[inside];
    for (std::size_t i = 0; i < low_.probability.size(); ++i)
      high_.push_back(overlap(rest + cells[tied_high], cells[tied_high], room - low_.least - i));
    for (std::size_t left = 0; left <= room; ++left)
      sure_.push_back(left > rest ? Counts{} : overlap(rest, cells[inside], left));
  }

  std::size_t least_low() const { return low_.least; }

  Table at(double x) const {
    Table table(low_.probability.size(), std::vector<double>(most_high_ + 1, 0.0));
    for (std::size_t i = 0; i < table.size(); ++i)
      for (std::size_t j = 0; j < high_[i].probability.size(); ++j) {
        const std::size_t high = high_[i].least + j, left = room_ - low_.least - i - high;
        table[i][high] = low_.probability[i] * high_[i].probability[j] * expected_power(sure_[left], left, x);
      }
    return table;
  }

 private:
  std::size_t room_;
  Counts low_;
  std::size_t most_high_;
  std::vector<Counts> high_, sure_;
};

// The estimate's random choice among one of its groups, for every number c of critical truths in it.
class Answer {
 public:
  Answer(std::size_t count, std::size_t room, std::size_t most) {
    for (std::size_t c = 0; c <= std::min(count, most); ++c) overlaps_.push_back(overlap(count, c, room));
  }

  std::vector<double> at(double x) const {
    std::vector<double> powers;
    for (std::size_t c = 0; c < overlaps_.size(); ++c) powers.push_back(expected_power(overlaps_[c], c, x));
    return powers;
  }

 private:
  std::vector<Counts> overlaps_;
};

// How the critical set of the truth meets that of the estimate. With D the number of critical truths that are
// not in the estimate's set, the index is (2m - D) / (2m + D) for sets of 2m.
class Meeting {
 public:
  Meeting(const CriticalSets& sets, std::size_t size)
      : cells_(cells_of(sets)),
        first_(cells_[tied_low], sets.truth.room[tied_low]),
        second_(cells_[tied_high], sets.truth.room[tied_high]),
        low_(sets.estimate.count[tied_low], sets.estimate.room[tied_low], size),
        high_(sets.estimate.count[tied_high], sets.estimate.room[tied_high], size) {}

  // E[x^D].
  double expected_power_at(double x) const {
    const Table first = first_.at(x), second = second_.at(x);
    const std::vector<double> low = low_.at(x), high = high_.at(x);
    const auto& sure = cells_[inside];
    const std::size_t begin = sure[tied_low] + first_.least_low() + second_.least_low();
    double sum = 0;
    for (std::size_t w = 0; w < second.size(); ++w)
      for (std::size_t y = 0; y < first.front().size(); ++y) {
        double left = 0, right = 0;
        for (std::size_t v = 0; v < first.size(); ++v)
          if (first[v][y] > 0) left += first[v][y] * low[begin + v + w];
        for (std::size_t z = 0; z < second[w].size(); ++z)
          if (second[w][z] > 0) right += second[w][z] * high[sure[tied_high] + y + z];
        sum += left * right;
      }
    return sum * std::pow(x, static_cast<double>(sure[outside]));
  }

 private:
  using Cells = std::array<std::array<std::size_t, 4>, 4>;  // [standing in truth][standing in estimate]

  static Cells cells_of(const CriticalSets& sets) {
    Cells cells{};
    for (std::size_t i = 0; i < sets.truth.standing.size(); ++i)
      ++cells[sets.truth.standing[i]][sets.estimate.standing[i]];
    return cells;
  }

  Cells cells_;
  Choice first_, second_;
  Answer low_, high_;
};

double index_of(std::size_t shared, std::size_t size) {
  return static_cast<double>(shared) / static_cast<double>(2 * size - shared);
}

// How many of the `zeros` indices, all of one standing, are in the set.
Counts critical_among(const CriticalSet& set, Standing standing, std::size_t zeros) {
  return overlap(set.count[standing], zeros, set.room[standing]);
}

}  // namespace

double jaccard_critical(const std::vector<double>& truth, const std::vector<double>& estimate,
                        std::size_t extremes) {
  const CriticalSets sets = checked_sets("jaccard_critical", truth, estimate, extremes);
  const std::size_t size = 2 * extremes;
  if (!sets.truth.ties() && !sets.estimate.ties()) {
    std::size_t shared = 0;
    for (std::size_t i = 0; i < truth.size(); ++i)
      shared += sets.truth.standing[i] == inside && sets.estimate.standing[i] == inside ? 1 : 0;
    return index_of(shared, size);
  }
  // (2m - D) / (2m + D) = 4m / (2m + D) - 1 = 4m * (the integral of x^(2m - 1 + D) from 0 to 1) - 1 for sets
  // of 2m. D is at most 2m, so that Gauss and Legendre's 2m points are exact for E[x^D].
  const Meeting meeting(sets, size);
  const auto points = static_cast<int>(size);
  double integral = 0;
  for (const double zero : boost::math::legendre_p_zeros<double>(points)) {
    const double slope = boost::math::legendre_p_prime(points, zero);
    const double weight = 1.0 / ((1.0 - zero * zero) * slope * slope);  // half of that of [-1, 1]
    for (const double x : {0.5 - 0.5 * zero, 0.5 + 0.5 * zero})
      integral += weight * std::pow(x, points - 1) * meeting.expected_power_at(x);
  }
  return std::clamp(2.0 * static_cast<double>(size) * integral - 1.0, 0.0, 1.0);
}

std::size_t tied_at_edges(const std::vector<double>& truth, const std::vector<double>& estimate,
                          std::size_t extremes) {
  const CriticalSets sets = checked_sets("tied_at_edges", truth, estimate, extremes);
  std::size_t tied = 0;
  for (std::size_t i = 0; i < truth.size(); ++i)
    tied += sets.truth.standing[i] >= tied_low || sets.estimate.standing[i] >= tied_low ? 1 : 0;
  return tied;
}

double jaccard_uninformed(const std::vector<double>& truth, const std::vector<double>& estimate,
                          std::size_t extremes) {
  const CriticalSets sets = checked_sets("jaccard_uninformed", truth, estimate, extremes);
  const std::size_t n = truth.size(), size = 2 * extremes;
  std::size_t zeros = 0, at = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (truth[i] == 0 && estimate[i] == 0) ++zeros, at = i;
  if (zeros == 0) return jaccard_by_chance(n, size);

  // Given how many zeros are in each set, both sets are uniformly random among the zeros and among the
  // others: those of the estimate by the shuffle, and zeros are all alike.
  const Counts in_truth = critical_among(sets.truth, sets.truth.standing[at], zeros);
  const Counts in_estimate = critical_among(sets.estimate, sets.estimate.standing[at], zeros);
  double expected = 0;
  for (std::size_t a = 0; a < in_truth.probability.size(); ++a)
    for (std::size_t b = 0; b < in_estimate.probability.size(); ++b) {
      const std::size_t y = in_truth.least + a, z = in_estimate.least + b;
      const Counts of_zeros = overlap(zeros, y, z), of_others = overlap(n - zeros, size - y, size - z);
      double index = 0;
      for (std::size_t k = 0; k < of_zeros.probability.size(); ++k)
        for (std::size_t l = 0; l < of_others.probability.size(); ++l)
          index += of_zeros.probability[k] * of_others.probability[l] *
                   index_of(of_zeros.least + k + of_others.least + l, size);
      expected += in_truth.probability[a] * in_estimate.probability[b] * index;
    }
  return expected;
}

double jaccard_by_chance(std::size_t n, std::size_t m) {
  if (m == 0 || m > n) fail("jaccard_by_chance: there is no Jaccard index of {}-subsets of {} items", m, n);
  const Counts k = overlap(n, m, m);
  double expected = 0.0;
  for (std::size_t i = 0; i < k.probability.size(); ++i)
    expected += k.probability[i] * index_of(k.least + i, m);
  return expected;
}

}  // namespace whence::stats
