// Collective operations against what any rank can compute alone. Runs on any number of ranks.
#include "whence/comm/communicator.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "whence/comm/partition.h"
#include "whence/core/error.h"

namespace whence {
namespace {

const Communicator& world() {
  static const Communicator communicator(MPI_COMM_WORLD);
  return communicator;
}

std::int64_t triangle(std::int64_t n) { return n * (n + 1) / 2; }

TEST(Sum, AddsOverAllRanks) {
  EXPECT_EQ(world().sum(std::int64_t{world().rank() + 1}), triangle(world().size()));
  // Beyond double's 53 bits.
  EXPECT_EQ(world().sum((std::int64_t{1} << 60) + 1), world().size() * ((std::int64_t{1} << 60) + 1));
}

TEST(Sum, AddsTensorsInPlace) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kLong}) {
    const at::Tensor base = at::arange(6, dtype).view({2, 3});
    at::Tensor values = base + world().rank();
    world().sum(values);
    EXPECT_EQ(values.scalar_type(), dtype);
    EXPECT_TRUE(at::equal(values, base * world().size() + triangle(world().size() - 1)));
  }
  at::Tensor nothing = at::empty({0, 3}, at::kDouble);
  world().sum(nothing);
  EXPECT_EQ(nothing.numel(), 0);
}

TEST(Sum, OfSeveralIsThatOfEachWhateverTheirSizes) {
  const Communicator ranks(MPI_COMM_WORLD);
  const std::vector<std::vector<std::int64_t>> sizes{{0}, {3}, {100, 1000}, {2, 5}, {70000}, {1}};
  std::vector<at::Tensor> tensors;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    tensors.push_back(at::full(sizes[i], static_cast<double>(i) + ranks.rank(), at::kDouble));
  tensors.push_back(at::arange(6, at::kDouble).view({2, 3}).t());  // its numbers do not follow one another
  ranks.sum(tensors);
  const double n = ranks.size(), of_ranks = n * (n - 1) / 2;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    EXPECT_TRUE(tensors[i].equal(at::full(sizes[i], n * static_cast<double>(i) + of_ranks, at::kDouble)))
        << i;
  if (ranks.size() > 1) {
    EXPECT_TRUE(tensors.back().equal(at::arange(6, at::kDouble).view({2, 3}).t() * n));
  }
}

// Replicas of one computation on all ranks must not drift apart.
TEST(Sum, GivesEveryRankTheSameBits) {
  at::Tensor values = at::arange(1001, at::kDouble).add(1.0 / 3).mul(world().rank() + 0.1).sin();
  world().sum(values);
  at::Tensor of_root = values.clone();
  world().broadcast(of_root);
  EXPECT_TRUE(at::equal(values, of_root));
}

TEST(Max, IsTheLargestOnEveryRank) {
  EXPECT_EQ(world().max(-1.0 - world().rank()), -1.0);
  EXPECT_EQ(world().max(world().rank() * 0.5), (world().size() - 1) * 0.5);
}

TEST(Broadcast, GivesEveryRankTheRootsValue) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kLong}) {
    at::Tensor values = at::arange(5, dtype) + 10 * world().rank();
    world().broadcast(values);
    EXPECT_TRUE(at::equal(values, at::arange(5, dtype)));
  }
  EXPECT_EQ(world().broadcast(std::int64_t{7} + world().rank()), 7);
}

TEST(Broadcast, CarriesTextsOfAnyLength) {
  for (const std::string& text :
       {std::string(), std::string("two\nlines"), std::string("a\0b", 3), std::string(100000, 'x')})
    EXPECT_EQ(world().broadcast(world().is_root() ? text : "other " + std::to_string(world().rank())), text);
}

TEST(Gather, BringsValuesOfDifferentCountsToTheRoot) {
  const auto values_of = [](int rank) {
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 2 * rank; ++i) values.push_back(~std::uint64_t{0} - 100 * rank - i);
    return values;
  };
  const auto gathered = world().gather(values_of(world().rank()));
  ASSERT_EQ(static_cast<int>(gathered.size()), world().is_root() ? world().size() : 0);
  for (std::size_t r = 0; r < gathered.size(); ++r) EXPECT_EQ(gathered[r], values_of(static_cast<int>(r)));
}

// As if 2^30 bytes were as few as these.
TEST(Pieces, OfAnySizeMakeTheSameWhole) {
  for (const std::int64_t piece : {1, 8, 24, 56, 1000}) {
    const Communicator ranks(MPI_COMM_WORLD, piece);
    at::Tensor values = at::arange(23, at::kDouble).add(ranks.rank()).view({1, 23});
    ranks.sum(values);
    EXPECT_TRUE(
        at::equal(values[0], at::arange(23, at::kDouble) * ranks.size() + triangle(ranks.size() - 1)));
    at::Tensor of_root = at::arange(23, at::kLong) + 10 * ranks.rank();
    ranks.broadcast(of_root);
    EXPECT_TRUE(at::equal(of_root, at::arange(23, at::kLong)));
    EXPECT_EQ(ranks.broadcast(ranks.is_root() ? std::string(57, 'x') + "end" : ""),
              std::string(57, 'x') + "end");
    const auto gathered = ranks.gather(std::vector<std::uint64_t>(11, 100 + ranks.rank()));
    for (std::size_t r = 0; r < gathered.size(); ++r)
      EXPECT_EQ(gathered[r], std::vector<std::uint64_t>(11, 100 + r));
    EXPECT_EQ(ranks.split(0).gather({1, 2, 3}).size(), gathered.size());
    for (const std::int64_t numbers : {0, 1, 2, 23}) {
      const Range own = part_of(numbers, ranks.size(), ranks.rank());
      at::Tensor whole = at::full({numbers}, -1, at::kLong);
      whole.narrow(0, own.begin, own.size()).copy_(at::arange(own.begin, own.end, at::kLong));
      ranks.gather_parts(whole);
      EXPECT_TRUE(at::equal(whole, at::arange(numbers, at::kLong))) << numbers << " in pieces of " << piece;
    }
  }
}

TEST(Split, MakesGroupsOfEqualColourInOrder) {
  const int color = world().rank() % 2;
  const Communicator part = world().split(color);
  EXPECT_EQ(part.rank(), world().rank() / 2);
  EXPECT_EQ(part.size(), (world().size() + 1 - color) / 2);
  std::int64_t expected = 0;
  for (int r = color; r < world().size(); r += 2) expected += r;
  EXPECT_EQ(part.sum(std::int64_t{world().rank()}), expected);
  EXPECT_EQ(part.broadcast(std::int64_t{world().rank()}), color) << "the lowest rank is the group's root";
}

TEST(Split, OutlivesTheObjectItCameFrom) {
  Communicator part = world();
  for (int i = 0; i < 3; ++i) part = part.split(0);
  const Communicator copy = part;
  part = world();
  EXPECT_EQ(copy.sum(std::int64_t{1}), world().size());
}

TEST(Tensors, OfOtherKindsAreRefused) {
  at::Tensor bytes = at::zeros({3}, at::kByte), strided = at::zeros({3, 3}, at::kDouble).t();
  if (world().size() > 1) {
    EXPECT_THROW(world().sum(bytes), Error);
  }
  EXPECT_THROW(world().broadcast(bytes), Error);
  EXPECT_THROW(world().broadcast(strided), std::exception);
}

}  // namespace
}  // namespace whence
