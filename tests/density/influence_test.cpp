// The estimators on tensors; tests/jobs/density_test.py holds the whole job against NumPy.
#include "whence/density/influence.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "whence/core/error.h"
#include "whence/density/kde.h"
#include "whence/density/mixture.h"
#include "whence/density/points.h"
#include "whence/density/queries.h"

#include "support/numbers.h"

namespace whence::density {
namespace {

using test::normals;

// Not constants: MPI starts in main().
Communicator world() { return Communicator(MPI_COMM_WORLD); }
Communicator self() { return Communicator(MPI_COMM_SELF); }
const auto silent = [](std::int64_t, std::int64_t) {};

Dataset dataset(const at::Tensor& points, const at::Tensor& clusters = {}) {
  Dataset data;
  data.instances = points;
  data.labels = clusters;
  data.ids.resize(points.size(0));
  std::iota(data.ids.begin(), data.ids.end(), 0);
  data.shape = {points.size(1)};
  return data;
}

Queries first(const Dataset& data, std::int64_t count) {
  const std::vector<std::int64_t> positions(data.ids.begin(), data.ids.begin() + count);
  return {data.instances.all().narrow(0, 0, count), positions, positions};
}

template <typename E, typename Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "no error";
}

// What a job of several ranks has, put together.
struct Found : DensityInfluence {
  at::Tensor closed, exact, corrected, distance;
  std::int64_t most_queries = 0;  // of a block
};

Found influence(const Dataset& data, const Queries& queries, const EstimatorOptions& options,
                const Communicator& ranks) {
  const std::int64_t e = static_cast<std::int64_t>(options.estimators.size()), q = queries.points.size(0),
                     n = data.size();
  at::Tensor closed = at::zeros({e, q, n}, at::kDouble), exact = at::zeros({e, q, n}, at::kDouble),
             corrected = at::zeros({q, n}, at::kDouble), distance = at::zeros({q, n}, at::kDouble);
  std::int64_t most = 0;
  Found found;
  static_cast<DensityInfluence&>(found) =
      density_influence(data, queries, options, ranks, silent, [&](Range rows, const DensityTables& tables) {
        const auto put = [&](const at::Tensor& all, const at::Tensor& some) {
          const std::int64_t axis = all.dim() - 2;
          all.narrow(axis, rows.begin, rows.size()).copy_(some);
        };
        put(closed, tables.closed);
        put(exact, tables.exact);
        put(distance, tables.distance);
        if (tables.corrected.defined()) put(corrected, tables.corrected);
        most = std::max(most, rows.size());
      });
  for (at::Tensor* table : {&closed, &exact, &corrected, &distance}) ranks.sum(*table);
  found.closed = closed;
  found.exact = exact;
  found.corrected = corrected;
  found.distance = distance;
  found.most_queries = most;
  return found;
}

// 1,024 such points are read together.
TEST(DensityInfluence, OfDataThatAreReadInBlocksIsThatOfDataThatAreHeld) {
  constexpr std::int64_t n = 2 * pair_block + 52, d = 2048;
  const at::Tensor clusters = at::arange(n, at::kLong).remainder(3);
  const Dataset data = dataset(normals({n, d}, 2) + 20 * clusters.unsqueeze(1), clusters);
  EstimatorOptions options{{"gmm", "knn", "kde"}, 6, 30, true};
  const Found held = influence(data, first(data, 20), options, world());
  options.memory = 8 * n * d - 1;
  ASSERT_GT(PointSet(data.instances, options.memory).stretches().size(), 2U);
  const Found read = influence(data, first(data, 20), options, world());
  const auto expect_close = [](const at::Tensor& a, const at::Tensor& b) {
    EXPECT_LT((a - b).abs().max().item<double>(), 1e-9);
  };
  expect_close(read.closed, held.closed);
  expect_close(read.exact, held.exact);
  expect_close(read.corrected, held.corrected);
  expect_close(read.distance, held.distance);
  expect_close(read.query_log_likelihood, held.query_log_likelihood);
  expect_close(read.log_likelihood, held.log_likelihood);
  expect_close(read.self_closed, held.self_closed);
  expect_close(read.self_exact, held.self_exact);
  expect_close(read.self_corrected, held.self_corrected);
}

TEST(DensityInfluence, IsTheSameBitsOnAnyNumberOfRanks) {
  const at::Tensor clusters = at::arange(1300, at::kLong).remainder(3);
  const Dataset data = dataset(normals({1300, 5}, 1) + 20 * clusters.unsqueeze(1), clusters);
  const EstimatorOptions options{{"gmm", "knn", "kde"}, 6, 0.4, true};
  const Found together = influence(data, first(data, 50), options, world());
  const Found alone = influence(data, first(data, 50), options, self());
  EXPECT_EQ(alone.most_queries, 16);
  EXPECT_LE(together.most_queries, 16);
  const auto tensors = [](const Found& r) {
    return std::vector<at::Tensor>{
        r.query_log_likelihood, r.closed,    r.exact,          r.log_likelihood, r.self_closed,
        r.self_exact,           r.corrected, r.self_corrected, r.distance,       r.largest_difference};
  };
  EXPECT_EQ(together.corrected_difference, alone.corrected_difference);
  // Of tables and self-influences, each by itself.
  for (const int e : {0, 1, 2}) {
    const auto largest = [](const at::Tensor& a, const at::Tensor& b) {
      return (a - b).abs().max().item<double>();
    };
    EXPECT_EQ(alone.largest_difference[e].item<double>(),
              std::max(largest(alone.closed[e], alone.exact[e]),
                       largest(alone.self_closed[e], alone.self_exact[e])));
  }
  for (std::size_t t = 0; t < tensors(alone).size(); ++t)
    EXPECT_TRUE(test::same_bits(tensors(together)[t], tensors(alone)[t])) << t;
  EXPECT_EQ(together.not_separated, 0);
  for (const int e : {1, 2}) {
    EXPECT_LT((alone.closed[e] - alone.exact[e]).abs().max().item<double>(), 1e-12);
    EXPECT_LT((alone.self_closed[e] - alone.self_exact[e]).abs().max().item<double>(), 1e-12);
  }
}

// Influences of a table, and of a point on itself, are found along different ways.
TEST(DensityInfluence, OfAnInstanceOnItselfIsInTheTable) {
  const Dataset data = dataset(normals({40, 3072}, 2) * 3, at::arange(40, at::kLong).remainder(2));
  const Found all = influence(data, first(data, 40), {{"knn", "kde", "gmm"}, 4, 0.1, true}, world());
  for (int e = 0; e < 3; ++e) {
    const double largest = all.self_exact[e].abs().max().item<double>();
    EXPECT_LT((all.exact[e].diagonal() - all.self_exact[e]).abs().max().item<double>(), 1e-12 * largest);
    EXPECT_LT((all.closed[e].diagonal() - all.self_closed[e]).abs().max().item<double>(), 1e-12 * largest);
  }
  // The others' kernels are e^(-10^6) of the own one.
  EXPECT_GT(all.self_exact[1].min().item<double>(), 1e6);
}

TEST(KernelDensity, ClosedFormDoesNotCancelWhereOneKernelIsAlmostAll) {
  const KernelDensity density(3, 1, 1);
  // Shares 1 - 2e-20, 2e-20 and less; and two equal halves.
  const at::Tensor squared = at::tensor({0.0, 90.0, 4000.0, 5.0, 5.0, 1e5}, at::kDouble).view({2, 3});
  const KernelInfluence found = density.influence(squared);
  const double rest = std::log(2.0 / 3);
  EXPECT_NEAR(found.closed[0][0].item<double>(), rest + 45, 1e-12);
  EXPECT_NEAR(found.exact[0][0].item<double>(), rest + 45, 1e-12);
  for (const int i : {0, 1}) EXPECT_NEAR(found.closed[1][i].item<double>(), rest + std::log(2.0), 1e-12);
  EXPECT_LT((found.closed - found.exact).abs().max().item<double>(), 1e-12);
}

TEST(SphericalMixture, CountsWhoLeavesItsCluster) {
  // Three and three along a line; instance 2 lies nearer to the second cluster.
  const at::Tensor points = at::tensor({0.0, 1.0, 9.0, 10.0, 11.0, 12.0}, at::kDouble).view({6, 1});
  const Dataset data = dataset(points, at::tensor({0, 0, 0, 1, 1, 1}, at::kLong));
  const Found found = influence(data, first(data, 6), {{"gmm"}, 1, 1, true}, world());
  EXPECT_EQ(found.not_separated, 2 * 2);  // instances 2 and 3, as queries and as instances
  // Without itself instance 2 belongs to cluster 1, which is as it was: mean 11, variance 2/3, 3 of 5.
  const double with =
      std::log(3.0 / 6) - 0.5 * std::log(2 * M_PI * 146 / 9) - std::pow(9 - 10.0 / 3, 2) / 2 / (146.0 / 9);
  const double without = std::log(3.0 / 5) - 0.5 * std::log(2 * M_PI * 2 / 3) - 4 / 2.0 / (2.0 / 3);
  EXPECT_NEAR(found.self_exact[0][2].item<double>(), with - without, 1e-12);
  EXPECT_NEAR(found.exact[0][2][2].item<double>(), with - without, 1e-12);
}

TEST(Options, AreRefusedBeforeAnyWork) {
  const Dataset data = dataset(normals({10, 2}, 1));
  const auto refusal = [&data](std::vector<std::string> names, std::int64_t k, double sigma) {
    return message_of<UsageError>([&] { check_options({std::move(names), k, sigma, true}, data); });
  };
  EXPECT_EQ(refusal({"knn", "kde"}, 9, 1), "no error");
  EXPECT_EQ(refusal({"knn"}, 10, 1),
            "--k is 10, but must be less than the 10 instances: without one of them there must still be k");
  EXPECT_NE(refusal({"kde"}, 1, 0), "no error");
  EXPECT_NE(refusal({"kde"}, 1, std::nan("")), "no error");
  EXPECT_NE(refusal({"gmm"}, 1, 1), "no error");
  EXPECT_NE(refusal({"knn", "knn"}, 1, 1), "no error");
  EXPECT_EQ(message_of<UsageError>([] {
              cluster_members(at::tensor({0, 0, 0, -1}, at::kLong));
            }).substr(0, 10),
            "instance 3");
}

TEST(QueryChoice, GivesPointsIdsAndPositions) {
  DataSplit data;
  data.train = dataset(normals({1001, 2}, 1));
  data.held_out = dataset(normals({3, 2}, 2));
  for (std::int64_t& id : data.train.ids) id += 100;
  const auto chosen = [&data](const std::string& text) {
    return choose_queries(parse_queries(text), data, 5);
  };
  EXPECT_EQ(chosen("auto").ids.size(), 128u);
  EXPECT_EQ(chosen("all").ids, data.train.ids);
  EXPECT_EQ(chosen("ids:700,101").positions, (std::vector<std::int64_t>{600, 1}));
  EXPECT_TRUE(test::same_bits(chosen("ids:700,101").points[1], data.train.instances.all()[1]));
  EXPECT_EQ(chosen("held-out:3").positions, (std::vector<std::int64_t>{-1, -1, -1}));
  EXPECT_EQ(parse_queries("held-out:3").held_out(), 3);
  const Queries few = chosen("7"), more = chosen("9");
  EXPECT_TRUE(std::equal(few.ids.begin(), few.ids.end(), more.ids.begin()));
  EXPECT_EQ(message_of<UsageError>([&] { chosen("1002"); }),
            "--queries: 1002 are more than the 1001 instances");
}

}  // namespace
}  // namespace whence::density
